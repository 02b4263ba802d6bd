"""Convert raw histories (tokens, ratings, behaviours, times, other features) to the network's input."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from logging import getLogger
from math import nan
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.printable import printable
from recbole_longinterest.common.tokens import token_of
from recbole_longinterest.nn.sources import EventSource
from recbole_longinterest.nn.sources.numbers import numbers_of
from recbole_longinterest.serving.behaviors import Behaviors
from recbole_longinterest.serving.event_times import EventTimes
from recbole_longinterest.serving.training_times import TrainingTimes

OWN = ("rating", "behavior", "time")  # sources that are fields of an Event


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a user.

    Attributes:
        item: raw item token.
        rating: in the scale of the data; None if missing.
        behavior: raw token of the behaviour type; None if missing.
        time: in the unit of the data, usually seconds, or a date: an ISO text, a ``datetime``, a ``date``; None if
            missing.
        features: further values by source name: column name for ``event_features``, ``user_`` plus column name for
            ``user_features``. Values that the model does not read are ignored.
    """

    item: str
    rating: float | None = None
    behavior: str | None = None
    time: float | str | date | None = None
    features: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def value(self, source: str) -> Any:  # noqa: ANN401 - a number, a token, or a list of tokens
        """Return the raw value of a source; None if missing."""
        return getattr(self, source) if source in OWN else self.features.get(source)


EventLike: TypeAlias = Event | Mapping[str, Any] | str | int
"""An event, a dict of its fields and features, or just an item token."""
Column: TypeAlias = Sequence[Any] | NDArray[Any]
"""Values of several events."""


@dataclass(frozen=True)
class History:
    """A user's events as input of the network, oldest first.

    Attributes:
        item_seq: internal item ids, int64 [L].
        sides: values of each source as in a batch, [L] or [L, S]; except ``time``.
        time: NaN if missing, float64 [L].
        unknown: tokens of items that the model does not know; their events were left out.
        before: time of the event before the first one, if the history is a window of a longer one; else NaN.
        user: values of ``user_features`` at the last event, by column name; None without any.
        behavior: the training's behaviour names, None for events without one, [L]; None if no event has one.
        at: time of the request, which models with ``request_time`` read; NaN if unknown.
    """

    item_seq: NDArray[np.int64]
    sides: Mapping[str, NDArray[Any]]
    time: NDArray[np.float64]
    unknown: list[str]
    before: float = nan
    user: Mapping[str, Any] | None = None
    behavior: NDArray[Any] | None = None
    at: float = nan

    def __len__(self) -> int:
        """Number of events."""
        return len(self.item_seq)

    def gaps(self) -> NDArray[np.float32]:
        """Return the time since the previous event, NaN for the first event and for missing times, [L]."""
        with np.errstate(over="ignore"):  # gaps beyond float32 become infinite
            return np.diff(self.time, prepend=self.before if len(self) else []).astype(np.float32)

    def keep(self, positions: NDArray[Any] | slice) -> "History":
        """Return the history with only the given events."""
        sides = {name: value[positions] for name, value in self.sides.items()}
        kinds = None if self.behavior is None else self.behavior[positions]
        return replace(self, item_seq=self.item_seq[positions], sides=sides, time=self.time[positions], behavior=kinds)

    def last(self, number: int) -> "History":
        """Return the last events, with the time of the event before them."""
        if len(self) <= number:
            return self
        return replace(self.keep(slice(-number, None)), before=float(self.time[-number - 1]))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the values of each source, including time gaps."""
        return {**self.sides, "time": self.gaps()}

    def values(self) -> dict[str, Tensor]:
        """Return the input of :meth:`InterestNetwork.levels_of`, [L] or [L, S] each."""
        return {name: torch.from_numpy(np.ascontiguousarray(part)) for name, part in self.arrays().items()}


class EventReader:
    """Converts raw events to the input of one model.

    Args:
        tokens: item tokens by internal id, padding first.
        sources: the model's event sources by name.
        times: the training's times; None for an export without them.
        behaviors: the training's behaviours.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        sources: Mapping[str, EventSource],
        times: TrainingTimes | None = None,
        behaviors: Behaviors | None = None,
    ) -> None:
        self.behaviors = behaviors or Behaviors()
        self.times = EventTimes(times)
        self.item_id = {token: i for i, token in enumerate(tokens) if i}
        self.sources = {name: source for name, source in sources.items() if name != "time"}
        self.features = tuple(name for name in self.sources if name not in OWN)
        self._of_users = {name: source.spec.column for name, source in sources.items() if source.spec.of == "user"}

    def columns(self) -> dict[str, str]:
        """Return the table column of each source that is not a field of :class:`Event`."""
        return {name: self.sources[name].spec.column for name in self.features}

    def event(self, event: object, user: Mapping[str, Any] | None = None) -> Event:
        """Convert to an event, see :func:`as_event`, and add the features of its user.

        Args:
            event: an :data:`EventLike`.
            user: values of ``user_features`` by column name.
        """
        parsed = as_event(event, self.features)
        if not isinstance(parsed.features, Mapping):
            raise LongInterestError(
                f"features of an Event must be a dict from source to value; got {parsed.features!r}."
            )
        return parsed if user is None else replace(parsed, features={**self.of_user(user), **parsed.features})

    def of_user(self, user: Mapping[str, Any]) -> dict[str, Any]:
        """Return the features of a user by source.

        Raises:
            LongInterestError: for an object that is not a dict, or a name that the model does not read.
        """
        unread = [name for name in user if name not in self._of_users.values()] if isinstance(user, Mapping) else [user]
        if unread:
            raise LongInterestError(
                "user must be a dict whose keys are among the model's user_features "
                f"({', '.join(self._of_users.values()) or 'this model reads no user features'}); got {unread[0]!r}."
            )
        return {name: user[column] for name, column in self._of_users.items() if column in user}

    def read(self, events: Iterable[Any], user: Mapping[str, Any] | None = None) -> History:
        """Read a history.

        Args:
            events: item tokens, :class:`Event` objects, or dicts with an Event's fields and features. They are sorted
                by time (ties keep their order); without times they must be given oldest first.
            user: values of ``user_features`` by column name.

        Raises:
            LongInterestError: for an invalid event, a rating that is not a number, a time that is neither a number nor
                a date or is in another unit than the training's, an unknown behaviour, or times that run backwards
                while some are missing.
        """
        parsed = [self.event(event, user) for event in as_events(events)]
        columns = {name: [event.value(name) for event in parsed] for name in (*OWN, *self.features)}
        return self.read_columns([event.item for event in parsed], columns)

    def read_columns(self, items: Column, columns: Mapping[str, Column], where: str = "The history") -> History:
        """Read a history given as columns; see :meth:`read`.

        Args:
            items: tokens, [L].
            columns: raw values by source, [L] each; sources without a column are missing.
            where: location of the events, for messages about times.
        """
        number = len(items)
        no_number = np.full(number, np.nan)
        tokens = [token_of(item, self.item_id) for item in items]
        ids = np.fromiter((self.item_id.get(token, 0) for token in tokens), np.int64, number)
        times = self.times.many(columns.get("time", no_number), where)
        if "rating" not in self.sources:
            numbers_of(columns.get("rating", no_number), "rating")  # invalid ratings are errors even if not used
        order = np.arange(number)
        timed = ~np.isnan(times)
        if timed.all():
            order = np.argsort(times, kind="stable")
        elif (np.diff(times[timed]) < 0).any():
            raise LongInterestError(
                "The times of a history run backwards and some of its events have no time, so the order is not known. "
                "Give a time for every event or for no event."
            )
        sides = {
            name: source.read_all(columns[name]) if name in columns else np.repeat(source.read_all([None]), number, 0)
            for name, source in self.sources.items()
        }
        unknown = [token for token, known in zip(tokens, ids, strict=True) if not known]
        kept = order[ids[order] > 0]
        last = {
            column: columns[name][kept[-1]] for name, column in self._of_users.items() if name in columns and len(kept)
        }
        user = {column: value for column, value in last.items() if value is not None} or None
        return History(ids, sides, times, unknown, user=user, behavior=self._named(columns.get("behavior"))).keep(kept)

    def _named(self, behaviors: Column | None) -> NDArray[Any] | None:
        """Return the training's behaviour names, [L]; None if no event has a behaviour."""
        names = [self.behaviors.name_of(kind) for kind in behaviors] if behaviors is not None else []
        return np.array(names, dtype=object) if any(names) else None


def as_events(history: object) -> list[Any]:
    """Return the events of a history as a list, without checking them.

    Raises:
        LongInterestError: for an object that is not a list of events, such as a single token or event, or a table.
    """
    if isinstance(history, (str, bytes, Mapping)) or hasattr(history, "columns") or not isinstance(history, Iterable):
        raise LongInterestError(
            f"A history must be a list of events, also for a single event; got {history!r:.100}. "
            "For a table of events use recommend_batch."
        )
    return list(history)


def as_event(event: object, features: Collection[str] = ()) -> Event:
    """Convert a token or dict to an event.

    Args:
        event: a token, a dict, or an event.
        features: further allowed keys of a dict.

    Raises:
        LongInterestError: for another type.
    """
    if isinstance(event, Event):
        return event
    if isinstance(event, (str, int, np.integer)) and not isinstance(event, bool):
        return Event(str(event))
    if isinstance(event, Mapping) and "item" in event and set(event) <= {*Event.__slots__, *features}:
        own = {name: value for name, value in event.items() if name in Event.__slots__}
        more = {name: value for name, value in event.items() if name not in Event.__slots__}
        return Event(**{**own, "features": {**own.get("features", {}), **more}}) if more else Event(**own)
    raise LongInterestError(
        f"An event must be an item token, an Event, or a dict with item and maybe "
        f"{', '.join((*OWN, *features))}; got {event!r}."
    )


def warn_of_unread(names: Sequence[Any], fields: Mapping[str, str], where: str) -> None:
    """Warn about unused columns if a field has no column, because the column may have another name.

    Args:
        names: names of the table's columns.
        fields: names of the columns ``user``, ``item``, ``rating``, ``behavior``, ``time``.
        where: the table, for the message.
    """
    unread = [str(name) for name in names if name not in fields.values()]
    absent = [name for name in fields.values() if name and name not in names]
    if unread and absent:
        one = " All events are treated as those of one user." if fields["user"] in absent else ""
        said = f"{where} has no column {', '.join(absent)}, and {', '.join(unread)} are not read.{one}"
        getLogger().warning(printable(said))
