"""A split by global time: train before one time, validate until a second time, test after it.

A leave-one-out split leaks the future: a model is trained on events of some users that are later than the targets of
other users (arXiv 2507.16289, "Time to Split"). Here all training events are before the first time. The catalogue
consists of the items that have an event before it; events of other items are dropped.
"""

from collections.abc import Mapping
from datetime import datetime, timezone
from logging import getLogger
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_longinterest.common.dates import iso_date
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.splits import Index

SUCCESSIVE, LAST, FIRST = "successive", "last", "first"
SECONDS = 1e11  # year 5138 in seconds; larger times must have another unit
WHAT = "two shares of the events, as [0.8, 0.9], two dates, as ['2014-01-01', '2014-07-01'], or two times of the data"


def read_time_split(config: Settings) -> list[Any] | None:
    """Read ``split_by_time``: two shares, two times or two dates; None if it is unset.

    Raises:
        LongInterestError: if it is anything else, the first is not the earlier one, or ``split_targets`` is wrong.
    """
    targets = config["split_targets"]
    if targets not in (None, SUCCESSIVE, LAST, FIRST):
        raise LongInterestError(f"split_targets must be {SUCCESSIVE}, {LAST} or {FIRST}; got {targets!r}.")
    given = config["split_by_time"]
    if given is None:
        if targets in (LAST, FIRST):
            getLogger().warning(f"split_targets: {targets} has no effect without split_by_time: [0.8, 0.9].")
        return None
    ends = [_end(value) for value in given] if isinstance(given, (list, tuple)) else []
    kinds = {type(end) for end in ends}
    if len(ends) != 2 or len(kinds) != 1 or None in ends or not ends[0] < ends[1] or _mixed(ends):
        raise LongInterestError(f"split_by_time must be {WHAT}, the earlier one first; got {given!r}.")
    return ends


def _end(value: object) -> Any:  # noqa: ANN401 - a float, a datetime, or None for neither
    if isinstance(value, (int, float)) and not isinstance(value, bool) and np.isfinite(value):
        return float(value)
    if not isinstance(value, str):  # an unquoted date in yaml is not text either; a checkpoint cannot store it
        return None
    try:
        moment = iso_date(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _mixed(ends: list[Any]) -> bool:
    """Whether one end is a share of the events and the other one is a time."""
    shares = [isinstance(end, float) and 0 < end < 1 for end in ends]
    return shares[0] != shares[1]


def bounds_of(ends: list[Any], times: NDArray[np.float64], name: str) -> tuple[float, float]:
    """Compute the start times of the validation and the test period.

    Args:
        ends: result of :func:`read_time_split`.
        times: full-precision times of all events, [n].
        name: name of the data set, for the message.

    Returns:
        Both start times, in the unit of the times. If ``ends`` are shares, all events at a start time belong to the
        later period.

    Raises:
        LongInterestError: if a period has no event.
    """
    known = np.sort(times[~np.isnan(times)])
    if not len(known):
        raise LongInterestError(f"{name} has no times, which split_by_time needs. Leave it out.")
    if isinstance(ends[0], datetime):
        if known[-1] > SECONDS:
            raise LongInterestError(
                f"split_by_time cannot read dates for {name}, whose times are not seconds since 1970 (the last is "
                f"{known[-1]:g}). Give two times of the data, or shares of the events."
            )
        bounds = [end.timestamp() for end in ends]
    elif ends[1] < 1:
        bounds = [float(known[int(end * len(known))]) for end in ends]
    else:
        bounds = ends
    places = np.searchsorted(known, bounds)
    for part, number in zip(("training", "validation", "test"), np.diff([0, *places, len(known)]), strict=True):
        if number == 0:
            raise LongInterestError(
                f"split_by_time leaves no event of {name} for the {part}: its times are from {known[0]:.10g} to "
                f"{known[-1]:.10g}, and the ends are {bounds[0]:.10g} and {bounds[1]:.10g}. Give other ends."
            )
    return bounds[0], bounds[1]


def known_by_then(items: pd.Series, times: NDArray[np.float64], until: float) -> NDArray[np.bool_]:
    """Mark the events before a time, and the later events of items that have an event before it.

    Args:
        items: item of each event, [n].
        times: full-precision time of each event, [n].
        until: the time.

    Returns:
        bool [n].
    """
    codes, tokens = pd.factorize(items)
    before = times < until
    known = np.zeros(len(tokens) + 1, dtype=bool)
    known[-1] = True  # events without an item are left to another filter
    known[codes[before]] = True
    kept: NDArray[np.bool_] = before | known[codes]
    return kept


def parts_of(
    users: NDArray[np.integer], times: NDArray[np.float64], bounds: tuple[float, float], targets: str | None
) -> Index:
    """Return the part of each target: 0 for training, 1 for validation, 2 for test, -1 for no part.

    Args:
        users: user of each target, [n]. The targets of a user are in the order of time.
        times: full-precision time of each target, [n].
        bounds: result of :func:`bounds_of`.
        targets: which events of the validation and the test period are targets. ``successive`` (or None): every event,
            with all earlier events of its user as history. ``last`` or ``first``: one event per user and period.

    Returns:
        int64 [n].
    """
    part: Index = np.digitize(times, bounds).astype(np.int64)
    if targets in (None, SUCCESSIVE):
        return part
    group = users.astype(np.int64) * 3 + part
    order = np.arange(len(part)) if targets == FIRST else np.arange(len(part))[::-1]
    chosen = order[np.unique(group[order], return_index=True)[1]]
    alone = np.zeros(len(part), dtype=bool)
    alone[chosen] = True
    part[(part > 0) & ~alone] = -1
    return part


def sentence(bounds: tuple[float, float], left_out: Mapping[str, int]) -> str:
    """Describe the split in one sentence, for the log."""
    return (
        f"The split by time trains on events before {_moment(bounds[0])}, validates on those before "
        f"{_moment(bounds[1])} and tests on the rest. Left out: {left_out['events']:,} events of "
        f"{left_out['items']:,} items that have no training event."
    )


def _moment(time: float) -> str:
    if 1e8 < time < SECONDS:
        return datetime.fromtimestamp(time, tz=timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{time:.10g}"
