"""Write the events of a prepared data set as a Parquet file with typed columns."""

from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from recbole_longinterest.common.notebook import progress_bar
from recbole_longinterest.prepare.cleaning.times import decimals_of, in_seconds
from recbole_longinterest.prepare.events import Events

ROWS = 1_000_000  # rows of a row group
TOKEN = pa.dictionary(pa.int32(), pa.large_string())
DICTIONARY_BYTES = 2**26  # maximum dictionary of a column in a row group; above it, tokens are written row by row


def write_parquet(file: IO[bytes], events: Events, shown: bool) -> None:
    """Write the log, in the order of the input files.

    Tokens are strings with a dictionary in each row group; ratings and times (seconds since 1970) are float64, equal
    to the numbers that a reader parses from ``.inter``. A missing rating or behaviour is null.

    Args:
        file: file to write to.
        events: the log.
        shown: whether to show a progress bar.
    """
    columns = [("user_id", TOKEN, False), ("item_id", TOKEN, False)]
    columns += [("rating", pa.float64(), True)] * (events.rating is not None) + [("timestamp", pa.float64(), False)]
    columns += [("behavior", TOKEN, True)] * (events.behavior is not None)
    schema = pa.schema([pa.field(name, kind, nullable=nullable) for name, kind, nullable in columns])
    decimals = decimals_of(events.time)
    tokens = [name for name, kind, _ in columns if kind == TOKEN]
    with (
        progress_bar(total=len(events), desc="writing", unit="row", unit_scale=True, disable=not shown) as bar,
        pa.parquet.ParquetWriter(
            file,
            schema,
            compression="zstd",
            use_dictionary=[*tokens, *["rating"] * (events.rating is not None)],
            dictionary_pagesize_limit=DICTIONARY_BYTES,
        ) as writer,
    ):
        for start in range(0, len(events), ROWS):
            part = slice(start, start + ROWS)
            cells = [_tokens(events.user[part], events.users), _tokens(events.item[part], events.items)]
            if events.rating is not None:
                cells.append(pa.array(events.rating[part], mask=np.isnan(events.rating[part])))
            cells.append(pa.array(seconds(events.time[part], decimals)))
            if events.behavior is not None:
                cells.append(_tokens(events.behavior[part], events.behaviors))
            writer.write_table(pa.table(cells, schema=schema), row_group_size=ROWS)
            bar.update(len(cells[0]))


def _tokens(codes: NDArray[np.int32], names: Any) -> pa.DictionaryArray:  # noqa: ANN401 - a pyarrow array
    """Tokens of the given rows, with a dictionary of only these tokens; null for code -1."""
    present, indices = np.unique(codes, return_inverse=True)
    missing = codes < 0
    if missing.any():
        present, indices = present[1:], np.maximum(indices - 1, 0)
    return pa.DictionaryArray.from_arrays(
        pa.array(indices.astype(np.int32), mask=missing), names.take(pa.array(present))
    )


def seconds(times: NDArray[np.int64], decimals: int) -> NDArray[np.float64]:
    """Convert times to seconds since 1970: the float64 numbers nearest to the decimal numbers in ``.inter``.

    Args:
        times: nanoseconds since 1970, [n].
        decimals: decimals of the seconds, see :func:`~recbole_longinterest.prepare.cleaning.times.decimals_of`.
    """
    whole = times // 10 ** (9 - decimals)
    if np.abs(whole).max(initial=0) >= 2**53:  # both steps below would round
        return in_seconds(times, decimals).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return whole.astype(np.float64) / 10.0**decimals
