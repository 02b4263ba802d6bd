"""Events out of the chunks of all formats: checked, with ids as numbers; 24 bytes an event and the ids once."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.prepare.cleaning.escaping import MAX_ID, MISSING_WORDS, safe_ids
from recbole_longinterest.prepare.cleaning.times import NUMBER, parse_times
from recbole_longinterest.prepare.readers.chunks import Chunk, Tally
from recbole_longinterest.prepare.roles import Roles

NO_USER, NO_ITEM = "no user id", "no item id"
LONG_ID = f"id longer than {MAX_ID:,} characters"
BROKEN_ID = "id with a line break: a quote before it was never closed"
NO_TIME, BAD_TIME = "time that cannot be read", "time before 1970 or beyond 64 bits"
BAD_RATING = "ratings that are no numbers, left empty"
NO_RATINGS = "events of data without any rating, which gets no column of ratings"
NO_BEHAVIOR = "events without a behaviour, left empty"
BAD_BEHAVIOR = "behaviours too long or with a line break, left empty"
JOINED = "line ends inside quoted values, read as part of them; --no-quotes if quotes mean nothing"
RECODED = "values that were not UTF-8, read as Latin-1 (Windows-1252)"
ESCAPED = "ids with characters that a file cannot hold, written as %XX"


@dataclass(frozen=True)
class Events:
    """The log.

    Attributes:
        user: number of each event's user, int32 [n].
        item: number of its item, int32 [n].
        time: nanoseconds since 1970, int64 [n].
        rating: float64 [n], NaN is missing; None if the data has none.
        behavior: number of its behaviour, -1 is missing, int32 [n]; None if the data has none.
        users: ids by number, a large_string array.
        items: likewise.
        behaviors: names by number; empty if the data has none.
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
        """The events of a mask, [n]; ids keep their numbers."""
        if keep.all():
            return self
        parts = {name: getattr(self, name) for name in ("user", "item", "time", "rating", "behavior")}
        return replace(self, **{name: part[keep] for name, part in parts.items() if part is not None})


class Collector:
    """Takes chunks and gives :class:`Events`.

    Args:
        roles: which columns are what.
        tally: counts what is dropped.
        time_format: of the times, None to recognise them.
    """

    def __init__(self, roles: Roles, tally: Tally, time_format: str | None = None) -> None:
        self.roles = roles
        self.tally = tally
        self.time_format = time_format
        self.forms: Counter[str] = Counter()
        self._ids: dict[str, list[Any]] = {"user": [], "item": [], "behavior": []}
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
        for role, reason in (("user", NO_USER), ("item", NO_ITEM)):
            ids[role], bad = self._encode(chunk.columns[getattr(self.roles, role)], chunk.words_missing)
            for name, rows in zip((reason, LONG_ID, BROKEN_ID), bad, strict=True):
                refused[name] = refused.get(name, np.zeros(chunk.n_rows, dtype=bool)) | rows
        times, no_time, bad_time = parse_times(chunk.columns[self.roles.time], self.forms, self.time_format)
        refused |= {NO_TIME: no_time, BAD_TIME: bad_time}
        emptied = {}
        ratings = None
        if self.roles.rating is not None:
            ratings, emptied[BAD_RATING] = parse_ratings(chunk.columns[self.roles.rating])
        if self.roles.behavior is not None:
            ids["behavior"], bad = self._encode(chunk.columns[self.roles.behavior], chunk.words_missing)
            emptied[BAD_BEHAVIOR] = bad[1] | bad[2]
        stays = self.tally.check(chunk, refused, emptied)
        self.tally.changed[RECODED] += chunk.recoded
        self.tally.changed[JOINED] += chunk.joined
        self._numbers["time"].append(times[stays])
        if ratings is not None:
            self._numbers["rating"].append(ratings[stays])
        if self.roles.behavior is not None:
            self.tally.changed[NO_BEHAVIOR] += int((bad[0] & stays).sum())
        keep = pa.array(stays)
        for role, encoded in ids.items():
            self._ids[role].append(encoded if stays.all() else encoded.filter(keep))
        return self._ids["item"][-1], stays

    def _encode(self, column: pa.Array, words_missing: bool) -> tuple[pa.DictionaryArray, list[NDArray[np.bool_]]]:
        """Ids as a dictionary array, and which rows have none, too long a one, or one with a line break."""
        encoded = as_strings(column).dictionary_encode()
        names = encoded.dictionary
        missing = _blank(names)
        if words_missing:
            missing = pc.or_(missing, pc.is_in(names, value_set=pa.array(sorted(MISSING_WORDS), names.type)))
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
        """All events that were kept, in the order in which they came.

        Raises:
            ValueError: if none was.
        """
        self.tally.changed[ESCAPED] = len(self._escaped)
        numbers = {name: np.concatenate(parts) for name, parts in self._numbers.items() if parts}
        if not self.tally.read:
            raise LongInterestError(
                "There is no row in these files, at most a line of names. Download or export them again."
            )
        if not len(numbers.get("time", ())):
            why = ", ".join(f"{number:,}: {reason}" for reason, number in self.tally.dropped.most_common())
            raise LongInterestError(
                f"Not one of {self.tally.read:,} rows can be used{': ' if why else ''}{why}. Check the named "
                f"columns, the separator and --time-format. First: {'; '.join(self.tally.places.values())}."
            )
        user, users = joined(self._ids.pop("user"))
        item, items = joined(self._ids.pop("item"))
        behavior, behaviors = joined(self._ids.pop("behavior")) if self.roles.behavior else (None, pa.array([]))
        rating = numbers.get("rating")
        if rating is not None and np.isnan(rating).all():
            rating = None  # a column without a value is none: RecBole would fill it with its mean
            self.tally.changed[NO_RATINGS] = len(user)
        return Events(user, item, numbers["time"], rating, behavior, users, items, behaviors)


def as_strings(column: pa.Array) -> pa.Array:
    """Ids as strings, exactly: a whole number held as a float has no point."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type):
        values = column.cast(pa.float64())
        whole = pc.and_(pc.equal(values, pc.floor(values)), pc.less(pc.abs(values), 2.0**63))
        integers = pc.if_else(whole, values, None).cast(pa.int64()).cast(pa.large_string())
        return pc.coalesce(integers, pc.if_else(pc.is_finite(values), values, None).cast(pa.large_string()))
    return column.cast(pa.large_string())


def joined(parts: Sequence[Any]) -> tuple[NDArray[np.int32], Any]:
    """Dictionary arrays as one array of numbers, -1 for null, and the strings by number."""
    whole = pa.chunked_array(list(parts)).unify_dictionaries()
    names = whole.chunk(0).dictionary
    codes = np.empty(len(whole), dtype=np.int32)
    at = 0
    for part in whole.chunks:
        codes[at : at + len(part)] = part.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        at += len(part)
    if len(pc.unique(names)) < len(names):  # stand-ins of missing ids in a single part
        same = pc.index_in(names, names).to_numpy(zero_copy_only=False).astype(np.int32)
        codes = np.where(codes < 0, codes, same[codes])
    return codes, names


def _blank(strings: pa.Array) -> pa.Array:
    return pc.equal(pc.binary_length(pc.utf8_trim_whitespace(strings)), 0)


def parse_ratings(column: pa.Array) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Ratings from a column.

    Args:
        column: strings or numbers, [n].

    Returns:
        float64 [n], NaN where there is none; and where something stands that is no number, [n].
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
            empty = pc.or_(
                _blank(strings),
                pc.is_in(strings, value_set=pa.array(sorted(MISSING_WORDS), strings.type)),
            )
            garbage = ~np.isfinite(values) & ~empty.to_numpy(zero_copy_only=False)
            return np.where(np.isfinite(values), values, np.nan), garbage
    else:
        values = pc.fill_null(column.cast(pa.float64(), safe=False), np.nan).to_numpy(zero_copy_only=False)
    return np.where(np.isfinite(values), values, np.nan), np.isinf(values)
