"""Second part of `gpu.py`: measure training rates on a device, the share of time in which it is busy, and its memory.

A log is read once for each data set and kind of model. All windows, precisions and batch sizes use the same training
part.
"""

import contextlib
import copy
import gc
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from common import make_quiet_config
from speed import RECBOLE, Timed, generate

from recbole_longinterest.plugin.lookups import is_kin

WARM, WARM_COMPILED = 2, 12  # first batches, not timed: cuDNN chooses kernels, and torch.compile generates them
PROFILED = 20  # number of profiled batches
RECBOLE_WAY, ONE_CHUNK = "RecBole", "one pass, one chunk"
LARGE = 2**30  # maximum number of logits at once with ONE_CHUNK: 4 GiB
PRECISIONS = ("default", "fp32", "tf32", "bf16", "fp16")


class Row(NamedTuple):
    """One measurement.

    Attributes:
        data: name of the data set.
        window: ``MAX_ITEM_LIST_LENGTH``; 0 for the longest history.
        model: name of the model.
        way: "one pass", or "RecBole" for prefix rows. "one pass, one chunk" computes the loss in one piece, not in
            chunks of 8 MB that fit into a CPU's cache; no setting of the model does this.
        precision: one of ``PRECISIONS``, see :func:`in_precision`.
        compiled: whether fusion and attention run through ``torch.compile``.
        batch: ``train_batch_size``, targets.
    """

    data: str
    window: int
    model: str
    way: str = "one pass"
    precision: str = "default"
    compiled: bool = False
    batch: int = 2048


class Logs:
    """Reads the training parts of the data sets and makes loaders and models for them, each once.

    Args:
        folder: folder for the generated logs.
        data_path: parent of the folders of other data sets; None if only RecBole's ml-100k is used.
        device: device for training.
    """

    def __init__(self, folder: Path, data_path: str | None, device: torch.device) -> None:
        self.folder, self.data_path, self.device = folder, data_path, device
        self._parts: dict[tuple[Any, ...], Any] = {}
        self._loaders: dict[tuple[Any, ...], Any] = {}
        self._models: dict[str, torch.nn.Module] = {}

    def settings(self, row: Row) -> dict[str, Any]:
        """Settings of a row, without the memory of transitions, which is not part of the training."""
        own = is_ours(row.model)
        settings: dict[str, Any] = (
            {"train_batch_size": row.batch} if own else {**RECBOLE, "train_batch_size": row.batch}
        )
        settings |= {"memory": False} if own else {}
        if not own:
            settings |= {"lean_sequences": is_large(row.data)} if row.way == RECBOLE_WAY else {"one_pass": True}
        if row.data.startswith("zipf-"):
            settings["data_path"] = str(self.folder)
        elif self.data_path and row.data != "ml-100k":
            settings["data_path"] = self.data_path
        return settings

    def config(self, row: Row, window: int) -> Any:  # noqa: ANN401 - RecBole's
        """RecBole's config of a row on the device."""
        settings = {**self.settings(row), "MAX_ITEM_LIST_LENGTH": window}
        config = make_quiet_config(row.model, row.data, settings)
        config["device"] = self.device
        return config

    def longest(self, row: Row) -> int:
        """Number of events in the longest history of a data set."""
        part = self._part(row._replace(model="LongInterest", way="one pass"), 50)
        return int(part.inter_feat.whole_length().max())

    def _part(self, row: Row, window: int) -> Any:  # noqa: ANN401 - RecBole's data set
        """The training part. One part serves all windows, except for RecBole's data set, which copies prefixes."""
        copied = row.way == RECBOLE_WAY and not is_large(row.data)
        key = (row.data, is_ours(row.model), copied and window)
        if key not in self._parts:
            import recbole.data.utils

            if row.data.startswith("zipf-"):
                generate(row.data, self.folder)
            self._parts[key] = recbole.data.utils.create_dataset(self.config(row, window)).build()[0]
        return self._parts[key]

    def loader(self, row: Row) -> tuple[Any, Any, float]:
        """Return the config of a row, the loader of its training batches, and the seconds to plan an epoch."""
        window = row.window or self.longest(row)
        key = (row.data, window, row.model, row.way == RECBOLE_WAY, row.batch)
        if key not in self._loaders:
            from recbole.data.utils import get_dataloader

            config, part = self.config(row, window), self._part(row, window)
            if hasattr(part, "history_limit"):
                part = with_window(part, window)
            loader = get_dataloader(config, "train")(config, part, None, shuffle=True)
            begin = time.perf_counter()
            len(loader)  # plans the first epoch
            self._loaders[key] = config, loader, time.perf_counter() - begin
        return self._loaders[key]

    def trainer(self, row: Row) -> tuple[Any, Any, float]:
        """Return RecBole's trainer with a new model on the device, and loader and seconds of :meth:`loader`."""
        from recbole.utils import get_model, get_trainer, init_seed

        config, loader, planning = self.loader(row)
        init_seed(config["seed"], config["reproducibility"])
        if not is_ours(row.model):
            model = get_model(row.model)(config, loader._dataset)
        else:
            if row.data not in self._models:  # one model for all windows
                self._models[row.data] = get_model(row.model)(config, loader._dataset)
                self._models[row.data].prepare()
            model = copy.deepcopy(self._models[row.data])
            model.device = self.device
        model = model.to(self.device)
        return get_trainer(config["MODEL_TYPE"], row.model)(config, model), loader, planning


def is_ours(model: str) -> bool:
    """Whether a model reads LongInterest's data set."""
    from recbole.utils import get_model

    return bool(is_kin(get_model(model)))


def is_large(data: str) -> bool:
    """Whether a data set has so many events that prefixes are not copied."""
    return data.startswith("zipf-")


def with_window(part: Any, window: int) -> Any:  # noqa: ANN401 - RecBole's data set
    """Copy a training part over the flat log with another window; the copy shares the log."""
    part = copy.copy(part)
    part.history_limit = part.max_item_list_len = window
    part.inter_feat = part.inter_feat[:]
    part.inter_feat.limit, part.inter_feat.histories = window, part._history
    return part


@contextlib.contextmanager
def in_precision(name: str, device: torch.device) -> Iterator[bool]:
    """Set torch's precision; yields whether autocast is on.

    - ``default``: as in a normal run: matrix products in float32, cuDNN (the LSTM) in TF32 if the GPU supports it.
    - ``fp32``, ``tf32``: everything in float32 or in TF32. No setting does this; a program needs two lines of torch.
    - ``fp16``: autocast to float16 with a gradient scaler, as with ``enable_amp`` and ``enable_scaler``.
    - ``bf16``: autocast to bfloat16, as with ``enable_amp`` on a CPU; on a GPU, no setting does this.
    """
    kept = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32, torch.get_autocast_dtype(device.type)
    if name in ("fp32", "tf32"):
        torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = name == "tf32"
    if name in ("fp16", "bf16"):
        torch.set_autocast_dtype(device.type, torch.float16 if name == "fp16" else torch.bfloat16)
    try:
        yield name in ("fp16", "bf16")
    finally:
        torch.set_float32_matmul_precision(kept[0])
        torch.backends.cudnn.allow_tf32 = kept[1]
        torch.set_autocast_dtype(device.type, kept[2])


@contextlib.contextmanager
def in_one_chunk(on: bool) -> Iterator[None]:
    """Compute the cross entropy over up to `LARGE` logits at once."""
    from recbole_longinterest.nn.losses import cross_entropy

    before = cross_entropy.CHUNK
    cross_entropy.CHUNK = LARGE if on else before
    try:
        yield
    finally:
        cross_entropy.CHUNK = before


def measure(row: Row, logs: Logs, seconds: float) -> dict[str, Any]:
    """Measure a row by training some batches.

    Args:
        row: the row to measure.
        logs: the data sets.
        seconds: how long to train after the first batches.

    Returns:
        Rate, busy share and memory; empty texts for values that the device does not provide.
    """
    device, gpu = logs.device, logs.device.type == "cuda"
    clean(device)
    trainer, loader, planning = logs.trainer(row)
    if row.compiled:
        trainer.model.fusion.compile(dynamic=True)
        trainer.model.interest_encoder.attention.compile(dynamic=True)
    with in_precision(row.precision, device) as half, in_one_chunk(row.way == ONE_CHUNK):
        trainer.enable_amp, trainer.enable_scaler = half, gpu and row.precision == "fp16"
        first = timed = Timed(loader, seconds, WARM_COMPILED if row.compiled else WARM)
        trainer._train_epoch(timed, 0)
        targets, spent, epoch = timed.targets, timed.seconds, 0
        while spent < seconds:  # a small log has many epochs per second
            epoch += 1
            timed = Timed(loader, seconds - spent, warm=0)
            trainer._train_epoch(timed, epoch)
            targets, spent = targets + timed.targets, spent + timed.seconds
        rate = targets / spent
        peak = torch.cuda.max_memory_allocated() / 2**20 if gpu else ""
        busy, note = "", ""
        if gpu:
            try:
                busy = busy_seconds_a_target(trainer, loader) * rate
            except Exception as error:  # only the profiler failed; the rate is still valid
                note = f"busy share: {sentence(error)}"
    return {
        "targets_a_second": rate,
        "epoch_seconds": len(loader._dataset) / rate + planning,
        "planning_seconds": planning,
        "first_batches_seconds": first.warm_seconds,
        "busy_share": busy,
        "peak_device_mb": peak,
        "note": note,
    }


def busy_seconds_a_target(trainer: Any, loader: Any) -> float:  # noqa: ANN401 - RecBole's
    """Measure the seconds per target in which the GPU runs a kernel or a copy, over a few profiled batches.

    The profiler slows the host but not the kernels. So the busy share is this value times the rate without profiler.

    Raises:
        ValueError: if the profiler records no kernel.
    """
    timed = Timed(loader, float("inf"), batches=PROFILED)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        trainer._train_epoch(timed, 0)
        torch.cuda.synchronize()
    kernels = [
        (event.time_range.start, event.time_range.end)
        for event in profile.events() or ()
        if event.device_type == torch.autograd.DeviceType.CUDA and not event.is_user_annotation
    ]
    if not kernels:
        raise ValueError("the profiler recorded no kernel")
    return covered(kernels) / 1e6 / timed.all_targets


def covered(spans: list[tuple[float, float]]) -> float:
    """Length of the union of spans (start, end)."""
    total, until = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def clean(device: torch.device) -> None:
    """Free the memory of the previous row, and reset the peak."""
    torch.compiler.reset()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def sentence(error: BaseException) -> str:
    """Render an error as one sentence."""
    first = " ".join(str(error).split())[:200].rstrip(". ")
    return f"{type(error).__name__}: {first}." if first else f"{type(error).__name__}."
