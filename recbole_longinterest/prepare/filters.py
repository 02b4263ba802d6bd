"""Filter events: duplicates, ratings, dates, a sample of users, iterated k-core; in that order."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timezone

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_longinterest.common.dates import iso_date
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.prepare.cleaning.times import NANO, UNITS
from recbole_longinterest.prepare.events import Events

ROWS = 1_000_000  # rows looked up at once


@dataclass(frozen=True)
class Filters:
    """Filters of the event log.

    Attributes:
        duplicates: a rule of :data:`DUPLICATES`.
        min_rating: smallest rating to keep; events without a rating are dropped, too.
        since: first time to keep, in nanoseconds since 1970.
        until: end of the times to keep (exclusive), in nanoseconds since 1970.
        users: number of users to sample.
        seed: random seed of the sample.
        core: minimum number of events of every user and item, applied last.
    """

    duplicates: str
    min_rating: float | None = None
    since: int | None = None
    until: int | None = None
    users: int | None = None
    seed: int = 0
    core: int = 0

    def apply(self, events: Events, drop: Callable[[str, int], None]) -> Events:
        """Apply the filters.

        Args:
            events: the log.
            drop: called with (reason, number) of the dropped events.
        """
        for reason, keep in (
            (f"duplicate ({self.duplicates})", self._no_duplicates),
            ("no rating, with --min-rating", self._rated),
            ("rating below --min-rating", self._high),
            ("before --since", lambda log: None if self.since is None else log.time >= self.since),
            ("after --until", lambda log: None if self.until is None else log.time < self.until),
            ("user not in the sample (--users)", self._sample),
            ("user or item with too few events (--core)", self._core),
        ):
            if len(events):
                mask = keep(events)
                if mask is not None and not mask.all():
                    drop(reason, int((~mask).sum()))
                    events = events.where(mask)
        return events

    def _no_duplicates(self, log: Events) -> NDArray[np.bool_] | None:
        if self.duplicates == "keep":
            return None
        n_behaviors = len(log.behaviors) + 1
        pair = log.user.astype(np.int64)
        pair *= len(log.items)
        pair += log.item
        keys = [pair] if log.behavior is None else [pair, log.behavior.astype(np.int64)]
        if log.behavior is not None and len(log.users) * len(log.items) * n_behaviors < 2**63:
            pair *= n_behaviors
            pair += log.behavior + 1
            keys = [pair]
        twice = repeated(keys[0]) if len(keys) == 1 else np.arange(len(log))
        keep = np.ones(len(log), dtype=bool)
        time, keys = log.time[twice], [key[twice] for key in keys]
        del pair
        if self.duplicates == "exact":
            table = pd.DataFrame(dict(enumerate([*keys, time])))
            keep[twice[table.duplicated().to_numpy()]] = False
            return keep
        order = np.lexsort((time if self.duplicates == "first" else -time, *keys))  # stable: ties in file order
        table = pd.DataFrame(dict(enumerate(key[order] for key in keys)))
        keep[twice[order[table.duplicated().to_numpy()]]] = False
        return keep

    def _rated(self, log: Events) -> NDArray[np.bool_] | None:
        if self.min_rating is None:
            return None
        if log.rating is None:
            raise LongInterestError(
                "--min-rating needs ratings, but the data has no ratings. Leave it out, or give --rating COLUMN."
            )
        return ~np.isnan(log.rating)

    def _high(self, log: Events) -> NDArray[np.bool_] | None:
        return None if self.min_rating is None or log.rating is None else log.rating >= self.min_rating

    def _sample(self, log: Events) -> NDArray[np.bool_] | None:
        if self.users is None:
            return None
        present = np.unique(log.user)
        if self.users >= len(present):
            return None
        chosen = np.zeros(len(log.users), dtype=bool)
        chosen[np.random.default_rng(self.seed).choice(present, self.users, replace=False)] = True
        return chosen[log.user]

    def _core(self, log: Events) -> NDArray[np.bool_] | None:
        """Drop users and items with too few events, repeatedly until nothing changes."""
        if self.core <= 1:
            return None
        keep = np.ones(len(log), dtype=bool)
        while True:
            before = int(keep.sum())
            for codes, number in ((log.user, len(log.users)), (log.item, len(log.items))):
                keep &= (np.bincount(codes[keep], minlength=number) >= self.core)[codes]
            if int(keep.sum()) == before:
                return keep


def repeated(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the rows whose key occurs more than once, in ascending order.

    Sorts a copy, at 8 bytes per row; a hash table of the keys takes five times as much.

    Args:
        keys: key of each row, [n].
    """
    ordered = np.sort(keys)
    again = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    del ordered
    if not len(again):
        return np.zeros(0, dtype=np.int64)
    index = pd.Index(again)
    parts = (
        start + np.flatnonzero(index.get_indexer(keys[start : start + ROWS]) >= 0)
        for start in range(0, len(keys), ROWS)
    )
    return np.concatenate(list(parts))


def day(text: str, end: bool = False) -> int:
    """Convert a date option to nanoseconds since 1970, in UTC.

    Args:
        text: ISO 8601, or seconds, milli-, micro- or nanoseconds since 1970, by magnitude.
        end: return the first moment after the date; after the whole day, for a date without a time.

    Raises:
        ValueError: for another format.
    """
    try:
        if text.isdigit() and len(text) != len("20200131"):
            value = int(text)
            return value * next((per for _, below, per in UNITS if value < below), 1) + end
        if text.isdigit():
            text = f"{text[:4]}-{text[4:6]}-{text[6:]}"
        text = text.strip()
        if not re.fullmatch(r"\d{4}-\d\d-\d\d([T ].*)?", text):
            raise ValueError(text)
        moment = iso_date(text)
    except ValueError as error:
        raise LongInterestError(
            f"A date must look like 2020-01-31 or 2020-01-31T12:00:00, or be in seconds; got {text!r}."
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    nanoseconds = int(moment.timestamp()) * NANO + moment.microsecond * 1000
    if len(text) == len("2020-01-31"):
        return nanoseconds + 24 * 3600 * NANO * end
    return nanoseconds + end
