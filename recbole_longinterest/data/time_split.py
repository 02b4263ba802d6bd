"""A split by global time: train before one moment, validate until another, test from there on.

In leave-one-out the training of one user's events knows what other users did after the target of another: the future
leaks (arXiv 2507.16289, "Time to Split"). Here everything that is learned is older than the first moment, and so is the
catalogue: an item that nobody had by then is left out of the log.
"""

from collections.abc import Mapping
from datetime import datetime, timezone
from logging import getLogger
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.splits import Index

SUCCESSIVE, LAST, FIRST = "successive", "last", "first"
SECONDS = 1e11  # the year 5138 in seconds: larger times are of another unit
WHAT = "two shares of the events, as [0.8, 0.9], two dates, as ['2014-01-01', '2014-07-01'], or two times of the data"


def read_time_split(config: Settings) -> list[Any] | None:
    """The two ends of ``split_by_time`` as they are given, None if it is unset.

    Raises:
        LongInterestError: for anything but two ends that ascend, and for other ``split_targets``.
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
    if not isinstance(value, str):  # nor a date as yaml reads it without quotes, which a checkpoint cannot hold
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _mixed(ends: list[Any]) -> bool:
    """Whether one end is a share of the events and the other one none."""
    shares = [isinstance(end, float) and 0 < end < 1 for end in ends]
    return shares[0] != shares[1]


def bounds_of(ends: list[Any], times: NDArray[np.float64], name: str) -> tuple[float, float]:
    """The moments from which events validate and test.

    Args:
        ends: of :func:`read_time_split`.
        times: of all events, in full precision, [n].
        name: of the data set, for the error.

    Returns:
        Both, in the unit of the times. With shares, events at the moment of the share are all on its later side.

    Raises:
        LongInterestError: if a part has no event.
    """
    known = np.sort(times[~np.isnan(times)])
    if not len(known):
        raise LongInterestError(f"{name} has no times, which split_by_time needs. Leave it out.")
    if isinstance(ends[0], datetime):
        if known[-1] > SECONDS:
            raise LongInterestError(
                f"split_by_time cannot read dates for {name}, whose times are no seconds since 1970 (the last is "
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
    """Mark the events before a moment, and those of items that somebody had before it.

    Args:
        items: of the events, [n].
        times: of the events, in full precision, [n].
        until: the moment.

    Returns:
        [n].
    """
    codes, tokens = pd.factorize(items)
    before = times < until
    known = np.zeros(len(tokens) + 1, dtype=bool)
    known[-1] = True  # no item: another filter's to drop
    known[codes[before]] = True
    kept: NDArray[np.bool_] = before | known[codes]
    return kept


def parts_of(
    users: NDArray[np.integer], times: NDArray[np.float64], bounds: tuple[float, float], targets: str | None
) -> Index:
    """Part of each target: 0 trains, 1 validates, 2 tests, -1 is none of them.

    Args:
        users: user of each target, in the order of its time within a user, [n].
        times: of the targets, in full precision, [n].
        bounds: of :func:`bounds_of`.
        targets: ``successive`` (or None): every event of a period is ranked, after all events of its user before it;
            ``last`` or ``first``: one event of each user in each period.

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
    """What the split does to the log, in one sentence."""
    return (
        f"The split by time trains on what is before {_moment(bounds[0])}, validates until {_moment(bounds[1])} and "
        f"tests from there on; {left_out['events']:,} later events of {left_out['items']:,} items that nobody had "
        "before are left out."
    )


def _moment(time: float) -> str:
    if 1e8 < time < SECONDS:
        return datetime.fromtimestamp(time, tz=timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{time:.10g}"
