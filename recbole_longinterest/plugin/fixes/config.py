"""Patches of RecBole's Config: GPU selection, parsing of text values, copying and pickling."""

import copy
import functools
import os
from collections.abc import Callable
from logging import getLogger
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch

from recbole_longinterest.common.written_values import check_depth, read_value
from recbole_longinterest.common.yaml import SettingsLoader
from recbole_longinterest.plugin.fixes.command_line import read_command_line
from recbole_longinterest.plugin.fixes.registry import patch
from recbole_longinterest.plugin.runs.stored_pickle import REBUILD

if TYPE_CHECKING:
    from recbole.config.configurator import Config

CONFIG = "recbole.config.configurator:Config"


@patch(
    f"{CONFIG}._init_device",
    kind="fix",
    issue=1955,
    why="RecBole overwrites CUDA_VISIBLE_DEVICES with gpu_id (default 0), even if Ray or a scheduler has set it.",
    wraps=True,
)
def visible_gpus(init_device: Callable[["Config"], None]) -> Callable[["Config"], None]:
    """Keep a CUDA_VISIBLE_DEVICES that Config did not write, and use it as ``gpu_id``, unless the user sets one."""
    written: list[str | None] = [None]  # the last value that Config wrote

    def _init_device(self: "Config") -> None:
        assigned = os.environ.get("CUDA_VISIBLE_DEVICES")
        if assigned is not None and assigned != written[0] and "gpu_id" not in self.external_config_dict:
            self.final_config_dict["gpu_id"] = assigned
        init_device(self)
        written[0] = os.environ.get("CUDA_VISIBLE_DEVICES")

    return _init_device


@patch(
    f"{CONFIG}._load_cmd_line",
    name="command_line_arguments",
    kind="fix",
    why="RecBole reads sys.argv of any program (pytest, Ray, a server), and ignores arguments such as --key=a=b.",
)
def _load_cmd_line(self: "Config") -> dict[str, Any]:
    settings, unused = read_command_line()
    if unused:
        getLogger().warning(f"command line args [{' '.join(unused)}] will not be used in RecBole")
    return self._convert_config_dict(settings)


plain_settings = functools.partial(patch, name="plain_settings", kind="safety")


@plain_settings(
    f"{CONFIG}._convert_config_dict",
    why="RecBole passes all texts from config dicts and the command line to eval, so a setting can run code.",
)
def _convert_config_dict(self: "Config", config_dict: dict[str, Any]) -> dict[str, Any]:
    """Parse texts into values, see `common.written_values`, without changing the given dict."""
    for name, value in config_dict.items():
        check_depth(value, str(name))
    return {name: read_value(value) if isinstance(value, str) else value for name, value in config_dict.items()}


@plain_settings(
    f"{CONFIG}._build_yaml_loader",
    why="RecBole changes yaml's FullLoader for the whole process, and accepts tags that name Python functions and "
    "modules.",
)
def _build_yaml_loader(self: "Config") -> type[SettingsLoader]:
    """A YAML loader for plain data only, with RecBole's number formats."""
    return SettingsLoader


# A pickled config is a call of rebuild_config with plain data. Copies within a process are made attribute by
# attribute, as before.
stored_config = functools.partial(patch, name="plain_configs", kind="safety", issue=(2174, 2212))
COPY = "A copy in memory would use the patched `__reduce__`, which keeps only what a file can store."


@stored_config(
    f"{CONFIG}.__reduce__",
    why="A pickled config contains its yaml loader and its model class, so torch.load raises an error since torch 2.6.",
)
def __reduce__(self: "Config") -> tuple[Any, ...]:
    from recbole_longinterest.plugin.runs import checkpoints  # late: needed only to pickle a config

    return checkpoints.rebuild_config, (checkpoints.plain_config(self),)


@stored_config(f"{CONFIG}.__deepcopy__", why=COPY)
def __deepcopy__(self: "Config", memo: dict[int, Any]) -> "Config":
    twin = object.__new__(type(self))
    memo[id(self)] = twin
    vars(twin).update({name: copy.deepcopy(value, memo) for name, value in vars(self).items()})
    return twin


@stored_config(f"{CONFIG}.__copy__", why=COPY)
def __copy__(self: "Config") -> "Config":
    twin = object.__new__(type(self))
    vars(twin).update(vars(self))
    return twin


class _LazyModelClass:
    """``config.model_class`` of a rebuilt config, looked up at first use."""

    def __get__(self, config: "Config | None", owner: type) -> object:
        if config is None:
            raise AttributeError("model_class")
        from recbole.utils import get_model  # late: this module is loaded before RecBole's

        config.__dict__["model_class"] = get_model(config.model)
        return config.__dict__["model_class"]


@stored_config(
    f"{CONFIG}.model_class", why="A config loaded from a file has no model_class: files store no classes.", wraps=True
)
def model_class(_: object) -> object:
    """A descriptor that looks up the class at first use."""
    return _LazyModelClass()


def rebuild_stored_config(fields: dict[str, Any]) -> "Config":
    """Rebuild a config; imports ``rebuild_config`` only when an unpickled file calls it.

    Args:
        fields: see :func:`recbole_longinterest.plugin.runs.checkpoints.rebuild_config`.

    Returns:
        The config.
    """
    from recbole_longinterest.plugin.runs import checkpoints  # late: see __reduce__

    return checkpoints.rebuild_config(fields)


@stored_config(
    "recbole.config.configurator",
    why="torch's safe loader rejects every checkpoint, because it does not know the function that rebuilds a config.",
)
def allow_rebuild(_: ModuleType) -> Callable[[], None]:
    """Allow torch's safe loader to call ``rebuild_config``, under both of its names.

    Returns:
        A function that undoes this.
    """
    before = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals([(rebuild_stored_config, name) for name in REBUILD])

    def forbid() -> None:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)

    return forbid
