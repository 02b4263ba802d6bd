"""Run the cells of a comparison as tasks on a Ray cluster whose nodes share the output folder."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import ray
from ray.exceptions import RayError

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.experiments.comparison import cells, data
from recbole_longinterest.experiments.comparison.cell import Cell

AGAIN = 3  # retries of a cell after its worker or node has died; it continues after the last saved epoch


@dataclass(frozen=True)
class OnRay:
    """A Ray cluster and the resources of each cell.

    Attributes:
        address: address of a running Ray, as ``auto`` or ``host:port``; None starts one on this machine.
        cpus: CPU cores per cell; may be a fraction.
        gpus: GPUs per cell.
    """

    address: str | None = None
    cpus: float = 1
    gpus: float = 0

    def room(self) -> int:
        """Return how many cells the cluster can run at once.

        Raises:
            LongInterestError: if it cannot run a single cell.
        """
        there = ray.cluster_resources()
        fits = [there.get(kind, 0) / each for kind, each in (("CPU", self.cpus), ("GPU", self.gpus)) if each]
        if not fits or min(fits) < 1:
            raise LongInterestError(
                f"A run needs {self.cpus} CPU and {self.gpus} GPU, but this Ray has {there.get('CPU', 0):g} CPU and "
                f"{there.get('GPU', 0):g} GPU. Change --cpus-per-worker or --gpus-per-worker."
            )
        return int(min(fits))


class Cluster:
    """Start each cell as a Ray task in its own worker process.

    Args:
        resources: the resources of each cell.
    """

    def __init__(self, resources: OnRay) -> None:
        # One worker per cell: the cell redirects the worker's output to its log.
        self._work = ray.remote(
            num_cpus=resources.cpus, num_gpus=resources.gpus, max_calls=1, max_retries=AGAIN, retry_exceptions=False
        )(_work)
        self._threads = max(1, int(resources.cpus))

    def start(self, cell: Cell, expected: data.Fingerprint, threads: int | None) -> "_Task":
        """See :class:`~recbole_longinterest.experiments.comparison.jobs.Machines`."""
        return _Task(cell, self._work.remote(cell, expected, self._threads, list(sys.path)))

    def wait(self, running: "Sequence[_Task]") -> None:
        """See :class:`~recbole_longinterest.experiments.comparison.jobs.Machines`."""
        ray.wait([job.task for job in running], timeout=0.5, fetch_local=False)


class _Task:
    def __init__(self, cell: Cell, task: ray.ObjectRef) -> None:
        self.cell, self.task = cell, task

    def alive(self) -> bool:
        return not ray.wait([self.task], timeout=0, fetch_local=False)[0]

    def said(self) -> str:
        try:
            ray.get(self.task)
        except RayError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            return f"Its Ray worker failed: {type(error).__name__}: {(lines or [''])[-1][:200]}"
        return "Its Ray worker ended without a result"

    def stop(self) -> None:
        ray.cancel(self.task, force=True)


def _work(cell: Cell, expected: data.Fingerprint, threads: int, places: Sequence[str]) -> None:
    """Run a cell in a Ray worker, with the driver's module search path."""
    sys.path += [place for place in places if place not in sys.path]
    cells.work(cell, expected, threads)
