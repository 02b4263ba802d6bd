"""Recommend from an exported folder, for any user: without the data set, ray, or a text encoder."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from numpy.typing import ArrayLike

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.engines import Engine, engine_of
from recbole_longinterest.serving.event_tables import histories_of
from recbole_longinterest.serving.events import EventLike, History, as_events
from recbole_longinterest.serving.exclusion import ExcludeSeen, read_exclusion
from recbole_longinterest.serving.explain.methods import DEFAULT_METHOD
from recbole_longinterest.serving.history_batches import read_histories
from recbole_longinterest.serving.hub import pretrained_folder
from recbole_longinterest.serving.model_folder import Served, read_folder
from recbole_longinterest.serving.new_items import Added, with_items
from recbole_longinterest.serving.observing import observe
from recbole_longinterest.serving.ranking import recommend_to
from recbole_longinterest.serving.request_times import At, asked_at
from recbole_longinterest.serving.results import Recommendation, frame_of, report_skipped
from recbole_longinterest.serving.scorer import Scorer
from recbole_longinterest.serving.signing import TrustedKey
from recbole_longinterest.serving.state import InterestState

if TYPE_CHECKING:
    import pandas as pd  # at run time imported only to build a table

User = TypeVar("User")


class Recommender(Scorer):
    """A model loaded for serving.

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
        """Load a folder written by ``recbole-li export``, and check it against its manifest.

        Args:
            folder: the folder.
            engine: name of a registered engine; ``"torch"`` and ``"onnx"`` are built in.
            trusted_key: public Ed25519 key in PEM, or its file; the folder must have been exported with ``--sign`` and
                the matching private key.
            mapped: memory-map the weights instead of loading them. Several processes then share them, and the file must
                not change while they serve it.

        Raises:
            ExportError: for a folder that is missing, broken, changed, of an unsupported version, or not an export.
            NotFiniteError: for weights that are NaN or infinite.
            SignatureError: for a folder that the trusted key did not sign.
            LongInterestError: for an unknown engine, or an engine whose package is not installed.
        """
        chosen = engine_of(engine) if isinstance(engine, str) else engine  # checked before the folder is read
        return cls(read_folder(folder, trusted_key=trusted_key, mapped=mapped), chosen)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        revision: str | None = None,
        *,
        engine: str | type[Engine] = "torch",
        trusted_key: TrustedKey | None = None,
        mapped: bool = False,
        endpoint: str | None = None,
    ) -> "Recommender":
        """Load an exported model from a folder or a model hub; see :meth:`load`.

        Args:
            name: a folder, or ``owner/name`` on the hub; only the latter uses the network.
            revision: branch, tag or commit on the hub; the newest if None.
            engine: see :meth:`load`.
            trusted_key: see :meth:`load`. The manifest only detects changes; a signature also proves who exported.
            mapped: see :meth:`load`.
            endpoint: address of a hub other than huggingface.co.

        Raises:
            LongInterestError: as :meth:`load`, and for a model that cannot be downloaded.
        """
        folder = pretrained_folder(name, revision, endpoint)
        return cls.load(folder, engine, trusted_key=trusted_key, mapped=mapped)

    def add_items(
        self,
        frame: "pd.DataFrame",
        vectors: ArrayLike | None = None,
        boost: float = 1.0,
        lift: float | None = None,
    ) -> Added:
        """Add new items by their texts: they can be recommended at once, and the scores of trained items do not change.

        States in memory stay valid; states saved as bytes belong to the model without the new items.

        Args:
            frame: one row per item: token, and the columns of the text; see `new_items.with_items`.
            vectors: precomputed text vectors, [n, encoder_dim].
            boost: factor of new items' text vectors; with values above 1 they are recommended more often.
            lift: number added to the scores of all new items; None for the model's present one, at first
                the one that the export found.

        Returns:
            The new items, and the items whose text changed.

        Raises:
            LongInterestError: as ``with_items``, and for an engine whose item table is fixed.
        """
        engine = type(self.engine)
        if not engine.can_grow:
            raise LongInterestError(
                f"{engine.__name__} has a fixed item table. Add the items to the folder with recbole-li add-items, and "
                "load it again."
            )
        added = with_items(self.served, frame, vectors, boost, lift=lift)
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
        exclude_seen: ExcludeSeen = ...,
        candidates: Iterable[str | int] | None = ...,
        explain: bool | str = ...,
        *,
        exclude: Iterable[str | int] = ...,
        at: At = ...,
    ) -> dict[User, Recommendation]: ...

    @overload
    def recommend(
        self,
        history: Sequence[list[EventLike]],
        k: int = ...,
        exclude_seen: ExcludeSeen = ...,
        candidates: Iterable[str | int] | None = ...,
        explain: bool | str = ...,
        *,
        exclude: Iterable[str | int] = ...,
        at: At = ...,
    ) -> list[Recommendation]: ...

    @overload
    def recommend(
        self,
        history: Sequence[EventLike],
        k: int = ...,
        exclude_seen: ExcludeSeen = ...,
        candidates: Iterable[str | int] | None = ...,
        explain: bool | str = ...,
        user: Mapping[str, Any] | None = ...,
        exclude: Iterable[str | int] = ...,
        at: At = ...,
    ) -> Recommendation: ...

    def recommend(
        self,
        history: Mapping[User, Sequence[EventLike]] | Sequence[list[EventLike]] | Sequence[EventLike],
        k: int = 10,
        exclude_seen: ExcludeSeen = True,
        candidates: Iterable[str | int] | None = None,
        explain: bool | str = False,
        user: Mapping[str, Any] | None = None,
        exclude: Iterable[str | int] = (),
        at: At = None,
    ) -> Recommendation | dict[User, Recommendation] | list[Recommendation]:
        """Recommend items to one user.

        Args:
            history: the user's events: tokens, `Event` objects or dicts. They are sorted by time. Unknown items are
                skipped and reported. A dict from user to events, or a list of lists of events, is passed to
                :meth:`recommend_many`.
            k: number of items; fewer if fewer can be recommended.
            exclude_seen: which items of the history to exclude. True or ``"target"``: items of events with a
                ``target_behavior`` or without a behaviour (all items for a model without target behaviours); ``"all"``;
                False or ``"none"``; or items of events with the given behaviours, a list or ``"view,cart"``.
            candidates: tokens of the only items that may be recommended; unknown tokens are skipped and logged.
            explain: method to explain each item: ``"removal"``, ``"gradients"`` or ``"attention"``; True for removal.
            user: the user's values of ``user_features``, by column name.
            exclude: tokens of items that must not be recommended.
            at: time of the request, a number in the training's unit or a date; None for now. Only models trained with
                ``request_time`` read it. A time before the last event is replaced by the time of the last event.

        Returns:
            The best items by the user's interest; popular items (see ``basis``) for a history that is empty or has only
            unknown items.

        Raises:
            LongInterestError: for invalid events, a history without a known item if the export has no counts of recent
                events, a ``k`` below 1, unknown behaviours, or candidates that are all unknown.
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
                raise LongInterestError("user works for one history. For several, call recommend_many with users.")
            return self.recommend_many(many, k, exclude_seen, candidates, explain, exclude=exclude, at=at)
        (one,) = self._recommend([self.read(events, user)], k, exclude_seen, candidates, explain, exclude, at)
        if one.problem:
            raise LongInterestError(f"Nothing can be recommended: {one.problem}.")
        return one

    @overload
    def recommend_many(
        self,
        histories: Mapping[User, Sequence[EventLike]],
        k: int = ...,
        exclude_seen: ExcludeSeen = ...,
        candidates: Iterable[str | int] | None = ...,
        explain: bool | str = ...,
        users: Mapping[User, Mapping[str, Any]] | None = ...,
        exclude: Iterable[str | int] = ...,
        at: At = ...,
    ) -> dict[User, Recommendation]: ...

    @overload
    def recommend_many(
        self,
        histories: Sequence[Sequence[EventLike]],
        k: int = ...,
        exclude_seen: ExcludeSeen = ...,
        candidates: Iterable[str | int] | None = ...,
        explain: bool | str = ...,
        users: Sequence[Mapping[str, Any] | None] | None = ...,
        exclude: Iterable[str | int] = ...,
        at: At = ...,
    ) -> list[Recommendation]: ...

    def recommend_many(
        self,
        histories: Mapping[User, Sequence[EventLike]] | Sequence[Sequence[EventLike]],
        k: int = 10,
        exclude_seen: ExcludeSeen = True,
        candidates: Iterable[str | int] | None = None,
        explain: bool | str = False,
        users: Mapping[User, Mapping[str, Any]] | Sequence[Mapping[str, Any] | None] | None = None,
        exclude: Iterable[str | int] = (),
        at: At = None,
    ) -> dict[User, Recommendation] | list[Recommendation]:
        """Recommend items to several users.

        Args:
            histories: a dict from user to events, or a list of histories; each as in :meth:`recommend`.
            k: see :meth:`recommend`.
            exclude_seen: see :meth:`recommend`.
            candidates: see :meth:`recommend`.
            explain: see :meth:`recommend`.
            users: values of ``user_features`` of each user, a dict or a list like ``histories``.
            exclude: see :meth:`recommend`.
            at: see :meth:`recommend`.

        Returns:
            A dict or a list like ``histories``. A user without a known item gets popular items; or no items and a
            ``problem`` if the export has no counts of recent events.

        Raises:
            LongInterestError: as :meth:`recommend`, but not for histories without a known item; and for ``users`` that
                do not match ``histories``.
        """
        read = read_histories(self.read, histories, users)
        found = self._recommend(read, k, exclude_seen, candidates, explain, exclude, at)
        return dict(zip(histories, found, strict=True)) if isinstance(histories, Mapping) else found

    def recommend_batch(
        self,
        events: "pd.DataFrame",
        k: int = 10,
        exclude_seen: ExcludeSeen = True,
        candidates: Iterable[str | int] | None = None,
        columns: Mapping[str, str] | None = None,
        exclude: Iterable[str | int] = (),
        at: At = None,
    ) -> "pd.DataFrame":
        """Recommend items to the users of a table of events.

        Args:
            events: a DataFrame with the training's column names (``user_id``, ``item_id`` and optionally ``rating``,
                ``behavior``, ``timestamp``). Without a user column all events belong to one user. Times are in the
                training's unit, or dates.
            k: see :meth:`recommend`.
            exclude_seen: see :meth:`recommend`.
            candidates: see :meth:`recommend`.
            columns: the table's names of the columns ``user``, ``item``, ``rating``, ``behavior``, ``time`` that differ
                from the training's.
            exclude: see :meth:`recommend`.
            at: see :meth:`recommend`.

        Returns:
            A DataFrame with columns user, ``rank`` from 1, item, ``title``, ``score``, ``basis`` (``interest``, or
            ``popularity`` for users without a known item). Skipped items and users without a known item are logged.

        Raises:
            LongInterestError: as :meth:`recommend_many`, and for a table without the item column.
        """
        names = self.served.fields
        found = self.recommend_histories(
            self.read_table(events, columns), k, exclude_seen, candidates, exclude=exclude, at=at
        )
        report_skipped(found)
        return frame_of(found, names["user"], names["item"])

    def recommend_histories(
        self,
        histories: Mapping[User, History],
        k: int = 10,
        exclude_seen: ExcludeSeen = True,
        candidates: Iterable[str | int] | None = None,
        explain: bool | str = False,
        exclude: Iterable[str | int] = (),
        at: At = None,
    ) -> dict[User, Recommendation]:
        """Recommend items for histories that were already read; see :meth:`recommend_many`."""
        found = self._recommend(list(histories.values()), k, exclude_seen, candidates, explain, exclude, at)
        return dict(zip(histories, found, strict=True))

    def read_table(self, events: "pd.DataFrame", columns: Mapping[str, str] | None = None) -> dict[str, History]:
        """Read a table of events into histories by user, ordered by their first event.

        Args:
            events: see :meth:`recommend_batch`.
            columns: see :meth:`recommend_batch`.
        """
        return histories_of(events, self.served.fields, self.reader, columns)

    def start(self, user: Mapping[str, Any] | None = None) -> InterestState:
        """Create the state of a new user, to update it event by event; see :mod:`recbole_longinterest.serving.state`.

        Args:
            user: the user's values of ``user_features``, by column name.
        """
        return InterestState.new(self, user)

    def observe(self, history: Iterable[EventLike], new: int | None = None) -> int:
        """Update the memory of transitions with new events: only its counts increase.

        Recommendations to all users change at once. The counts exist only in this object: exports and saved states do
        not change; ``recbole-li update`` recounts all events.

        Example:
            >>> model.observe(["50", "181", "172"], new=1)  # the user had 50 and 181 before, and now 172
            1

        Args:
            history: one user's last events, see :meth:`recommend`; the earlier ones are what the new ones follow.
            new: number of new events at the end; None for all.

        Returns:
            Number of counted events, without those on unknown items.

        Raises:
            LongInterestError: for a model without a memory of transitions, or if ``new`` is not from 0 to the number
                of events.
        """
        return observe(self, as_events(history), new)

    def _recommend(
        self,
        histories: list[History],
        k: int,
        exclude_seen: ExcludeSeen,
        candidates: Iterable[str | int] | None,
        explain: bool | str,
        exclude: Iterable[str | int],
        at: At = None,
    ) -> list[Recommendation]:
        exclusion = read_exclusion(exclude_seen, self.reader.behaviors, self.excluded_ids(exclude))
        allowed = None if candidates is None else self.candidate_ids(candidates)
        method = DEFAULT_METHOD if explain is True else explain or None
        return recommend_to(self, asked_at(self, histories, at), k, exclusion, allowed, method)
