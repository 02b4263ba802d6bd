"""Which data set class a config's model reads."""

import recbole.data.dataset
from recbole.config.configurator import Config
from recbole.data.dataset import Dataset
from recbole.utils import ModelType

from recbole_longinterest.data.flat_dataset import flat_class, wants_flat_log


def dataset_class(config: Config) -> type[Dataset]:
    """The data set class of a model: its own, else that of its type.

    A sequential model gets the flat log if one of ``lean_sequences``, ``one_pass``, ``exact_order``, ``behavior_map``,
    ``target_behavior`` is set.

    Args:
        config: RecBole's.

    Returns:
        The class.
    """
    kind = config["MODEL_TYPE"]
    names = {ModelType.SEQUENTIAL: "SequentialDataset", ModelType.KNOWLEDGE: "KnowledgeBasedDataset"}
    default = getattr(recbole.data.dataset, names.get(kind, "Dataset"))
    own = getattr(recbole.data.dataset, f"{config['model']}Dataset", default)
    return flat_class(own) if kind == ModelType.SEQUENTIAL and wants_flat_log(config) else own
