"""Sequence nearest neighbours over users' histories: VSKNN and STAN."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from recbole.data.interaction import Interaction
from recbole.utils import InputType
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.flat_dataset import FlatSequentialDataset
from recbole_longinterest.plugin.baselines.computed.base import ComputedRecommender
from recbole_longinterest.plugin.baselines.computed.item_weights import read_amount
from recbole_longinterest.plugin.baselines.computed.training_log import (
    days_in_unit,
    training_days,
    training_log,
)

ENTRIES = 2**22  # maximum size of the dense queries, and of the neighbours' items, at once
POPULARITY = 1e-9  # weight of popularity in a score: it only breaks ties and orders items without neighbours

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Neighbours:
    """Pairs of an evaluated row and one of its neighbours, sorted by row.

    Attributes:
        row: index of the evaluated row, int64 [P].
        session: index of the training sequence, int64 [P].
        similarity: similarity of the two, float64 [P].
    """

    row: Ints
    session: Ints
    similarity: Floats


class SequenceNeighbours(ComputedRecommender, ABC):
    """Score items by the training sequences that share items with the user's last events.

    A sequence is a window of ``session_length`` training events of a user, because users have one long history and no
    sessions; a window starts every ``session_length // 2`` events. The query is the user's last ``query_length``
    items. Candidates are the ``sample_size`` most recent sequences of other users that share an item with the query;
    the ``neighbours`` most similar of them determine the scores. Ties are broken by popularity.

    Args:
        config: RecBole's config.
        dataset: the training part, over the flat log.

    Attributes:
        first: index of each sequence's first item, int64 [S + 1].
        item: distinct items of the sequences, int64.
        place: last position of each item in its sequence, from 1, int64.
        size: number of events of each sequence, int64 [S].
        owner: RecBole's id of each sequence's user, int64 [S].
        day: time of each sequence's last event in days, float64 [S].
        count: number of training events of each item, float64 [N].

    Raises:
        LongInterestError: if a key has an invalid value, or the data set has no flat log or no times.
    """

    input_type = InputType.POINTWISE

    def __init__(self, config: Settings, dataset: FlatSequentialDataset) -> None:
        super().__init__(config, dataset)
        name = type(self).__name__
        length, self.query_length, self.sample_size, self.neighbours = (
            read_whole(config, key, least)
            for key, least in (("session_length", 2), ("query_length", 1), ("sample_size", 1), ("neighbours", 1))
        )
        log, days = training_log(dataset, name), training_days(dataset, name)
        self.time_seq = f"{dataset.time_field}{config['LIST_SUFFIX']}"
        self.days_in_unit = days_in_unit(dataset, name)
        begin, end = windows_of(log.begin, length)
        size = end - begin
        session = np.repeat(np.arange(len(size)), size)
        event = np.arange(int(size.sum())) - np.repeat(np.cumsum(size) - size, size) + begin[session]
        place = event - begin[session] + 1
        order = np.lexsort([place, log.item[event], session])  # an item's last position is kept
        session, item, place = session[order], log.item[event][order], place[order]
        last = np.concatenate([(session[1:] != session[:-1]) | (item[1:] != item[:-1]), [True]])
        buffers = {
            "first": np.searchsorted(session[last], np.arange(len(size) + 1)),
            "item": item[last],
            "place": place[last],
            "size": size,
            "owner": log.user_id[begin],
            "day": days[end - 1],
            "count": np.bincount(log.item, minlength=self.n_items).astype(np.float64),
        }
        for key, values in buffers.items():
            self.register_buffer(key, torch.from_numpy(values))

    # --- the model ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def query_weights(self, back: Ints, length: Ints) -> Floats:
        """Weights of the query's events.

        Args:
            back: number of events after each event in the query, 0 for the last one, int64 [B, L].
            length: number of events of each query, int64 [B].
        """

    @abstractmethod
    def similarity(self, product: Floats, items: Ints, length: Ints, days: Floats) -> Floats:
        """Similarity of queries and sequences.

        Args:
            product: dot product of the weighted query and the sequence's distinct items, [P].
            items: number of distinct items of the sequence, int64 [P].
            length: number of events of the query, int64 [P].
            days: days between the last events of both, at least 0, [P].
        """

    @abstractmethod
    def item_weights(self, distance: Ints) -> Floats:
        """Weights of a neighbour's items.

        Args:
            distance: positions between each item and the most recent item of the query in that sequence, int64 [E].
        """

    # --- the evaluation ----------------------------------------------------------------------------------------------

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """Scores of all items, float64 [B, N]."""
        item_seq, length = (interaction[name].cpu() for name in (self.ITEM_SEQ, self.ITEM_SEQ_LEN))
        user = interaction[self.USER_ID].cpu().numpy()
        last_time = interaction[self.time_seq].cpu().double().gather(1, length.unsqueeze(1) - 1).squeeze(1)
        days = last_time.numpy() * self.days_in_unit
        first, item = self.first.cpu().numpy(), self.item.cpu().numpy()
        sessions = scipy.sparse.csr_matrix((np.ones(len(item)), item, first), shape=(len(first) - 1, self.n_items))
        having = sessions.T.tocsr()
        scores = [np.zeros((0, self.n_items))]
        step = max(1, ENTRIES // max(having.shape))
        for begin in range(0, len(user), step):
            part = slice(begin, begin + step)
            scores.append(self._scores(having, item_seq[part].numpy(), length[part].numpy(), user[part], days[part]))
        return torch.from_numpy(np.concatenate(scores)).to(interaction[self.ITEM_SEQ_LEN].device)

    def _scores(
        self, having: scipy.sparse.csr_matrix, item_seq: Ints, length: Ints, user: Ints, days: Floats
    ) -> Floats:
        """Scores of the given rows, [B, N]; ``having`` marks the sequences that contain an item, [N, S]."""
        back = length[:, None] - 1 - np.arange(item_seq.shape[1])
        row, column = np.nonzero((back >= 0) & (back < self.query_length))
        asked = np.minimum(length, self.query_length)
        latest = np.zeros((len(length), self.n_items), dtype=np.int64)  # last position in the query, 0 for other items
        np.maximum.at(latest, (row, item_seq[row, column]), (asked[:, None] - back)[row, column])
        weight = self.query_weights(np.where(latest > 0, asked[:, None] - latest, 0), asked)
        query = scipy.sparse.csr_matrix(np.where(latest > 0, weight, 0.0))
        found = self._neighbours(query @ having, asked, user, days)
        scores = np.tile(self.count.cpu().numpy() / (float(self.count.sum()) + 1) * POPULARITY, (len(length), 1))
        sizes = np.diff(self.first.cpu().numpy())[found.session]
        for part in np.split(np.arange(len(sizes)), np.flatnonzero(np.diff(np.cumsum(sizes) // ENTRIES)) + 1):
            self._add(scores, found, part, latest)
        return scores

    def _neighbours(self, shared: scipy.sparse.csr_matrix, length: Ints, user: Ints, days: Floats) -> Neighbours:
        """Find the neighbours of each row; ``shared`` is the product of queries and sequences, [B, S]."""
        owner, day, items = (getattr(self, name).cpu().numpy() for name in ("owner", "day", "first"))
        items = np.diff(items)
        shared.sort_indices()
        session, product = shared.indices.astype(np.int64), shared.data
        row = np.repeat(np.arange(len(length)), np.diff(shared.indptr))
        others = owner[session] != user[row]
        row, session, product = row[others], session[others], product[others]
        chosen = _best_of_rows(row, day[session], self.sample_size)
        row, session, product = row[chosen], session[chosen], product[chosen]
        similarity = self.similarity(product, items[session], length[row], np.abs(days[row] - day[session]))
        chosen = _best_of_rows(row, similarity, self.neighbours)  # the most recent first among equals
        return Neighbours(row[chosen], session[chosen], similarity[chosen])

    def _add(self, scores: Floats, found: Neighbours, part: Ints, latest: Ints) -> None:
        first, item, place = (getattr(self, name).cpu().numpy() for name in ("first", "item", "place"))
        session = found.session[part]
        number = first[session + 1] - first[session]
        if not number.sum():
            return
        pair = np.repeat(np.arange(len(part)), number)
        begin = np.cumsum(number) - number
        entry = np.arange(len(pair)) - begin[pair] + first[session][pair]
        order = latest[found.row[part][pair], item[entry]]
        recent = order == np.maximum.reduceat(order, begin)[pair]  # one per pair, as the items are distinct
        distance = np.abs(place[entry] - place[entry][recent][pair])
        value = found.similarity[part][pair] * self.item_weights(distance)
        index = found.row[part][pair] * self.n_items + item[entry]
        scores += np.bincount(index, value, minlength=scores.size).reshape(scores.shape)


class VSKNN(SequenceNeighbours):
    """V-SKNN (Ludewig and Jannach, UMUAI 2018): vector-multiplication nearest neighbours.

    The ``i``-th of ``n`` events of the query has weight ``i / n``, and the similarity is the dot product with the
    neighbour's items. An item's score is the sum of the similarities of the neighbours that contain it.

    Difference from the paper: sequences are windows of histories, see :class:`SequenceNeighbours`.
    """

    def query_weights(self, back: Ints, length: Ints) -> Floats:
        """Linear decay: ``i / n``."""
        return (length[:, None] - back) / length[:, None]

    def similarity(self, product: Floats, items: Ints, length: Ints, days: Floats) -> Floats:
        """The dot product."""
        return product

    def item_weights(self, distance: Ints) -> Floats:
        """All items of a neighbour count the same."""
        return np.ones(len(distance))


class STAN(SequenceNeighbours):
    """STAN (Garg et al., SIGIR 2019): sequence and time aware neighbourhood.

    It has three decays:

    - a query event followed by ``b`` events has weight ``exp(-b / recency_decay)`` (lambda 1),
    - the similarity is the dot product with the neighbour's items, divided by the square root of the product of both
      lengths, times ``exp(-days / day_decay)`` for the days between the last events (lambda 2),
    - a neighbour's item has weight ``exp(-distance / distance_decay)`` for its distance to the query's most recent item
      in that neighbour (lambda 3).

    Differences from the paper: sequences are windows of histories, see :class:`SequenceNeighbours`. Other users'
    training events may be later than the query, so the days are an absolute difference.
    """

    def __init__(self, config: Settings, dataset: FlatSequentialDataset) -> None:
        super().__init__(config, dataset)
        names = "recency_decay", "day_decay", "distance_decay"
        self.recency_decay, self.day_decay, self.distance_decay = (read_amount(config, name) for name in names)

    def query_weights(self, back: Ints, length: Ints) -> Floats:
        """``exp(-b / lambda 1)``."""
        return np.exp(-back / self.recency_decay)

    def similarity(self, product: Floats, items: Ints, length: Ints, days: Floats) -> Floats:
        """Cosine of the weighted query, times ``exp(-days / lambda 2)``."""
        return product / np.sqrt(items * length) * np.exp(-days / self.day_decay)

    def item_weights(self, distance: Ints) -> Floats:
        """``exp(-distance / lambda 3)``."""
        return np.exp(-distance / self.distance_decay)


def windows_of(begin: Ints, length: int) -> tuple[Ints, Ints]:
    """Begin and end of the sequences, [S] each: a window of ``length`` events every ``length // 2`` events of a user.

    Args:
        begin: position of the first event of each event's user, int64 [T], ascending.
        length: window length, at least 2; the last window of a user ends at the last event and may be shorter.
    """
    first, events = np.unique(begin, return_counts=True)
    stride = length // 2
    number = 1 + np.maximum(events - length + stride - 1, 0) // stride
    owner = np.repeat(np.arange(len(first)), number)
    rank = np.arange(len(owner)) - np.repeat(np.cumsum(number) - number, number)
    start = first[owner] + rank * stride
    return start, np.minimum(start + length, (first + events)[owner])


def _best_of_rows(row: Ints, value: Floats, most: int) -> Ints:
    """Indices of the ``most`` largest values of each row, sorted by row, then value; equal values keep their order."""
    order = np.lexsort([-value, row])
    ordered = row[order]
    rank = np.arange(len(row)) - np.searchsorted(ordered, ordered)
    return order[rank < most]


def read_whole(config: Settings, name: str, least: int) -> int:
    """Read a whole number of at least ``least``.

    Raises:
        LongInterestError: if it has another value.
    """
    value = config[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise LongInterestError(f"{name} must be a whole number of at least {least}; got {value!r}.")
    return value
