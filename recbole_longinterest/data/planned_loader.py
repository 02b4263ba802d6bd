"""Build RecBole loaders over planned batches, instead of a list of rows that is cut into batches."""

from collections.abc import Iterable
from typing import Any, TypeVar

import torch
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from recbole.data.transform import construct_transform
from recbole.utils import ModelType
from torch.utils.data import DataLoader, Dataset

from recbole_longinterest.common.settings import Settings

Planned = TypeVar("Planned")


def deal_batches(
    loader: AbstractDataLoader, config: Settings, dataset: Dataset, sampler: object, plan: Iterable[Planned]
) -> None:
    """Initialise a RecBole loader whose ``collate_fn`` gets one entry of a plan per batch.

    Args:
        loader: loader under construction; ``shuffle`` is already set.
        config: RecBole's config.
        dataset: part of the data set.
        sampler: RecBole's negative sampler.
        plan: one entry per batch, in order.
    """
    loader.config = config
    loader._dataset = dataset
    loader._sampler = sampler
    loader.model = None
    loader.is_sequential = config["MODEL_TYPE"] == ModelType.SEQUENTIAL
    loader.transform = construct_transform(config)
    loader.generator = torch.Generator().manual_seed(config["seed"])
    loader._init_batch_size_and_step()
    DataLoader.__init__(
        loader,
        dataset=_AsDealt(),
        batch_size=None,  # an entry of the plan is a whole batch
        sampler=plan,
        collate_fn=loader.collate_fn,
        num_workers=config["worker"],
        generator=loader.generator,
    )


class _AsDealt(Dataset[Any]):
    """Passes entries of the plan to ``collate_fn`` unchanged."""

    def __getitem__(self, entry: Planned) -> Planned:
        return entry
