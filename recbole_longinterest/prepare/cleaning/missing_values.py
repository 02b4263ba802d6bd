r"""Words that databases and programs write for missing values: ``\N``, NULL, NaN, None."""

from collections import Counter
from typing import TYPE_CHECKING

from recbole_longinterest.prepare.cleaning.escaping import MISSING_WORDS

if TYPE_CHECKING:
    import pyarrow as pa

# In lower case: values are compared without case and surrounding spaces. MySQL and Postgres write \N, DBeaver [NULL],
# phpMyAdmin (NULL), Go <nil>, JavaScript undefined, R NA, pandas NaN, NaT and <NA>, Excel #N/A.
MISSING_VALUES = frozenset(
    {
        *(word.lower() for word in MISSING_WORDS),
        *("\\n", "(null)", "<null>", "[null]", "nil", "(nil)", "<nil>", "undefined", "(none)", "<none>"),
        *("nat", "n.a.", "(n/a)", "(na)", "(nan)", "#null!", "#value!", "#ref!", "#div/0!", "#name?", "#num!"),
    }
)
ONLY_EMPTY = frozenset({""})


def words_given(text: str | None) -> frozenset[str]:
    """Parse ``--missing-values A,B``, which replaces :data:`MISSING_VALUES`; empty text always counts as missing."""
    if text is None:
        return MISSING_VALUES
    return ONLY_EMPTY | {word.strip().lower() for word in text.split(",")}


def is_missing(text: str, words: frozenset[str]) -> bool:
    """Whether a text means a missing value."""
    return text.strip().lower() in words


def missing_mask(strings: "pa.Array", words: frozenset[str]) -> "pa.Array":
    """Apply :func:`is_missing` to an array.

    Args:
        strings: texts, [n]; null stays null.
        words: words that mean a missing value, in lower case.
    """
    import pyarrow as pa  # not needed by a source's arguments
    import pyarrow.compute as pc

    lower = pc.utf8_lower(pc.utf8_trim_whitespace(strings))
    return pc.is_in(lower, value_set=pa.array(sorted(words | ONLY_EMPTY), strings.type))


def count_words(strings: "pa.Array", words: frozenset[str], counts: Counter[str]) -> None:
    """Count the words of a column that mean a missing value; empty text is not counted.

    Args:
        strings: texts, [n]; nulls are allowed.
        words: words that mean a missing value, in lower case.
        counts: word as written -> count.
    """
    import pyarrow.compute as pc  # not needed by a source's arguments

    found = pc.value_counts(pc.utf8_trim_whitespace(strings.filter(pc.fill_null(missing_mask(strings, words), False))))
    for entry in found.to_pylist():
        if entry["values"]:
            counts[entry["values"]] += entry["counts"]
