"""Escape ids and texts for atomic files, so that RecBole's reader and the plugin's reader get the same strings.

RecBole reads with pandas: a quote at the start of a value opens a quoted value, ``NA`` and ``null`` are missing values,
and a value of more than 131,072 characters is an error. The plugin's item text reader has none of these rules.
"""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

MISSING_WORDS = frozenset(
    (
        *(
            "",
            "#N/A",
            "#N/A N/A",
            "#NA",
            "-1.#IND",
            "-1.#QNAN",
            "-NaN",
            "-nan",
            "1.#IND",
            "1.#QNAN",
            "<NA>",
            "N/A",
            "NA",
        ),
        *("NULL", "NaN", "None", "n/a", "nan", "null"),
    )
)  # pandas' own
MAX_ID = 1_000  # characters
MAX_TEXT = 10_000  # characters of a text field; encoders read a few hundred words
SURROGATES = re.compile("[\ud800-\udfff]")
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")
UNSAFE = re.compile(r"%[0-9A-F]{2}|[\x00-\x1f\x7f-\x9f]|^[\s\"]|\s$")
# The same for pyarrow, whose \s is ASCII only: values with a non-ASCII character at an end are rechecked in Python.
MAYBE_UNSAFE = r'%[0-9A-F]{2}|[\x00-\x1f\x7f\x{80}-\x{9f}]|^([\s"]|[^\x00-\x7f])|(\s|[^\x00-\x7f])$'


def safe_id(raw: str) -> str:
    """Return an id that is safe in a file: characters that are not allowed become %XX.

    Distinct ids stay distinct: in an id that already contains ``%XX``, the % is escaped.
    """
    raw = SURROGATES.sub("\ufffd", raw)
    if raw not in MISSING_WORDS and not UNSAFE.search(raw):
        return raw
    safe = CONTROLS.sub(lambda found: _escaped(found.group()), raw.replace("%", "%25"))
    if safe in MISSING_WORDS or safe[:1] == '"' or safe[:1].isspace():
        safe = _escaped(safe[0]) + safe[1:]
    return safe[:-1] + _escaped(safe[-1]) if safe[-1:].isspace() else safe


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())


def safe_ids(raw: "pa.Array") -> "tuple[pa.Array, list[str]]":
    """Apply :func:`safe_id` to an array.

    Args:
        raw: a large_string array without nulls.

    Returns:
        The array, and the ids that were changed.
    """
    import pyarrow as pa  # not needed by a source's arguments
    import pyarrow.compute as pc

    words = pc.is_in(raw, value_set=pa.array(sorted(MISSING_WORDS), raw.type))
    at = pc.indices_nonzero(pc.or_(words, pc.match_substring_regex(raw, MAYBE_UNSAFE))).to_pylist()
    if not at:
        return raw, []
    values = raw.to_pylist()
    changed = []
    for row in at:
        safe = safe_id(values[row])
        if safe != values[row]:
            changed.append(safe)
            values[row] = safe
    return pa.array(values, raw.type), changed


def safe_text(raw: str) -> str:
    """Return a text on one line with single spaces, without control characters and lone surrogates."""
    return " ".join(CONTROLS.sub(" ", SURROGATES.sub("\ufffd", raw)).split())


def cut_text(text: str) -> str:
    """Cut a text to ``MAX_TEXT`` characters, at a word boundary if possible."""
    if len(text) <= MAX_TEXT:
        return text
    words, _, _ = text[: MAX_TEXT + 1].rpartition(" ")
    return words or text[:MAX_TEXT]


def text_cell(text: str) -> str:
    """Return a :func:`safe_text` as a cell of a ``token_seq`` column.

    A space is added before a leading quote and before a word that pandas reads as a missing value; both readers strip
    the space.
    """
    return f" {text}" if text.startswith('"') or (text and text in MISSING_WORDS) else text
