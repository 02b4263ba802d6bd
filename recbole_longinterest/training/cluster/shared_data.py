"""Share the data of a run with all workers through Ray's object store.

The data have the plain form in which the plugin saves split data sets (`plugin.runs.dataset_cache`). Tensors become
numpy arrays; Ray keeps them in shared memory, so the workers of one machine read them without a copy. Tokens and texts
stay Python lists, and each worker has its own copy.
"""

import warnings
from typing import Any

import numpy as np
import recbole.data.utils
import torch
from recbole.config import Config
from recbole.utils import init_seed
from torch import Tensor

from recbole_longinterest.data.flat_dataset import FlatSequentialDataset
from recbole_longinterest.data.lookup import dataset_class
from recbole_longinterest.nn.sources import ItemMatrix
from recbole_longinterest.plugin.runs import dataset_cache
from recbole_longinterest.training.pipeline import Loaders

FIELDS = ("vectors", "present", "mean", "whitening")  # fields of an ItemMatrix


def make_shared_data(config: Config) -> dict[str, Any]:
    """Read, split and encode the data of a config.

    Args:
        config: config for a single process.

    Returns:
        The parts of the split and the items' vectors, as numbers, texts, lists, tuples, dicts and numpy arrays. With
        them, workers need neither the data files nor the text encoder.
    """
    init_seed(config["seed"], config["reproducibility"])  # as in every process of a run: a split may be random
    dataset = recbole.data.utils.create_dataset(config)
    parts = dataset.build()
    matrices = {
        name: {field: getattr(source.matrix(), field) for field in FIELDS}
        for name, source in getattr(parts[0], "item_matrices", {}).items()
    }
    made: dict[Any, np.ndarray] = {}
    return {
        "parts": _as_arrays(dataset_cache.plain_split(parts), made),
        "matrices": _as_arrays(matrices, made) if hasattr(parts[0], "item_matrices") else None,
    }


def loaders_of(config: Config, shared: dict[str, Any]) -> Loaders:
    """Make loaders over shared data.

    Args:
        config: config of this process, which has joined the process group.
        shared: result of :func:`make_shared_data`; its arrays may be read-only. Tensors of a flat log use the memory of
            the arrays, because nothing writes to them. Tensors of RecBole's own data sets are copies.

    Returns:
        The loaders of the training, validation and test part.
    """
    copied = not issubclass(dataset_class(config), FlatSequentialDataset)
    made: dict[int, Tensor] = {}
    loaders = dataset_cache.loaders_of_split(config, _as_tensors(shared["parts"], made, copied))
    if shared["matrices"] is not None:
        matrices = _as_tensors(shared["matrices"], made, copied=True)  # small; the model may change them
        for loader in loaders:
            loader._dataset.ready_matrices = {name: ItemMatrix(**fields) for name, fields in matrices.items()}
    train, valid, test = loaders
    return train, valid, test


def _as_arrays(value: Any, made: dict[Any, np.ndarray]) -> Any:  # noqa: ANN401
    """Replace tensors in plain data by arrays. Tensors with the same memory become one array."""
    if isinstance(value, Tensor):
        key = value.data_ptr(), value.shape, value.stride(), value.dtype
        return made.setdefault(key, value.cpu().numpy())
    if isinstance(value, dict):
        return {name: _as_arrays(each, made) for name, each in value.items()}
    if isinstance(value, (list, tuple)) and not all(isinstance(each, str) for each in value):
        return type(value)(_as_arrays(each, made) for each in value)
    return value


def _as_tensors(value: Any, made: dict[int, Tensor], copied: bool) -> Any:  # noqa: ANN401
    if isinstance(value, np.ndarray):
        if id(value) not in made:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
                made[id(value)] = torch.from_numpy(value.copy() if copied else value)
        return made[id(value)]
    if isinstance(value, dict):
        return {name: _as_tensors(each, made, copied) for name, each in value.items()}
    if isinstance(value, (list, tuple)) and not all(isinstance(each, str) for each in value):
        return type(value)(_as_tensors(each, made, copied) for each in value)
    return value
