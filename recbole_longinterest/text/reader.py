"""Read item texts from a RecBole ``.item`` file. Quotes and words such as "NA" have no special meaning."""

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

    A text consists of the values of ``text_fields``, in that order. By default the non-empty values become sentences:
    ``"Heat. Action Crime. 1995"``. RecBole's reader is not used, because it fails on a title that starts with a quote,
    and turns the titles "Null" and "NA" into missing values. If an item has two rows, the first one counts, as in
    RecBole.

    Args:
        path: the ``.item`` file; its first line is ``name:type`` for each column.
        item_field: name of the column of item tokens.
        text_fields: names of the text columns, in order.
        field_separator: separator of columns.
        seq_separator: separator of the values in a ``token_seq`` or ``float_seq`` column. In the text it becomes a
            comma, unless it is white space.
        encoding: encoding of the file.
        join: function of the values of all fields, with "" for an empty one, that returns the text; None makes
            sentences.

    Returns:
        Text by raw item token, without items whose text fields are all empty.

    Raises:
        ItemFileError: (a ValueError) if the file is missing, has another encoding, or lacks a column; if a row and the
            header have different numbers of columns; or if ``text_fields`` is empty.
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
                "Correct the line, or set field_separator to the separator of the columns."
            )
        if cells[item_column] not in texts:
            values = [cells[at] for at in text_columns]
            texts[cells[item_column]] = text_of(values, separators, join)
    return {item: text for item, text in texts.items() if text}


def text_of(
    values: Sequence[str], separators: Sequence[str], join: Callable[[Sequence[str]], str] | None = None
) -> str:
    """Make the text of one item.

    Args:
        values: values of its text fields, "" for an empty one.
        separators: separator of each field that is a sequence, "" for other fields.
        join: as in :func:`read_item_text`.
    """
    return (join or sentences)([_clean(value, by) for value, by in zip(values, separators, strict=True)])


def sentences(values: Sequence[str]) -> str:
    """Join non-empty values as sentences, without a second full stop after one that already ends a sentence."""
    text = ""
    for value in filter(None, values):
        if text:
            text += " " if text.endswith(SENTENCE_ENDS) else ". "
        text += value
    return text


def values_of(cell: str, kind: str, seq_separator: str) -> list[str]:
    """Split a cell into its values, for example an item's categories.

    Args:
        cell: the cell, unchanged from the file.
        kind: type of the column. Only types that end in ``_seq`` are split; other cells are one value.
        seq_separator: separator of the values.
    """
    parts = cell.split(seq_separator if seq_separator.strip() else None) if kind.endswith("_seq") else [cell]
    return [" ".join(part.split()) for part in parts if part.strip()]


def _column(path: Path, cell: str) -> tuple[str, str]:
    """Split a ``name:type`` of the header."""
    name, _, kind = cell.strip().rpartition(":")
    if not name or kind not in COLUMN_TYPES:
        raise ItemFileError(
            f"{path}: the header must be name:type for each column, with a type of {', '.join(COLUMN_TYPES)}; "
            f"got {cell!r}. Correct the header, or set field_separator to the separator of the columns."
        )
    return name, kind


def _positions(path: Path, columns: list[str], item_field: str, text_fields: Sequence[str]) -> tuple[int, list[int]]:
    """Positions of the item column and of the text columns."""
    have = ", ".join(columns) or "none"
    if item_field not in columns:
        raise ItemFileError(
            f"{path} has no column {item_field}, the ITEM_ID_FIELD; its columns are: {have}. "
            "Set ITEM_ID_FIELD to one of them, or set field_separator to the separator of the columns."
        )
    missing = [field for field in text_fields if field not in columns]
    if missing:
        raise ItemFileError(
            f"{path} has no column {', '.join(map(str, missing))}, named in text_fields or text_template; its columns "
            f"are: {have}. Name some of them."
        )
    return columns.index(item_field), [columns.index(field) for field in text_fields]


def _clean(value: str, seq_separator: str) -> str:
    """Put a value on one line with single spaces, with commas for its sequence separator."""
    if seq_separator.strip():
        value = ", ".join(part.strip() for part in value.split(seq_separator) if part.strip())
    return " ".join(value.split())
