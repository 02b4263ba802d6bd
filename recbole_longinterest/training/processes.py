"""`recbole-li run --nproc=N`: one run by several processes. If one fails, all end, with a one-line error."""

import socket
import sys
import time
from collections.abc import Mapping, Sequence
from logging import getLogger
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from multiprocessing.queues import SimpleQueue
from typing import Any, TypeAlias

import torch.distributed as dist
import torch.multiprocessing as mp
from recbole.config.configurator import Config

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.signals import children_without_ctrl_c
from recbole_longinterest.plugin.fixes.command_line import command_line
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.settings import make_config

Arguments: TypeAlias = tuple[str | None, str | None, Sequence[str], Mapping[str, object]]  # arguments of make_config
Message: TypeAlias = tuple[str, Any]  # ("result", Run), ("done", rank), ("wrong", text) or ("broken", text)
Queue: TypeAlias = "SimpleQueue[Message]"

AFTER_A_FAILURE = 2.0  # seconds for the other processes to report their errors
TO_END = 10.0  # seconds for a process to end on request


class ProcessError(LongInterestError, RuntimeError):
    """A process of a run failed for a reason other than a setting."""

    exit_code = 1


def several(config: Config) -> bool:
    """Whether a config needs several processes."""
    return int(config["nproc"] or 1) > 1 or int(config["world_size"] or 1) > 1


def run(config: Config, arguments: Arguments, settings: Sequence[str]) -> pipeline.Run:
    """Train and evaluate with ``nproc`` processes on this machine.

    Args:
        config: config of the run for a single process, from
            :func:`~recbole_longinterest.training.settings.make_config`.
        arguments: arguments of ``make_config``: model, dataset, config_files and config_dict.
        settings: options of the command line, each as `--key=value`.

    Returns:
        The results of the first process; all processes have the same results.

    Raises:
        LongInterestError: if a setting is wrong.
        ProcessError: if a process was killed or failed for another reason.
    """
    nproc = int(config["nproc"] or 1)
    world_size = int(config["world_size"] or -1)  # -1 means this machine only, as in RecBole's script
    place = {
        "nproc": nproc,
        "world_size": world_size if world_size > 0 else nproc,
        "ip": config["ip"] or "localhost",
        "port": config["port"] or _free_port(),
        "offset": config["offset"] or config["group_offset"] or 0,
    }
    model, dataset, config_files, config_dict = arguments
    context = mp.get_context("spawn")
    queue = context.SimpleQueue()
    with children_without_ctrl_c():
        workers = mp.spawn(
            _work,
            args=(queue, (model, dataset, list(config_files), {**config_dict, **place}), list(settings)),
            nprocs=nproc,
            join=False,
        ).processes
    said: list[Message] = []
    try:
        while any(worker.is_alive() for worker in workers):
            wait([worker.sentinel for worker in workers if worker.is_alive()], timeout=1.0)
            _drain(queue, said)
            if _failed(workers, said):
                break
        return _outcome(workers, queue, said)
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join(TO_END)
            if worker.is_alive():
                worker.kill()


def _outcome(workers: Sequence[BaseProcess], queue: Queue, said: list[Message]) -> pipeline.Run:
    """The result, or the error of the process that failed first, because its absence makes the others fail."""
    if _failed(workers, said):
        time.sleep(AFTER_A_FAILURE)
    _drain(queue, said)
    failed = _failed(workers, said)
    results = [content for kind, content in said if kind == "result"]
    if not failed and results:
        return results[0]
    signals = {rank: -(workers[rank].exitcode or 0) for rank in failed}
    killed = [rank for rank in failed if signals[rank] > 0]
    told = [content for kind, content in said if kind == "wrong"]
    if told:
        raise LongInterestError(told[0])
    if killed:
        raise ProcessError(
            f"process {killed[0]} of {len(workers)} was killed (signal {signals[killed[0]]}). If memory "
            "ran out, use fewer processes or smaller batches."
        )
    broken = [content for kind, content in said if kind == "broken"]
    raise ProcessError(broken[0] if broken else f"process {failed[0] if failed else 0} ended without an error message.")


def _failed(workers: Sequence[BaseProcess], said: Sequence[Message]) -> list[int]:
    """Ranks that failed before they reported "done"; later, gloo's threads may still abort a process that exits."""
    done = {content for kind, content in said if kind == "done"}
    return [rank for rank, worker in enumerate(workers) if worker.exitcode and rank not in done]


def _drain(queue: Queue, said: list[Message]) -> None:
    while not queue.empty():
        said.append(queue.get())


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def _work(rank: int, queue: Queue, arguments: Arguments, settings: Sequence[str]) -> None:
    """Main function of each process. It reports an error before it exits, so that the first report is the cause."""
    model, dataset, config_files, config_dict = arguments
    # In RecBole the command line overrides config_dict, so options that config_dict sets for the processes are removed.
    settings = [setting for setting in settings if setting[2:].partition("=")[0] not in config_dict]
    try:
        with command_line(settings):
            config = make_config(model, dataset, config_files, {**config_dict, "local_rank": rank})
            result = pipeline.run(config)
        if rank == 0:
            queue.put(("result", result))
        queue.put(("done", rank))
    except KeyboardInterrupt:
        sys.exit(130)
    except (ValueError, NotImplementedError) as error:
        queue.put(("wrong", str(error)))
        sys.exit(2)
    except BaseException as error:
        getLogger().debug("where it happened", exc_info=True)  # shown by --state=DEBUG
        queue.put(("broken", f"process {rank} failed: {type(error).__name__}: {' '.join(str(error).split())}"))
        sys.exit(1)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
