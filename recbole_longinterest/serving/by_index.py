"""Recommend to many users with a model's index, instead of scoring every item."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

import numpy as np

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.candidates import Admission
from recbole_longinterest.serving.events import History
from recbole_longinterest.serving.exclusion import ExcludeSeen, Exclusion, read_exclusion
from recbole_longinterest.serving.index import VectorSearch, load_index
from recbole_longinterest.serving.ranking import nothing, popular
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.request_times import At, asked_at
from recbole_longinterest.serving.results import Recommendation, check_k
from recbole_longinterest.serving.strategies.base import Context
from recbole_longinterest.serving.strategies.interest import Interest
from recbole_longinterest.serving.strategies.memory import followers_of, terms_of
from recbole_longinterest.serving.visitor import Visitor

User = TypeVar("User")
TOGETHER = 4096  # histories encoded at once


class ByIndex:
    """Recommends like :meth:`Recommender.recommend_histories`, but scores only the candidates that the index finds.

    The scores are exact. Items that the index does not find are missing; the export measures how many.

    Args:
        model: a model from a folder that was exported with an index.

    Raises:
        MissingPackage: without faiss.
        ExportError: for an index that is broken or belongs to another model.
        LongInterestError: for an export without an index.
    """

    def __init__(self, model: Recommender) -> None:
        self.model, index = model, load_index(model)
        if index is None:
            raise LongInterestError(
                f"{model.served.folder} has no index. Export the model with --index ivf or --index hnsw, or leave "
                "--index out."
            )
        self._strategy = Interest(Context(model, VectorSearch(model, index), followers_of(model), terms_of(model)))
        self._rng = np.random.default_rng(0)  # strategies take a generator, but this one draws no numbers

    def recommend_histories(
        self,
        histories: Mapping[User, History],
        k: int = 10,
        exclude_seen: ExcludeSeen = True,
        candidates: Iterable[str | int] | None = None,
        *,
        exclude: Iterable[str | int] = (),
        at: At = None,
    ) -> dict[User, Recommendation]:
        """Recommend items for histories that were already read.

        Args:
            histories: histories by user.
            k: see :meth:`Recommender.recommend`.
            exclude_seen: see there.
            candidates: see there.
            exclude: see there.
            at: see there.
        """
        check_k(k)
        model = self.model
        exclusion = read_exclusion(exclude_seen, model.reader.behaviors, model.excluded_ids(exclude))
        allowed = None if candidates is None else model.candidate_ids(candidates)
        read = asked_at(model, list(histories.values()), at)
        out = [
            Recommendation([], 0, []) if len(each) else popular(model, k, exclusion, allowed, each.unknown)
            for each in read
        ]
        rows = [row for row, each in enumerate(read) if len(each)]
        only = None if allowed is None else allowed.numpy()
        for begin in range(0, len(rows), TOGETHER):
            part = rows[begin : begin + TOGETHER]
            interest = model.interest([read[row] for row in part])
            for row, vector in zip(part, interest.split(1), strict=True):
                visitor = Visitor.with_interest(read[row], vector, read[row].at)
                out[row] = self._to_one(visitor, k, exclusion, only)
        return dict(zip(histories, out, strict=True))

    def _to_one(self, visitor: Visitor, k: int, exclusion: Exclusion, only: "np.ndarray | None") -> Recommendation:
        history = visitor.history
        ranking = self._strategy.ranking(visitor, self._rng)
        assert ranking is not None  # the history has an event
        ids, scores = ranking.best(k, Admission(hidden=exclusion.of_history(history), only=only))
        chosen = [self.model.recommended(*item) for item in zip(ids.tolist(), scores.tolist(), strict=True)]
        return Recommendation(chosen, len(history), history.unknown, None if chosen else nothing(exclusion))
