"""Item text from a RecBole atomic ``.item`` file, read outside RecBole.

RecBole's own loading of item features quotes like a CSV (a title that starts with a quote crashes it), turns "Null"
into a missing value, and changes the catalogue. Here a row is split at the separator and nothing else happens to it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path


def read_item_text(
    path: Path | str,
    item_field: str,
    text_fields: Sequence[str],
    *,
    field_separator: str = "\t",
    seq_separator: str = " ",
    encoding: str = "utf-8",
) -> dict[str, str]:
    """Text of every item that has one.

    Args:
        path: the ``.item`` file; its first line is ``name:type`` for every column.
        item_field: column of the item token.
        text_fields: columns whose non-empty values make the text, joined by ". " in this order.
        field_separator: between columns.
        seq_separator: between the tokens of a sequence column; becomes a space in the text.
        encoding: of the file.

    Returns:
        Raw item token to text. Of a repeated item the first row counts, as in RecBole.

    Raises:
        ValueError: one sentence for a missing file or column, a row with too few or too many columns, or bytes that are
            not in ``encoding``.
    """
    if not text_fields:
        raise ValueError("text_fields is empty; name at least one column of the .item file, or set text_features: off.")
    lines = _lines(Path(path), encoding)
    header = next(lines, (1, ""))[1].split(field_separator)
    types = dict(column.partition(":")[::2] for column in header)
    names = list(types)
    for field, key in ((item_field, "ITEM_ID_FIELD"), *((field, "text_fields") for field in text_fields)):
        if field not in types:
            raise ValueError(f"{path} has no column {field} (named by {key}); its columns are {', '.join(names)}.")
    item_at = names.index(item_field)
    text_at = [(names.index(field), types[field].endswith("_seq")) for field in text_fields]

    texts: dict[str, str] = {}
    for number, line in lines:
        values = line.split(field_separator)
        if len(values) != len(header):
            raise ValueError(f"{path}, line {number}: {len(header)} columns are expected, {len(values)} found.")
        if values[item_at] not in texts:
            parts = (values[at].replace(seq_separator, " ") if is_seq else values[at] for at, is_seq in text_at)
            texts[values[item_at]] = _joined(parts)
    return {token: text for token, text in texts.items() if text}


def _lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Numbered lines without their ends; blank lines are passed over."""
    if not path.is_file():
        raise ValueError(f"There is no item file {path}; item text needs one, or set text_features: off.")
    try:
        # newline="\n": other line breaks may stand inside a title
        with path.open(
            encoding="utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding, newline="\n"
        ) as file:
            for number, line in enumerate(file, start=1):
                stripped = line.rstrip("\r\n")
                if stripped:
                    yield number, stripped
    except (UnicodeDecodeError, LookupError) as error:
        raise ValueError(f"{path} is not {encoding} text ({error}); set the right `encoding`.") from error


def _joined(parts: Iterator[str]) -> str:
    text = ""
    for part in parts:
        words = " ".join(part.split())
        if words:
            text += (" " if text.endswith((".", "!", "?")) else ". " if text else "") + words
    return text
