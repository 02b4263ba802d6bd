"""The checkpoint format: plain data that torch reads with ``weights_only=True``, written atomically.

Only this module reads and writes checkpoints. Every file ends with its SHA-256, and the sizes that it declares are
compared with the file size before torch reads it.

A checkpoint has RecBole's content (config, epoch, state_dict, optimizer, other_parameter). Its Config is stored as a
call of :func:`rebuild_config` with plain data. This is the only function that a file may name, and it never calls eval.
Other values are stored in the form of :mod:`recbole_longinterest.plugin.runs.plain_values`.
"""

import os
import sys
import warnings
from functools import lru_cache
from logging import getLogger
from pathlib import Path
from typing import Any

import torch
from recbole.config.configurator import Config
from recbole.model.abstract_recommender import AbstractRecommender

from recbole_longinterest.common.checksum import ChecksumError, CutShortError, add_checksum, check_checksum
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.files import atomic_file
from recbole_longinterest.nn.finite import check_finite
from recbole_longinterest.nn.state_keys import ID, TRAINED, item_key, item_sources_in
from recbole_longinterest.plugin.runs import places
from recbole_longinterest.plugin.runs.old_checkpoints import upgrade
from recbole_longinterest.plugin.runs.plain_values import PlainError, from_plain, to_plain
from recbole_longinterest.plugin.runs.stored_pickle import ContentRefused, NameRefused, check_file

NOT_STORED = (
    *("yaml_loader", "model_class"),  # classes, which RecBole's own look-ups provide
    *(places.SAID, places.FROM, places.NAMED),
)
LISTED_TYPES = (type(None), bool, int, float, str)
LAST = ".last"
"""Suffix of the last epoch's checkpoint, added to the name of the best epoch's checkpoint."""


class CheckpointError(LongInterestError):
    """A file that cannot be loaded, or is not safe to load."""


# --- the config ------------------------------------------------------------------------------------------------------


def plain_config(config: Config) -> dict[str, Any]:
    """Convert a config to plain data.

    Raises:
        PlainError: if a value is not a number, text, list, tuple, dict, RecBole constant or device.
    """
    fields = {}
    for name, value in vars(config).items():
        if name in NOT_STORED:
            continue
        if name.endswith("config_dict") and isinstance(value.get("model"), type):
            value = {**value, "model": value["model"].__name__}
        fields[sys.intern(name)] = to_plain(value, f"config.{name}")
        try:
            _check_plain(fields[name], name)
        except CheckpointError as error:
            raise PlainError(f"A config that holds tensors or arrays cannot be stored: {error}") from error
    return fields


def rebuild_config(fields: dict[str, Any]) -> Config:
    """Rebuild the config of :func:`plain_config`, without calling its constructor, which evaluates text.

    This is the only function that a checkpoint may call, so it checks all of its input.

    Args:
        fields: attribute -> plain data.

    Raises:
        CheckpointError: if there is anything but plain data, or required fields are missing.
    """
    _check_plain(fields, "config")
    wrong = [
        name
        for name, kind in (
            ("model", str),
            ("dataset", str),
            ("final_config_dict", dict),
            ("external_config_dict", dict),
        )
        if not isinstance(fields.get(name) if isinstance(fields, dict) else None, kind)
    ]
    wrong += [str(name) for name in fields if not isinstance(name, str) or hasattr(Config, name)] if not wrong else []
    if wrong:
        raise CheckpointError(f"The config in the file is broken: wrong or missing {', '.join(wrong)}.")
    config = Config.__new__(Config)
    try:
        vars(config).update({name: from_plain(value) for name, value in fields.items()})
    except PlainError as error:
        raise CheckpointError(f"The config in the file is broken: {error}") from error
    config.yaml_loader = config._build_yaml_loader()
    return config


def _check_plain(value: object, where: str) -> None:
    if type(value) in LISTED_TYPES:
        return
    if type(value) in (list, tuple):
        for item in value:  # type: ignore[attr-defined]
            _check_plain(item, where)
    elif type(value) is dict:
        for key, item in value.items():
            _check_plain(key, where)
            _check_plain(item, f"{where}.{key}")
    else:
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        raise CheckpointError(f"{where} is of type {kind}; a config holds numbers, text, lists, tuples and dicts only.")


# --- files -----------------------------------------------------------------------------------------------------------


def write_plain(content: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Write plain data atomically, with pickle protocol 2, which torch can check.

    Raises:
        CheckpointError: if the file cannot be written; a previous file does not change.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as draft:
            with draft.open("wb") as file:
                torch.save(content, file, pickle_protocol=2)
            add_checksum(draft)
    except (OSError, RuntimeError) as error:
        # torch reports a failed write as a RuntimeError of its own
        cause = error if isinstance(error, OSError) else error.__context__
        if isinstance(cause, OSError):
            raise CheckpointError(
                f"{path} could not be written ({cause.strerror or cause}); files saved before are unchanged. "
                "Free disk space, or set another checkpoint_dir."
            ) from error
        raise


def read_plain(path: str | os.PathLike[str], what: str, map_location: Any = "cpu") -> Any:  # noqa: ANN401
    """Read a file of plain data, without running any code in it.

    Args:
        path: the file.
        what: kind of file, for the errors.
        map_location: device for its tensors.

    Raises:
        CheckpointError: if the file is missing, of another kind, truncated, or names functions or classes.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"There is no {what} file {path}.")
    try:
        with path.open("rb") as file:
            checked = check_checksum(file, path)
            check_file(file)
            file.seek(0)
            with warnings.catch_warnings():  # about newer pickle protocols, which raise an error anyway
                warnings.filterwarnings("ignore", message="Detected pickle protocol")
                content = torch.load(file, map_location=map_location, weights_only=True)
    except CutShortError:
        raise CheckpointError(f"{path} is not a {what}, or it was cut short or changed.") from None
    except ChecksumError as error:
        raise CheckpointError(str(error)) from error
    except (CheckpointError, ContentRefused) as error:
        raise CheckpointError(f"Refused to load {path}: {str(error).rstrip('.')}.") from error
    except NameRefused as error:
        raise CheckpointError(
            f"Refused to load {path}: {error}, which is not allowed in a {what}; it was not "
            "run. Only files written with recbole_longinterest can be loaded: create this one again."
        ) from None
    except Exception as error:
        # from None, because torch's own message recommends weights_only=False
        raise CheckpointError(f"{path} is not a {what}, or it was cut short ({type(error).__name__}).") from None
    if not checked:
        _warn_unchecked(path.absolute(), what)
    return content


def has_checksum(path: Path) -> bool:
    """Whether a file has a checksum; files of earlier versions do not.

    Raises:
        ChecksumError: if the file was changed or truncated.
    """
    with path.open("rb") as file:
        return check_checksum(file, path)


@lru_cache
def _warn_unchecked(path: Path, what: str) -> None:
    getLogger().warning(
        f"{path} is a {what} of an earlier version without a checksum: damage to it cannot be detected."
    )


def save_checkpoint(state: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a checkpoint.

    Args:
        state: RecBole's state with ``config`` and ``state_dict``; other values need a plain form, see `plain_values`.
        path: the file; its folder is created. If writing fails, a previous file does not change.

    Raises:
        PlainError: if a checkpoint cannot hold a value; the message names it.
    """
    plain: dict[str, Any] = {}
    for name, value in state.items():
        if name == "state_dict":
            plain[sys.intern(name)] = _with_one_text_each(value)
        else:
            plain[sys.intern(name)] = value if name == "config" else to_plain(value, name)
    write_plain(plain, path)


def _with_one_text_each(weights: Any) -> Any:  # noqa: ANN401 - a path for decision trees
    """Intern the names of a state dict, as `plain_values` does, so that equal states give equal files."""
    if not isinstance(weights, dict):
        return weights
    same = type(weights)((sys.intern(name), value) for name, value in weights.items())
    about = getattr(weights, "_metadata", None)
    if about is not None:
        same._metadata = type(about)((sys.intern(name), value) for name, value in about.items())  # type: ignore[attr-defined]
    return same


def load_checkpoint(path: str | os.PathLike[str], map_location: str | torch.device = "cpu") -> dict[str, Any]:
    """Read a checkpoint.

    Args:
        path: the file.
        map_location: device for its tensors.

    Returns:
        The state that :func:`save_checkpoint` wrote; numpy scalars become Python numbers. The file does not choose
        where its config writes or connects to, see :func:`~recbole_longinterest.plugin.runs.places.disarm`. Call
        :func:`~recbole_longinterest.plugin.runs.places.use_places` before you read data with it.

    Raises:
        CheckpointError: if the file is missing, not a checkpoint, truncated, written by other code, or names functions
            or classes.
    """
    state = read_plain(path, "checkpoint", map_location)
    missing = [name for name in ("config", "state_dict") if not isinstance(state, dict) or name not in state]
    if missing or not isinstance(state["config"], Config):
        raise CheckpointError(
            f"{path} is not a checkpoint of RecBole: it has no {' and no '.join(missing or ['RecBole config'])}. "
            "Load it with the code that wrote it."
        )
    places.disarm(state["config"], Path(path))
    kept = ("config", "state_dict")
    try:
        whole = {name: value if name in kept else from_plain(value) for name, value in state.items()}
    except PlainError as error:
        raise CheckpointError(f"{path} is a broken checkpoint: {error}") from error
    if state["config"]["model"] != "LongInterest":
        return whole
    whole = upgrade(whole)
    _check_options(whole["config"], whole["state_dict"], path)
    return whole


def _check_options(config: Config, weights: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Check the sizes in a LongInterest checkpoint, except those of event sources, which depend on the data."""
    # Late: importing only RecBole should not load the network.
    from recbole_longinterest.nn.network import Sources
    from recbole_longinterest.nn.options import ModelOptions
    from recbole_longinterest.nn.shapes import ShapeError, check_shapes

    try:
        options, rows = ModelOptions.from_config(config), len(weights[TRAINED])
        items = {name: weights[item_key(name, "vectors")].shape[1] for name in item_sources_in(weights)}
        check_shapes(options, Sources(rows, ID in weights, items), weights)
    except ShapeError as error:
        raise CheckpointError(f"The weights in {path} do not fit its settings: {error}.") from error
    except (LongInterestError, KeyError, AttributeError, IndexError, TypeError):
        return  # written by other code; building the model reports that


def load_weights(model: AbstractRecommender, state: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Load a checkpoint's weights and other parameters into a model.

    Raises:
        CheckpointError: if they do not fit.
        NotFiniteError: if parameters are NaN or infinite.
    """
    try:
        model.load_state_dict(state["state_dict"])
    except (RuntimeError, TypeError) as error:
        detail = " ".join(str(error).split())
        detail = detail if len(detail) < 400 else detail[:400] + "..."
        raise CheckpointError(
            f"The weights in {path} do not fit this {type(model).__name__}: they belong to another catalogue, other "
            f"settings or other code. {detail}"
        ) from error
    check_finite(dict(model.named_parameters()), f"The checkpoint {path}")
    others = state.get("other_parameter") or {}
    layers = {name: value for name, value in others.items() if isinstance(getattr(model, name, None), torch.nn.Module)}
    for name, stored in layers.items():
        parts = dict(_hidden_modules(getattr(model, name)))
        if not isinstance(stored, dict) or stored.keys() != parts.keys():
            raise CheckpointError(f"The layer {name} in {path} does not fit this {type(model).__name__}.")
        for part, weights in stored.items():
            try:
                parts[part].load_state_dict(weights)
            except (RuntimeError, TypeError) as error:
                raise CheckpointError(f"The layer {name} in {path} does not fit: {error}") from error
    model.load_other_parameter({name: value for name, value in others.items() if name not in layers})


def other_parameter(model: AbstractRecommender) -> dict[str, Any]:
    """RecBole's other parameters; a whole layer (SASRecF, DIN, ...) is replaced by its weights."""
    return {
        name: {part: module.state_dict() for part, module in _hidden_modules(value)}
        if isinstance(value, torch.nn.Module)
        else value
        for name, value in model.other_parameter().items()
    }


def _hidden_modules(layer: torch.nn.Module) -> list[tuple[str, torch.nn.Module]]:
    """List a layer and the modules in its dicts, which ``state_dict`` leaves out because torch does not find them."""
    found = [("layer", layer)]
    for attribute, table in vars(layer).items():
        if isinstance(table, dict) and not attribute.startswith("_"):
            found += [(f"{attribute}.{key}", part) for key, part in table.items() if isinstance(part, torch.nn.Module)]
    return found
