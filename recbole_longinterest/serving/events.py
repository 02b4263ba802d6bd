"""From raw events (tokens, ratings, behaviours, times) to the histories that the network reads."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from logging import getLogger
from typing import Any, SupportsFloat, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError

EXACT = 17  # longest text of a float that is exactly the whole number it was made from


@dataclass(frozen=True, slots=True)
class Event:
    """One thing a user did.

    Attributes:
        item: raw item token.
        rating: in the data's own scale; None if missing.
        behavior: raw token of the behaviour type; None if missing.
        time: in the data's own unit, usually seconds; None if missing.
    """

    item: str
    rating: float | None = None
    behavior: str | None = None
    time: float | None = None


EventLike: TypeAlias = Event | Mapping[str, Any] | str | int
"""An event, a dict of its fields, or its item's token."""
Column: TypeAlias = Sequence[Any] | NDArray[Any]
"""Values of several events."""


@dataclass(frozen=True)
class History:
    """Events that the network can read, oldest first.

    Attributes:
        item_seq: internal item ids, int64 [L].
        rating: in the training's scale, NaN if missing, float32 [L].
        behavior: ids, 0 if missing, int64 [L].
        time: NaN if missing, float64 [L].
        unknown: tokens of the items that the model does not know; these events were left out.
        before: time of the event before the first one if the history is a window of a longer one; else NaN.
    """

    item_seq: NDArray[np.int64]
    rating: NDArray[np.float32]
    behavior: NDArray[np.int64]
    time: NDArray[np.float64]
    unknown: list[str]
    before: float = math.nan

    def __len__(self) -> int:
        """Number of events."""
        return len(self.item_seq)

    def gaps(self) -> NDArray[np.float32]:
        """Time since the event before, NaN for the first event and for missing times, [L]."""
        with np.errstate(over="ignore"):  # a gap beyond float32 counts as the longest
            return np.diff(self.time, prepend=self.before if len(self) else []).astype(np.float32)

    def keep(self, positions: NDArray[Any] | slice) -> "History":
        """The history with only these events."""
        return History(
            self.item_seq[positions],
            self.rating[positions],
            self.behavior[positions],
            self.time[positions],
            self.unknown,
            self.before,
        )

    def last(self, number: int) -> "History":
        """The last events, with the time of the event before them."""
        if len(self) <= number:
            return self
        return replace(self.keep(slice(-number, None)), before=float(self.time[-number - 1]))

    def values(self) -> dict[str, Tensor]:
        """Side values for :meth:`InterestNetwork.levels_of`, [L] each."""
        parts = {"rating": self.rating, "behavior": self.behavior, "time": self.gaps()}
        return {name: torch.from_numpy(np.ascontiguousarray(part)) for name, part in parts.items()}


class EventReader:
    """Turns raw events into what one model reads.

    Args:
        tokens: item tokens by internal id, the padding first.
        behaviors: tokens of behaviour types by id, the padding first; empty if the model reads none.
        rating_range: lowest and highest rating of the training's normalisation; None without normalisation.
        behavior_map: the training's map from raw behaviours to behaviour types.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        behaviors: Sequence[str],
        rating_range: tuple[float, float] | None,
        behavior_map: Mapping[str, str] | None = None,
    ) -> None:
        self.item_id = {token: i for i, token in enumerate(tokens) if i}
        self.behavior_id = {token: i for i, token in enumerate(behaviors) if i}
        self.rating_range = rating_range
        self.behavior_map = behavior_map or {}
        self._behavior_names = self.behavior_id.keys() | self.behavior_map.keys()

    def read(self, events: Iterable[EventLike]) -> History:
        """Read a history.

        Args:
            events: item tokens, :class:`Event` objects, or dicts with an Event's fields. They are sorted by time, equal
                times in the given order. Without times they are taken in the given order, oldest first.

        Raises:
            LongInterestError: for anything but events, a rating or time that is not a number, an unknown behaviour, or
                times that run backwards while some are missing.
        """
        parsed = [as_event(event) for event in as_events(events)]
        columns: dict[str, list[Any]] = {"rating": [], "behavior": [], "time": []}
        for event in parsed:
            columns["rating"].append(event.rating)
            columns["behavior"].append(event.behavior)
            columns["time"].append(event.time)
        return self.read_columns([event.item for event in parsed], **columns)

    def read_columns(
        self,
        items: Column,
        rating: Column | None = None,
        behavior: Column | None = None,
        time: Column | None = None,
    ) -> History:
        """Read a history given column by column; see :meth:`read`."""
        number = len(items)
        tokens = [token_of(item, self.item_id) for item in items]
        ids = np.fromiter((self.item_id.get(token, 0) for token in tokens), np.int64, number)
        times = _numbers(time, "time", number)
        order = np.arange(number)
        timed = ~np.isnan(times)
        if timed.all():
            order = np.argsort(times, kind="stable")
        elif (np.diff(times[timed]) < 0).any():
            raise LongInterestError(
                "The times of a history run backwards while some of its events have none, so its order is not known. "
                "Give every event a time, or none."
            )
        history = History(
            ids,
            self.ratings(_numbers(rating, "rating", number)),
            self._behaviors(behavior, number),
            times,
            [token for token, known in zip(tokens, ids, strict=True) if not known],
        )
        return history.keep(order[ids[order] > 0])

    def ratings(self, raw: NDArray[np.float64]) -> NDArray[np.float32]:
        """Ratings in the scale of the training."""
        if self.rating_range is not None:
            low, high = self.rating_range
            raw = (raw - low) / (high - low) if high > low else raw * 0 + 1
        with np.errstate(over="ignore"):  # a rating beyond the scale counts as its end
            return raw.astype(np.float32)

    def _behaviors(self, raw: Column | None, number: int) -> NDArray[np.int64]:
        if raw is None or not self.behavior_id:
            return np.zeros(number, dtype=np.int64)
        return np.fromiter((self.behavior(value) for value in raw), np.int64, number)

    def behavior(self, raw: object) -> int:
        """Id of a behaviour type, 0 if missing.

        Raises:
            LongInterestError: if the model does not know it.
        """
        if raw is None or raw == "" or raw != raw or not self.behavior_id:
            return 0
        token = token_of(raw, self._behavior_names)
        known = self.behavior_id.get(self.behavior_map.get(token, token))
        if known is None:
            raise LongInterestError(f"behavior must be one of {', '.join(self.behavior_id)}; got {raw!r}.")
        return known


def token_of(value: object, known: Collection[str]) -> str:
    """The token of an item or a behaviour; ``50`` for ``50.0``, which pandas makes of 50 beside missing values.

    Args:
        value: an item or a behaviour: 50, "50", 50.0 or "50.0".
        known: tokens of the model; a value among them is not changed.
    """
    token = str(value)
    if token not in known and token.endswith(".0") and len(token) <= EXACT and token[:-2] in known:
        return token[:-2]
    return token


def as_events(history: object) -> list[Any]:
    """The events of a history, not checked yet.

    Raises:
        LongInterestError: for a single token or event, a table, or anything else that is not a list of events.
    """
    if isinstance(history, (str, bytes, Mapping)) or hasattr(history, "columns") or not isinstance(history, Iterable):
        raise LongInterestError(
            f"A history must be a list of events, one event being a list of one; got {history!r:.100}. "
            "For a table of events there is recommend_batch."
        )
    return list(history)


def as_event(event: object) -> Event:
    """An event from a token, a dict or an event.

    Raises:
        LongInterestError: for anything else.
    """
    if isinstance(event, Event):
        return event
    if isinstance(event, (str, int, np.integer)) and not isinstance(event, bool):
        return Event(str(event))
    if isinstance(event, Mapping) and "item" in event and set(event) <= set(Event.__slots__):
        return Event(**event)
    raise LongInterestError(
        "An event must be an item token, an Event, or a dict with item and maybe rating, behavior, time; got "
        f"{event!r}."
    )


def number_of(value: SupportsFloat | str | None, name: str) -> float:
    """A rating or a time, NaN if missing.

    Raises:
        LongInterestError: if it is not a finite number.
    """
    if value is None or value == "":
        return math.nan
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.inf
    if math.isinf(number):
        raise LongInterestError(f"The {name} of an event must be a number; got {value!r}.")
    return number


def _numbers(values: Column | None, name: str, number: int) -> NDArray[np.float64]:
    if values is None:
        return np.full(number, np.nan)
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiu":
        out = values.astype(np.float64)
        if np.isinf(out).any():
            raise LongInterestError(f"The {name} of an event must be a number; got {out[np.isinf(out)][0]}.")
        return out
    return np.fromiter((number_of(value, name) for value in values), np.float64, number)


def warn_of_unread(names: Sequence[Any], fields: Mapping[str, str], where: str) -> None:
    """Warn of unread columns if a field has no column: the column may have another name.

    Args:
        names: of the columns.
        fields: names of the columns ``user``, ``item``, ``rating``, ``behavior``, ``time``.
        where: the table, for the message.
    """
    unread = [str(name) for name in names if name not in fields.values()]
    absent = [name for name in fields.values() if name not in names]
    if unread and absent:
        one = " All events are taken for one user's." if fields["user"] in absent else ""
        getLogger().warning(f"{where} has no column {', '.join(absent)}, and {', '.join(unread)} are not read.{one}")
