"""Save and load data sets and split loaders as plain data, where RecBole unpickles any file at the path.

A file holds the attributes of a data set in their plain form and the settings it was made with. The class comes from
RecBole's look-up for the current config, never from the file.
"""

import glob
import os
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from logging import Logger, getLogger
from pathlib import Path
from typing import Any

import recbole.data.utils
import torch
from recbole.config.configurator import Config
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from recbole.data.dataset import Dataset
from recbole.data.interaction import cat_interactions
from recbole.sampler import KGSampler
from recbole.utils import ModelType, set_color
from recbole.utils.argument_list import dataset_arguments

from recbole_longinterest.common.files import file_hash
from recbole_longinterest.data.features import Features
from recbole_longinterest.data.log_rows import LogRows
from recbole_longinterest.data.lookup import dataset_class
from recbole_longinterest.plugin.runs.checkpoints import CheckpointError, read_plain, write_plain
from recbole_longinterest.plugin.runs.plain_values import PlainError, from_plain, to_plain

FORMAT = "recbole_longinterest cache 1"
# RecBole compares dataset_arguments, seed and repeatable; these change a data set too.
MORE_ARGUMENTS = (
    *("seed", "repeatable", "dataset", "data_path", "encoding", "numerical_features", "discretization"),
    *("token_num_threshold", "convert_token_to_onehot"),
    *("entity_kg_num_interval", "relation_kg_num_interval", "kg_reverse_r"),
)
PHASES = ("train", "valid", "test")
DATACLASSES = {"Features": Features}
"""The dataclasses that a file may hold."""


class StaleCache(Exception):
    """The cache was made with other settings, or its source files have changed."""


def create_dataset(config: Config) -> Dataset:
    """RecBole's ``create_dataset``: load the data set of a config from its cache, or make it.

    Raises:
        CheckpointError: if ``dataset_save_path`` is not a data set saved by this plugin.
    """
    kind = dataset_class(config)
    asked = config["dataset_save_path"]
    file = Path(asked or _dataset_file(config, kind))
    if file.exists():
        try:
            dataset = _read_dataset(file, config, kind)
            getLogger().info(set_color("Load filtered dataset from", "pink") + f": [{file}]")
            return dataset
        except StaleCache:
            pass
        except CheckpointError as error:
            _refuse(error, file, "data set", "dataset_save_path" if asked else None)
    dataset = kind(config)
    if config["save_dataset"]:
        dataset.save()
    return dataset


def save_dataset(dataset: Dataset) -> None:
    """RecBole's ``Dataset.save``: write a data set into ``checkpoint_dir``, where ``create_dataset`` looks for it."""
    file = _dataset_file(dataset.config, type(dataset))
    dataset.logger.info(set_color("Saving filtered dataset into ", "pink") + f"[{file}]")
    content = {
        "class": type(dataset).__name__,
        "arguments": arguments(dataset.config),
        "files": {file.name: _describe(file) for file in _files(dataset.config)},
        "parts": _plain_parts([dataset]),
    }
    write_plain({"format": FORMAT, **content}, file)


def save_split_dataloaders(config: Config, dataloaders: Sequence[Any]) -> None:
    """RecBole's ``save_split_dataloaders``: write the split data sets and the loaders' generator states."""
    file = _loaders_file(config)
    getLogger().info(set_color("Saving split dataloaders into", "pink") + f": [{file}]")
    parts = [loader._dataset for loader in dataloaders]
    content = {
        "class": type(parts[0]).__name__,
        "arguments": arguments(config, "eval_args"),
        "files": {file.name: _describe(file) for file in _files(config)},
        "parts": _plain_parts(parts),
        "generators": [_generator_state(loader) for loader in dataloaders],
    }
    write_plain({"format": FORMAT, **content}, file)


def load_split_dataloaders(config: Config) -> tuple[Any, ...] | None:
    """RecBole's ``load_split_dataloaders``: loaders over the saved split, or None if no file matches these settings.

    Raises:
        CheckpointError: if ``dataloaders_save_path`` was not saved by this plugin.
    """
    asked = config["dataloaders_save_path"]
    file = Path(asked or _loaders_file(config))
    if not file.exists():
        return None
    try:
        content = _read(file, config, dataset_class(config), "eval_args")
        parts = _datasets(content, config, dataset_class(config), len(PHASES))
        loaders = _loaders(config, parts, content["generators"])
    except StaleCache:
        return None
    except (CheckpointError, KeyError) as error:
        _refuse(error, file, "set of loaders", "dataloaders_save_path" if asked else None)
        return None
    getLogger().info(set_color("Load split dataloaders from", "pink") + f": [{file}]")
    return loaders


# --- paths and settings ----------------------------------------------------------------------------------------------


def _dataset_file(config: Config, kind: type[Dataset]) -> Path:
    return Path(config["checkpoint_dir"]) / f"{config['dataset']}-{kind.__name__}.pth"


def _loaders_file(config: Config) -> Path:
    return Path(config["checkpoint_dir"]) / f"{config['dataset']}-for-{config['model']}-dataloader.pth"


def arguments(config: Config, *more: str) -> dict[str, Any]:
    """The settings that a data set depends on, in their plain form."""
    return {name: to_plain(config[name], name) for name in (*dataset_arguments, *MORE_ARGUMENTS, *more)}


def _files(config: Config) -> list[Path]:
    """The data set's existing files."""
    return sorted(
        file for file in Path(config["data_path"]).glob(f"{glob.escape(config['dataset'])}.*") if file.is_file()
    )


def _describe(path: Path) -> list[Any]:
    """Size, modification time and SHA-256 of a file."""
    return [path.stat().st_size, path.stat().st_mtime_ns, file_hash(path)]


def _is_unchanged(path: Path, before: list[Any] | None) -> bool:
    """Whether a file is unchanged; compares the hash only if the modification time differs."""
    if before is None or path.stat().st_size != before[0]:
        return False
    return path.stat().st_mtime_ns == before[1] or file_hash(path) == before[2]


def _refuse(error: Exception, file: os.PathLike[str], what: str, asked: str | None) -> None:
    """Raise an error if the user named the file; otherwise warn and ignore the file."""
    message = f"{file} is not a {what} saved by this plugin ({str(error).rstrip('.')})"
    if asked:
        raise CheckpointError(f"{message}; delete it or unset {asked}.") from error
    getLogger().warning(f"{message}; it is not used. Delete it to stop this warning.")


# --- data sets as plain data -----------------------------------------------------------------------------------------


def plain_split(parts: Sequence[Dataset]) -> list[dict[str, Any]]:
    """The parts of a split as plain data, for other processes of the same run: see :func:`loaders_of_split`."""
    return _plain_parts(parts)


def loaders_of_split(config: Config, plain: list[dict[str, Any]]) -> tuple[Any, ...]:
    """New loaders of training, validation and test over the parts of :func:`plain_split`.

    Args:
        config: config of this process, possibly of a distributed run.
        plain: the parts; their tensors are used as they are, not copied.
    """
    parts = _datasets({"parts": plain}, config, dataset_class(config), len(PHASES))
    return _loaders(config, parts, [None] * len(PHASES))


def _plain_parts(parts: Sequence[Dataset]) -> list[dict[str, Any]]:
    """Attributes of each data set; attributes that later ones share with the first are stored once."""
    first = vars(parts[0])
    return [
        {
            name: _plain_attribute(value, f"{type(part).__name__}.{name}")
            for name, value in vars(part).items()
            if name not in ("config", "logger") and (part is parts[0] or first.get(name, part) is not value)
        }
        for part in parts
    ]


def _plain_attribute(value: object, where: str) -> dict[str, Any]:
    if hasattr(value, "to_cache"):
        return {"cached": to_plain(value.to_cache(), where)}
    if is_dataclass(value) and not isinstance(value, type) and type(value) is DATACLASSES.get(type(value).__name__):
        return {"dataclass": type(value).__name__, "fields": to_plain(asdict(value), where)}
    if isinstance(value, Logger):
        return {"logger": True}
    return {"value": to_plain(value, where)}


def _attribute(dataset: Dataset, name: str, plain: dict[str, Any]) -> Any:  # noqa: ANN401
    if "cached" in plain:
        return dataset.restore_cached(name, from_plain(plain["cached"]))
    if "dataclass" in plain:
        return DATACLASSES[plain["dataclass"]](**from_plain(plain["fields"]))
    return getLogger() if "logger" in plain else from_plain(plain["value"])


def _read_dataset(file: Path, config: Config, kind: type[Dataset]) -> Dataset:
    return _datasets(_read(file, config, kind), config, kind, 1)[0]


def _read(file: Path, config: Config, kind: type[Dataset], *more: str) -> dict[str, Any]:
    content = read_plain(file, "cache")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError("it has another format")
    if content.get("class") != kind.__name__ or content.get("arguments") != arguments(config, *more):
        raise StaleCache
    kept, files = content.get("files") or {}, _files(config)
    if files and (len(files) < len(kept) or not all(_is_unchanged(path, kept.get(path.name)) for path in files)):
        raise StaleCache
    return content


def _datasets(content: dict[str, Any], config: Config, kind: type[Dataset], number: int) -> list[Dataset]:
    """Make data sets of a class from the attributes in the file and the current config."""
    datasets: list[Dataset] = []
    try:
        for plain in content["parts"]:
            dataset = object.__new__(kind)
            if datasets:
                vars(dataset).update(vars(datasets[0]))
            dataset.config = config
            dataset.logger = getLogger()
            later = []
            for name, value in plain.items():
                if not isinstance(name, str) or callable(getattr(kind, name, None)):
                    raise CheckpointError(f"{name} is not an attribute of {kind.__name__}")
                if "cached" in value:
                    later.append(name)  # may need the other attributes
                else:
                    vars(dataset)[name] = _attribute(dataset, name, value)
            for name in later:
                vars(dataset)[name] = _attribute(dataset, name, plain[name])
            datasets.append(dataset)
    except (PlainError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"it is broken: {error}") from error
    if len(datasets) != number:
        raise CheckpointError(f"it holds {len(datasets)} data sets instead of {number}")
    return datasets


def _loaders(config: Config, parts: list[Dataset], generators: list[torch.Tensor | None]) -> tuple[Any, ...]:
    """Samplers and loaders over split data sets, as RecBole's ``data_preparation`` makes them."""
    rows = [part.inter_feat for part in parts]
    if all(isinstance(part, LogRows) for part in rows):
        whole = parts[0].copy(rows[0].after(torch.cat([part.position.long() for part in rows[1:]])))
    else:
        whole = parts[0].copy(cat_interactions([part for part in rows if len(part)]))
    samplers = recbole.data.utils.create_samplers(config, whole, parts)
    loaders = []
    for phase, part, sampler, state in zip(PHASES, parts, samplers, generators, strict=True):
        more: list[Any] = []
        shuffle = phase == "train" and config["shuffle"]
        if phase == "train" and config["MODEL_TYPE"] == ModelType.KNOWLEDGE:
            negatives = config["train_neg_sample_args"]
            more = [KGSampler(whole, negatives["distribution"], negatives["alpha"])]
            shuffle = True
        loader = recbole.data.utils.get_dataloader(config, phase)(config, part, sampler, *more, shuffle=shuffle)
        if state is not None:
            loader.generator.set_state(state)
        loaders.append(loader)
    return tuple(loaders)


def _generator_state(loader: AbstractDataLoader) -> torch.Tensor | None:
    # None for a knowledge loader, which has two inner loaders with seeds from the config.
    generator = getattr(loader, "generator", None)
    return None if generator is None else generator.get_state()
