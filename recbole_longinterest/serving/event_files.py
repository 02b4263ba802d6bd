"""Files of events (CSV, JSON lines, RecBole's .inter) to a table, and tables of recommendations to text."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_longinterest.common.atomic_files import check_lines, without_mark
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.events import warn_of_unread
from recbole_longinterest.serving.results import Recommendation

KINDS = (".csv", ".jsonl", ".inter")


def read_events(
    path: str | Path,
    fields: Mapping[str, str],
    separator: str = "\t",
    encoding: str = "utf-8",
    features: Sequence[str] = (),
) -> pd.DataFrame:
    """A table of events.

    Args:
        path: ``.csv`` with a header, ``.jsonl`` with an event a line, or RecBole's ``.inter``.
        fields: names of the columns ``user``, ``item``, ``rating``, ``behavior``, ``time``; the item column is needed.
        separator: of ``.inter`` files, the training's.
        encoding: of ``.inter`` files, the training's.
        features: further columns that the model reads; those that the file does not have are missing values.

    Returns:
        Tokens and further columns as text, ratings and times as float64; other columns are left out.

    Raises:
        LongInterestError: for a file that is missing, broken, of another kind or without the item column, and for a
            rating or time that is not a number.
    """
    path = Path(path)
    if path.suffix not in KINDS:
        raise LongInterestError(f"A file of events must end in one of {', '.join(KINDS)}; got {path}.")
    if not path.is_file():
        raise LongInterestError(f"There is no file of events {path}.")
    try:
        table = _read(path, separator, encoding)
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise LongInterestError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if fields["item"] not in table:
        raise LongInterestError(
            f"{path} has no column {fields['item']}; its columns are {', '.join(map(str, table.columns)) or 'none'}. "
            f"It may have {', '.join([*fields.values(), *features])}."
        )
    wanted = dict.fromkeys([*fields.values(), *features])
    warn_of_unread(list(table.columns), {**fields, **{f"feature {name}": name for name in features}}, str(path))
    table = table[[name for name in wanted if name in table]]
    missing = [name for name in (fields["user"], fields["item"]) if name in table and table[name].isna().any()]
    if missing:
        raise LongInterestError(f"{path} has rows without {' or '.join(missing)}. Fill or remove them.")
    for kind in ("rating", "time"):
        if fields[kind] in table:
            table = table.assign(**{fields[kind]: _numbers(table[fields[kind]], path)})
    if not len(table):
        raise LongInterestError(f"{path} holds no event.")
    return table


def _read(path: Path, separator: str, encoding: str) -> pd.DataFrame:
    if path.suffix == ".jsonl":
        rows = []
        for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise LongInterestError(f"{path}, line {number}: this is no JSON: {error}") from error
            if not isinstance(row, dict):
                raise LongInterestError(f'{path}, line {number}: an event is an object such as {{"item_id": "50"}}.')
            rows.append({name: _text(value) for name, value in row.items()})
        return pd.DataFrame(rows)
    if path.suffix == ".csv":
        separator, encoding = ",", "utf-8"
    encoding = without_mark(encoding)
    table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, na_values=[""], encoding=encoding)
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes surplus fields for an index, and shifts the columns
        raise LongInterestError(f"{path}: its rows have more fields than its header has columns. Name every column.")
    if path.suffix == ".inter":
        check_lines(str(path), len(table), separator, encoding)
    return table.rename(
        columns=lambda name: name.strip().partition(":")[0] if path.suffix == ".inter" else name.strip()
    )


def _text(value: object) -> str | list[Any] | None:
    """A value of JSON as text, a list as a list of texts; None for null and NaN."""
    if value is None or value != value:
        return None
    if isinstance(value, list):
        return [text for text in map(_text, value) if text is not None]
    return str(value).encode("utf-8", "replace").decode("utf-8")  # half a character cannot be written anywhere


def _numbers(column: pd.Series, path: Path) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = column[(numbers.isna() | numbers.isin([math.inf, -math.inf])) & column.notna()]
    if len(wrong):
        raise LongInterestError(
            f"{path}: {column.name} must be a finite number; row {wrong.index[0] + 1} has {wrong.iloc[0]!r}."
        )
    return numbers.astype("float64")


def to_csv(table: pd.DataFrame) -> str:
    """Recommendations as CSV with a header."""
    return table.to_csv(index=False, lineterminator="\n", float_format="%.6f")


def to_json_lines(found: Mapping[Any, Recommendation]) -> str:
    """Recommendations as JSON lines, a user a line, with the skipped items."""
    lines = []
    for user, recommendation in found.items():
        content = recommendation.to_dict()
        for item in content["items"]:
            if item["why"] is None:
                del item["why"]
        lines.append(json.dumps({"user": user, **content}, ensure_ascii=False))
    return "".join(f"{line}\n" for line in lines)
