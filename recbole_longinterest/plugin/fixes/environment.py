"""What RecBole needs of numpy, scipy, torch, the terminal and the file system as they are today."""

import functools
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from colorama.ansitowin32 import StreamWrapper  # type: ignore[import-untyped]

from recbole_longinterest.common.files import make_folder
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
    """Give numpy the names that RecBole uses and that numpy no longer has."""
    for alias, scalar in ALIASES.items():
        setattr(np, alias, scalar)


@numpy_fix("recbole", why="RecBole uses np.float, np.int, np.str and others, which numpy no longer has.")
def numpy_aliases(_: ModuleType) -> Callable[[], None]:
    """Set the aliases at once: a config that comes from a checkpoint never runs its constructor.

    Returns:
        A function that takes them back.
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
    why="It reads np.float_, np.complex_ and np.unicode_, which numpy 2 does not have.",
)
def compatibility_settings(self: object) -> None:
    """Set numpy's aliases without the names that numpy 2 does not have."""
    set_aliases()


@patch(
    "scipy.sparse:dok_matrix._update",
    kind="fix",
    issue=2034,
    why="Graph models (LightGCN, NGCF, NCL and others) call it, and scipy 1.13 does not have it.",
    wraps=True,
)
def sparse_update(update: object) -> object:
    """Give ``dok_matrix`` its old method, if it has none."""
    return update or (lambda self, entries: self._dict.update(entries))


@patch(
    "recbole.utils.utils:ensure_dir",
    name="shared_folders",
    kind="fix",
    why="It looks for a folder, then makes it, so that one of two processes fails; other errors are a traceback.",
)
def ensure_dir(dir_path: str) -> None:
    """Make a folder, also while another process makes it.

    Args:
        dir_path: path of the folder.
    """
    make_folder(dir_path)


@patch(
    "recbole.trainer.trainer:amp",
    kind="fix",
    issue=2154,
    source_of="recbole.trainer.trainer:Trainer._train_epoch",
    why="torch.cuda.amp's GradScaler and autocast warn of their removal every epoch.",
    wraps=True,
)
def gradient_scaler(_: object) -> object:
    """The same two classes from where torch keeps them now."""
    return SimpleNamespace(
        GradScaler=lambda **options: torch.amp.GradScaler("cuda", **options),
        autocast=lambda **options: torch.amp.autocast("cuda", **options),
    )


_detects_anomalies = torch.is_anomaly_enabled() and SINE not in sys.modules


@patch(
    SINE,
    kind="fix",
    why="The file turns torch's anomaly detection on, and get_model imports it with every sequential model: each "
    "operation records a stack trace, each gradient is searched for NaN.",
)
def anomaly_detection(_: ModuleType) -> Callable[[], None]:
    """Set what was set before SINE's import.

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
    why="Every run of a process wraps the terminal's streams once more; after a hundred a line ends in RecursionError.",
    wraps=True,
)
def terminal_streams(wrap: Callable[..., None]) -> Callable[..., None]:
    """Wrap the terminal's streams only if they are not wrapped yet."""

    def wrap_once(**options: Any) -> None:
        if not any(isinstance(stream, StreamWrapper) for stream in (sys.stdout, sys.stderr)):
            wrap(**options)

    return wrap_once
