"""Run several worker processes behind one socket: start, watch and restart them, and stop them together.

They share only the socket and the store. Each reads from the store what the others have committed.
"""

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from logging import ERROR, INFO
from multiprocessing.connection import Connection, wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from prometheus_client.multiprocess import mark_process_dead

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.service.logs import log, set_up_logs
from recbole_longinterest.service.metrics import WORKERS
from recbole_longinterest.service.options import ServiceOptions
from recbole_longinterest.service.run import Address, check_address, listening, run_server, say_listening
from recbole_longinterest.service.service import Service
from recbole_longinterest.service.store.database import locked_file
from recbole_longinterest.service.store.store import open_store
from recbole_longinterest.service.versions import Versions
from recbole_longinterest.serving.recommender import Recommender

READY = 600.0  # time limit in seconds for a worker to start
END = 15.0  # time limit in seconds for a worker to stop, in addition to the request timeout
SHORT = 10.0  # a worker that ran for less than this many seconds counts as failed early
MOST_SHORT = 5  # early failures in a row after which the service stops


@dataclass(frozen=True)
class ModelPlace:
    """Location of the model.

    Attributes:
        folder: folder of a single model; None with versions.
        versions: the folder of versions; None for a single model.
        engine: engine of the single model, see :meth:`Recommender.load`.
        trusted_key: see :meth:`Recommender.load`.
    """

    folder: Path | None = None
    versions: Versions | None = None
    engine: str = "torch"
    trusted_key: str | None = None

    def get(self) -> Recommender | Versions:
        """Load the model, with weights shared between processes of this machine; or return the versions."""
        if self.versions is not None:
            return self.versions
        assert self.folder is not None
        return Recommender.load(self.folder, self.engine, trusted_key=self.trusted_key, mapped=True)


@dataclass(frozen=True)
class WorkerSetup:
    """Setup of a worker.

    Attributes:
        place: location of the model.
        store: URL of the store.
        address: address of the service.
        options: options of each worker.
        level: log level.
        threads: number of torch threads.
    """

    place: ModelPlace
    store: str
    address: Address
    options: ServiceOptions
    level: str = "info"
    threads: int = 1


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    began: float = field(default_factory=time.monotonic)


def serve_workers(setup: WorkerSetup, number: int) -> None:
    """Serve with several processes until Ctrl-C or SIGTERM; see :func:`~recbole_longinterest.service.run.serve`.

    Args:
        setup: setup of the workers.
        number: number of workers.

    Raises:
        LongInterestError: as for ``serve``, and if workers fail repeatedly.
    """
    check_address(setup.address, setup.options)
    with locked_file(setup.store), listening(setup.address) as listener, _metrics_folder():
        with open_store(setup.store, shared=True):
            pass  # migrate the tables once
        crew = _Crew(setup, listener, number)
        try:
            crew.run()
        finally:
            crew.end()
    log("stopped")


class _Crew:
    """The workers of a service."""

    def __init__(self, setup: WorkerSetup, listener: socket.socket, number: int) -> None:
        self._setup, self._listener, self._number = setup, listener, number
        self._context = multiprocessing.get_context("spawn")  # a fork would copy locks that other threads hold
        self._workers: list[_Worker] = []
        self._stop, self._short = False, 0

    def run(self) -> None:
        """Start the workers, and replace those that end."""
        before = {number: signal.signal(number, self._stopped) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._workers = [self._start(said=place == self._number - 1) for place in range(self._number)]
            for worker in self._workers:
                self._wait_for(worker)
            while not self._stop:
                wait([worker.process.sentinel for worker in self._workers], timeout=0.5)
                for worker in [worker for worker in self._workers if not worker.process.is_alive()]:
                    if not self._stop:
                        self._replace(worker)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def end(self) -> None:
        """Stop the workers gracefully, and wait for them."""
        for worker in self._workers:
            if worker.process.is_alive():
                worker.process.terminate()
        until = time.monotonic() + self._setup.options.timeout + END
        for worker in self._workers:
            worker.process.join(max(0.0, until - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()

    def _stopped(self, *_: object) -> None:
        self._stop = True

    def _start(self, said: bool = False) -> _Worker:
        ours, its = self._context.Pipe(duplex=False)
        arguments = (self._setup, self._listener, its, self._number if said else 0)
        process = self._context.Process(target=work, args=arguments, name="worker")
        process.start()
        its.close()
        return _Worker(process, ours)

    def _wait_for(self, worker: _Worker) -> None:
        """Wait until a worker is ready.

        Raises:
            LongInterestError: if the worker fails; the message says why.
        """
        until = time.monotonic() + READY
        while not worker.pipe.poll(0.2):
            if self._stop:
                return
            if time.monotonic() > until:
                raise LongInterestError(f"A worker was not ready within {READY:g} seconds.")
        try:
            problem = worker.pipe.recv()
        except EOFError:
            problem = f"A worker ended with code {worker.process.exitcode} before it was ready. See the log."
        if problem is not None:
            raise LongInterestError(problem)

    def _replace(self, worker: _Worker) -> None:
        """Start a worker in place of one that has ended."""
        log("worker ended", ERROR, pid=worker.process.pid, code=worker.process.exitcode, reason=_reason(worker))
        mark_process_dead(worker.process.pid)
        worker.pipe.close()
        self._short = self._short + 1 if time.monotonic() - worker.began < SHORT else 0
        if self._short >= MOST_SHORT:
            raise LongInterestError(f"Workers have failed {self._short} times in a row. See the log.")
        time.sleep(0.2 * self._short)
        self._workers[self._workers.index(worker)] = self._start()


def _reason(worker: _Worker) -> str | None:
    """The reason that a replaced worker gave for not becoming ready; None if no reason is known."""
    try:
        reason: str | None = worker.pipe.recv() if worker.pipe.poll() else None
    except EOFError:
        return None
    return reason


def work(setup: WorkerSetup, listener: socket.socket, ready: Connection, said: int) -> None:
    """Run a worker process.

    Args:
        setup: setup of the worker.
        listener: socket shared by all workers.
        ready: receives None when the worker is ready, or the reason why not.
        said: number of workers, for the one worker that logs the address; 0 for the others.
    """
    set_up_logs(setup.level, setup.options.log_users)
    threading.Thread(target=_end_with_parent, args=(setup.options.timeout + END,), daemon=True).start()
    torch.set_num_threads(setup.threads)

    def begun(service: Service) -> None:
        log("worker ready", INFO, pid=os.getpid())
        if said:
            say_listening(listener, setup.address, service, workers=said)
        ready.send(None)

    try:
        with open_store(setup.store, shared=True) as store:
            run_server(setup.place.get(), store, listener, setup.address, setup.options, begun)
    except LongInterestError as error:
        log("worker failed", ERROR, detail=str(error))
        ready.send(str(error))
        sys.exit(2)


def _end_with_parent(seconds: float) -> None:
    """Stop gracefully when the parent process is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(seconds)
        os._exit(1)


@contextmanager
def _metrics_folder() -> Iterator[None]:
    """Provide a folder for the workers' metrics, so that each worker can report those of all."""
    before = os.environ.get(WORKERS)
    with TemporaryDirectory(prefix="recbole-li") as folder:
        os.environ[WORKERS] = folder
        try:
            yield
        finally:
            os.environ.pop(WORKERS)
            if before is not None:
                os.environ[WORKERS] = before
