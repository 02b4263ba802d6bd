"""Run cells in their own processes, one or several at a time."""

import multiprocessing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import connection, resource_tracker
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.signals import children_without_ctrl_c
from recbole_longinterest.experiments.comparison import cells, data
from recbole_longinterest.experiments.comparison.cell import FAILED, MISMATCH, RESULT, Cell, DataKey
from recbole_longinterest.experiments.epochs import read_epochs

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext

PRELOADED = (
    *(cells.__name__, "pyarrow.parquet", "recbole.trainer", "recbole.model.sequential_recommender"),
    "torch._dynamo",  # the first optimizer imports it
)
"""Modules that every cell imports. The fork server imports them once, and the cells' processes are forked from it."""


@dataclass
class Job:
    """A cell and its process."""

    cell: Cell
    process: Any

    @property
    def progress(self) -> str:
        """Current progress, for the progress bar."""
        epochs = read_epochs(self.cell.folder)
        done = f", epoch {epochs[-1]['epoch']}, {epochs[-1]['valid_score']:.4f}" if epochs else ""
        return f"{self.cell.table}, {self.cell.name}, {self.cell.run}{done}"


def run_cells(todo: Sequence[Cell], expected: Mapping[DataKey, data.Fingerprint], bar: tqdm, jobs: int = 1) -> None:
    """Run the cells that are not finished; failed cells resume.

    Args:
        todo: cells, in the order in which they start.
        expected: fingerprint of the data of each table and tie seed.
        bar: progress bar, updated for each cell.
        jobs: number of parallel cells. With more than one, each has one thread.

    Raises:
        LongInterestError: if a model has other data than the others; other running cells are stopped.
    """
    context = _context()
    waiting, running, shown = list(todo), list[Job](), ""
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                cell = waiting.pop(0)
                if cell.finished:
                    cells.tidy(cell)
                    bar.update()
                    continue
                running.append(_start(context, cell, expected[cell.data_key], 1 if jobs > 1 else None))
            if not running:
                continue
            connection.wait([job.process.sentinel for job in running], timeout=0.5)
            text = "; ".join(job.progress for job in running)
            if text != shown:
                shown = text
                bar.set_postfix_str(text)
            for job in [job for job in running if not job.process.is_alive()]:
                running.remove(job)
                job.process.join()
                _look_at_end(job, bar)
                bar.update()
    except BaseException:
        for job in running:
            job.process.terminate()
        for job in running:
            job.process.join()
        raise


def _context() -> "ForkServerContext | SpawnContext":
    """Start method of processes: forks of a preloaded server, if the system supports it."""
    try:
        context = multiprocessing.get_context("forkserver")
    except ValueError:  # Windows
        return multiprocessing.get_context("spawn")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def _start(
    context: "ForkServerContext | SpawnContext", cell: Cell, expected: data.Fingerprint, threads: int | None
) -> Job:
    (cell.folder / RESULT).unlink(missing_ok=True)
    process = context.Process(target=cells.work, args=(cell, expected, threads))
    resource_tracker.ensure_running()  # now, because its start enables Ctrl-C again
    with children_without_ctrl_c():
        process.start()
    return Job(cell, process)


def _look_at_end(job: Job, bar: tqdm) -> None:
    cell, result = job.cell, job.cell.result()
    if result is None:
        cell.end(
            FAILED,
            error=f"The process ended with code {job.process.exitcode} (-9: out of memory); see "
            f"{cell.folder / 'log.txt'}.",
        )
    elif result["status"] == MISMATCH:
        raise LongInterestError(result["error"])
    elif result["status"] == FAILED:
        bar.write(f"{cell.table}, {cell.name}, {cell.run} failed: {result['error']}")
