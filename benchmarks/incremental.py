"""Updates against full retraining on a global time split: quality for new and old users, forgetting, time.

    uv run benchmarks/incremental.py --dataset amazon-beauty-5core-norating --data_path DIR --output incremental

The first 80 % of the events in time order are the first part, and the rest are five slices (--first and --until change
this, to choose settings of updates only on events before the 80 %). A model is trained on the first part. It is updated
after each of the first four slices, and every event of the next slice is predicted from its user's earlier events, with
all items ranked. Users without events in the first part are new. The methods are:

    none            the first model, unchanged
    new items       the first model, with the texts of new items (Recommender.add_items)
    counts          new items, with a memory that counts new events (Recommender.observe), without gradients
    update          recbole-li update, defaults
    update all      with --scope all
    without replay  with --scope all --replay 0: only new events
    retrain         a training from scratch on all events so far

To test other updates instead of these three, give --update NAME [KEY=VALUE ...] for each. Keys are scope, replay,
epochs, learning_rate and other options of `recbole-li update`.

The share is the gain over none, divided by retraining's gain over none, with bootstrap intervals over users. It is not
computed if retraining gains less than 2 %. Finished results are files in --output, so a killed run can continue.
"""

import argparse
import csv
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from common import add_data_arguments, cell, data_folder, make_parser, ndcg, say, serve
from replayed import Log, histories, ranks, train_on

from recbole_longinterest.experiments.comparison.statistics import bootstrap_means, interval
from recbole_longinterest.nn.transitions import LAGS
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.training.update.update import update_checkpoint

SLICES = 5
UPDATES = {"update": {}, "update all": {"scope": "all"}, "without replay": {"scope": "all", "replay": 0.0}}
UNTRAINED = ("none", "new items", "counts")  # ways without gradients
LEAST_GAIN = 0.02


def main() -> None:
    """Measure, and print and write the tables."""
    parser = make_parser(__doc__)
    add_data_arguments(parser, "amazon-beauty-5core-norating", "incremental")
    parser.add_argument("--first", type=float, default=0.8, help="share of the events in the first training")
    parser.add_argument("--until", type=float, default=1.0, help="share of the events in the whole log")
    parser.add_argument("--epochs", type=int, default=20, help="epochs of every full training")
    parser.add_argument("--update", nargs="+", action="append", metavar=("NAME", "KEY=VALUE"), help="update to measure")
    parser.add_argument("--steps", type=int, default=SLICES - 1)
    args = parser.parse_args()
    log = Log.read(data_folder(args.data_path), args.dataset)
    output = args.output / args.dataset
    args.updates = {name: settings_of(pairs) for name, *pairs in args.update} if args.update else UPDATES
    ways = [*UNTRAINED, *args.updates, "retrain"]
    if len(set(ways)) < len(ways):
        parser.error(f"every --update needs a different name; got {', '.join(ways)}.")
    results: dict[tuple[str, int], dict[str, Any]] = {}
    for way in ways:
        for step in range(1, args.steps + 1):
            name = f"{way.replace(' ', '-')}-{step}"
            results[way, step] = cell(output / f"{name}.json", lambda w=way, s=step: measure(log, w, s, output, args))
            result = results[way, step]
            if result.get("asked") != asked(way, args):
                sys.exit(f"{output / name}.json was measured with {result.get('asked')}. Give another --output.")
            say(f"{args.dataset} {name}: NDCG@10 {np.nanmean(scores(output, name)):.4f}, {result['seconds']:.1f} s\n")
    table = report(log, cuts(log, args), ways, output, results)
    (output / "incremental.md").write_text(table, encoding="utf-8")
    say(table)


def observe(model: Recommender, log: Log, rows: np.ndarray) -> int:
    """Count events in a model's memory, user by user; returns the number of counted events."""
    counted = 0
    for mine, is_new in histories(log, rows):
        before = int(np.flatnonzero(is_new)[0])
        mine = mine[max(0, before - LAGS) :]
        counted += model.observe([log.event(row) for row in mine], new=int(is_new.sum()))
    return counted


def settings_of(pairs: list[str]) -> dict[str, Any]:
    """Parse the settings of an update from ``KEY=VALUE`` texts."""
    return {key: yaml.safe_load(value) for key, _, value in (pair.partition("=") for pair in pairs)}


def asked(way: str, args: argparse.Namespace) -> dict[str, Any]:
    """All settings that affect the result of a method."""
    return {"first": args.first, "until": args.until, "training_epochs": args.epochs, **args.updates.get(way, {})}


def cuts(log: Log, args: argparse.Namespace) -> np.ndarray:
    """Ends of the first part and of each slice, as positions in the log."""
    return (np.linspace(args.first, args.until, SLICES + 1) * len(log)).round().astype(int)


def measure(log: Log, way: str, step: int, output: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Apply a method up to a step, and evaluate the next slice."""
    end = cuts(log, args)
    checkpoint, seconds, more = follow(log, way, step, output, args)
    model = serve(checkpoint, checkpoint.with_name(f"{checkpoint.stem}.model"))
    if way in ("new items", "counts"):
        began = time.monotonic()
        known = set(model.served.items.tokens)
        arrived = set(log.items[: end[step]]) - known
        frame = log.item_table()
        frame = frame[frame["item_id"].isin(arrived)]
        frame = frame[frame["title"] != ""]
        more["added"] = len(model.add_items(frame).new) if len(frame) else 0
        if way == "counts":
            more["observed"] = observe(model, log, np.arange(end[0], end[step]))
        seconds = time.monotonic() - began
    rows = np.arange(end[step], end[step + 1])
    np.save(output / f"{way.replace(' ', '-')}-{step}.npy", ranks(model, log, rows))
    done = {"way": way, "step": step, "seconds": seconds, "checkpoint": checkpoint.name, "asked": asked(way, args)}
    return {**done, **more}


def follow(log: Log, way: str, step: int, output: Path, args: argparse.Namespace) -> tuple[Path, float, dict[str, Any]]:
    """The checkpoint of a method after a step, the seconds of its training, and further results."""
    end, work = cuts(log, args), output / "checkpoints"
    if way in UNTRAINED or step == 0:
        checkpoint, seconds = first_model(log, output, args)
        return checkpoint, 0.0 if way in UNTRAINED[1:] else seconds, {}
    if way == "retrain":
        root = log.write_dataset(output / "data" / f"to-{step}", slice(end[step]))
        return (*train_on(root, log.name, work / f"retrain-{step}", {"epochs": args.epochs}), {})
    parent = follow(log, way, step - 1, output, args)[0]
    new = log.write(output / "data" / f"slice-{step}.inter", slice(end[step - 1], end[step]))
    settings = dict(args.updates[way])
    parts = {key: settings.pop(key) for key in ("scope", "replay") if key in settings}
    done = update_checkpoint(
        parent, new, output=work / f"{way.replace(' ', '-')}-{step}.pth", settings=settings, **parts
    )
    return (
        done.checkpoint,
        done.seconds,
        {
            "total_seconds": done.total_seconds,
            "new_targets": done.new_targets,
            "old_targets": done.old_targets,
            "new_items": done.merged.items,
            "new_users": done.merged.users,
        },
    )


def first_model(log: Log, output: Path, args: argparse.Namespace) -> tuple[Path, float]:
    """Train on the first part; returns the checkpoint and the seconds."""
    root = log.write_dataset(output / "data" / "first", slice(cuts(log, args)[0]))
    made: list[Path] = []

    def train() -> dict[str, Any]:
        checkpoint, seconds = train_on(root, log.name, output / "checkpoints" / "first", {"epochs": args.epochs})
        made.append(checkpoint)
        return {"checkpoint": str(checkpoint.relative_to(output)), "seconds": seconds}

    result = cell(output / "first.json", train)
    return output / result["checkpoint"], result["seconds"]


def scores(output: Path, name: str) -> np.ndarray:
    """NDCG@10 of each event of the slice that belongs to a result."""
    return ndcg(np.load(output / f"{name}.npy"))


def report(
    log: Log, end: np.ndarray, ways: list[str], output: Path, results: dict[tuple[str, int], dict[str, Any]]
) -> str:
    """Render the tables as Markdown, and write a line per result to ``incremental.csv``."""
    steps = max(step for _, step in results)
    old_users = set(log.users[: end[0]])
    lines = ["| users | after | rows | " + " | ".join(ways) + " |", "|---" * (3 + len(ways)) + "|"]
    pooled: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    with (output / "incremental.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["users", "step", "rows", "way", "ndcg@10", "training_seconds"])
        for group in ("old", "new", "all"):
            parts, owners = [], []
            for step in (*range(1, steps + 1), 0):
                if step:
                    rows = np.arange(end[step], end[step + 1])
                    values = np.stack([scores(output, f"{way.replace(' ', '-')}-{step}") for way in ways])
                    is_old = np.array([user in old_users for user in log.users[rows]])
                    chosen = ~np.isnan(values[0]) & {"old": is_old, "new": ~is_old, "all": is_old | ~is_old}[group]
                    values, owner = values[:, chosen], log.users[rows][chosen]
                    parts.append(values)
                    owners.append(owner)
                else:
                    values, owner = np.concatenate(parts, axis=1), np.concatenate(owners)
                    pooled[group] = values, owner
                means = values.mean(axis=1) if values.shape[1] else np.full(len(ways), np.nan)
                cells = " | ".join(f"{mean:.4f}" for mean in means)
                lines.append(f"| {group} | {step or 'all steps'} | {values.shape[1]:,} | {cells} |")
                for way, mean in zip(ways, means, strict=True):
                    seconds = results[way, step]["seconds"] if step else ""
                    writer.writerow([group, step or "all", values.shape[1], way, f"{mean:.6f}", seconds])
    lines += [
        "",
        "| way | seconds a step | of retraining's | share of the gain, all users | old users against none |",
    ]
    lines.append("|---|---|---|---|---|")
    for way in ways:
        spent = [results[way, step].get("total_seconds", results[way, step]["seconds"]) for step in range(1, steps + 1)]
        if way in UNTRAINED:
            spent = [0.0] if way == "none" else spent
        share = (
            sum(spent) / sum(results["retrain", step]["seconds"] for step in range(1, steps + 1))
            if "retrain" in ways
            else np.nan
        )
        lines.append(
            f"| {way} | {np.mean(spent):.1f} | {share:.1%} | {gain(ways, way, *pooled['all'])} | "
            f"{change(ways, way, *pooled['old'])} |"
        )
    return "\n".join([*lines, ""])


def gain(ways: list[str], way: str, values: np.ndarray, owner: np.ndarray) -> str:
    """Share of retraining's gain over none, with an interval."""
    if "retrain" not in ways or "none" not in ways or way in ("none", "retrain"):
        return ""
    means = values.mean(axis=1)
    none, full, mine = (means[ways.index(name)] for name in ("none", "retrain", way))
    if full < (1 + LEAST_GAIN) * none:
        return f"not computed: retraining gains {full / none - 1:.1%}"
    drawn = bootstrap_means(values, pd.factorize(owner)[0])
    none_, full_, mine_ = (drawn[:, ways.index(name)] for name in ("none", "retrain", way))
    low, high = interval((mine_ - none_) / (full_ - none_))
    return f"{(mine - none) / (full - none):.0%} ({low:.0%} to {high:.0%})"


def change(ways: list[str], way: str, values: np.ndarray, owner: np.ndarray) -> str:
    """Relative difference to none, with an interval."""
    if "none" not in ways or way == "none":
        return ""
    drawn = bootstrap_means(values, pd.factorize(owner)[0])
    none, mine = ways.index("none"), ways.index(way)
    low, high = interval(drawn[:, mine] / drawn[:, none] - 1)
    means = values.mean(axis=1)
    return f"{means[mine] / means[none] - 1:+.1%} ({low:+.1%} to {high:+.1%})"


if __name__ == "__main__":
    main()
