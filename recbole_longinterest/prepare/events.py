"""Collect events from chunks of all formats: checked, with ids as integer codes, at 24 bytes per event.

Files may be larger than memory, the collected events may not: docs/scaling.md has the peak of a whole preparation.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.token_codes import TokenCodes
from recbole_longinterest.prepare.cleaning.escaping import MAX_ID, safe_ids
from recbole_longinterest.prepare.cleaning.missing_values import MISSING_VALUES, count_words, missing_mask
from recbole_longinterest.prepare.cleaning.number_dates import NANO
from recbole_longinterest.prepare.cleaning.times import NUMBER, number_format_of, parse_times
from recbole_longinterest.prepare.impressions import SAMPLE, check_single_items
from recbole_longinterest.prepare.readers.chunks import Chunk, Tally
from recbole_longinterest.prepare.roles import Roles

THREADS = 2  # columns of a chunk that are checked at once
NO_USER, NO_ITEM = "no user id", "no item id"
LONG_ID = f"id longer than {MAX_ID:,} characters"
BROKEN_ID = "id with a line break: a quote before it was never closed"
EMPTY_TIME = "no time"
NO_TIME, BAD_TIME = "time that cannot be read", "time before 1970 or beyond 64 bits"
BAD_RATING = "ratings that are not numbers, left empty"
NO_RATINGS = "events without a rating; no event has one, so there is no rating column"
NO_BEHAVIOR = "events without a behaviour, left empty"
BAD_BEHAVIOR = "behaviours too long or with a line break, left empty"
ROW_NUMBERS = "numbers of the rows, in place of times"
ESCAPED = "ids with characters that a file cannot hold, written as %XX"


@dataclass(frozen=True)
class Events:
    """An event log.

    Attributes:
        user: user code of each event, int32 [n].
        item: item code of each event, int32 [n].
        time: nanoseconds since 1970, int64 [n].
        rating: float64 [n], NaN for missing; None if the data has no ratings.
        behavior: behaviour code, -1 for missing, int32 [n]; None if the data has no behaviours.
        users: user ids by code, a large_string array.
        items: item ids by code, a large_string array.
        behaviors: behaviour names by code; empty if the data has no behaviours.
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    time: NDArray[np.int64]
    rating: NDArray[np.float64] | None
    behavior: NDArray[np.int32] | None
    users: Any
    items: Any
    behaviors: Any

    def __len__(self) -> int:
        """Number of events."""
        return len(self.user)

    def where(self, keep: NDArray[np.bool_]) -> "Events":
        """Return the events selected by a mask, [n]; codes do not change."""
        if keep.all():
            return self
        parts = {name: getattr(self, name) for name in ("user", "item", "time", "rating", "behavior")}
        return replace(self, **{name: part[keep] for name, part in parts.items() if part is not None})


class Collector:
    """Collects chunks into :class:`Events`.

    Args:
        roles: columns of user, item, time, rating and behaviour.
        tally: counts dropped rows.
        time_format: format of the times, None to detect it.

    Attributes:
        forms: counts of the time formats.
        missing: role -> counts of the words that mean a missing value.
    """

    def __init__(self, roles: Roles, tally: Tally, time_format: str | None = None) -> None:
        self.roles = roles
        self.tally = tally
        self.time_format = time_format
        self.forms: Counter[str] = Counter()
        self.missing: dict[str, Counter[str]] = {
            role: Counter() for role in ("user", "item", "behavior", "time", "rating")
        }
        self._number_formats: dict[str, str | None] = {}  # of numeric times, by file
        self._checked: set[str] = set()  # files whose item column holds single items, not lists
        self._rows = 0
        named = ("user", "item", *(["behavior"] if roles.behavior is not None else []))
        self._ids = {role: TokenCodes() for role in named}
        self._escaped: set[str] = set()
        self._numbers: dict[str, list[NDArray[Any]]] = {"time": [], "rating": []}

    def add(self, chunk: Chunk) -> tuple[Any, NDArray[np.bool_]]:
        """Check the rows of a chunk and keep the good ones.

        Returns:
            Item ids of the kept rows, as a dictionary array, and which rows were kept, [n_rows].

        Raises:
            ValueError: at a bad row, if the tally is strict.
        """
        refused: dict[str, NDArray[np.bool_]] = {}
        ids = {}
        with ThreadPoolExecutor(THREADS) as pool:  # pyarrow and numpy work without Python's lock
            encoded = {role: pool.submit(self._encode, chunk, role) for role in self._ids}
            timed, rated = pool.submit(self._times, chunk), pool.submit(self._ratings, chunk)
        for role, reason in (("user", NO_USER), ("item", NO_ITEM)):
            ids[role], bad = encoded[role].result()
            for name, rows in zip((reason, LONG_ID, BROKEN_ID), bad, strict=True):
                refused[name] = refused.get(name, np.zeros(chunk.n_rows, dtype=bool)) | rows
        times, no_times = timed.result()
        refused |= no_times
        ratings, bad_ratings = rated.result()
        emptied = {} if ratings is None else {BAD_RATING: bad_ratings}
        if "behavior" in encoded:
            ids["behavior"], bad = encoded["behavior"].result()
            emptied[BAD_BEHAVIOR] = bad[1] | bad[2]
        stays = self.tally.check(chunk, refused, emptied)
        self._numbers["time"].append(times[stays])
        if ratings is not None:
            self._numbers["rating"].append(ratings[stays])
        if self.roles.behavior is not None:
            self.tally.changed[NO_BEHAVIOR] += int((bad[0] & stays).sum())
        keep = pa.array(stays)
        kept = {role: encoded if stays.all() else encoded.filter(keep) for role, encoded in ids.items()}
        for role, encoded in kept.items():
            self._ids[role].add(encoded)
        return kept["item"], stays

    def _ratings(self, chunk: Chunk) -> tuple[NDArray[np.float64] | None, NDArray[np.bool_]]:
        """Return the ratings, [n_rows], None without a column of ratings; and a mask of those that cannot be read."""
        if self.roles.rating is None:
            return None, np.zeros(0, dtype=bool)
        column = chunk.columns[self.roles.rating]
        ratings, bad = parse_ratings(column, chunk.missing)
        texts = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        if texts and np.isnan(ratings).any():
            count_words(column.filter(pa.array(np.isnan(ratings))), chunk.missing, self.missing["rating"])
        return ratings, bad

    def _times(self, chunk: Chunk) -> tuple[NDArray[np.int64], dict[str, NDArray[np.bool_]]]:
        """Return the times, [n_rows], and for each reason a mask of the rows without a usable time, [n_rows]."""
        first, self._rows = self._rows, self._rows + chunk.n_rows
        if self.roles.time is None:
            self.forms[ROW_NUMBERS] += chunk.n_rows
            return np.arange(first, self._rows, dtype=np.int64) * NANO, {}
        column = chunk.columns[self.roles.time]
        if self.time_format is None and chunk.source not in self._number_formats:
            where = f"{chunk.source}, column {self.roles.time}"
            self._number_formats[chunk.source] = number_format_of(column, where)
        number_format = self._number_formats.get(chunk.source)
        times, no_time, bad_time = parse_times(column, self.forms, self.time_format, number_format)
        empty = np.zeros(chunk.n_rows, dtype=bool)
        if no_time.any():
            left = column.filter(pa.array(no_time)).cast(pa.large_string())
            count_words(left, chunk.missing, self.missing["time"])
            empty[no_time] = pc.fill_null(missing_mask(left, chunk.missing), True).to_numpy(zero_copy_only=False)
        return times, {EMPTY_TIME: empty, NO_TIME: no_time, BAD_TIME: bad_time}

    def _encode(self, chunk: Chunk, role: str) -> tuple[pa.DictionaryArray, list[NDArray[np.bool_]]]:
        """Encode ids as a dictionary array; with masks of missing ids, ids that are too long, and line breaks."""
        column = getattr(self.roles, role)
        encoded = as_strings(chunk.columns[column]).dictionary_encode()
        names = encoded.dictionary
        missing = missing_mask(names, chunk.missing)
        if pc.any(missing).as_py():
            words = names.take(encoded.indices.filter(missing.take(encoded.indices)))
            count_words(words, chunk.missing, self.missing[role])
        if role == "item" and chunk.source not in self._checked:
            self._checked.add(chunk.source)
            check_single_items(names.filter(pc.invert(missing))[:SAMPLE].to_pylist(), column, chunk.source)
        long = pc.greater(pc.utf8_length(names), MAX_ID)
        broken = pc.match_substring_regex(names, "[\r\n]")
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        rows = []
        for bad, null in ((missing, True), (long, False), (broken, False)):
            rows.append(np.append(bad.to_numpy(zero_copy_only=False), null)[codes])
        unusable = pc.or_(pc.or_(missing, long), broken)
        safe, escaped = safe_ids(pc.if_else(unusable, "-", names))
        self._escaped.update(escaped)
        blank = np.logical_or.reduce(rows)
        indices = encoded.indices
        if blank.any():
            indices = pc.if_else(pa.array(blank), pa.scalar(None, indices.type), indices)
        return pa.DictionaryArray.from_arrays(indices, safe), rows

    def events(self) -> Events:
        """Return all kept events in file order.

        Raises:
            ValueError: if no event was kept.
        """
        self.tally.changed[ESCAPED] = len(self._escaped)
        numbers = {name: np.concatenate(self._numbers.pop(name)) for name, parts in [*self._numbers.items()] if parts}
        if not self.tally.read:
            raise LongInterestError("These files have no rows, at most a header. Download or export them again.")
        if not len(numbers.get("time", ())):
            why = ", ".join(f"{number:,}: {reason}" for reason, number in self.tally.dropped.most_common())
            raise LongInterestError(
                f"Not one of {self.tally.read:,} rows can be used{': ' if why else ''}{why}. Check the named "
                f"columns, the separator and --time-format. First: {'; '.join(self.tally.places.values())}."
            )
        user, users = self._ids.pop("user").joined()
        item, items = self._ids.pop("item").joined()
        behavior, behaviors = self._ids.pop("behavior").joined() if "behavior" in self._ids else (None, pa.array([]))
        rating = numbers.get("rating")
        if rating is not None and np.isnan(rating).all():
            rating = None  # drop an empty column: RecBole would fill it with its mean
            self.tally.changed[NO_RATINGS] = len(user)
        return Events(user, item, numbers["time"], rating, behavior, users, items, behaviors)


def as_strings(column: pa.Array) -> pa.Array:
    """Convert ids to exact strings: whole numbers stored as floats get no decimal point."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type):
        values = column.cast(pa.float64())
        whole = pc.and_(pc.equal(values, pc.floor(values)), pc.less(pc.abs(values), 2.0**63))
        integers = pc.if_else(whole, values, None).cast(pa.int64()).cast(pa.large_string())
        return pc.coalesce(integers, pc.if_else(pc.is_finite(values), values, None).cast(pa.large_string()))
    return column.cast(pa.large_string())


def parse_ratings(
    column: pa.Array, missing: frozenset[str] = MISSING_VALUES
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Parse a column of ratings.

    Args:
        column: strings or numbers, [n].
        missing: words that mean a missing value, in lower case.

    Returns:
        Ratings, float64 [n], NaN for missing; and a mask of values that are not numbers, [n].
    """
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)):
        strings = pc.fill_null(column.cast(pa.large_string()), "")
        try:
            values = strings.cast(pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            number = pc.match_substring_regex(strings, NUMBER)
            texts = pc.if_else(number, pc.utf8_trim_whitespace(strings), None)
            values = np.array([np.nan if text is None else float(text) for text in texts.to_pylist()])
            empty = missing_mask(strings, missing)
            garbage = ~np.isfinite(values) & ~empty.to_numpy(zero_copy_only=False)
            return np.where(np.isfinite(values), values, np.nan), garbage
    else:
        values = pc.fill_null(column.cast(pa.float64(), safe=False), np.nan).to_numpy(zero_copy_only=False)
    return np.where(np.isfinite(values), values, np.nan), np.isinf(values)
