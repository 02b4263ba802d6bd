"""Measure rows per second and peak memory of `recbole-li prepare csv`, from a CSV file like MovieLens' to a data set.

    python benchmarks/prepare.py --rows 20000000
    python benchmarks/prepare.py --rows 20000000 --format parquet --batches 3

With --batches, a second process then builds the data set for LongInterest (without texts) and trains on the first
batches of an epoch. It prints the CPU seconds and the peak memory of each phase.

The synthetic log has as many rows per user and per movie as ml-20m, with power-law popularity. The command runs in its
own process. The time includes everything from reading to the last written file: report, removal of duplicates, and an
iterated 5-core. The system's file cache does not count as memory. The exit code is 1 if a target is missed.

`--against polars` runs in turn with a polars pipeline that does the same cleaning (`prepare_polars.py`), checks that
both write the same rows, and prints the ratio of the median times.
"""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow as pa
import pyarrow.csv
from common import make_parser
from prepare_polars import measured, same_rows

ROWS_A_SECOND = 1_000_000
GIGABYTES = 3.0
TIMES_POLARS = 2.0
ROWS_A_USER, ROWS_A_MOVIE = 144, 750  # as in ml-20m
PART = 1_000_000
RUN = """
import sys
from pathlib import Path
from recbole_longinterest.cli.main import main
peak = sys.argv.pop(1)
code = main()
from recbole_longinterest.experiments.comparison.manifest import peak_memory_mb
Path(peak).write_text(str(peak_memory_mb()))
sys.exit(code)
"""
BUILD = """
import sys, threading, time
from pathlib import Path
folder, batches = sys.argv[1], int(sys.argv[2])
del sys.argv[1:]
peak, began = 0.0, time.process_time()
def memory():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e9
def watch():
    global peak
    while True:
        peak = max(peak, memory())
        time.sleep(0.02)
def phase(name):
    global peak, began
    spent = time.process_time() - began
    print(f"{name}: {spent:.1f} CPU seconds, {peak:.2f} GB at the peak, {memory():.2f} GB at the end")
    peak, began = 0.0, time.process_time()
threading.Thread(target=watch, daemon=True).start()
import torch
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, init_seed
from recbole_longinterest.training.settings import make_config
settings = {"data_path": folder, "state": "WARNING", "show_progress": False, "text_features": "off"}
settings |= {"train_batch_size": 512, "embedding_size": 64, "hidden_size": 64}
config = make_config("LongInterest", "log", config_dict=settings)
init_seed(config["seed"], True)
phase("imports")
data = create_dataset(config)
phase("reading and numbering")
train, *_ = data_preparation(config, data)
phase("sorting, splitting, windows")
model = get_model(config["model"])(config, train._dataset)
phase("model and transitions")
optimizer = torch.optim.Adam(model.parameters())
for _, batch in zip(range(batches), train):
    optimizer.zero_grad()
    model.calculate_loss(batch).backward()
    optimizer.step()
phase(f"{batches} batches")
"""


def write_log(path: Path, rows: int, milliseconds: bool, seed: int) -> None:
    """Write a random log in the format of ratings.csv."""
    rng = np.random.default_rng(seed)
    users, movies = max(rows // ROWS_A_USER, 1), max(rows // ROWS_A_MOVIE, 1)
    head = pa.schema(
        [("userId", pa.int64()), ("movieId", pa.int64()), ("rating", pa.float64()), ("timestamp", pa.int64())]
    )
    with pa.csv.CSVWriter(path, head) as writer:
        for start in range(0, rows, PART):
            n = min(PART, rows - start)
            columns = [
                rng.integers(1, users + 1, n),
                (movies * rng.random(n) ** 3).astype(np.int64) + 1,
                rng.integers(1, 11, n) / 2,
                rng.integers(789_652_009, 1_427_784_002, n) * (1000 if milliseconds else 1),
            ]
            writer.write_table(pa.table(columns, schema=head))


def main() -> int:
    """Run the benchmark and print the results."""
    parser = make_parser(__doc__)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--milliseconds", action="store_true", help="times in milliseconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--against", choices=["polars"], help="run in turn with a polars pipeline and compare")
    parser.add_argument("--format", choices=("inter", "parquet"), default="inter", help="format of the prepared events")
    parser.add_argument("--batches", type=int, default=0, help="build the data set and train on this number of batches")
    args = parser.parse_args()
    if args.against and args.format != "inter":
        parser.error("--against compares the rows of --format inter")

    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "ratings.csv"
        write_log(log, args.rows, args.milliseconds, args.seed)
        seconds, peaks = [], []
        total = 0.0  # CPU seconds
        theirs: list[tuple[float, float]] = []  # seconds and peak GB of polars
        for repeat in range(args.repeats):
            words = ["prepare", "csv", str(log), "--user", "userId", "--item", "movieId", "--time", "timestamp"]
            words += ["--rating", "rating", "--core", "5", "--name", "log", "--output", f"{folder}/{repeat}"]
            words += ["--format", args.format]
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            before, start = used.ru_utime + used.ru_stime, perf_counter()
            subprocess.run([sys.executable, "-c", RUN, f"{folder}/peak", *words], check=True)
            seconds.append(perf_counter() - start)
            peaks.append(float(Path(folder, "peak").read_text()) * 2**20 / 1e9)
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            total += used.ru_utime + used.ru_stime - before
            if args.against:
                theirs.append(measured(log, Path(folder)))
                if not repeat and not same_rows(Path(folder, f"{repeat}/log/log.inter"), Path(folder, "polars.inter")):
                    raise SystemExit("prepare and polars wrote different rows, so the comparison is not valid.")
        peak, busy = max(peaks), total / args.repeats
        size = log.stat().st_size / 1e6
        if args.batches:
            log.unlink()  # frees the disk
            subprocess.run([sys.executable, "-c", BUILD, f"{folder}/0", str(args.batches)], check=True)
    speed = args.rows / float(np.median(seconds))
    sys.stdout.write(
        f"\n{args.rows:,} rows, {size:.0f} MB of CSV, {args.repeats} repeat(s)\n"
        f"{speed:,.0f} rows/s, {np.median(seconds):.1f} s in total (target: {ROWS_A_SECOND:,} rows/s)\n"
        f"{busy:.1f} CPU seconds ({os.cpu_count()} cores, load {os.getloadavg()[0]:.1f})\n"
        f"{peak:.2f} GB at the peak (target: {GIGABYTES:g} GB)\n"
    )
    ratio = 0.0
    if theirs:
        other = float(np.median([each for each, _ in theirs]))
        ratio = float(np.median(seconds)) / other
        sys.stdout.write(
            f"polars: {args.rows / other:,.0f} rows/s, {other:.1f} s, {max(peak for _, peak in theirs):.2f} GB; "
            f"prepare takes {ratio:.2f} times as long (target: {TIMES_POLARS:g})\n"
        )
    return 0 if speed >= ROWS_A_SECOND and peak < GIGABYTES and ratio <= TIMES_POLARS else 1


if __name__ == "__main__":
    sys.exit(main())
