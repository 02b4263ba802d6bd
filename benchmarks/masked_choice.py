"""Loss in seen-masked metrics if the epoch is chosen by native validation instead of seen-masked validation.

    uv run benchmarks/masked_choice.py --models GRU4Rec,SASRec --dataset ml-100k --seeds 3

Trains like `recbole-li compare`, ranks the validation rows of every epoch in both protocols, and keeps two models: the
best by native validation NDCG@10, and the best by seen-masked validation NDCG@10. Early stopping uses the native score.
Prints the mean seen-masked test NDCG@10 of both over the seeds. Finished runs in --output are reused.
"""

import copy
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
import recbole.data.utils
import torch
from common import make_parser
from recbole.utils import get_model, get_trainer, init_seed

from recbole_longinterest.experiments.comparison.cell import Cell
from recbole_longinterest.experiments.comparison.protocol import MASKED, NATIVE, metric_of
from recbole_longinterest.experiments.comparison.recorder import Recorder
from recbole_longinterest.experiments.comparison.variants import settings_of, variant_of
from recbole_longinterest.experiments.quiet import without_warnings

METRIC = "ndcg@10"


def main() -> None:
    """Train, choose twice, print a table."""
    parser = make_parser(__doc__)
    parser.add_argument("--models", default="GRU4Rec,SASRec")
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument(
        "--data_path", default="dataset", help="folder that contains the data set (not needed for ml-100k)"
    )
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 2020 on")
    parser.add_argument("--epochs", type=int, help="maximum number of epochs (default: the model's)")
    parser.add_argument("--output", type=Path, default=Path("masked_choice"))
    args = parser.parse_args()
    given = {"data_path": args.data_path, "num_threads": 1, "state": "ERROR"}
    given |= {"epochs": args.epochs} if args.epochs else {}
    lines = [
        f"| {args.dataset}, test {METRIC}, seen-masked | native choice | seen-masked choice | epochs |",
        "|---|---|---|---|",
    ]
    for name in args.models.split(","):
        found = [chosen_twice(name, args.dataset, given, 2020 + n, args.output) for n in range(args.seeds)]
        means = [statistics.mean(one[kind]["test"] for one in found) for kind in (NATIVE, MASKED)]
        epochs = ", ".join(f"{one[NATIVE]['epoch']} and {one[MASKED]['epoch']}" for one in found)
        lines.append(f"| {name} | {means[0]:.4f} | {means[1]:.4f} ({means[1] / means[0] - 1:+.1%}) | {epochs} |")
        sys.stdout.write("\n".join(lines[-1:] if len(lines) > 3 else lines) + "\n")


def chosen_twice(name: str, dataset: str, given: dict[str, Any], seed: int, output: Path) -> dict[str, dict[str, Any]]:
    """Epoch (from 1), validation score and seen-masked test score of the model that each protocol chooses."""
    variant = variant_of(name)
    settings, source = settings_of(variant, dataset, given)
    cell = Cell(dataset, name, variant.model, seed, settings, variant.change, source, variant.kind, output.resolve())
    kept = cell.folder / "chosen.json"
    if kept.is_file():
        return json.loads(kept.read_text())
    cell.folder.mkdir(parents=True, exist_ok=True)
    with without_warnings():
        config = cell.config()
    config["resume"] = False
    torch.set_num_threads(1)
    init_seed(seed, True)
    parts = recbole.data.utils.data_preparation(config, recbole.data.utils.create_dataset(config))
    train, valid, test = parts
    init_seed(seed, True)
    model = get_model(config["model"])(config, train._dataset).to(config["device"])
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    best: dict[str, dict[str, Any]] = {}
    weights: dict[str, Any] = {}

    def watched(epoch: int, _: float) -> None:
        ranks = ranked(trainer, valid, train)
        for protocol in (NATIVE, MASKED):
            score = figure(ranks[protocol])
            if protocol not in best or score >= best[protocol]["validation"]:  # the last among equals, as in RecBole
                best[protocol] = {"epoch": epoch + 1, "validation": score}
                weights[protocol] = copy.deepcopy(model.state_dict())

    trainer.fit(train, valid, saved=False, show_progress=False, callback_fn=watched)
    for protocol, state in weights.items():
        model.load_state_dict(state)
        best[protocol]["test"] = figure(ranked(trainer, test, train)[MASKED])
    kept.write_text(json.dumps(best, indent=1))
    return best


def ranked(trainer: Any, loader: Any, train: Any) -> Any:  # noqa: ANN401 - RecBole is untyped
    """Ranks of a part's rows, as in compare."""
    recorder = Recorder(loader, train._dataset, 10)
    with recorder.watching(trainer):
        trainer.evaluate(loader, load_best_model=False, show_progress=False)
    return recorder.table()


def figure(ranks: Any) -> float:  # noqa: ANN401 - a pandas column
    """Mean NDCG@10 over rows."""
    return float(np.mean(metric_of("ndcg", ranks.to_numpy(), 10)))


if __name__ == "__main__":
    main()
