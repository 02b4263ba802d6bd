"""Do explanations name the important events? The drop of a score when the named events are removed.

    uv run benchmarks/deletion.py --model DIR --history FILE --output DIR

For each of ``--users`` users and their top recommendation, events are ordered by each method, the first 1, 2, 5, 10 and
20 of them are removed, and the score is computed again. Random order is a mean of five. Writes deletion.csv and
deletion.png.
"""

import csv
import sys
from pathlib import Path

import numpy as np
import torch
from common import make_figure, make_parser

from recbole_longinterest.serving.event_files import read_events
from recbole_longinterest.serving.explain.methods import METHODS, score_of, scores_without
from recbole_longinterest.serving.recommender import Recommender

REMOVED = (1, 2, 5, 10, 20)
DRAWS = 5


def main() -> None:
    """Measure, and print a table."""
    parser = make_parser(__doc__)
    parser.add_argument("--model", required=True, help="folder of recbole-li export")
    parser.add_argument("--history", required=True, help="events of the users: .csv, .jsonl or .inter")
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--longest", type=int, default=200, help="number of last events of a user to use")
    parser.add_argument("--output", type=Path, default=Path("deletion"))
    args = parser.parse_args()
    model = Recommender.load(args.model)
    histories = list(model.read_table(read_events(args.history, model.served.fields)).values())
    histories = [h.keep(slice(-args.longest, None)) for h in histories if len(h) > max(REMOVED)]
    chosen = np.random.default_rng(0).permutation(len(histories))[: args.users]
    falls: dict[str, list[torch.Tensor]] = {name: [] for name in (*METHODS, "random")}
    for number, row in enumerate(chosen):
        for name, fall in one_user(model, histories[row], seed=number).items():
            falls[name].append(fall)
    args.output.mkdir(parents=True, exist_ok=True)
    means = {name: torch.stack(values).mean(dim=0).tolist() for name, values in falls.items()}
    with (args.output / "deletion.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "users", *(f"removed_{n}" for n in REMOVED)])
        for name, values in means.items():
            writer.writerow([name, len(chosen), *(f"{value:.6f}" for value in values)])
    plot(means, args.output)
    sys.stdout.write(f"| events removed ({len(chosen)} users) | " + " | ".join(map(str, REMOVED)) + " |\n")
    sys.stdout.write("|---|" + "---|" * len(REMOVED) + "\n")
    for name, values in means.items():
        sys.stdout.write(f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |\n")


def one_user(model: Recommender, history: object, seed: int) -> dict[str, torch.Tensor]:
    """Drop of the top item's score by method, [len(REMOVED)] each."""
    ((item, _),) = model.best(model.interest([history]), 1, [history.item_seq])[0]  # type: ignore[attr-defined,list-item]
    before, length = score_of(model, history, item), len(history)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(seed)
    orders = {name: [torch.argsort(make(model, history, item)[0], descending=True)] for name, make in METHODS.items()}
    orders["random"] = [torch.randperm(length, generator=generator) for _ in range(DRAWS)]
    keep, owner = [], []
    for name, drawn in orders.items():
        for order in drawn:
            for number in REMOVED:
                row = np.ones(length, dtype=bool)
                row[order[:number].numpy()] = False
                keep.append(row)
                owner.append(name)
    scores = scores_without(model, history, item, np.array(keep))
    falls = (before - scores).view(-1, len(REMOVED))
    names = owner[:: len(REMOVED)]
    return {name: falls[[n == name for n in names]].mean(dim=0) for name in orders}


def plot(means: dict[str, list[float]], folder: Path) -> None:
    """Plot the curves."""
    figure, axes = make_figure(6, 4)
    for name, values in means.items():
        axes.plot(REMOVED, values, marker="o", label=name)
    axes.set(xlabel="events removed, most important first", ylabel="fall of the item's score")
    axes.legend()
    figure.tight_layout()
    figure.savefig(folder / "deletion.png", dpi=150)


if __name__ == "__main__":
    main()
