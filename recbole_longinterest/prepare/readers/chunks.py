"""Chunks of rows, the common output of all readers, with the line number of each row."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.prepare.cleaning.missing_values import MISSING_VALUES

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

COLUMNS = "wrong number of columns"
BARE = "rows with quotes that are neither doubled nor escaped, read by their separators"
ESCAPES = "quotes, separators or line ends escaped by a backslash, read without it"
JOINED = "line ends inside quoted values, read as part of them; --no-quotes if quotes mean nothing"
RECODED = "values that were not UTF-8, read as Latin-1 (Windows-1252)"
RECORD = "not a record"  # a line of a JSON file
MAX_LISTED, MAX_SHOWN = 20, 60  # maximum number of names in a message, and characters of each


@dataclass(frozen=True)
class Chunk:
    """Rows of one file.

    Attributes:
        source: name of the file, for messages.
        columns: column -> its values, [n_rows], pyarrow arrays; null for missing.
        n_rows: number of rows.
        line_of: function from a row of the chunk to its line (or row) number in the file.
        bad: reason -> number of lines that could not be parsed as rows.
        first_bad: returns the line of the first of these; called only if there is one.
        recoded: number of values that were not UTF-8 and were read as Latin-1.
        joined: number of line ends inside quoted values.
        mended: repair of quotes -> count.
        first_mended: repair of quotes -> line of the first.
        missing: words that mean a missing value, in lower case.
    """

    source: str
    columns: Mapping[str, Any]
    n_rows: int
    line_of: Callable[[int], int]
    bad: Mapping[str, int] = field(default_factory=dict)
    first_bad: Callable[[], int] = lambda: 0
    recoded: int = 0
    joined: int = 0
    mended: Mapping[str, int] = field(default_factory=dict)
    first_mended: Mapping[str, int] = field(default_factory=dict)
    missing: frozenset[str] = MISSING_VALUES


@dataclass
class Tally:
    """Counts of rows and values that were read, dropped and changed.

    Attributes:
        strict: raise an error at the first bad row.
        read: rows read.
        dropped: rows dropped, by reason.
        changed: values changed, by kind of change.
        places: first place of each reason, as "file, line n".
    """

    strict: bool = False
    read: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    places: dict[str, str] = field(default_factory=dict)

    def check(
        self,
        chunk: Chunk,
        refused: "Mapping[str, NDArray[np.bool_]]",
        emptied: "Mapping[str, NDArray[np.bool_]] | None" = None,
    ) -> "NDArray[np.bool_]":
        """Count a chunk's rows and the dropped ones, each under the first reason that applies.

        Args:
            chunk: the rows.
            refused: reason -> mask of the rows to drop, [n_rows].
            emptied: reason -> mask of the rows that are kept but lose a value, [n_rows].

        Returns:
            Mask of the rows to keep, [n_rows].

        Raises:
            ValueError: if strict, for the first bad row, with its file and line.
        """
        import numpy as np  # not needed by a source's arguments

        stays = np.ones(chunk.n_rows, dtype=bool)
        firsts: list[tuple[int, str]] = []
        for reason, number in chunk.bad.items():
            line = chunk.first_bad() if self.strict or reason not in self.places else 0
            self.places.setdefault(reason, f"{chunk.source}, line {line}")
            firsts.append((line, reason))
            self.dropped[reason] += number
        for counts, reasons in ((self.dropped, refused), (self.changed, emptied or {})):
            for reason, rows in reasons.items():
                number = int((rows & stays).sum())
                if number:
                    firsts.append(self._place(chunk, reason, int(np.argmax(rows & stays))))
                    counts[reason] += number
                    if counts is self.dropped:
                        stays &= ~rows
        self.changed.update({RECODED: chunk.recoded, JOINED: chunk.joined})
        for what, number in chunk.mended.items():
            self.changed[what] += number
            self.places.setdefault(what, f"{chunk.source}, line {chunk.first_mended[what]}")
            if what == BARE:  # a guess
                firsts.append((chunk.first_mended[what], what))
        self.read += chunk.n_rows + sum(chunk.bad.values())
        if self.strict and firsts:
            line, reason = min(firsts)
            raise LongInterestError(
                f"{chunk.source}, line {line}: {reason}. Correct it, or leave --strict out to only count such rows."
            )
        return stays

    def _place(self, chunk: Chunk, reason: str, row: int) -> tuple[int, str]:
        if not self.strict and reason in self.places:
            return 0, reason
        line = chunk.line_of(row)
        self.places.setdefault(reason, f"{chunk.source}, line {line}")
        return line, reason


def string_array(values: Sequence[str | None]) -> "pa.Array":
    """Convert strings to a pyarrow array; None becomes null."""
    import pyarrow as pa  # not needed by a source's arguments

    return pa.array(values, pa.large_string())


def listed(names: Iterable[str]) -> str:
    """Format names for a message: a limited number, shortened, with control characters escaped."""
    names = list(names)
    shown = [name if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]}..." for name in names[:MAX_LISTED]]
    more = [f"and {len(names) - MAX_LISTED:,} more"] if len(names) > MAX_LISTED else []
    return ", ".join([*(name if name.isprintable() else ascii(name) for name in shown), *more])
