"""Run the cells of a comparison as tasks of a Ray cluster, whose nodes see one output folder."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import ray
from ray.exceptions import RayError

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.experiments.comparison import cells, data
from recbole_longinterest.experiments.comparison.cell import Cell

AGAIN = 3  # times that a cell is begun again after its worker or node has died; it goes on after its last whole epoch


@dataclass(frozen=True)
class OnRay:
    """How cells are spread over a cluster.

    Attributes:
        address: of a running Ray, as ``auto`` or ``host:port``; None starts one of this machine.
        cpus: CPU cores of a cell, or a part of one.
        gpus: GPUs of a cell.
    """

    address: str | None = None
    cpus: float = 1
    gpus: float = 0

    def room(self) -> int:
        """Cells that fit into the cluster at once.

        Raises:
            LongInterestError: if not one does.
        """
        there = ray.cluster_resources()
        fits = [there.get(kind, 0) / each for kind, each in (("CPU", self.cpus), ("GPU", self.gpus)) if each]
        if not fits or min(fits) < 1:
            raise LongInterestError(
                f"A run of {self.cpus} CPU and {self.gpus} GPU does not fit into this Ray of {there.get('CPU', 0):g} "
                f"CPU and {there.get('GPU', 0):g} GPU. Give other --cpus-per-worker or --gpus-per-worker."
            )
        return int(min(fits))


class Cluster:
    """A task of Ray for each cell, in a worker process of its own.

    Args:
        resources: what a cell gets.
    """

    def __init__(self, resources: OnRay) -> None:
        # A worker ends with its cell, whose log has taken its output over.
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
            return f"Its worker of Ray failed: {type(error).__name__}: {(lines or [''])[-1][:200]}"
        return "Its worker of Ray ended without a result"

    def stop(self) -> None:
        ray.cancel(self.task, force=True)


def _work(cell: Cell, expected: data.Fingerprint, threads: int, places: Sequence[str]) -> None:
    """Run a cell in a worker of Ray, which finds the modules that the driver finds."""
    sys.path += [place for place in places if place not in sys.path]
    cells.work(cell, expected, threads)
