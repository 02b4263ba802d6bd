"""Patches that make RecBole work with current numpy, scipy and torch, and fix its folders and log streams."""

import functools
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from colorama.ansitowin32 import StreamWrapper  # type: ignore[import-untyped]

from recbole_longinterest.common.files import make_folder
from recbole_longinterest.common.notebook import in_notebook
from recbole_longinterest.common.packages import check_recbole
from recbole_longinterest.plugin.fixes.registry import patch

SINE = "recbole.model.sequential_recommender.sine"
ALIASES = {
    "bool": np.bool_,
    "int": np.int_,
    "float": np.float64,
    "complex": np.complex128,
    "object": np.object_,
    "str": np.str_,
    "long": np.int_,
    "unicode": np.str_,
}

check_recbole()  # before anything is patched

numpy_fix = functools.partial(patch, name="numpy_aliases", kind="fix", issue=(2215, 1604))


def set_aliases() -> None:
    """Restore the aliases that RecBole uses and that numpy has removed."""
    for alias, scalar in ALIASES.items():
        setattr(np, alias, scalar)


@numpy_fix("recbole", why="RecBole uses np.float, np.int, np.str and others, which numpy has removed.")
def numpy_aliases(_: ModuleType) -> Callable[[], None]:
    """Set the aliases on import, because a config from a checkpoint does not run its constructor.

    Returns:
        A function that undoes this.
    """
    before = {alias: vars(np)[alias] for alias in ALIASES if alias in vars(np)}
    set_aliases()

    def take_back() -> None:
        for alias in ALIASES:
            delattr(np, alias)
        for alias, scalar in before.items():
            setattr(np, alias, scalar)

    return take_back


@numpy_fix(
    "recbole.config.configurator:Config.compatibility_settings",
    why="RecBole uses `np.float_`, `np.complex_` and `np.unicode_`, which numpy 2 has removed.",
)
def compatibility_settings(self: object) -> None:
    """Set numpy's aliases without the names that numpy 2 lacks."""
    set_aliases()


@patch(
    "scipy.sparse:dok_matrix._update",
    kind="fix",
    issue=2034,
    why="Graph models (LightGCN, NGCF, NCL and others) call this method, which scipy 1.13 has removed.",
    wraps=True,
)
def sparse_update(update: object) -> object:
    """Restore the old ``dok_matrix._update``, if it is missing."""
    return update or (lambda self, entries: self._dict.update(entries))


@patch(
    "recbole.utils.utils:ensure_dir",
    name="shared_folders",
    kind="fix",
    why="If two processes make the same folder at once, one of them fails. Other errors end in a traceback.",
)
def ensure_dir(dir_path: str) -> None:
    """Make a folder; another process may make it at the same time.

    Args:
        dir_path: path of the folder.
    """
    make_folder(dir_path)


@patch(
    "recbole.trainer.trainer:amp",
    kind="fix",
    issue=2154,
    source_of="recbole.trainer.trainer:Trainer._train_epoch",
    why="torch.cuda.amp's GradScaler and autocast give a deprecation warning in every epoch.",
    wraps=True,
)
def gradient_scaler(_: object) -> object:
    """The same two classes from their current module."""
    return SimpleNamespace(
        GradScaler=lambda **options: torch.amp.GradScaler("cuda", **options),
        autocast=lambda **options: torch.amp.autocast("cuda", **options),
    )


_detects_anomalies = torch.is_anomaly_enabled() and SINE not in sys.modules


@patch(
    SINE,
    kind="fix",
    why="Importing SINE turns on torch's anomaly detection, which records a stack trace for each operation and checks "
    "each gradient for NaN. RecBole imports SINE with every sequential model.",
)
def anomaly_detection(_: ModuleType) -> Callable[[], None]:
    """Restore the setting from before SINE's import.

    Returns:
        A function that turns the detection on, as RecBole does.
    """
    torch.autograd.set_detect_anomaly(_detects_anomalies)

    def take_back() -> None:
        torch.autograd.set_detect_anomaly(True)

    return take_back


@patch(
    "recbole.utils.logger:init",
    kind="fix",
    source_of="recbole.utils.logger:init_logger",
    why="Every run in a process wraps the terminal's streams once more, until a RecursionError after about a hundred "
    "runs.",
    wraps=True,
)
def terminal_streams(wrap: Callable[..., None]) -> Callable[..., None]:
    """Wrap the terminal's streams only if they are not wrapped yet, and never in a notebook.

    Notebooks show colours without the wrapper, which would also turn every write into a separate output.
    """

    def wrap_once(**options: Any) -> None:
        if not in_notebook() and not any(isinstance(stream, StreamWrapper) for stream in (sys.stdout, sys.stderr)):
            wrap(**options)

    return wrap_once
