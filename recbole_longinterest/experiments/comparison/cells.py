"""Run a cell in its own process: train, rank every test target, write plain files.

:mod:`recbole_longinterest.experiments.comparison.cell` describes these files.
"""

import json
import os
import threading
import time
from dataclasses import asdict
from multiprocessing import connection, parent_process

import torch
from recbole.config import Config
from recbole.data.dataset import Dataset
from recbole.utils import init_seed

from recbole_longinterest.common.errors import raised_at
from recbole_longinterest.common.files import atomic_file, write_text
from recbole_longinterest.common.leftovers import remove, sweep_folder
from recbole_longinterest.experiments.comparison import data, slices
from recbole_longinterest.experiments.comparison.cell import FAILED, FINISHED, MISMATCH, RANKS, Cell, rows_file
from recbole_longinterest.experiments.comparison.lists import ListCell
from recbole_longinterest.experiments.comparison.manifest import manifest, peak_memory_mb
from recbole_longinterest.experiments.comparison.protocol import MASKED, NATIVE, PROTOCOLS
from recbole_longinterest.experiments.comparison.split import SplitCheck
from recbole_longinterest.experiments.comparison.tested import AMONG_COLD, errors_of, metrics_of, rank_choices
from recbole_longinterest.experiments.epochs import add_epoch, forget_epochs, read_epochs
from recbole_longinterest.plugin.runs.files import wanted_file
from recbole_longinterest.training import pipeline


def work(cell: Cell, expected: data.Fingerprint | None, threads: int | None = None) -> None:
    """Run a cell and record its outcome, also after an error. This is the main function of a cell's process.

    Args:
        cell: the cell to run.
        expected: fingerprint of the earlier models' data; None for the first model.
        threads: number of torch threads; None for torch's default. ``num_threads`` of the cell overrides it.
    """
    if threads is not None:
        torch.set_num_threads(threads)
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
    """Format an error as one line; if it is not a ValueError, with its class and where it was raised."""
    text = " ".join(str(error).split())[:500]
    if isinstance(error, ValueError):
        return text
    return f"{type(error).__name__}: {text} (in {raised_at(error)})"


def run_cell(cell: Cell, expected: data.Fingerprint | None = None) -> None:
    """Train a cell, or resume its training, and rank its test targets.

    Raises:
        DataMismatch: if its data differs from the other models'.
        ValueError: if settings or data are unsuitable, or scores are not finite.
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
        source.matrix()  # encode now, so that it does not count as training time
    if wanted_file(config) is None:  # epochs.jsonl is from a training with other defaults
        forget_epochs(cell.folder)
    earlier = read_epochs(cell.folder)
    begun = time.monotonic() - (earlier[-1]["seconds"] if earlier else 0.0)

    def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
        add_epoch(cell.folder, {**metrics, "epoch": epoch + 1, "seconds": time.monotonic() - begun})

    trained = pipeline.train(config, dataset=dataset, on_epoch=on_epoch)
    epochs = read_epochs(cell.folder)
    seconds = epochs[-1]["seconds"] if epochs else time.monotonic() - begun

    train, _, test = split.parts
    tested = rank_choices(trained, train, config)
    ranks = tested.ranks()
    with atomic_file(cell.folder / RANKS) as draft:
        ranks.to_parquet(draft, index=False)
    print_of = data.fingerprint(dataset, split.parts)
    _describe_once(cell, print_of, train, test)
    cell.end(
        FINISHED,
        metrics={protocol: tested.metrics(protocol, protocol) for protocol in PROTOCOLS},
        errors={protocol: tested.errors(protocol) for protocol in PROTOCOLS},
        validation={"metric": config["valid_metric"], "score": trained.best_valid_score},
        choices=tested.chosen,
        further={
            name: {protocol: tested.metrics(name, protocol) for protocol in PROTOCOLS}
            for name in tested.chosen
            if name not in PROTOCOLS
        },
        train_seconds=seconds,
        epochs=len(epochs),
        peak_memory_mb=peak_memory_mb(),
        gpu_memory_mb=torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None,
        parameters=sum(weights.numel() for weights in trained.trainer.model.parameters() if weights.requires_grad),
        threads=torch.get_num_threads(),
        tie_share=float(ranks["tied"].mean()),
        candidates=tested.candidates,
        request_time=pipeline.reads_request_time(trained.trainer),
        data=asdict(print_of),
        manifest=manifest(config),
    )
    tidy(cell)


def _rank_lists(cell: ListCell, config: Config, dataset: Dataset, split: SplitCheck) -> None:
    """Evaluate lists of another system, like the lists of a model that was trained here."""
    dataset.build()
    train, _, test = split.parts
    found = cell.rank(config, split.parts)
    ranks = found.table()
    ranks = ranks.assign(**{AMONG_COLD[MASKED]: ranks[AMONG_COLD[NATIVE]]})
    with atomic_file(cell.folder / RANKS) as draft:
        ranks.to_parquet(draft, index=False)
    print_of = data.fingerprint(dataset, split.parts)
    _describe_once(cell, print_of, train, test)
    made = manifest(config)
    cell.end(
        FINISHED,
        metrics={protocol: metrics_of(found, protocol, config) for protocol in PROTOCOLS},
        errors={protocol: errors_of(found, protocol, config) for protocol in PROTOCOLS},
        validation={"metric": config["valid_metric"], "score": None},  # no lists for the validation rows
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
    """Remove files that a finished cell does not need, including leftovers of a killed process."""
    sweep_folder(cell.folder)
    for file in cell.folder.glob("*.pth.last"):
        remove(file)
    remove(cell.folder / "log_tensorboard")


def _describe_once(cell: Cell, found: data.Fingerprint, train: Dataset, test: Dataset) -> None:
    """Write the descriptions of the test rows, once for all models."""
    file = rows_file(cell, asdict(found))
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(file) as draft:
            slices.describe_rows(train, test).to_parquet(draft, index=False)


# --- processes --------------------------------------------------------------------------------------------------------


def _end_with_parent() -> None:
    """Stop this process when its parent is killed; checkpoints stay."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
