"""Find the data set class of a config's model."""

import numpy as np
import recbole.data.dataset
import torch
from recbole.config.configurator import Config
from recbole.data.dataset import Dataset, DIENDataset, KGSeqDataset, SequentialDataset
from recbole.utils import ModelType
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.behaviors import uses_behaviors
from recbole_longinterest.data.flat_dataset import FlatSequentialDataset
from recbole_longinterest.data.log_rows import compact
from recbole_longinterest.data.ties import read_tie_seed
from recbole_longinterest.data.time_split import read_time_split
from recbole_longinterest.nn.options import read_switch


def dataset_class(config: Config) -> type[Dataset]:
    """Find the data set class of a model.

    It is RecBole's class for this model, or for a model that it inherits from, or for its type. A sequential model gets
    the flat version if one of ``lean_sequences``, ``one_pass``, ``exact_order``, ``behavior_map``, ``target_behavior``,
    ``tie_order: random``, ``split_by_time`` is set.

    Args:
        config: RecBole's config.

    Returns:
        The class.
    """
    kind = config["MODEL_TYPE"]
    names = {ModelType.SEQUENTIAL: "SequentialDataset", ModelType.KNOWLEDGE: "KnowledgeBasedDataset"}
    default = getattr(recbole.data.dataset, names.get(kind, "Dataset"))
    own = getattr(recbole.data.dataset, f"{config['model']}Dataset", None)
    for base in config.model_class.__mro__ if own is None else ():
        own = own or getattr(recbole.data.dataset, f"{base.__name__}Dataset", None)
    own = own or default
    return flat_class(own) if kind == ModelType.SEQUENTIAL and wants_flat_log(config) else own


class FlatKGSeqDataset(FlatSequentialDataset, KGSeqDataset):
    """The flat log for GRU4RecKG and KSR, which also read a knowledge graph."""


class FlatDIENDataset(FlatSequentialDataset, DIENDataset):
    """The flat log for DIEN, with the negative items that RecBole draws for every event."""

    history_dtype = torch.float64  # as in RecBole's DIENDataset

    def _derived_log_fields(self, first: np.ndarray) -> dict[str, Tensor]:
        return {self.neg_item_list_field: compact(self.neg_item_list)}


def wants_flat_log(config: Settings) -> bool:
    """Whether a setting that needs the flat log is set.

    Args:
        config: RecBole's config.

    Raises:
        ValueError: if ``lean_sequences`` or ``one_pass`` is neither True nor False, or a behaviour key, ``tie_order``,
            ``tie_seed`` or ``split_by_time`` cannot be read.
    """
    lean, one_pass = (read_switch(config, key, default=False) for key in ("lean_sequences", "one_pass"))
    ordered = read_tie_seed(config) is not None or read_time_split(config) is not None
    return lean or one_pass or ordered or config["exact_order"] is not None or uses_behaviors(config)


def flat_class(kind: type[SequentialDataset]) -> type[FlatSequentialDataset]:
    """Return the flat version of one of RecBole's sequential data set classes.

    Args:
        kind: RecBole's class, or a class that is already flat.

    Raises:
        ValueError: if there is no flat version.
    """
    for base, flat in (
        (FlatSequentialDataset, kind),
        (KGSeqDataset, FlatKGSeqDataset),
        (DIENDataset, FlatDIENDataset),
    ):
        if issubclass(kind, base):
            return flat
    if kind is SequentialDataset:
        return FlatSequentialDataset
    raise LongInterestError(
        f"{kind.__name__} builds its own rows and has no version over the flat log. Unset lean_sequences, one_pass, "
        "exact_order, behavior_map, target_behavior, tie_order and split_by_time."
    )
