"""Recommendations for users that the training never saw, from an exported folder: no data set, no ray, no encoder."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from numpy.typing import ArrayLike

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.engines import Engine, engine_of
from recbole_longinterest.serving.event_tables import histories_of
from recbole_longinterest.serving.events import EventLike, History, as_events
from recbole_longinterest.serving.explain.methods import DEFAULT_METHOD, explain_history
from recbole_longinterest.serving.model_folder import Served, read_folder
from recbole_longinterest.serving.new_items import Added, with_items
from recbole_longinterest.serving.results import (
    ALL_SEEN,
    NONE_KNOWN,
    Recommendation,
    check_k,
    report_skipped,
)
from recbole_longinterest.serving.scorer import Scorer
from recbole_longinterest.serving.signing import TrustedKey
from recbole_longinterest.serving.state import InterestState

if TYPE_CHECKING:
    import pandas as pd  # at run time only where a table is made

User = TypeVar("User")


class Recommender(Scorer):
    """A served model.

    Example:
        >>> model = Recommender.load("exported")
        >>> model.recommend([Event("50", rating=5, time=880_000_000), Event("181", rating=4, time=880_000_060)], k=5)

    Args:
        served: content of an exported folder.
        engine: name of a registered engine, or its class; see :mod:`recbole_longinterest.serving.engines`.

    See :class:`~recbole_longinterest.serving.scorer.Scorer` for the attributes.
    """

    def __init__(self, served: Served, engine: str | type[Engine] = "torch") -> None:
        super().__init__(served, engine_of(engine) if isinstance(engine, str) else engine)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        engine: str | type[Engine] = "torch",
        *,
        trusted_key: TrustedKey | None = None,
        mapped: bool = False,
    ) -> "Recommender":
        """Read a folder that ``recbole-li export`` wrote, checked against its manifest, into memory.

        Args:
            folder: the folder.
            engine: name of a registered engine; ``"torch"`` and ``"onnx"`` are built in.
            trusted_key: public Ed25519 key in PEM, or its file: the folder must have been exported with
                ``--sign`` by its private key.
            mapped: map the weights from the file in place of reading them into memory. Several processes share them,
                and the file must not change while they serve it.

        Raises:
            ExportError: for a folder that is missing, broken, changed, of another version, or not an export.
            NotFiniteError: for weights that are NaN or infinite.
            SignatureError: for a folder that the trusted key did not sign.
            LongInterestError: for an unknown engine, or one whose package is not installed.
        """
        chosen = engine_of(engine) if isinstance(engine, str) else engine  # before the folder is read
        return cls(read_folder(folder, trusted_key=trusted_key, mapped=mapped), chosen)

    def add_items(self, frame: "pd.DataFrame", vectors: ArrayLike | None = None, boost: float = 1.0) -> Added:
        """Add new items by their texts: they can be recommended at once, and the scores of other items do not change.

        States in memory stay valid; states kept as bytes belong to the model without the items.

        Args:
            frame: a row an item: token, and the columns of the text; see `new_items.with_items`.
            vectors: ready vectors in place of encoding, [n, encoder_dim].
            boost: factor of new items' text vectors; above 1 they are recommended more often among all items.

        Returns:
            The new items, and the items whose text changed.

        Raises:
            LongInterestError: as ``with_items``, and for an engine whose table of items is fixed.
        """
        engine = type(self.engine)
        if not engine.can_grow:
            raise LongInterestError(
                f"{engine.__name__} has a fixed table of items. Add the items to the folder with recbole-li add-items, "
                "and load it again."
            )
        added = with_items(self.served, frame, vectors, boost)
        self._serve(added.served, engine)
        return added

    def read(self, history: Iterable[EventLike], user: Mapping[str, Any] | None = None) -> History:
        """Read a history of raw events; see :meth:`EventReader.read`."""
        return self.reader.read(history, user)

    @overload
    def recommend(
        self,
        history: Mapping[User, Sequence[EventLike]],
        k: int = ...,
        exclude_seen: bool = ...,
        candidates: Iterable[str | int] | None = ...,
        explain: bool | str = ...,
    ) -> dict[User, Recommendation]: ...

    @overload
    def recommend(
        self,
        history: Sequence[list[EventLike]],
        k: int = ...,
        exclude_seen: bool = ...,
        candidates: Iterable[str | int] | None = ...,
        explain: bool | str = ...,
    ) -> list[Recommendation]: ...

    @overload
    def recommend(
        self,
        history: Sequence[EventLike],
        k: int = ...,
        exclude_seen: bool = ...,
        candidates: Iterable[str | int] | None = ...,
        explain: bool | str = ...,
        user: Mapping[str, Any] | None = ...,
    ) -> Recommendation: ...

    def recommend(
        self,
        history: Mapping[User, Sequence[EventLike]] | Sequence[list[EventLike]] | Sequence[EventLike],
        k: int = 10,
        exclude_seen: bool = True,
        candidates: Iterable[str | int] | None = None,
        explain: bool | str = False,
        user: Mapping[str, Any] | None = None,
    ) -> Recommendation | dict[User, Recommendation] | list[Recommendation]:
        """Recommend to one user.

        Args:
            history: the user's events: tokens, `Event` objects or dicts. They are sorted by time. Unknown items are
                skipped and reported. A dict from user to events, or a list of lists of events, goes to
                :meth:`recommend_many`.
            k: number of items; fewer if fewer can be recommended.
            exclude_seen: leave out the items of the history.
            candidates: tokens of the only items that may be recommended; unknown ones are skipped and logged.
            explain: name of a method that explains each item, or True for the default one; see
                :mod:`recbole_longinterest.serving.explain.methods`.
            user: the user's values of ``user_features``, by the name of their column.

        Raises:
            LongInterestError: for a history that is empty, has only unknown items, or holds something else than
                events; for a ``k`` below 1, and for candidates that are all unknown.
        """
        many: Any = None
        if isinstance(history, Mapping) and "item" not in history:
            many = history
        else:
            events = as_events(history)
            if events and all(isinstance(part, list) for part in events):
                many = events
        if many is not None:
            if user is not None:
                raise LongInterestError("user belongs to one history. For several, call recommend_many with users.")
            return self.recommend_many(many, k, exclude_seen, candidates, explain)
        (one,) = self._recommend([self.read(events, user)], k, exclude_seen, candidates, explain)
        if one.problem:
            raise LongInterestError(f"There is nothing to recommend from: {one.problem}.")
        return one

    @overload
    def recommend_many(
        self,
        histories: Mapping[User, Sequence[EventLike]],
        k: int = ...,
        exclude_seen: bool = ...,
        candidates: Iterable[str | int] | None = ...,
        explain: bool | str = ...,
        users: Mapping[User, Mapping[str, Any]] | None = ...,
    ) -> dict[User, Recommendation]: ...

    @overload
    def recommend_many(
        self,
        histories: Sequence[Sequence[EventLike]],
        k: int = ...,
        exclude_seen: bool = ...,
        candidates: Iterable[str | int] | None = ...,
        explain: bool | str = ...,
        users: Sequence[Mapping[str, Any] | None] | None = ...,
    ) -> list[Recommendation]: ...

    def recommend_many(
        self,
        histories: Mapping[User, Sequence[EventLike]] | Sequence[Sequence[EventLike]],
        k: int = 10,
        exclude_seen: bool = True,
        candidates: Iterable[str | int] | None = None,
        explain: bool | str = False,
        users: Mapping[User, Mapping[str, Any]] | Sequence[Mapping[str, Any] | None] | None = None,
    ) -> dict[User, Recommendation] | list[Recommendation]:
        """Recommend to several users.

        Args:
            histories: a dict from user to events, or a list of histories; each as in :meth:`recommend`.
            k: as in :meth:`recommend`.
            exclude_seen: likewise.
            candidates: likewise.
            explain: likewise.
            users: values of ``user_features`` of each user, a dict or a list like ``histories``.

        Returns:
            A dict or a list like ``histories``. A user without a known item gets no items, and a ``problem``.

        Raises:
            LongInterestError: as :meth:`recommend`, but not for histories without a known item; and for ``users`` that
                are not given as ``histories`` are.
        """
        if users is not None and not _alike(histories, users):
            raise LongInterestError(
                "users must be a dict by user if histories are one, of users that histories have, and otherwise a list "
                f"of as many; got {users!r:.100}."
            )
        if isinstance(histories, Mapping):
            of_users = users if isinstance(users, Mapping) else {}
            read = [self.read(part, of_users.get(user)) for user, part in histories.items()]
        else:
            rows = [None] * len(histories) if users is None else list(cast("Sequence[Mapping[str, Any]]", users))
            read = [self.read(part, user) for part, user in zip(histories, rows, strict=True)]
        found = self._recommend(read, k, exclude_seen, candidates, explain)
        return dict(zip(histories, found, strict=True)) if isinstance(histories, Mapping) else found

    def recommend_batch(
        self,
        events: "pd.DataFrame",
        k: int = 10,
        exclude_seen: bool = True,
        candidates: Iterable[str | int] | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> "pd.DataFrame":
        """Recommend to the users of a table of events.

        Args:
            events: a DataFrame with RecBole's names of the columns (``user_id``, ``item_id`` and maybe ``rating``,
                ``behavior``, ``timestamp``, as the training named them). Without a user column it is one user.
                Times are in the training's unit, or dates.
            k: as in :meth:`recommend`.
            exclude_seen: likewise.
            candidates: likewise.
            columns: the table's own names of the columns ``user``, ``item``, ``rating``, ``behavior``, ``time``, those
                that the training named otherwise.

        Returns:
            A DataFrame: user, ``rank`` from 1, item, ``title``, ``score``. Skipped items and users without a known
            item are logged.

        Raises:
            LongInterestError: as :meth:`recommend_many`, and for a table without the item column.
        """
        import pandas as pd  # late: serving without tables starts faster, and does not need it

        names = self.served.fields
        found = self.recommend_histories(self.read_table(events, columns), k, exclude_seen, candidates)
        rows = []
        for user, recommendation in found.items():
            for rank, item in enumerate(recommendation.items, start=1):
                rows.append((user, rank, item.item, item.title, item.score))
        report_skipped(found)
        return pd.DataFrame(rows, columns=[names["user"], "rank", names["item"], "title", "score"])

    def recommend_histories(
        self,
        histories: Mapping[User, History],
        k: int = 10,
        exclude_seen: bool = True,
        candidates: Iterable[str | int] | None = None,
        explain: bool | str = False,
    ) -> dict[User, Recommendation]:
        """Recommend to users whose histories were read already; see :meth:`recommend_many`."""
        found = self._recommend(list(histories.values()), k, exclude_seen, candidates, explain)
        return dict(zip(histories, found, strict=True))

    def read_table(self, events: "pd.DataFrame", columns: Mapping[str, str] | None = None) -> dict[str, History]:
        """Histories by user of a table of events, users in the order of their first event.

        Args:
            events: as in :meth:`recommend_batch`.
            columns: likewise.
        """
        return histories_of(events, self.served.fields, self.reader, columns)

    def start(self, user: Mapping[str, Any] | None = None) -> InterestState:
        """The state of a new user, which takes in events one by one; see :mod:`recbole_longinterest.serving.state`.

        Args:
            user: the user's values of ``user_features``, by the name of their column.
        """
        return InterestState.new(self, user)

    def _recommend(
        self,
        histories: list[History],
        k: int,
        exclude_seen: bool,
        candidates: Iterable[str | int] | None,
        explain: bool | str,
    ) -> list[Recommendation]:
        check_k(k)
        allowed = None if candidates is None else self.candidate_ids(candidates)
        method = DEFAULT_METHOD if explain is True else explain
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
                history = histories[row]
                why = [explain_history(self, history, item, method) if method else None for item, _ in items]
                chosen = [
                    self.recommended(item, score, reason) for (item, score), reason in zip(items, why, strict=True)
                ]
                out[row] = Recommendation(chosen, len(history), history.unknown, None if chosen else ALL_SEEN)
        return out


def _alike(histories: object, users: object) -> bool:
    """Whether the features of users can be told to the histories."""
    if isinstance(histories, Mapping) or isinstance(users, Mapping):
        return isinstance(histories, Mapping) and isinstance(users, Mapping) and users.keys() <= histories.keys()
    return isinstance(histories, Sequence) and isinstance(users, Sequence) and len(histories) == len(users)


def _why_nothing(history: History) -> str:
    return NONE_KNOWN if history.unknown else "its history is empty"
