"""Run cells in their own processes, one or several at a time, on this machine or on a cluster."""

import multiprocessing
from collections.abc import Mapping, Sequence
from multiprocessing import connection, resource_tracker
from typing import TYPE_CHECKING, Any, Protocol

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.notebook import Bar
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


class Job(Protocol):
    """A cell that runs."""

    cell: Cell

    def alive(self) -> bool:
        """Whether it still runs."""

    def said(self) -> str:
        """How it ended, if it wrote no result."""

    def stop(self) -> None:
        """End it at once; its checkpoint stays."""


class Machines(Protocol):
    """Where cells run."""

    def start(self, cell: Cell, expected: data.Fingerprint, threads: int | None) -> Job:
        """Begin a cell."""

    def wait(self, running: Sequence[Any]) -> None:
        """Wait until a job has ended, or for half a second."""


class ThisMachine:
    """A process for each cell."""

    def __init__(self) -> None:
        self._context = _context()

    def start(self, cell: Cell, expected: data.Fingerprint, threads: int | None) -> "_Process":
        """See :class:`Machines`."""
        process = self._context.Process(target=cells.work, args=(cell, expected, threads))
        resource_tracker.ensure_running()  # now, because its start enables Ctrl-C again
        with children_without_ctrl_c():
            process.start()
        return _Process(cell, process)

    def wait(self, running: Sequence[Any]) -> None:
        """See :class:`Machines`."""
        connection.wait([job.process.sentinel for job in running], timeout=0.5)


class _Process:
    def __init__(self, cell: Cell, process: Any) -> None:  # noqa: ANN401
        self.cell, self.process = cell, process

    def alive(self) -> bool:
        if self.process.is_alive():
            return True
        self.process.join()
        return False

    def said(self) -> str:
        return f"The process ended with code {self.process.exitcode} (-9: out of memory)"

    def stop(self) -> None:
        self.process.terminate()
        self.process.join()


def progress_of(job: Job) -> str:
    """Current progress of a job, for the progress bar."""
    epochs = read_epochs(job.cell.folder)
    done = f", epoch {epochs[-1]['epoch']}, {epochs[-1]['valid_score']:.4f}" if epochs else ""
    return f"{job.cell.table}, {job.cell.name}, {job.cell.run}{done}"


def run_cells(
    todo: Sequence[Cell],
    expected: Mapping[DataKey, data.Fingerprint],
    bar: Bar,
    jobs: int = 1,
    machines: Machines | None = None,
) -> None:
    """Run the cells that are not finished; failed cells resume.

    Args:
        todo: cells, in the order in which they start.
        expected: fingerprint of the data of each table and tie seed.
        bar: progress bar, updated for each cell.
        jobs: number of parallel cells. With more than one, each has one thread.
        machines: where the cells run; this machine if None.

    Raises:
        LongInterestError: if a model has other data than the others; other running cells are stopped.
    """
    machines = ThisMachine() if machines is None else machines
    waiting, running, shown = list(todo), list[Job](), ""
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                cell = waiting.pop(0)
                if cell.finished:
                    cells.tidy(cell)
                    bar.update()
                    continue
                (cell.folder / RESULT).unlink(missing_ok=True)
                running.append(machines.start(cell, expected[cell.data_key], 1 if jobs > 1 else None))
            if not running:
                continue
            machines.wait(running)
            text = "; ".join(map(progress_of, running))
            if text != shown:
                shown = text
                bar.set_postfix_str(text)
            for job in [job for job in running if not job.alive()]:
                running.remove(job)
                _look_at_end(job, bar)
                bar.update()
    except BaseException:
        for job in running:
            job.stop()
        raise


def _context() -> "ForkServerContext | SpawnContext":
    """Start method of processes: forks of a preloaded server, if the system supports it."""
    try:
        context = multiprocessing.get_context("forkserver")
    except ValueError:  # Windows
        return multiprocessing.get_context("spawn")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def _look_at_end(job: Job, bar: Bar) -> None:
    cell, result = job.cell, job.cell.result()
    if result is None:
        cell.end(FAILED, error=f"{job.said()}; see {cell.folder / 'log.txt'}.")
    elif result["status"] == MISMATCH:
        raise LongInterestError(result["error"])
    elif result["status"] == FAILED:
        bar.write(f"{cell.table}, {cell.name}, {cell.run} failed: {result['error']}")
