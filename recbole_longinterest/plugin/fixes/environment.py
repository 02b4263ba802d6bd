"""What RecBole 1.2.1 needs on today's stack: one function a fix, each naming what breaks and the upstream issue.

:func:`apply` runs the table :data:`FIXES` once, when the plugin is imported. Only what is broken is mended. Neither ray
nor transformers is imported: ``recbole.quick_start`` imports ray, so what is mended there waits for its import.
"""

import contextlib
import functools
import os
import site
import sys
import sysconfig
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from logging import getLogger
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import recbole.trainer.trainer
import recbole.utils.logger
import scipy.sparse
import torch
from colorama.ansitowin32 import StreamWrapper  # type: ignore[import-untyped]
from recbole.config.configurator import Config
from recbole.data.dataset import Dataset, KnowledgeBasedDataset, SequentialDataset
from recbole.data.interaction import Interaction
from recbole.utils import FeatureType

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.files import make_folder
from recbole_longinterest.plugin.fixes import collector, hyper_tuning, model_names, models, trainers
from recbole_longinterest.plugin.fixes.hooks import QUICK_START, after_import, rebind, with_globals
from recbole_longinterest.plugin.runs import checkpoints, dataset_cache, logs, ranks, resume

SINE = "recbole.model.sequential_recommender.sine"

_applied: set[str] = set()
_arguments: ContextVar[Sequence[str] | None] = ContextVar("command_line", default=None)


class CommandLineError(SyntaxError, LongInterestError):
    """A wrong command line; a SyntaxError because RecBole raises one."""


def apply() -> None:
    """Apply every fix that this process has not got yet."""
    for name, fix in FIXES.items():
        if name not in _applied:
            fix()
            _applied.add(name)


def numpy_aliases() -> None:
    """``Config.compatibility_settings`` reads np.float_, np.complex_ and np.unicode_, gone in numpy 2 (#2215, #1604).

    The aliases it sets (np.float, np.int, np.str, ...) are used all over RecBole, so they are set at once too: a
    config that comes from a checkpoint never ran its constructor.
    """

    def compatibility_settings(self: Config | None = None) -> None:
        for alias, scalar in (
            ("bool", np.bool_),
            ("int", np.int_),
            ("float", np.float64),
            ("complex", np.complex128),
            ("object", np.object_),
            ("str", np.str_),
            ("long", np.int_),
            ("unicode", np.str_),
        ):
            setattr(np, alias, scalar)

    Config.compatibility_settings = compatibility_settings
    compatibility_settings()


def missing_values() -> None:
    """``Dataset._fill_nan`` fills a column of a table in place: pandas 3 does nothing (no upstream issue known).

    NaN stays and becomes a wild id or a NaN score. The same value is filled in, by assignment.
    """

    def _fill_nan(self: Dataset) -> None:
        for feat_name in self.feat_name_list:
            feat = getattr(self, feat_name)
            for field in feat:
                kind = self.field2type[field]
                if kind == FeatureType.TOKEN:
                    feat[field] = feat[field].fillna(0)
                elif kind == FeatureType.FLOAT:
                    feat[field] = feat[field].fillna(feat[field].mean())
                else:
                    empty = np.array([], dtype=np.int64 if kind == FeatureType.TOKEN_SEQ else np.float64)
                    feat[field] = [empty if isinstance(value, float) else value for value in feat[field]]

    Dataset._fill_nan = _fill_nan


def empty_sequences() -> None:
    """``Dataset._load_feat`` does the same to sequence columns, then splits each value (no upstream issue known).

    With pandas 3 an empty value is still NaN there and has no ``split``. RecBole's code is kept; only its ``pd``
    is another one, whose ``read_csv`` hands over sequence columns without missing values.
    """
    original = Dataset._load_feat

    def read_csv(*args: Any, **kwargs: Any) -> pd.DataFrame:  # noqa: ANN401
        table = pd.read_csv(*args, **kwargs)
        for column in table.columns:
            if column.endswith(("_seq",)):
                table[column] = table[column].fillna("")
        return table

    loader = with_globals(original, pd=SimpleNamespace(read_csv=read_csv))

    def _load_feat(self: Dataset, filepath: str, source: Any) -> pd.DataFrame | None:  # noqa: ANN401
        with warnings.catch_warnings():  # pandas warns of RecBole's own fillna, which has nothing left to fill
            for category in (FutureWarning, getattr(pd.errors, "ChainedAssignmentError", FutureWarning)):
                warnings.filterwarnings("ignore", message="[^.]*chained assignment", category=category)
            return loader(self, filepath, source)

    Dataset._load_feat = _load_feat


def sequence_lengths() -> None:
    """``column.agg(len)`` is one number in pandas 3, not a length per value (no upstream issue known).

    Every data set with a loaded sequence column fails. RecBole's code is kept; only its ``len`` is another one.
    """

    def length(values: Any) -> Any:  # noqa: ANN401
        return values.map(len) if isinstance(values, pd.Series) else len(values)

    for owner, method in (
        (Dataset, "_remap"),
        (Dataset, "_normalize"),
        (Dataset, "_discretization"),
        (KnowledgeBasedDataset, "_reset_ent_remapID"),
        (SequentialDataset, "_benchmark_presets"),
    ):
        setattr(owner, method, _without_agg_warning(with_globals(getattr(owner, method), len=length)))


def _without_agg_warning(method: Callable[..., Any]) -> Callable[..., Any]:
    """Pandas 2.3 gives a length per value and warns that it will not."""

    @functools.wraps(method)
    def quiet(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"using .* in Series\.agg", category=FutureWarning)
            return method(*args, **kwargs)

    return quiet


def writable_columns() -> None:
    """``Dataset._dataframe_to_interaction`` makes tensors over a table's memory (no upstream issue known).

    pandas 3 gives it out read-only, so torch warns of undefined behaviour at every run. The columns are copied first.
    """
    original = Dataset._dataframe_to_interaction

    def _dataframe_to_interaction(self: Dataset, data: pd.DataFrame) -> Interaction:
        return original(self, {name: SimpleNamespace(values=np.array(data[name].values)) for name in data})

    Dataset._dataframe_to_interaction = _dataframe_to_interaction


def sparse_update() -> None:
    """Graph models (LightGCN, NGCF, NCL, ...) call ``dok_matrix._update``, gone in scipy 1.13 (#2034)."""
    if not hasattr(scipy.sparse.dok_matrix, "_update"):
        scipy.sparse.dok_matrix._update = lambda self, entries: self._dict.update(entries)


def visible_gpus() -> None:
    """``Config._init_device`` overwrites CUDA_VISIBLE_DEVICES with ``gpu_id``, default "0" (#1955).

    That undoes what Ray, a scheduler or the user assigned. What somebody else than Config set is kept, and ``gpu_id``
    says it, unless the user sets ``gpu_id``.
    """
    original = Config._init_device
    written: list[str | None] = [None]  # what Config itself wrote last

    def _init_device(self: Config) -> None:
        assigned = os.environ.get("CUDA_VISIBLE_DEVICES")
        if assigned is not None and assigned != written[0] and "gpu_id" not in self.external_config_dict:
            self.final_config_dict["gpu_id"] = assigned
        original(self)
        written[0] = os.environ.get("CUDA_VISIBLE_DEVICES")

    Config._init_device = _init_device


def command_line_arguments() -> None:
    """``Config`` takes settings from sys.argv even in somebody else's program (no upstream issue known).

    pytest's, Ray's or a server's flags become settings or warnings; and ``--key=a=b`` is dropped, because it is split
    at every "=". sys.argv is read where it is a user's own script's; :func:`command_line` gives other arguments.
    """

    def _load_cmd_line(self: Config) -> dict[str, Any]:
        arguments = _arguments.get()
        if arguments is None:
            arguments = sys.argv[1:] if _is_user_script(sys.argv[0] if sys.argv else "") else ()
        settings: dict[str, Any] = {}
        unused = []
        for argument in arguments:
            key, equals, value = argument[2:].partition("=")
            if not argument.startswith("--") or not equals:
                unused.append(argument)
            elif settings.get(key, value) != value:
                raise CommandLineError(
                    f"There are duplicate command line arguments for {key} with different values: "
                    f"{settings[key]} and {value}."
                )
            else:
                settings[key] = value
        if unused:
            getLogger().warning(f"command line args [{' '.join(unused)}] will not be used in RecBole")
        return self._convert_config_dict(settings)

    Config._load_cmd_line = _load_cmd_line


@contextlib.contextmanager
def command_line(args: Sequence[str]) -> Iterator[None]:
    """Give every Config made inside these arguments in place of the process's own.

    Args:
        args: settings, ``--key=value`` each.
    """
    token = _arguments.set(tuple(args))
    try:
        yield
    finally:
        _arguments.reset(token)


def _is_user_script(program: str) -> bool:
    path = Path(program)
    if path.suffix != ".py" or path.name == "ipykernel_launcher.py":
        return False
    path = path.resolve()
    if {"site-packages", "dist-packages"} & set(path.parts):
        return False
    installed = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    installed |= {*site.getsitepackages(), site.getusersitepackages()}
    return not any(path.is_relative_to(Path(folder).resolve()) for folder in installed if folder)


def shared_folders() -> None:
    """``ensure_dir`` looks for a folder, then makes it: of two processes one fails (no upstream issue known).

    A folder that cannot be made ended in a traceback; a ValueError says which, in one sentence.
    """
    users = ("", ".utils", ".logger")
    rebind("ensure_dir", make_folder, *(f"recbole.utils{name}" for name in users), "recbole.trainer.trainer")
    rebind("ensure_dir", make_folder, "recbole.data.utils", "recbole.data.dataset.dataset")


def gradient_scaler() -> None:
    """torch.cuda.amp's GradScaler and autocast warn of their removal, every epoch, since torch 2.4 (seen in #2154)."""
    recbole.trainer.trainer.amp = SimpleNamespace(
        GradScaler=lambda **options: torch.amp.GradScaler("cuda", **options),
        autocast=lambda **options: torch.amp.autocast("cuda", **options),
    )


def anomaly_detection() -> None:
    """SINE's file turns torch's anomaly detection on for the whole process (no upstream issue known).

    ``get_model`` imports the files of all sequential models, so every training of any of them records a stack trace for
    each operation and looks for NaN in each gradient. What was set before SINE's import is set again.
    """
    before = torch.is_anomaly_enabled() and SINE not in sys.modules

    def set_again(module: ModuleType) -> None:
        torch.autograd.set_detect_anomaly(before)

    after_import(SINE, set_again)


def terminal_streams() -> None:
    """``init_logger`` wraps the terminal's streams once more for every run of a process (no upstream issue known).

    After a hundred runs or so a line that is printed ends in RecursionError.
    """
    wrap = recbole.utils.logger.init

    def wrap_once(**options: Any) -> None:  # noqa: ANN401
        if not any(isinstance(stream, StreamWrapper) for stream in (sys.stdout, sys.stderr)):
            wrap(**options)

    recbole.utils.logger.init = wrap_once


def ray_objective() -> None:
    """``objective_function`` calls ``tune.report(**metrics)``, gone in Ray 2.7, with the test result (#1741, #1819).

    See :mod:`recbole_longinterest.plugin.fixes.ray_objective`.
    """

    def install(module: ModuleType) -> None:
        from recbole_longinterest.plugin.fixes.ray_objective import objective_function

        module.objective_function = objective_function  # type: ignore[attr-defined]

    for name in QUICK_START:
        after_import(name, install)


FIXES: dict[str, Callable[[], None]] = {
    "numpy_aliases": numpy_aliases,
    "model_names": model_names.model_names,
    "missing_values": missing_values,
    "empty_sequences": empty_sequences,
    "sequence_lengths": sequence_lengths,
    "writable_columns": writable_columns,
    "sparse_update": sparse_update,
    "visible_gpus": visible_gpus,
    "command_line_arguments": command_line_arguments,
    "checkpoint_names": trainers.checkpoint_names,
    "shared_folders": shared_folders,
    "gradient_scaler": gradient_scaler,
    "anomaly_detection": anomaly_detection,
    "terminal_streams": terminal_streams,
    "ray_objective": ray_objective,
    "exhaustive_search": hyper_tuning.exhaustive_search,
    "tuning_packages": hyper_tuning.tuning_packages,
    "plain_configs": checkpoints.plain_configs,
    "safe_checkpoints": trainers.safe_checkpoints,
    "resumable_training": resume.resumable_training,
    "wandb_goes_on": logs.wandb_goes_on,
    "safe_caches": dataset_cache.safe_caches,
    "teacher_names": models.teacher_names,
    "plain_embeddings": models.plain_embeddings,
    "relation_vectors": models.relation_vectors,
    "processes_without_gpu": ranks.processes_without_gpu,
    "plugin_in_processes": ranks.plugin_in_processes,
    "lean_collector": collector.lean_collector,
    "whole_evaluation": ranks.whole_evaluation,
}
"""Name -> fix, in the order in which they are applied."""
