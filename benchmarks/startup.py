"""Start-up time of the commands, and load time of a served model, compared with a bare `import torch`.

    uv run benchmarks/startup.py [--model DIR] [--runs 5]

Every time is for a fresh process, including Python's own start. The cases alternate; the first round does not count, so
that bytecode and files are cached. The output has medians of wall time, of CPU time, which other work on the machine
affects less, and of CPU time relative to `import torch`. DIR is a folder made by recbole-li export; without it, a model
is trained for one epoch on ml-100k first.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import make_parser

from recbole_longinterest.cli.main import COMMANDS

COMMAND = "import sys; from recbole_longinterest.cli.main import main; sys.exit(main())"
LOAD = "import sys; from recbole_longinterest import Recommender; Recommender.load(sys.argv[1])"
TORCH = "import torch"
LIMITS = {"import recbole_longinterest": 0.1, "recbole-li --help": 0.5, "recbole-li --version": 0.5}
LIMITS |= {"Recommender.load": 2.0}


def main() -> None:
    """Measure, and print a table."""
    parser = make_parser(__doc__)
    parser.add_argument("--model", type=Path, metavar="DIR", help="folder made by recbole-li export")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="runs of each case (default: 5)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="startup") as folder:
        model = args.model.resolve() if args.model else export_ml_100k(Path(folder))
        cases = {
            "python": ("pass",),
            "import torch": (TORCH,),
            "import recbole_longinterest": ("import recbole_longinterest",),
            "recbole-li --help": (COMMAND, "--help"),
            "recbole-li --version": (COMMAND, "--version"),
            **{f"recbole-li {name} --help": (COMMAND, name, "--help") for name in COMMANDS},
            "Recommender.load": (LOAD, str(model)),
        }
        medians = measure(cases, args.runs, Path(folder))
    sys.stdout.write(f"{'':30}  {'wall':>7}  {'CPU':>7}  {'/ torch':>7}  limit of wall, seconds\n")
    for name, (wall, cpu) in medians.items():
        row = f"{name:30}  {wall:7.3f}  {cpu:7.3f}  {cpu / medians['import torch'][1]:7.3f}  {LIMITS.get(name, '')}"
        sys.stdout.write(f"{row.rstrip()}\n")


def measure(cases: dict[str, tuple[str, ...]], runs: int, folder: Path) -> dict[str, tuple[float, float]]:
    """Median wall and CPU seconds of each case; the cases alternate, and the first round does not count."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for _ in range(1 + runs):
        for name, arguments in cases.items():
            begin, cpu = time.perf_counter(), cpu_of_children()
            run(arguments, folder)
            times[name].append((time.perf_counter() - begin, cpu_of_children() - cpu))
    return {
        name: (statistics.median(wall for wall, _ in pairs[1:]), statistics.median(cpu for _, cpu in pairs[1:]))
        for name, pairs in times.items()
    }


def cpu_of_children() -> float:
    """CPU seconds of all ended child processes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(arguments: tuple[str, ...], folder: Path) -> str:
    """Run a Python program in a fresh process that may write bytecode; returns its output."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run(
        [sys.executable, "-c", *arguments], cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def export_ml_100k(folder: Path) -> Path:
    """Train LongInterest on ml-100k for an epoch and export it."""
    out = run((COMMAND, "run", "--epochs=1", "--show_progress=False", "--state=ERROR"), folder)
    run((COMMAND, "export", out.split("checkpoint: ")[1].strip(), "--output", "model"), folder)
    return folder / "model"


if __name__ == "__main__":
    main()
