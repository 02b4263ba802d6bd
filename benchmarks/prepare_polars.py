"""The same cleaning as `recbole-li prepare csv --core 5`, as a polars pipeline for `prepare.py --against polars`.

    python benchmarks/prepare_polars.py LOG OUTPUT PEAK

It reads the CSV file lazily, removes rows without user, item, time or numeric rating, keeps the first of several
events with the same user, item and time, removes users and items with fewer than five events until nothing changes,
and writes the atomic file in the order of the input. It has no other checks, no report and no quoting. OUTPUT is the
`.inter` file; its rows must equal those of `prepare`. The peak memory in MB is written to the file PEAK.
"""

import subprocess
import sys
from pathlib import Path
from time import perf_counter

CORE = 5
MILLISECONDS = 10**11  # larger times are in milliseconds; in seconds, this is the year 5138


def clean(log: Path, output: Path) -> None:
    """Clean a log in the format of MovieLens.

    Args:
        log: CSV file with userId, movieId, rating, timestamp.
        output: the `.inter` file to write.
    """
    import polars as pl

    kinds = {"userId": pl.String, "movieId": pl.String, "rating": pl.Float64, "timestamp": pl.Int64}
    events = (
        pl.scan_csv(log, schema=kinds)
        .drop_nulls(["userId", "movieId", "timestamp"])
        .filter(pl.col("rating").is_not_nan())
        .with_columns(pl.col("userId", "movieId").cast(pl.Categorical))  # one code per row instead of a text
        .collect()
    )
    events = events.unique(["userId", "movieId", "timestamp"], keep="first", maintain_order=True)
    before = -1
    while len(events) != before:
        before = len(events)
        for field in ("userId", "movieId"):
            events = events.filter(pl.len().over(field) >= CORE)
    if len(events) and events["timestamp"].max() > MILLISECONDS:
        events = events.with_columns(pl.col("timestamp") / 1000)
    names = {"userId": "user_id:token", "movieId": "item_id:token", "rating": "rating:float"}
    events.rename({**names, "timestamp": "timestamp:float"}).write_csv(output, separator="\t", quote_style="never")


def measured(log: Path, folder: Path) -> tuple[float, float]:
    """Clean a log in a new process and measure it.

    Args:
        log: the CSV file.
        folder: folder for the output, `polars.inter`.

    Returns:
        Seconds including the start of Python, and peak memory in GB.
    """
    begin, peak = perf_counter(), folder / "polars-peak"
    subprocess.run([sys.executable, __file__, str(log), str(folder / "polars.inter"), str(peak)], check=True)
    return perf_counter() - begin, float(peak.read_text()) * 2**20 / 1e9


def same_rows(ours: Path, theirs: Path) -> bool:
    """Whether two `.inter` files have the same rows in the same order; numbers may be written differently."""
    import polars as pl

    def read(path: Path) -> pl.DataFrame:
        names = ["user_id:token", "item_id:token", "rating:float", "timestamp:float"]
        kinds = dict(zip(names, (pl.String, pl.String, pl.Float64, pl.Float64), strict=True))
        return pl.read_csv(path, separator="\t", schema=kinds, quote_char=None)

    return read(ours).equals(read(theirs))


def main() -> None:
    """Clean the log and write the peak memory."""
    log, output, peak = map(Path, sys.argv[1:4])
    clean(log, output)
    from recbole_longinterest.experiments.comparison.manifest import peak_memory_mb

    peak.write_text(str(peak_memory_mb()))


if __name__ == "__main__":
    main()
