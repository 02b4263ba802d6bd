"""Patches of RecBole's functions that make, save and load data sets and their loaders.

They import modules of :mod:`recbole_longinterest.data` only when a data set is made, so that importing RecBole stays
fast.
"""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from recbole.data.dataloader import FullSortEvalDataLoader
from recbole.utils import ModelType

from recbole_longinterest.plugin.fixes.registry import patch
from recbole_longinterest.plugin.lookups import is_kin

if TYPE_CHECKING:
    from recbole.config.configurator import Config
    from recbole.data.dataset import Dataset

safe_caches = functools.partial(patch, name="safe_caches", kind="safety")


@safe_caches(
    "recbole.data.utils:create_dataset",
    why="RecBole unpickles any file at the path of a saved data set, which runs code in the file, and then uses the "
    "settings stored in it.",
)
def create_dataset(config: "Config") -> "Dataset":
    """See :func:`recbole_longinterest.plugin.runs.dataset_cache.create_dataset`."""
    from recbole_longinterest.plugin.runs import dataset_cache  # late: see above

    return dataset_cache.create_dataset(config)


@safe_caches(
    "recbole.data.utils:save_split_dataloaders", why="RecBole pickles the loaders, and reading a pickle can run code."
)
def save_split_dataloaders(config: "Config", dataloaders: Sequence[Any]) -> None:
    """See :func:`recbole_longinterest.plugin.runs.dataset_cache.save_split_dataloaders`."""
    from recbole_longinterest.plugin.runs import dataset_cache  # late: see above

    dataset_cache.save_split_dataloaders(config, dataloaders)


@safe_caches(
    "recbole.data.utils:load_split_dataloaders",
    why="RecBole unpickles any file at the path of saved loaders, which runs code in the file. A checkpoint may set "
    "the path.",
)
def load_split_dataloaders(config: "Config") -> tuple[Any, ...] | None:
    """See :func:`recbole_longinterest.plugin.runs.dataset_cache.load_split_dataloaders`."""
    from recbole_longinterest.plugin.runs import dataset_cache  # late: see above

    return dataset_cache.load_split_dataloaders(config)


@safe_caches(
    "recbole.data.dataset.dataset:Dataset.save", why="RecBole pickles the data set, and reading a pickle can run code."
)
def save(self: "Dataset") -> None:
    """See :func:`recbole_longinterest.plugin.runs.dataset_cache.save_dataset`."""
    from recbole_longinterest.plugin.runs import dataset_cache  # late: see above

    dataset_cache.save_dataset(self)


@patch(
    "recbole.data.utils:get_dataloader",
    name="loaders",
    kind="feature",
    why="RecBole's table of loaders is inside this function, so a plugin cannot add a loader.",
    wraps=True,
)
def get_dataloader(original: Callable[..., type]) -> Callable[..., type]:
    """Add the loader of windows for one-pass training, and of bounded batches for evaluation over the flat log."""

    def get(config: "Config", phase: str) -> type:
        from recbole_longinterest.data import eval_loader, train_loader  # late: see above
        from recbole_longinterest.data.flat_dataset import FlatSequentialDataset
        from recbole_longinterest.data.lookup import dataset_class

        sequential = config["MODEL_TYPE"] == ModelType.SEQUENTIAL
        asked = "one_pass" in config.external_config_dict and not is_kin(config.model_class)
        if phase == "train" and sequential and train_loader.trains_in_one_pass(config, required=asked):
            return train_loader.OnePassDataLoader
        kind = original(config, phase)
        flat = sequential and issubclass(dataset_class(config), FlatSequentialDataset)
        if kind is FullSortEvalDataLoader and flat:
            return eval_loader.BoundedEvalDataLoader
        return kind

    return get
