"""Read event files (CSV, TSV, Parquet, JSON lines, .inter) into a table with the training's column names and units."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_longinterest.common.atomic_files import check_lines, without_mark
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.json_text import JsonError, parse_json
from recbole_longinterest.serving.event_tables import own_names
from recbole_longinterest.serving.event_times import EventTimes
from recbole_longinterest.serving.events import warn_of_unread

if TYPE_CHECKING:
    import pyarrow as pa

JSON_LINES, PARQUET, DELIMITED = (".jsonl", ".ndjson", ".json"), (".parquet", ".pq"), (".csv", ".tsv")
KINDS = (*DELIMITED, *PARQUET, *JSON_LINES, ".inter")
SEPARATORS = (",", "\t", ";", "|")  # of CSV files; the first that occurs in the header is used


def read_events(
    path: str | Path,
    fields: Mapping[str, str],
    separator: str = "\t",
    encoding: str = "utf-8",
    features: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    times: EventTimes | None = None,
    time_format: str | None = None,
) -> pd.DataFrame:
    """Read a file of events into a table.

    Args:
        path: CSV or TSV with a header, Parquet, JSON lines, or RecBole's ``.inter``.
        fields: the training's names of the columns ``user``, ``item``, ``rating``, ``behavior``, ``time``; the item
            column is required.
        separator: the training's separator, for ``.inter`` files.
        encoding: the training's encoding, for ``.inter`` files.
        features: further columns that the model reads; missing columns are missing values.
        columns: the file's names of some columns, by kind; see :func:`own_names`.
        times: time reader of the model. Dates are converted to its unit, and numbers in another unit are errors.
            Without it dates become seconds since 1970, and nothing is checked.
        time_format: ``strptime`` format of dates that are not ISO 8601.

    Returns:
        A table with the training's names: tokens and further columns as text, ratings and times as float64; other
        columns are left out.

    Raises:
        LongInterestError: for a file that is missing, broken, of another format or without the item column; for a
            rating that is not a number; and for a time that is neither a number nor a date, or in another unit.
    """
    table = read_file(path, separator, encoding)
    return events_in(table, str(path), fields, features, columns, times, time_format)


def read_file(
    path: str | Path, separator: str = "\t", encoding: str = "utf-8", what: str = "event file"
) -> pd.DataFrame:
    """Read all columns of a file as text; see :func:`read_events`. Errors call it ``what``."""
    path = Path(path)
    if path.suffix.lower() not in KINDS:
        raise LongInterestError(f"The {what} must end in one of {', '.join(KINDS)}; got {path}.")
    if not path.is_file():
        raise LongInterestError(f"The {what} {path} does not exist.")
    try:
        return _read(path, separator, encoding)
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise LongInterestError(f"{path} cannot be read: {' '.join(str(error).split())}") from error


def events_in(
    table: pd.DataFrame,
    where: str,
    fields: Mapping[str, str],
    features: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    times: EventTimes | None = None,
    time_format: str | None = None,
) -> pd.DataFrame:
    """Convert a table from :func:`read_file` to events, see :func:`read_events`.

    Args:
        table: columns of text.
        where: the file, for messages.
        fields: see :func:`read_events`.
        features: see :func:`read_events`.
        columns: see :func:`read_events`.
        times: see :func:`read_events`.
        time_format: see :func:`read_events`.

    Raises:
        LongInterestError: as :func:`read_events`.
    """
    named = own_names(fields, columns, list(table.columns), where)
    if named["item"] not in table:
        raise LongInterestError(
            f"{where} has no column {named['item'] or fields['item']}; its columns are "
            f"{', '.join(map(str, table.columns)) or 'none'}. It may have {', '.join([*fields.values(), *features])}; "
            "for other names use options such as --item-column."
        )
    wanted = dict.fromkeys([*named.values(), *features])
    warn_of_unread(list(table.columns), {**named, **{f"feature {name}": name for name in features}}, where)
    table = table[[name for name in wanted if name in table]]
    missing = [name for name in (named["user"], named["item"]) if name in table and table[name].isna().any()]
    if missing:
        raise LongInterestError(f"{where} has rows without {' or '.join(missing)}. Fill or remove them.")
    rating, time = named["rating"], named["time"]
    if rating in table:
        table = table.assign(**{rating: _ratings(table[rating], where)})
    if time in table:
        table = table.assign(**{time: times_in(table[time], times or EventTimes(None), where, time_format)})
    if not len(table):
        raise LongInterestError(f"{where} has no events.")
    return table.rename(columns={name: fields[kind] for kind, name in named.items() if name in table})


def _read(path: Path, separator: str, encoding: str) -> pd.DataFrame:
    kind = path.suffix.lower()
    if kind in JSON_LINES:
        return _read_json(path)
    if kind in PARQUET:
        return _read_parquet(path)
    if kind != ".inter":
        encoding = "utf-8-sig"
        separator = "\t" if kind == ".tsv" else _separator(path)
    encoding = without_mark(encoding)
    table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, na_values=[""], encoding=encoding)
    if not isinstance(table.index, pd.RangeIndex):  # pandas uses surplus fields as an index, which shifts the columns
        raise LongInterestError(f"{path}: its rows have more fields than its header has columns. Name every column.")
    if kind == ".inter":
        check_lines(str(path), len(table), separator, encoding)
    return table.rename(columns=lambda name: name.strip().partition(":")[0] if kind == ".inter" else name.strip())


def _separator(path: Path) -> str:
    """Detect the separator of a CSV file from its header."""
    with path.open(encoding="utf-8-sig") as file:
        header = file.readline()
    return next((mark for mark in SEPARATORS if mark in header), ",")


def _read_json(path: Path) -> pd.DataFrame:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except JsonError as error:
            raise LongInterestError(f"{path}, line {number}: not valid JSON: {error}") from error
        if not isinstance(row, dict):
            raise LongInterestError(f'{path}, line {number}: an event is an object such as {{"item_id": "50"}}.')
        rows.append({name: _text(value) for name, value in row.items()})
    return pd.DataFrame(rows)


def _read_parquet(path: Path) -> pd.DataFrame:
    import pyarrow as pa  # late: takes 0.1 s, not needed for CSV
    import pyarrow.parquet

    try:
        return columns_of_arrow(pa.parquet.read_table(path), str(path))
    except (pa.ArrowException, OSError) as error:
        raise LongInterestError(f"{path} cannot be read: {' '.join(str(error).split())[:300]}") from error


def columns_of_arrow(table: "pa.Table", where: str) -> pd.DataFrame:
    """Convert an Arrow table to the form of :func:`read_file`: texts, lists of texts, and dates.

    Args:
        table: table of events.
        where: the file, for messages.

    Raises:
        LongInterestError: for a column that cannot be converted to text.
    """
    import pyarrow as pa  # as above

    columns: dict[str, Any] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            dates = pd.to_datetime(column.to_pandas(), utc=True, errors="coerce")
            columns[name] = dates.dt.tz_localize(None)
        elif pa.types.is_nested(kind):
            columns[name] = pd.Series([_text(value) for value in column.to_pylist()], dtype=object)
        else:
            try:
                texts = column.cast(pa.large_string()).to_pylist()
            except pa.ArrowException as error:
                raise LongInterestError(
                    f"{where}: the column {name} holds {kind}, which is not text: {error}"
                ) from error
            columns[name] = pd.Series([None if text == "" else text for text in texts], dtype=object)
    return pd.DataFrame(columns)


def _text(value: object) -> str | list[Any] | None:
    """Convert a JSON value to text, a list to a list of texts, null and NaN to None."""
    if value is None or value != value:
        return None
    if isinstance(value, list):
        return [text for text in map(_text, value) if text is not None]
    return str(value).encode("utf-8", "replace").decode("utf-8")  # lone surrogates cannot be encoded


def _ratings(column: pd.Series, where: str) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce")
    _refuse(column, numbers.isna() | numbers.isin([math.inf, -math.inf]), "a finite number", where)
    return numbers.astype("float64")


def times_in(column: pd.Series, times: EventTimes, where: str, time_format: str | None = None) -> NDArray[np.float64]:
    """Convert a column of texts, numbers or dates to times in the unit of a model's training, [n].

    Args:
        column: missing values are NaN.
        times: time reader of the model.
        where: the file or table, for messages.
        time_format: ``strptime`` format of dates that are not ISO 8601.

    Raises:
        LongInterestError: for values that are neither finite numbers nor dates, and for times in another unit.
    """
    if column.dtype.kind == "M":
        return times.many(column.to_numpy(), where)
    given = column.notna() & (column.astype(str).str.strip() != "")
    if time_format is None:
        numbers = pd.to_numeric(column, errors="coerce").astype("float64")
        dated = given & numbers.isna()
    else:
        numbers = pd.Series(np.nan, index=column.index)
        dated = given
    if dated.any():
        texts = column[dated].astype(str).str.strip()
        try:
            dates = pd.to_datetime(texts, format=time_format or "ISO8601", utc=True, errors="coerce")
        except ValueError as error:
            raise LongInterestError(
                f"The time format must be valid for datetime.strptime; got {time_format!r}: {error}"
            ) from error
        wrong = dated.copy()
        wrong[dated] = dates.isna()
        form = f"a date in the format {time_format}" if time_format else "a finite number or an ISO date"
        _refuse(column, wrong, form, where)
        plain = dates.dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
        numbers[dated] = times.of_seconds(plain.astype(np.int64) / 1e6, where)
    _refuse(column, numbers.isin([math.inf, -math.inf]), "a finite number", where)
    return times.many(numbers.to_numpy(), where)


def _refuse(column: pd.Series, wrong: pd.Series, form: str, where: str) -> None:
    rows = np.flatnonzero((wrong & column.notna()).to_numpy())
    if len(rows):
        raise LongInterestError(
            f"{where}: {column.name} must be {form}; row {rows[0] + 1} has {column.iloc[rows[0]]!r}."
        )
