"""Check that LongInterest computes the same on a GPU as on the CPU, and measure how fast it trains.

    uv run benchmarks/gpu.py --output DIR [--device cuda|cpu] [--minutes 8]

First, the device is compared with the CPU, in float32 and without TF32: forward pass, loss, gradients, full-ranking
evaluation, resuming, a run in a process group (NCCL), and states of the exported model. If a check fails, the exit code
is 1, but the speed is measured anyway.

Then it measures training targets per second on ml-100k and on logs of Zipf-distributed items with 1 and 20 million
events, with windows of 50 and 200 events and whole histories. The models are LongInterest in one pass, and RecBole's
GRU4Rec and SASRec with prefix rows and in one pass. LongInterest is also measured in float32, TF32, float16 and
bfloat16, with `torch.compile` of fusion and attention, and with larger batches.

Rows are measured in order of importance until the time is over; the remaining rows are listed as left out. gpu.csv and
gpu.md are rewritten after every row, so a kill loses nothing. On a CPU, the plan is small: ml-100k with window 50, and
for the comparison only its users with at most 60 events.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from common import make_parser, write_csv
from gpu_agree import Agreement
from gpu_speed import ONE_CHUNK, RECBOLE_WAY, Logs, Row, measure, sentence

from recbole_longinterest.common.files import write_text

DATA, WINDOWS, BATCHES = ("ml-100k", "zipf-1m", "zipf-20m"), (50, 200, 0), (16_384, 65_536)
RECBOLES = ("GRU4Rec", "SASRec")
KEPT = 0.95  # share of the minutes after which no row starts
BUILD = {
    "zipf-1m": 10.0,
    "zipf-20m": 75.0,
}  # seconds to generate and read a log; a row starts only if there is time for it
COMPILE = 30.0  # seconds of torch.compile
CHECKS = ("check", "difference", "limit", "holds", "note")
FIGURES = (
    "targets_a_second",
    "epoch_seconds",
    "planning_seconds",
    "first_batches_seconds",
    "busy_share",
    "peak_device_mb",
)
NO_TIME = "left out: no time"


def main() -> int:
    """Compare, measure, and write gpu.csv and gpu.md."""
    parser = make_parser(__doc__)
    parser.add_argument("--output", type=Path, default=Path("gpu"), help="folder for results and generated logs")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cuda or cpu")
    parser.add_argument("--minutes", type=float, default=8.0, help="time limit for the whole run")
    parser.add_argument(
        "--seconds", type=float, default=1.5, help="seconds of training per row, after its first batches"
    )
    parser.add_argument("--agree", default="ml-100k", help="data set of the comparison with the CPU; none to skip it")
    parser.add_argument("--data", help=f"data sets of the speed part, separated by commas (on a GPU: {','.join(DATA)})")
    parser.add_argument("--windows", help="windows, separated by commas; 0 is the longest history")
    parser.add_argument("--no-compile", action="store_true", help="leave out the rows with torch.compile")
    parser.add_argument("--data_path", help="parent of the folders of data sets other than ml-100k")
    args = parser.parse_args()
    return run(args, time.monotonic())


def run(args: argparse.Namespace, begin: float) -> int:
    """Run the comparison and the measurements.

    Args:
        args: arguments of the command line.
        begin: start of the time limit, from `time.monotonic`.

    Returns:
        The exit code: 1 if a check fails.
    """
    device = torch.device(args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch finds no GPU. Give --device cpu, or install a torch with CUDA.")
    small = device.type == "cpu"
    data = (args.data or ("ml-100k" if small else ",".join(DATA))).split(",")
    windows = [int(window) for window in (args.windows or ("50" if small else ",".join(map(str, WINDOWS)))).split(",")]
    args.output.mkdir(parents=True, exist_ok=True)
    table = Table(args.output, device)
    if args.agree != "none":
        settings = {"data_path": args.data_path} if args.data_path and args.agree != "ml-100k" else {}
        if small and args.agree == "ml-100k":
            settings["user_inter_num_interval"] = "[0,60]"
        Agreement(args.agree, settings, device, args.output / "agree", table.add_check).run()
    logs, ready = Logs(args.output / "data", args.data_path, device), set[tuple[str, bool]]()
    rows = [row for row in plan(data, windows, device) if not (row.compiled and args.no_compile)]
    for row in rows:
        log = row.data, row.model == "LongInterest"  # other models read other columns
        need = 2 * args.seconds + (0.0 if log in ready else BUILD.get(row.data, 0.0)) + COMPILE * row.compiled
        if time.monotonic() - begin + need > KEPT * 60 * args.minutes:
            table.add(row, {"note": NO_TIME})
            continue
        sys.stderr.write(f"{time.monotonic() - begin:5.0f} s  {row}\n")
        try:
            table.add(row, measure(row, logs, args.seconds))
        except Exception as error:  # out of memory, or torch.compile fails; the other rows are still measured
            table.add(row, {"note": sentence(error)})
        ready.add(log)
    sys.stdout.write(table.text())
    return 0 if all(check["holds"] for check in table.checks) else 1


def plan(data: list[str], windows: list[int], device: torch.device) -> Iterator[Row]:
    """Yield the rows to measure in order of importance, each once.

    Args:
        data: names of data sets, the smallest first.
        windows: windows; 0 is the longest history.
        device: determines the precisions.
    """
    halves = ["bf16"] if device.type == "cpu" else ["fp32", "tf32", "bf16", "fp16"]
    seen = set()
    for row in _wanted(data, windows, halves):
        if row not in seen:
            seen.add(row)
            yield row


def _wanted(data: list[str], windows: list[int], precisions: list[str]) -> Iterator[Row]:
    small, large, first, middle = data[0], data[-1], windows[0], windows[min(1, len(windows) - 1)]
    for model, way in (("LongInterest", "one pass"), *((name, RECBOLE_WAY) for name in RECBOLES)):
        yield Row(small, first, model, way)
    yield Row(large, middle, "LongInterest")
    if large.startswith("zipf-"):  # the goal: an epoch of 20M events in 30 s
        for batch in BATCHES:
            yield Row(large, middle, "LongInterest", batch=batch)
            yield Row(large, middle, "LongInterest", ONE_CHUNK, batch=batch)
        yield Row(large, middle, "LongInterest", ONE_CHUNK)
        yield Row(large, middle, "LongInterest", ONE_CHUNK, "bf16", batch=BATCHES[-1])
    for name in RECBOLES:
        yield Row(small, first, name)
    places = dict.fromkeys([(large, middle), (small, first)])
    for name, window in places:
        for precision in precisions:
            yield Row(name, window, "LongInterest", precision=precision)
        for precision in ("default", "bf16"):
            yield Row(name, window, "LongInterest", precision=precision, compiled=True)
    for name in (large, *data):
        for window in windows:
            yield Row(name, window, "LongInterest")
            for model in RECBOLES:
                yield Row(name, window, model)
                yield Row(name, window, model, RECBOLE_WAY)
    for name in (large, *data):
        for window in windows:
            for compiled in (False, True):
                for precision in ("default", *precisions):
                    yield Row(name, window, "LongInterest", precision=precision, compiled=compiled)


class Table:
    """Collects the results and writes them to gpu.csv and gpu.md.

    Args:
        folder: folder of both files.
        device: device of the measurements.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.folder, self.checks, self.rows = folder, list[dict[str, Any]](), list[dict[str, Any]]()
        name = torch.cuda.get_device_name() if device.type == "cuda" else "the CPU, which is compared with itself"
        self.head = (
            f"Device: {name}. Machine: {platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads "
            f"of torch {torch.__version__}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}."
        )

    def add_check(self, check: dict[str, Any]) -> None:
        """Add the result of a check and write the files."""
        self.checks.append(check)
        sys.stderr.write(f"{check}\n")
        self.write()

    def add(self, row: Row, figures: dict[str, Any]) -> None:
        """Add a measured row and write the files."""
        self.rows.append({**row._asdict(), **dict.fromkeys(FIGURES, ""), "note": "", **figures})
        self.write()

    def write(self) -> None:
        """Write both files."""
        names = ["part", *Row._fields, *FIGURES, *CHECKS]
        rows = [{"part": "agree", **row} for row in self.checks] + [{"part": "speed", **row} for row in self.rows]
        write_csv(self.folder / "gpu.csv", rows, names)
        write_text(self.folder / "gpu.md", self.text())

    def text(self) -> str:
        """Render all results in Markdown."""
        measured = [row for row in self.rows if row["note"] != NO_TIME]
        names = [*Row._fields, *FIGURES, "note"]
        parts = [self.head, _table(CHECKS, self.checks), _table(names, measured)]
        late = [" ".join(map(str, list(row.values())[: len(Row._fields)])) for row in self.rows if row not in measured]
        return (
            "\n\n".join(part for part in [*parts, *([f"{NO_TIME}: {'; '.join(late)}."] if late else [])] if part) + "\n"
        )


def _table(names: Any, rows: list[dict[str, Any]]) -> str:  # noqa: ANN401 - names
    """Render a Markdown table; empty without rows."""
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for row in rows:
        cells = [f"{row[name]:.4g}" if isinstance(row[name], float) else str(row[name]) for name in names]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) if rows else ""


if __name__ == "__main__":
    sys.exit(main())
