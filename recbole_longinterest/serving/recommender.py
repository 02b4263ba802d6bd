"""Recommendations for people that the training never saw, from an exported folder: no data set, no ray, no encoder."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.event_tables import histories_of
from recbole_longinterest.serving.events import History, as_events
from recbole_longinterest.serving.model_folder import read_folder
from recbole_longinterest.serving.results import (
    ALL_SEEN,
    NONE_KNOWN,
    Recommendation,
    Recommended,
    check_k,
    report_skipped,
    shortened,
)
from recbole_longinterest.serving.scorer import Scorer, as_tensor, top_k

if TYPE_CHECKING:
    from recbole_longinterest.serving.explain.methods import Explanation
    from recbole_longinterest.serving.new_items import Added
    from recbole_longinterest.serving.state import InterestState


class Recommender(Scorer):
    """A served model.

    Example:
        >>> model = Recommender.load("exported")
        >>> model.recommend([Event("50", rating=5, time=880_000_000), Event("181", rating=4, time=880_000_060)], k=5)

    See :class:`~recbole_longinterest.serving.scorer.Scorer` for its arguments and attributes.
    """

    @classmethod
    def load(cls, folder: str | Path, engine: str = "torch") -> "Recommender":
        """Read a folder that ``recbole-li export`` wrote.

        Args:
            folder: the folder.
            engine: ``"torch"`` or ``"onnx"``.

        Raises:
            ExportError: (a ValueError) one sentence for a folder that is missing, none, of another version or broken.
            ValueError: for another engine, or one that is not installed.
        """
        return cls(read_folder(folder), engine)

    def add_items(self, frame: Any, vectors: Any = None, boost: float = 1.0) -> "Added":  # noqa: ANN401 - a DataFrame
        """Take new items in by their texts: they can be recommended at once, and other scores stay as they are.

        States that are in memory go on; those kept as bytes belong to the model without the items.

        Args:
            frame: a row an item: token, and the columns of the text; see `new_items.with_items`.
            vectors: ready vectors in place of encoding, [n, encoder_dim].
            boost: factor of new items' text vectors; above 1 they are recommended more often among all items.

        Returns:
            Which items are new, and which have another text now.

        Raises:
            ValueError: as ``with_items``, and for the onnx engine, whose table of items is fixed.
        """
        from recbole_longinterest.serving.new_items import with_items

        if self._onnx is not None:
            raise LongInterestError(
                "The onnx engine has a fixed table of items. Add them to the folder: recbole-li add-items."
            )
        added = with_items(self.served, frame, vectors, boost)
        self._serve(added.served)
        return added

    def read(self, history: Iterable[Any]) -> History:
        """A history of raw events as the network reads it; see :meth:`EventReader.read`."""
        return self.reader.read(history)

    def recommend(
        self,
        history: Any,  # noqa: ANN401 - one history or several
        k: int = 10,
        exclude_seen: bool = True,
        candidates: Iterable[Any] | None = None,
        explain: bool = False,
    ) -> Any:  # noqa: ANN401
        """Recommend to one user or to several.

        Args:
            history: the events of one user (tokens, `Event` objects or dicts;
                put in the order of their times), or of several: a dict from user to events, or a list of lists.
                Items that the model does not know are skipped and reported.
            k: number of items; where fewer can be recommended, all of them.
            exclude_seen: leave out the items of the history.
            candidates: tokens that alone may be recommended; unknown ones are skipped and logged.
            explain: say of each item what brought it about; see :mod:`recbole_longinterest.serving.explain.methods`.

        Returns:
            A :class:`Recommendation`; of several users a dict or list of them, in which a user without a known item
            has none, and a ``problem``.

        Raises:
            ValueError: one sentence for a history that is empty, or holds unknown items alone or something else than
                events, a ``k`` below 1, or candidates of which not one is known.
        """
        allowed = self._allowed(candidates)
        method = "removal" if explain else None
        if isinstance(history, Mapping) and "item" not in history:
            users = list(history)
            found = self._recommend([self.read(history[user]) for user in users], k, exclude_seen, allowed, method)
            return dict(zip(users, found, strict=True))
        events = as_events(history)
        if events and all(isinstance(part, list) for part in events):
            return self._recommend([self.read(part) for part in events], k, exclude_seen, allowed, method)
        (one,) = self._recommend([self.read(events)], k, exclude_seen, allowed, method)
        if one.problem:
            raise LongInterestError(f"There is nothing to recommend from: {one.problem}.")
        return one

    def recommend_batch(
        self,
        events: Any,  # noqa: ANN401 - a pandas DataFrame
        k: int = 10,
        exclude_seen: bool = True,
        candidates: Iterable[Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Recommend to the users of a table of events.

        Args:
            events: a DataFrame with RecBole's names of the columns (``user_id``, ``item_id`` and maybe ``rating``,
                ``behavior``, ``timestamp``, as the training named them). Without a user column it is one user.
            k: as in :meth:`recommend`.
            exclude_seen: likewise.
            candidates: likewise.

        Returns:
            A DataFrame: user, ``rank`` from 1, item, ``title``, ``score``. Skipped items and users without one that
            is known are logged.

        Raises:
            ValueError: as :meth:`recommend`, and for a table without the item column.
        """
        import pandas as pd

        names = self.served.fields
        found = self.recommend_histories(self.read_table(events), k, exclude_seen, candidates)
        rows = []
        for user, recommendation in found.items():
            for rank, item in enumerate(recommendation.items, start=1):
                rows.append((user, rank, item.item, item.title, item.score))
        report_skipped(found)
        return pd.DataFrame(rows, columns=[names["user"], "rank", names["item"], "title", "score"])

    def recommend_histories(
        self,
        histories: Mapping[Any, History],
        k: int = 10,
        exclude_seen: bool = True,
        candidates: Iterable[Any] | None = None,
        explain: bool = False,
        method: str = "removal",
    ) -> dict[Any, Recommendation]:
        """Recommend to users whose histories were read already; see :meth:`recommend`.

        ``method`` is that of :func:`recbole_longinterest.serving.explain.methods.explain_history`.
        """
        chosen = method if explain else None
        found = self._recommend(list(histories.values()), k, exclude_seen, self._allowed(candidates), chosen)
        return dict(zip(histories, found, strict=True))

    def read_table(self, events: Any) -> dict[Any, History]:  # noqa: ANN401
        """Histories by user of a table of events, users in the order of their first event."""
        return histories_of(events, self.served.fields, self.reader)

    def start(self) -> "InterestState":
        """The state of a new user, which takes events one by one; see :mod:`recbole_longinterest.serving.state`."""
        from recbole_longinterest.serving.state import InterestState

        return InterestState.new(self)

    def _allowed(self, candidates: Iterable[Any] | None) -> Tensor | None:
        if candidates is None:
            return None
        if isinstance(candidates, (str, bytes)) or not isinstance(candidates, Iterable):
            raise LongInterestError(f"candidates must be a list of item tokens; got {candidates!r}.")
        tokens = list(candidates)
        ids = sorted({self.item_id(token) for token in tokens} - {0})
        if not ids:
            raise LongInterestError(f"Not one of the {len(tokens)} candidates is known to the model.")
        skipped = [str(token) for token in tokens if not self.item_id(token)]
        if skipped:
            getLogger().warning(f"{len(skipped)} candidates are unknown and skipped: {shortened(skipped)}")
        return torch.tensor(ids)

    def _recommend(
        self, histories: list[History], k: int, exclude_seen: bool, allowed: Tensor | None, method: str | None
    ) -> list[Recommendation]:
        check_k(k)
        out = [
            Recommendation([], len(history), history.unknown, None if len(history) else _why_nothing(history))
            for history in histories
        ]
        rows = [row for row, history in enumerate(histories) if len(history)]
        step = self.scored_at_once
        for begin in range(0, len(rows), step):
            part = rows[begin : begin + step]
            interest = self.interest([histories[row] for row in part])
            seen = [(histories[row] if exclude_seen else self.windowed(histories[row])).item_seq for row in part]
            for row, items in zip(part, self.best(interest, k, seen, allowed, exclude_seen), strict=True):
                why = self._explain(histories[row], items, method) if method else [None] * len(items)
                chosen = [
                    self.recommended(item, score, reason) for (item, score), reason in zip(items, why, strict=True)
                ]
                problem = None if chosen else ALL_SEEN
                out[row] = Recommendation(chosen, len(histories[row]), histories[row].unknown, problem)
        return out

    def best(
        self,
        interest: Tensor,
        k: int,
        seen: Sequence[Collection[int]],
        allowed: Tensor | None = None,
        exclude_seen: bool = True,
    ) -> list[list[tuple[int, float]]]:
        """The ``k`` best items by internal id, with their scores.

        Args:
            interest: [B, D].
            k: at least 1.
            seen: internal ids of the items that each user has had.
            allowed: internal ids that alone are ranked, all if None.
            exclude_seen: leave the seen items out.
        """
        scores = self.scores_of(interest, () if exclude_seen else seen)
        for row, had in enumerate(seen if exclude_seen else ()):
            scores[row, as_tensor(had)] = -torch.inf
        ids = None
        if allowed is not None:
            scores, ids = scores[:, allowed], allowed
        values, places = top_k(scores, min(k + 1, scores.shape[1]))  # one more, for the padding
        if ids is not None:
            places = ids[places]
        return [
            [(item, score) for item, score in zip(row, values, strict=True) if item and score > -torch.inf][:k]
            for row, values in zip(places.tolist(), values.tolist(), strict=True)
        ]

    def recommended(self, item: int, score: float, why: "Explanation | None" = None) -> Recommended:
        """An item by internal id as people read it."""
        return Recommended(self.served.items.tokens[item], self.served.items.titles[item], score, why)

    def _explain(self, history: History, items: list[tuple[int, float]], method: str) -> list[Any]:
        from recbole_longinterest.serving.explain.methods import explain_history

        return [explain_history(self, history, item, method) for item, _ in items]


def _why_nothing(history: History) -> str:
    return NONE_KNOWN if history.unknown else "its history is empty"
