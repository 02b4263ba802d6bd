"""Speed and memory of training and evaluation: RecBole's prefix rows against the flat log and one pass.

    uv run benchmarks/speed.py --output DIR

Every row of the table is measured three times, alternating with the others, in its own process; the table has medians.
Rates come from training batches for about ``--seconds`` seconds (at least two batches, after one that does not count),
so that long epochs are not run to the end. Generated logs have Zipf-distributed items over a catalogue of 12,000,
ratings and times. Compare times only within one run.
"""

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from common import in_process, make_figure, make_parser, make_quiet_config, write_csv

from recbole_longinterest.common.files import atomic_file

ITEMS, EVENTS_A_USER = 12_000, 145  # of a generated log; MovieLens-20M has 144 events a user
FIELDS = (
    "targets_a_second",
    "epoch_seconds",
    "evaluation_seconds",
    "build_seconds",
    "build_seconds_a_million_targets",
    "peak_rss_mb",
)
RECBOLE = {"load_col": {"inter": ["user_id", "item_id", "timestamp"]}}
CASES: list[dict[str, Any]] = [
    {"data": data, "model": model, "way": way, "window": window}
    for data in ("ml-100k", "zipf-1m")
    for model, way, window in (
        ("LongInterest", "one pass", 50),
        ("LongInterest", "one pass", 200),
        ("GRU4Rec", "RecBole", 50),
        ("GRU4Rec", "one pass", 50),
        ("GRU4Rec", "RecBole", 200),
        ("GRU4Rec", "one pass", 200),
        ("SASRec", "RecBole", 50),
        ("SASRec", "one pass", 50),
        ("SASRec", "RecBole", 200),
        ("SASRec", "one pass", 200),
    )
] + [
    {"data": "zipf-20m", "model": model, "way": way, "window": 200}
    for model in ("LongInterest", "GRU4Rec")
    for way in ("one pass", "prepared")
]
WAYS = ("RecBole", "one pass", "prepared")  # prepared: one pass from a saved data set


def main() -> None:
    """Measure, and write speed.csv, speed.md and speed.png."""
    parser = make_parser(__doc__)
    parser.add_argument("--output", type=Path, default=Path("speed"), help="folder of results and generated logs")
    parser.add_argument("--data", default="ml-100k,zipf-1m,zipf-20m", help="data sets, separated by commas")
    parser.add_argument("--models", default="LongInterest,GRU4Rec,SASRec", help="models, separated by commas")
    parser.add_argument("--ways", default=",".join(WAYS), help="ways of training, separated by commas")
    parser.add_argument("--windows", default="50,200", help="windows, separated by commas")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="training seconds per measurement")
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    if args.child is not None:
        sys.stdout.write(json.dumps(measure(args.child, args.output, args.seconds)) + "\n")
        return
    asked = {"data": args.data, "model": args.models, "way": args.ways, "window": args.windows}
    cases = [case for case in CASES if all(str(case[name]) in asked[name].split(",") for name in asked)]
    if not cases:
        parser.error(f"no case matches {asked}; see CASES in this file.")
    for name in {case["data"] for case in cases} - {"ml-100k"}:
        generate(name, args.output / "data")
    for case in cases:
        if case["way"] == "prepared":  # an extra run that saves the data set
            in_process(__file__, child(json.dumps(case), args.output, 0.0))
    rows: dict[str, list[dict[str, float]]] = {json.dumps(case): [] for case in cases}
    for turn in range(args.repeats):
        for case in rows:
            sys.stderr.write(f"{turn + 1}/{args.repeats} {case}\n")
            rows[case].append(in_process(__file__, child(case, args.output, args.seconds)))
    table = [
        {**json.loads(case), **{field: statistics.median(one[field] for one in results) for field in FIELDS}}
        for case, results in rows.items()
    ]
    write(table, args.output)


def child(case: str, output: Path, seconds: float) -> list[str]:
    """Arguments of one measurement in a fresh process."""
    return ["--child", case, "--output", str(output), "--seconds", str(seconds)]


def measure(case: dict[str, Any], output: Path, seconds: float) -> dict[str, float]:
    """Build the data set, and train and evaluate some batches in this process.

    Args:
        case: data, model, way and window.
        output: folder of the generated logs.
        seconds: how long to train.

    Returns:
        The figures of ``FIELDS``.
    """
    import torch
    from recbole.utils import get_model, get_trainer, init_seed

    settings: dict[str, Any] = {"MAX_ITEM_LIST_LENGTH": case["window"]}
    if case["data"] != "ml-100k":
        settings["data_path"] = str(output / "data")
    if case["model"] != "LongInterest":
        settings |= RECBOLE
        if case["way"] != "RecBole":
            settings |= {"one_pass": True}
    if case["way"] == "prepared":
        settings |= {"checkpoint_dir": str(output / "prepared"), "save_dataset": True}
    config = make_quiet_config(case["model"], case["data"], settings)
    init_seed(config["seed"], config["reproducibility"])

    import recbole.data.utils

    begin = time.perf_counter()
    dataset = recbole.data.utils.create_dataset(config)
    train, valid, _ = recbole.data.utils.data_preparation(config, dataset)
    built = time.perf_counter() - begin
    model = get_model(config["model"])(config, train._dataset)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    if hasattr(model, "prepare"):
        model.prepare()

    timed = Timed(train, seconds)
    trainer._train_epoch(timed, 0)
    rate = timed.rate

    begin = time.perf_counter()
    trainer.item_tensor, trainer.tot_item_num = None, dataset.item_num
    model.eval()
    rows, limit = 0, 4 * seconds
    with torch.no_grad():
        for batch in in_any_order(valid):
            scores = trainer._full_sort_batch_eval(batch)[1]
            trainer.eval_collector.eval_batch_collect(scores, batch[0], *batch[2:])
            rows += len(scores)
            if time.perf_counter() - begin > limit:
                break
    evaluated = (time.perf_counter() - begin) * len(valid._dataset) / rows
    return {
        "targets_a_second": rate,
        "epoch_seconds": len(train._dataset) / rate,
        "evaluation_seconds": evaluated,
        "build_seconds": built,
        "build_seconds_a_million_targets": built / len(dataset) * 1e6,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def in_any_order(loader: Any) -> Iterable[Any]:  # noqa: ANN401
    """Shuffle evaluation batches, because loaders sort them by length and only the first ones are measured."""
    if not hasattr(loader, "order"):
        return loader
    plan = list(loader.sampler)
    return (loader.collate_fn(plan[number]) for number in np.random.default_rng(0).permutation(len(plan)))


class Timed:
    """A loader that ends after some seconds, and counts the targets of the timed batches.

    A batch is counted when the next one is requested. A GPU may still be working on it then, as it was on the batch
    before when timing began, so the time covers whole steps.

    Args:
        loader: RecBole's loader of training batches.
        seconds: how long to continue after the first batches; at least two batches are timed.
        warm: first batches that are not timed.
        batches: maximum number of timed batches.

    Attributes:
        targets: number of targets in the timed batches.
        all_targets: the same plus those of the first batches.
        seconds: time of the timed batches.
        warm_seconds: time of the first batches.
    """

    def __init__(self, loader: Any, seconds: float, warm: int = 1, batches: int | None = None) -> None:  # noqa: ANN401
        self.loader, self.limit, self.warm, self.batches = loader, seconds, warm, batches
        self.targets, self.all_targets, self.seconds, self.warm_seconds = 0, 0, 0.0, 0.0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self.loader, name)

    @property
    def __class__(self) -> type:  # the trainer checks the type of the loader
        return type(self.loader)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Any:  # noqa: ANN401
        begin = time.perf_counter()
        for number, batch in enumerate(self.loader, 1):
            yield batch
            field = getattr(self.loader, "target_list_field", None)
            targets = len(batch) if field is None else int((batch[field] > 0).sum())
            self.all_targets += targets
            if number > self.warm:
                self.targets += targets
                self.seconds = time.perf_counter() - begin
            elif number == self.warm:
                self.warm_seconds = time.perf_counter() - begin
                begin = time.perf_counter()
            timed = number - self.warm
            if (timed > 1 and self.seconds > self.limit) or timed == self.batches:
                return

    @property
    def rate(self) -> float:
        """Timed targets per second.

        Raises:
            ValueError: if the epoch has too few batches to time one.
        """
        if not self.targets:
            raise ValueError(f"an epoch of {len(self.loader)} batches leaves none to time after the first {self.warm}.")
        return self.targets / self.seconds


def generate(name: str, folder: Path) -> None:
    """Write a log with Zipf items: ``zipf-20m`` has 20 million events."""
    rows = int(name.removeprefix("zipf-").removesuffix("m")) * 1_000_000
    path = folder / name / f"{name}.inter"
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, ITEMS + 1)
    share /= share.sum()
    options = pa.csv.WriteOptions(include_header=False, delimiter="\t")  # it would put the header into quotes
    with atomic_file(path) as draft, draft.open("wb") as file:
        file.write(b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n")
        for begin in range(0, rows, 500_000):
            number = min(500_000, rows - begin)
            columns = [
                rng.integers(rows // EVENTS_A_USER, size=number),
                rng.choice(ITEMS, number, p=share),
                rng.integers(1, 11, number) / 2,
                rng.integers(10**9, 15 * 10**8, number),
            ]
            pa.csv.write_csv(pa.table(columns, names=list("uirt")), file, options)


def write(table: list[dict[str, Any]], output: Path) -> None:
    """Write the table as CSV, Markdown and plot."""
    names = ["data", "model", "way", "window", *FIELDS]
    write_csv(output / "speed.csv", table, names)
    baseline = next((row["model"] for row in table if row["model"] != "LongInterest"), "")
    lines = ["| " + " | ".join([*names, f"x {baseline}, RecBole's way"]) + " |", "|" + "---|" * (len(names) + 1)]
    for row in table:
        base = [r for r in table if (r["data"], r["model"], r["way"]) == (row["data"], baseline, "RecBole")]
        same = [r["targets_a_second"] for r in base if r["window"] == row["window"]]
        ratio = f"{row['targets_a_second'] / same[0]:.1f}" if same else ""
        cells = [f"{row[name]:.4g}" if isinstance(row[name], float) else str(row[name]) for name in names]
        lines.append("| " + " | ".join([*cells, ratio]) + " |")
    (output / "speed.md").write_text("\n".join(lines) + "\n")
    sys.stdout.write("\n".join(lines) + "\n")
    plot(table, output / "speed.png")


def plot(table: list[dict[str, Any]], path: Path) -> None:
    """Plot training rates as bars on a logarithmic axis."""
    labels = [f"{row['data']}  {row['model']}, {row['way']}, {row['window']}" for row in table]
    colours = ["#999999" if row["way"] == "RecBole" else "#2a6f97" for row in table]
    figure, axes = make_figure(9, 1 + 0.32 * len(table))
    bars = axes.barh(labels, [row["targets_a_second"] for row in table], color=colours)
    axes.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=8)
    axes.set(xscale="log", xlabel="training targets a second (log scale); grey: RecBole's prefix rows")
    axes.invert_yaxis()
    axes.margins(x=0.15)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
