"""Read item texts from a RecBole ``.item`` file verbatim: no quoting, no words for missing values, no RecBole."""

from collections.abc import Callable, Sequence
from pathlib import Path

from recbole_longinterest.common.atomic_files import COLUMN_TYPES, ItemFileError, item_rows

SENTENCE_ENDS = (".", "!", "?")


def read_item_text(
    path: Path,
    item_field: str,
    text_fields: Sequence[str],
    *,
    field_separator: str = "\t",
    seq_separator: str = " ",
    encoding: str = "utf-8",
    join: Callable[[Sequence[str]], str] | None = None,
) -> dict[str, str]:
    """Read the text of every item of an atomic file.

    A text consists of the values of ``text_fields``, in that order; by default the non-empty ones as sentences:
    ``"Heat. Action Crime. 1995"``. RecBole's reader is not used, because it fails on a title that starts with a quote,
    and turns the titles "Null" and "NA" into missing values. Of two rows for one item the first counts, as in RecBole.

    Args:
        path: the ``.item`` file; its first line is ``name:type`` for each column.
        item_field: name of the column of item tokens.
        text_fields: names of the text columns, in order.
        field_separator: separator of columns.
        seq_separator: separator of the values in a ``token_seq`` or ``float_seq`` column. In the text it becomes a
            comma, unless it is white space.
        encoding: encoding of the file.
        join: makes the text from the values of all fields, "" for an empty one; None makes sentences.

    Returns:
        Text by raw item token, without items whose text fields are all empty.

    Raises:
        ItemFileError: (a ValueError) if the file is absent, in another encoding or lacks a column, if a row and the
            header differ in their numbers of columns, and if ``text_fields`` is empty.
    """
    if not text_fields:
        raise ItemFileError("text_fields names no column; name columns of the .item file, or set text_features: off.")
    path = Path(path)
    if not path.is_file():
        raise ItemFileError(
            f"There is no file {path}; item text needs an .item file. Add it or set text_features: off."
        )
    rows = item_rows(path, field_separator, encoding)
    _, header = next(rows, (1, []))
    columns = dict(_column(path, cell) for cell in header)
    item_column, text_columns = _positions(path, list(columns), item_field, text_fields)
    separators = [seq_separator if columns[field].endswith("_seq") else "" for field in text_fields]

    texts: dict[str, str] = {}
    for number, cells in rows:
        if len(cells) != len(columns):
            raise ItemFileError(
                f"{path}, line {number}: {len(cells)} columns where the header has {len(columns)}. "
                "Mend the line, or set field_separator to what stands between the columns."
            )
        if cells[item_column] not in texts:
            values = [cells[at] for at in text_columns]
            texts[cells[item_column]] = text_of(values, separators, join)
    return {item: text for item, text in texts.items() if text}


def text_of(
    values: Sequence[str], separators: Sequence[str], join: Callable[[Sequence[str]], str] | None = None
) -> str:
    """The text of one item.

    Args:
        values: values of its text fields, "" for an empty one.
        separators: separator of each field that is a sequence, "" for other fields.
        join: as in :func:`read_item_text`.
    """
    return (join or _sentences)([_clean(value, by) for value, by in zip(values, separators, strict=True)])


def values_of(cell: str, kind: str, seq_separator: str) -> list[str]:
    """The values of a cell that is no text, such as an item's categories.

    Args:
        cell: as it stands in the file.
        kind: of the column. A ``token`` is one value, whatever it holds.
        seq_separator: between the values of a ``token_seq``.
    """
    parts = cell.split(seq_separator if seq_separator.strip() else None) if kind.endswith("_seq") else [cell]
    return [" ".join(part.split()) for part in parts if part.strip()]


def _column(path: Path, cell: str) -> tuple[str, str]:
    """Name and type of a column from its ``name:type``."""
    name, _, kind = cell.strip().rpartition(":")
    if not name or kind not in COLUMN_TYPES:
        raise ItemFileError(
            f"{path}: the header must be name:type for each column, with a type of {', '.join(COLUMN_TYPES)}; "
            f"got {cell!r}. Mend the header, or set field_separator to what stands between the columns."
        )
    return name, kind


def _positions(path: Path, columns: list[str], item_field: str, text_fields: Sequence[str]) -> tuple[int, list[int]]:
    """Places of the item column and of the text columns."""
    have = ", ".join(columns) or "none"
    if item_field not in columns:
        raise ItemFileError(
            f"{path} has no column {item_field}, the ITEM_ID_FIELD; its columns are: {have}. "
            "Set ITEM_ID_FIELD to one of them, or set field_separator to what stands between the columns."
        )
    missing = [field for field in text_fields if field not in columns]
    if missing:
        raise ItemFileError(
            f"{path} has no column {', '.join(map(str, missing))}, named in text_fields or text_template; its columns "
            f"are: {have}. Name some of them."
        )
    return columns.index(item_field), [columns.index(field) for field in text_fields]


def _clean(value: str, seq_separator: str) -> str:
    """A value on one line with single spaces, its sequence separator written as a comma."""
    if seq_separator.strip():
        value = ", ".join(part.strip() for part in value.split(seq_separator) if part.strip())
    return " ".join(value.split())


def _sentences(values: Sequence[str]) -> str:
    """Non-empty values as sentences; one that already ends as a sentence gets no second full stop."""
    text = ""
    for value in filter(None, values):
        if text:
            text += " " if text.endswith(SENTENCE_ENDS) else ". "
        text += value
    return text
