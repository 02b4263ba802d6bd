"""Shared parts of `recommend --input` and `export-vectors`: process Parquet files one by one, here or with Ray Data."""

import argparse
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from recbole_longinterest.cli.arguments import add_cluster, count, refuse_without_ray
from recbole_longinterest.cli.outcome import ProblemsFound
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.storage import absolute

if TYPE_CHECKING:
    from recbole_longinterest.serving.by_index import ByIndex
    from recbole_longinterest.serving.partitions import Batch, Done
    from recbole_longinterest.serving.recommender import Recommender

AGAIN = "Run the same command again to continue with the remaining files."
OF_RAY = ("workers", "address", "cpus_per_worker", "gpus_per_worker")
GOES_ON = "stopped; run the same command again to continue with the remaining files."


def add_partitions(parser: argparse.ArgumentParser, input_required: bool = False) -> None:
    """Add ``--input`` and the arguments that process its files on Ray."""
    group = parser.add_argument_group("Parquet files or folders of them, on one machine or on a Ray cluster")
    group.add_argument(
        "--input",
        required=input_required,
        metavar="PLACE",
        help="a Parquet file or a folder of them, a path or a URL (s3://...); one row per event, or one row per user "
        "with lists; each file must hold all events of its users",
    )
    group.add_argument(
        "--ray", action="store_true", help="use workers on Ray, on this machine or a cluster (--address)"
    )
    group.add_argument(
        "--workers", type=count, metavar="N", help="workers on Ray (default: as many as its cores allow)"
    )
    add_cluster(group)


def refuse_without_input(args: argparse.Namespace) -> None:
    """Raise an error for options that need ``--input``, if it is missing.

    Raises:
        LongInterestError: names the first such option.
    """
    names = ("ray", *OF_RAY, "index")
    given = [name for name in names if getattr(args, name, None)]
    if given:
        raise LongInterestError(
            f"--{given[0].replace('_', '-')} only works with --input. Replace --history by --input and a folder of "
            "Parquet files."
        )


def run_partitions(args: argparse.Namespace, batch: "Batch") -> str:
    """Process the files that have no result yet.

    Args:
        args: parsed arguments, see :func:`add_partitions`, with ``model`` and ``engine``.
        batch: the task for every file.

    Returns:
        A summary of the work.

    Raises:
        ProblemsFound: names files that could not be processed.
        KeyboardInterrupt: after Ctrl-C; its message says how to continue.
    """
    refuse_without_ray(args, OF_RAY)
    gpus = args.gpus_per_worker or 0
    if gpus not in (0, 1):
        raise LongInterestError(f"--gpus-per-worker must be 0 or 1, because a worker uses one GPU; got {gpus}.")
    if gpus and args.engine != "torch":
        raise LongInterestError(
            f"Workers with a GPU need the engine torch; got --engine {args.engine}. Leave --engine out."
        )
    from recbole_longinterest.serving.partitions import (  # saves start-up time: torch, pandas, pyarrow
        VECTORS,
        left_to_do,
        partitions_of,
        write_item_vectors,
    )
    from recbole_longinterest.serving.recommender import Recommender

    model = Recommender.load(args.model, args.engine)
    names = partitions_of(batch.source)
    left = left_to_do(batch, names, model.fingerprint)
    users, failed = 0, []
    by_index = _by_index(model, batch)  # raises an error here if the model has no index, not in every worker
    try:
        if batch.kind == VECTORS:
            write_item_vectors(model, batch)
        for done in _on_ray(args, batch, left) if args.ray else _here(model, batch, left, by_index):
            users += done.users
            if done.error:
                failed.append(f"{done.name}: {done.error}")
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(GOES_ON) from interrupt
    before = f", {len(names) - len(left)} were already done" if len(left) < len(names) else ""
    said = f"{len(left) - len(failed)} of {len(names)} files written to {batch.target}{before}: {users:,} users\n"
    if failed:
        raise ProblemsFound(said, f"{len(failed)} files failed. {'; '.join(failed[:3])}")
    return said


def _by_index(model: "Recommender", batch: "Batch") -> "ByIndex | None":
    if not batch.index:
        return None
    from recbole_longinterest.serving.by_index import ByIndex  # saves start-up time

    return ByIndex(model)


def _here(model: "Recommender", batch: "Batch", names: Sequence[str], by_index: "ByIndex | None") -> "Iterator[Done]":
    from recbole_longinterest.serving.partitions import do_partition  # saves start-up time

    for name in names:
        yield do_partition(model, batch, name, by_index)


class Worker:
    """A Ray Data worker, which loads the model once and processes one file per call.

    Args:
        folder: folder of the model, at the same path on every machine.
        engine: name of the engine.
        batch: the task for every file.
        device: device of the computations; None for the CPU, by the engine.
    """

    def __init__(self, folder: str, engine: str, batch: "Batch", device: str | None = None) -> None:
        from recbole_longinterest.serving.model_folder import read_folder  # in the worker
        from recbole_longinterest.serving.on_device import DeviceRecommender
        from recbole_longinterest.serving.recommender import Recommender

        if device is None:
            self.model = Recommender.load(folder, engine, mapped=True)
        else:
            self.model = DeviceRecommender(read_folder(folder, mapped=True), device)
        self.batch, self.by_index = batch, _by_index(self.model, batch)

    def __call__(self, given: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Process files; Ray Data passes and expects columns."""
        from recbole_longinterest.serving.partitions import do_partition  # in the worker

        done = [do_partition(self.model, self.batch, str(name), self.by_index) for name in given["name"]]
        return {
            "name": [each.name for each in done],
            "users": [each.users for each in done],
            "error": [each.error for each in done],
        }


def _on_ray(args: argparse.Namespace, batch: "Batch", names: Sequence[str]) -> "Iterator[Done]":
    from recbole_longinterest.common.packages import require_ray

    require_ray("--ray")
    from recbole_longinterest.plugin.ray_session import ray, ray_session  # saves start-up time
    from recbole_longinterest.serving.partitions import Done
    from recbole_longinterest.training.processes import ProcessError

    if not names:
        return
    cpus = 1 if args.cpus_per_worker is None else args.cpus_per_worker
    gpus = args.gpus_per_worker or 0
    with ray_session(args.address):
        import ray.data

        logging.getLogger("ray.data").setLevel(logging.ERROR)  # importing ray.data sets another level
        workers = _fitting(args, ray.cluster_resources(), cpus, gpus, len(names))
        there = replace(batch, source=absolute(batch.source), target=absolute(batch.target))
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        done = ray.data.from_items([{"name": name} for name in names], override_num_blocks=len(names)).map_batches(
            Worker,
            fn_constructor_args=(absolute(str(args.model)), args.engine, there, "cuda" if gpus else None),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=cpus,
            num_gpus=gpus or None,
        )
        try:
            for row in done.iter_rows():
                yield Done(row["name"], int(row["users"]), row["error"])
        except ray.exceptions.RayError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise ProcessError(f"A worker failed: {(lines or [type(error).__name__])[-1][:300]} {AGAIN}") from error


def _fitting(args: argparse.Namespace, there: Mapping[str, float], cpus: float, gpus: int, files: int) -> int:
    """Number of workers: as requested, else as many as fit.

    Raises:
        LongInterestError: if they do not fit on this machine. On a cluster they wait, because it may grow.
    """
    asked = {"CPU": cpus, "GPU": gpus}
    room = min([int(there.get(kind, 0) / each) for kind, each in asked.items() if each], default=files)
    workers = min(args.workers or max(1, room), files)
    if workers > room and args.address is None:
        of = f"{cpus} CPU and {gpus} GPU" if gpus else f"{cpus} CPU"
        raise LongInterestError(
            f"{workers} workers of {of} do not fit on this machine. Give fewer --workers, or less "
            f"--{'gpus' if gpus else 'cpus'}-per-worker."
        )
    return workers
