"""Settings of a resumed run: the checkpoint's settings, updated with the few that may change."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recbole.config.configurator import Config

from recbole_longinterest.plugin import own_models
from recbole_longinterest.plugin.known_keys import STRICT, UnknownKeyError, about, known_keys
from recbole_longinterest.plugin.runs import places
from recbole_longinterest.plugin.runs.checkpoints import CheckpointError, load_checkpoint
from recbole_longinterest.plugin.runs.files import FREE, last_file, settled
from recbole_longinterest.plugin.runs.plain_values import to_plain

PLACE = ("local_rank", "single_spec", "device", "ip", "port")  # location of a process, set anew for every run
MAY_CHANGE = FREE | {"world_size"}  # the number of processes is checked against the states in the file


def config_of_run(path: str | os.PathLike[str], given: Callable[[Config], dict[str, Any]]) -> Config:
    """Load the config of a run to resume, updated with new values of settings that may change.

    The file's settings are used without evaluating text in them. Paths, logs, trackers and hosts come from the new
    settings, see `plugin.runs.places`.

    Args:
        path: the best or the last checkpoint of the run.
        given: returns the new settings; it receives the run's config, whose methods parse them.

    Raises:
        CheckpointError: see :func:`last_file` and ``load_checkpoint``; also if a setting differs that must not change.
        UnknownKeyError: for an unknown setting, unless ``strict_keys`` is False.
    """
    path = last_file(path)
    config = load_checkpoint(path)["config"]
    own_models.check_known(config, path)
    settings = {name: value for name, value in given(config).items() if value is not None}
    known = known_keys(config) | config.final_config_dict.keys()
    other = []
    for name, value in settings.items():
        if name not in known and settings.get(STRICT, True):
            message = about(name, str(config["model"]), known)
            raise UnknownKeyError(f"{message} Remove it, or set {STRICT}: False to continue.")
        old = config.final_config_dict.get(name), config.external_config_dict.get(name)
        if name not in MAY_CHANGE and value not in [settled(name, each) for each in old]:
            other.append(f"{name} is {value!r} and was {old[1] if name in config.external_config_dict else old[0]!r}")
    if other:
        raise _other_settings(path, other)
    for name in PLACE:
        config.final_config_dict.pop(name, None)
    for table in (config.final_config_dict, config.external_config_dict):
        table.update(settings)
    config.final_config_dict["resume"] = str(path)
    places.use_places(config, settings)
    places.show_what_is_not_done(config, settings)
    config._init_device()
    return config


def check_same_settings(path: Path, old: Config, new: Config) -> None:
    """Check that all settings that affect the training are the same.

    Raises:
        CheckpointError: names up to three settings that differ.
    """
    before, now = (
        {name: to_plain(value, name) for name, value in config.final_config_dict.items()} for config in (old, new)
    )
    other = [
        f"{name} is {now.get(name)!r} and was {before.get(name)!r}"
        for name in sorted(before.keys() | now.keys())
        if name not in MAY_CHANGE and settled(name, before.get(name)) != settled(name, now.get(name))
    ]
    if other:
        raise _other_settings(path, other)


def _other_settings(path: Path, other: list[str]) -> CheckpointError:
    listed = "; ".join(other[:3]) + (f"; and {len(other) - 3} more" if len(other) > 3 else "")
    return CheckpointError(
        f"{path} cannot resume with other settings: {listed}. Leave them out, or start a new run without resume."
    )
