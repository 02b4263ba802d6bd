"""Run a cell in its own process: train, rank every test target, write plain files.

:mod:`recbole_longinterest.experiments.comparison.cell` describes these files.
"""

import json
import math
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from multiprocessing import connection, parent_process

import pandas as pd
import torch
from recbole.config import Config
from recbole.data.dataset import Dataset
from recbole.utils import init_seed

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.files import atomic_file, write_text
from recbole_longinterest.common.leftovers import remove, sweep_folder
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.experiments.comparison import data, slices
from recbole_longinterest.experiments.comparison.cell import FAILED, FINISHED, MISMATCH, RANKS, Cell, rows_file
from recbole_longinterest.experiments.comparison.list_ranks import ListRanks
from recbole_longinterest.experiments.comparison.lists import ListCell
from recbole_longinterest.experiments.comparison.manifest import manifest, peak_memory_mb
from recbole_longinterest.experiments.comparison.protocol import MASKED, METRICS, NATIVE, beyond_accuracy, metric_of
from recbole_longinterest.experiments.comparison.recorder import Recorder
from recbole_longinterest.experiments.comparison.split import SplitCheck
from recbole_longinterest.experiments.epochs import add_epoch, forget_epochs, read_epochs
from recbole_longinterest.plugin.runs.files import wanted_file
from recbole_longinterest.training import pipeline


def work(cell: Cell, expected: data.Fingerprint | None) -> None:
    """Run a cell and record its outcome, also after an error. This is the main function of a cell's process.

    Args:
        cell: the cell to run.
        expected: properties of the earlier models' data, None for the first model.
    """
    cell.folder.mkdir(parents=True, exist_ok=True)
    _end_with_parent()
    with (cell.folder / "log.txt").open("a", encoding="utf-8") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    os.chdir(cell.folder)  # RecBole writes its log below the working directory
    try:
        run_cell(cell, expected)
    except data.DataMismatch as error:
        cell.end(MISMATCH, error=str(error))
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:
        cell.end(FAILED, error=reason(error))
        raise


def reason(error: Exception) -> str:
    """An error as one line, with the name of its class unless it is a ValueError."""
    text = " ".join(str(error).split())
    return (text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}")[:500]


def run_cell(cell: Cell, expected: data.Fingerprint | None = None) -> None:
    """Train a cell, or resume its training, and rank its test targets.

    Raises:
        DataMismatch: if its data differs from the other models'.
        ValueError: for unsuitable settings or data, and for scores that are not finite.
    """
    write_text(cell.folder / "cell.json", json.dumps(asdict(cell), indent=1, default=str) + "\n")
    config = cell.config()
    init_seed(config["seed"], config["reproducibility"])
    split = SplitCheck(cell.dataset, cell.name, cell.model, expected)
    dataset = data.make_dataset(config, cell.change, split)
    if isinstance(cell, ListCell):
        _rank_lists(cell, config, dataset, split)
        return
    source = getattr(dataset, "text_source", None)
    if source is not None:
        source.matrix()  # encoded here, so that it does not count as training time
    if wanted_file(config) is None:  # a training with other defaults
        forget_epochs(cell.folder)
    earlier = read_epochs(cell.folder)
    begun = time.monotonic() - (earlier[-1]["seconds"] if earlier else 0.0)

    def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
        add_epoch(cell.folder, {**metrics, "epoch": epoch + 1, "seconds": time.monotonic() - begun})

    trained = pipeline.train(config, dataset=dataset, on_epoch=on_epoch)
    epochs = read_epochs(cell.folder)
    seconds = epochs[-1]["seconds"] if epochs else time.monotonic() - begun

    train, _, test = split.parts
    init_seed(config["seed"], config["reproducibility"])  # sampled candidates are the same for all models
    recorder = Recorder(trained.test_data, train, max(config["topk"]))
    with recorder.watching(trained.trainer):
        reported = trained.trainer.evaluate(trained.test_data, load_best_model=True, show_progress=False)
    ranks = recorder.table()
    metrics = _metrics(ranks, recorder, config)
    _check_reported(reported, metrics[NATIVE], ranks, config)

    with atomic_file(cell.folder / RANKS) as draft:
        ranks.to_parquet(draft, index=False)
    print_of = data.fingerprint(dataset, split.parts)
    _describe_once(cell, print_of, train, test)
    cell.end(
        FINISHED,
        metrics=metrics,
        validation={"metric": config["valid_metric"], "score": trained.best_valid_score},
        train_seconds=seconds,
        epochs=len(epochs),
        peak_memory_mb=peak_memory_mb(),
        gpu_memory_mb=torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None,
        parameters=sum(weights.numel() for weights in trained.trainer.model.parameters() if weights.requires_grad),
        tie_share=float(ranks["tied"].mean()),
        candidates=recorder.candidates,
        data=asdict(print_of),
        manifest=manifest(config),
    )
    tidy(cell)


def _rank_lists(cell: ListCell, config: Config, dataset: Dataset, split: SplitCheck) -> None:
    """Judge lists that were made elsewhere, like the lists of a model that was trained here."""
    dataset.build()
    train, _, test = split.parts
    found = cell.rank(config, split.parts)
    ranks = found.table()
    with atomic_file(cell.folder / RANKS) as draft:
        ranks.to_parquet(draft, index=False)
    print_of = data.fingerprint(dataset, split.parts)
    _describe_once(cell, print_of, train, test)
    made = manifest(config)
    cell.end(
        FINISHED,
        metrics=_metrics(ranks, found, config),
        validation={"metric": config["valid_metric"], "score": None},  # the file has no lists for the validation rows
        train_seconds=0.0,
        epochs=0,
        peak_memory_mb=peak_memory_mb(),
        gpu_memory_mb=None,
        parameters=0,
        tie_share=float(ranks["tied"].mean()),
        candidates=found.candidates,
        notes=list(found.notes),
        data=asdict(print_of),
        manifest={**made, "files": {**made["files"], f"lists: {cell.file.name}": cell.digest}},
    )
    tidy(cell)


def tidy(cell: Cell) -> None:
    """Remove what a finished cell needs no more; a process that was killed may have left it."""
    sweep_folder(cell.folder)
    for file in cell.folder.glob("*.pth.last"):
        remove(file)
    remove(cell.folder / "log_tensorboard")


def _metrics(ranks: pd.DataFrame, recorder: Recorder | ListRanks, config: Settings) -> dict[str, dict[str, float]]:
    """All metrics by protocol."""
    cold = ~ranks["among_cold"].isna().to_numpy()
    values: dict[str, dict[str, float]] = {}
    for protocol in (NATIVE, MASKED):
        rank = ranks[protocol].to_numpy()
        found = {f"{name}@{k}": float(metric_of(name, rank, k).mean()) for name in METRICS for k in config["topk"]}
        found |= beyond_accuracy(
            recorder.top(protocol), recorder.target_count, config["topk"], config["tail_ratio"] or 0.1
        )
        if cold.any():
            for k in config["topk"]:
                found[f"cold_recall@{k}"] = float((rank[cold] <= k).mean())
                among = ranks["among_cold"].to_numpy()[cold]
                found[f"cold_recall_among_cold@{k}"] = float((among <= k).mean())
        values[protocol] = found
    return values


def _check_reported(
    reported: Mapping[str, float], own: dict[str, float], ranks: pd.DataFrame, config: Settings
) -> None:
    """Check that ranks without ties give the same metrics as RecBole's evaluator."""
    if ranks["tied"].any():
        return
    allowed = 0.5 * 10 ** -config["metric_decimal_place"] + 1e-6
    for name, value in reported.items():
        if name.split("@")[0] in METRICS and not math.isclose(own[name], value, abs_tol=allowed):
            raise LongInterestError(f"{name} from the ranks is {own[name]} and RecBole's evaluator gives {value}.")


def _describe_once(cell: Cell, found: data.Fingerprint, train: Dataset, test: Dataset) -> None:
    """Write the slices of the test rows, once for all models."""
    file = rows_file(cell, asdict(found))
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(file) as draft:
            slices.describe_rows(train, test).to_parquet(draft, index=False)


# --- processes --------------------------------------------------------------------------------------------------------


def _end_with_parent() -> None:
    """Stop a cell when its driver has been killed; the checkpoint stays."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
