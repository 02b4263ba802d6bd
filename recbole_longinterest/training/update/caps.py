"""Caps on new events, per user, item and day, and per group of similar users."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.training.update.alike import find_alike
from recbole_longinterest.training.update.new_events import NewEvents

# Units of Unix times by magnitude: (upper bound of the values, units per day).
DAYS = ((1e11, 86_400.0), (1e14, 86_400e3), (1e17, 86_400e6), (np.inf, 86_400e9))


@dataclass(frozen=True)
class Caps:
    """Upper limits for the new events of an update; None for no limit.

    Attributes:
        max_events_per_user_item_day: events of a user with an item on one day (UTC), including old events.
        max_events_per_user_day: events of a user on one day (UTC), including old events.
        max_alike_users: users per group of similar users, see :mod:`~recbole_longinterest.training.update.alike`. The
            users with the earliest events are kept.

    Raises:
        LongInterestError: for a limit below 1.
    """

    max_events_per_user_item_day: int | None = None
    max_events_per_user_day: int | None = None
    max_alike_users: int | None = None

    def __post_init__(self) -> None:
        for name, limit in vars(self).items():
            if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
                raise LongInterestError(f"{name} must be a whole number of at least 1; got {limit!r}.")

    def chosen(self) -> dict[str, int]:
        """The limits that are set."""
        return {name: limit for name, limit in vars(self).items() if limit is not None}


def apply_caps(events: NewEvents, caps: Caps, user: str, item: str, time: str) -> dict[str, NDArray[np.bool_]]:
    """Remove events beyond the caps from ``events.taken``.

    The earliest events are kept. The caps are applied in order, each to the events that passed the ones before.

    Args:
        events: events of the update; ``taken`` changes.
        caps: the limits.
        user: user column.
        item: item column.
        time: time column.

    Returns:
        For each cap, a mask of the new events that it removed, [n].
    """
    out: dict[str, NDArray[np.bool_]] = {}
    for name, columns in (("max_events_per_user_item_day", (user, item)), ("max_events_per_user_day", (user,))):
        limit = getattr(caps, name)
        if limit is not None:
            out[name] = events.taken & _beyond(events, columns, time, limit)
            events.taken = events.taken & ~out[name]
    if caps.max_alike_users is not None:
        rows = events.after[events.taken]
        rows = rows.sort_values(time, kind="stable")
        groups = find_alike(rows[user], rows[item])
        too_many = {name for group in groups for name in group[caps.max_alike_users :]}
        out["max_alike_users"] = events.taken & events.after[user].astype(str).isin(too_many).to_numpy()
        events.taken = events.taken & ~out["max_alike_users"]
    return out


def _beyond(events: NewEvents, columns: Sequence[str], time: str, limit: int) -> NDArray[np.bool_]:
    """Mask of new events beyond the first ``limit`` with the same values of ``columns`` and the same day, [n]."""
    new = events.after[[*columns, time]].astype(dict.fromkeys(columns, object))
    new["place"] = np.arange(len(new))
    new = new[events.taken].sort_values(time, kind="stable")
    users = columns[0]
    old = events.before[events.before[users].isin(set(new[users]))][[*columns, time]].astype(
        dict.fromkeys(columns, object)
    )
    both = pd.concat([old.assign(place=-1), new])
    both["day"] = np.floor(both[time] / day_length(events.before[time].to_numpy()))
    number = both.groupby([*columns, "day"], sort=False).cumcount().to_numpy()
    places = both["place"].to_numpy()
    beyond = np.zeros(len(events.after), dtype=bool)
    beyond[places[(number >= limit) & (places >= 0)]] = True
    return beyond


def day_length(times: NDArray[np.floating]) -> float:
    """Length of a day in the unit of the times: seconds, milliseconds, microseconds or nanoseconds, by magnitude."""
    largest = float(np.max(times, initial=0.0))
    return next(length for below, length in DAYS if largest < below)
