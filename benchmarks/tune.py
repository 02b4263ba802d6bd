"""Overhead of a search: 8 trials of one epoch against 8 epochs in one process.

    uv run benchmarks/tune.py

Both train LongInterest on ml-100k on all cores, three times, alternately. Ray's start and the building of the data set
are not included. The result is the ratio of the medians.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from common import in_process, make_parser, make_quiet_config

EPOCHS = 8
SILENT = {"show_progress": False, "state": "ERROR"}


def main() -> None:
    """Measure alternately in fresh processes, and print the table."""
    parser = make_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--model", default="LongInterest")
    parser.add_argument("--child", choices=("one process", "search"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        seconds = one_process(args.model) if args.child == "one process" else by_search(args.model)
        sys.stdout.write(json.dumps(seconds) + "\n")
        return
    times: dict[str, list[float]] = {"one process": [], "search": []}
    for _ in range(args.repeats):
        for way, measured in times.items():
            measured.append(in_process(__file__, ["--child", way, "--model", args.model]))
    medians = {way: statistics.median(measured) for way, measured in times.items()}
    for way, median in medians.items():
        sys.stdout.write(f"{way:12} {median:7.1f} s ({min(times[way]):.1f} to {max(times[way]):.1f})\n")
    sys.stdout.write(f"ratio        {medians['search'] / medians['one process']:7.2f}\n")


def one_process(model: str) -> float:
    """Seconds of 8 epochs with evaluation on all cores, without building the data set."""
    import recbole.data.utils

    from recbole_longinterest.training import pipeline

    with tempfile.TemporaryDirectory() as folder:
        settings = {"epochs": EPOCHS, "stopping_step": 100, "checkpoint_dir": folder}
        config = make_quiet_config(model, "ml-100k", settings)
        dataset = recbole.data.utils.create_dataset(config)
        if hasattr(dataset, "text_source"):
            dataset.text_source.matrix()
        begin = time.perf_counter()
        pipeline.train(config, dataset=dataset)
        return time.perf_counter() - begin


def by_search(model: str) -> float:
    """Seconds of 8 trials of one epoch, from the start of the first to the end of the last, by their files' times."""
    from recbole_longinterest.experiments.tuning import driver

    with tempfile.TemporaryDirectory() as folder:
        space, output = Path(folder, "space.yaml"), Path(folder, "search")
        space.write_text("learning_rate: {uniform: [0.001, 0.003]}\n")
        fixed = {"epochs": 1, **SILENT}
        driver.search(
            driver.Plan(model, "ml-100k", str(space), trials=EPOCHS, fixed=fixed, scheduler="none"),
            output,
            show_progress=False,
        )
        begin = min(file.stat().st_mtime for file in output.glob("trials/*/trial.json"))
        return max(file.stat().st_mtime for file in output.glob("trials/*/end.json")) - begin


if __name__ == "__main__":
    main()
