"""Exact rankings from approximate candidates.

An index finds the items with the highest dot products. A visitor's score of an item is that product plus terms that
only few items have: the repeat bias of seen items, the lift of new ones, and a memory's terms. So these items are
added to the candidates, and all get exact scores. The score of any other item is at most the product of the last
candidate, plus the highest boost of the rules. While that bound exceeds the score of an item to be returned, more
candidates are looked up (the threshold argument of Fagin et al. 2001). If the rules exclude most of the catalogue, all
remaining items are scored.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recbole_longinterest.serving.candidates import EVERYTHING, NO_IDS, Admission, Dense, Ids, Ranking, Scores, Sparse
from recbole_longinterest.serving.index.build import candidates_for
from recbole_longinterest.serving.index.faiss_index import FaissIndex
from recbole_longinterest.serving.scorer import Scorer

SMALL, LARGE = 16, 8  # up to 1/16 of the catalogue is scored directly; beyond 1/8, candidates do not pay off
HIDDEN = 2  # hidden items expected among the best, as a multiple of the requested number; with more, it searches again
NONE: Scores = np.zeros(0, dtype=np.float32)


class VectorSearch:
    """Ranks a model's items by interest vectors, with an index or without one.

    Args:
        scorer: the model.
        index: from :func:`~.files.load_index`; None scores every item.
    """

    def __init__(self, scorer: Scorer, index: FaissIndex | None = None) -> None:
        self.scorer, self.index = scorer, index
        self._indexed = scorer.items  # the index does not have items that are added or changed later
        self._known, self._loose = scorer.items, NO_IDS

    def of_model(self, scorer: Scorer) -> "VectorSearch":
        """Return a search for the same model with added or changed items, which are not in the index."""
        out = VectorSearch(scorer, self.index)
        if self.index is None:
            return out
        out._indexed = out._known = self._indexed
        return out

    @property
    def loose(self) -> Ids:
        """Items that were added or changed since the index was built; always candidates."""
        items = self.scorer.items
        if items is not self._known:
            number = len(self._indexed)
            changed = (items[:number] != self._indexed).any(dim=1).numpy()
            self._loose = np.concatenate([np.flatnonzero(changed), np.arange(number, len(items))])
            self._known = items
        return self._loose

    def ranking(self, interest: Tensor, ids: Ids = NO_IDS, terms: Scores = NONE) -> Ranking:
        """Rank the items by score.

        Args:
            interest: interest vector of one visitor, [1, D].
            ids: distinct internal ids of items with an additional score term, [n].
            terms: the additional terms, [n].
        """
        if self.index is None:
            scores = self.scorer.scores_of(interest)[0].numpy()
            scores[ids] += terms
            return Dense(scores, logits=True)
        return Indexed(self, self.index, interest, ids, terms)

    @torch.no_grad()
    def products(self, interest: Tensor, ids: Ids) -> Scores:
        """Compute the exact dot products of the given items, [n]."""
        query, rows = self.scorer.network.comparable(interest, self.scorer.items[torch.from_numpy(ids)])
        return (rows @ query[0]).numpy()

    def lifted_products(self, interest: Tensor, ids: Ids) -> Scores:
        """Compute the dot products of the given items, with the lift of new ones, [n]."""
        products = self.products(interest, ids)
        if len(self.scorer.lifted):
            products[np.isin(ids, self.scorer.lifted.numpy())] += self.scorer.lift
        return products


class Indexed(Ranking):
    """A ranking through an index; see :meth:`VectorSearch.ranking`."""

    logits = True

    def __init__(self, search: VectorSearch, index: FaissIndex, interest: Tensor, ids: Ids, terms: Scores) -> None:
        self._search, self._index, self._interest = search, index, interest
        self._ids, self._terms = ids, terms
        network = search.scorer.network
        with torch.no_grad():
            self._query: NDArray[np.float32] = network.comparable(interest, search.scorer.items[:1])[0][0].numpy()

    def best(self, number: int, admission: Admission = EVERYTHING) -> tuple[Ids, Scores]:
        """See :meth:`Ranking.best`."""
        n_items = self._search.scorer.n_items
        few = admission.few(n_items // SMALL)
        if few is not None:
            return self._scored(few, self._search.lifted_products(self._interest, few)).best(number, admission)
        depth = int(number / admission.share) + min(len(admission.hidden), HIDDEN * number)
        while (lookup := candidates_for(depth)) <= n_items // LARGE:
            found = self._index.find(self._query, lookup, self._index.effort_for(depth))
            if len(found) < lookup:  # the searched part has no more items
                break
            lifted = self._search.scorer.lifted.numpy()  # the index does not know of the lift
            ids = np.unique(np.concatenate([found, self._ids, self._search.loose, lifted]))
            products = self._search.lifted_products(self._interest, ids)
            of_found = products[np.searchsorted(ids, found)]
            floor = float(np.partition(of_found, -depth)[-depth])  # upper bound for items that were not found
            best, scores = self._scored(ids, products).best(number, admission)
            if len(best) == number and float(scores[-1]) >= floor + admission.highest_boost:
                return best, scores
            depth *= 4
        return self._all().best(number, admission)

    def _scored(self, ids: Ids, products: Scores) -> Sparse:
        """Compute scores of the given items from their dot products."""
        scores = products.copy()
        if len(self._ids):
            order = np.argsort(self._ids)
            place = np.searchsorted(self._ids, ids, sorter=order).clip(max=len(order) - 1)
            match = self._ids[order[place]] == ids
            scores[match] += self._terms[order[place[match]]]
        return Sparse(ids, scores, logits=True)

    def _all(self) -> Dense:
        """Compute the exact scores of all items."""
        scores = self._search.scorer.scores_of(self._interest)[0].numpy()
        scores[self._ids] += self._terms
        return Dense(scores, logits=True)
