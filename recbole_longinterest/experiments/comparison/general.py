"""Run RecBole's general recommenders on the same training events and test targets as sequential models.

In RecBole, a general model has other rows, masks the user's items, and is evaluated by user instead of by row. Here it
runs like a sequential model that ignores the histories.
"""

from recbole.data.dataset import Dataset
from recbole.utils import ModelType, get_model

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.plugin.own_models import model_name

KINDS = (ModelType.GENERAL, ModelType.TRADITIONAL)
WITHOUT_DRAW = ("EASE", "ItemKNN")  # RecBole's deterministic models (its other linear models use random numbers)
LEAVE_ONE_OUT = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"}


def is_general(model: str) -> bool:
    """Whether a model of RecBole, or ``module:Class``, is a general recommender rather than a sequential one.

    Raises:
        ValueError: if it is neither, or does not exist.
    """
    kind = get_model(model_name(model)).type
    if kind not in (*KINDS, ModelType.SEQUENTIAL):
        raise LongInterestError(
            f"{model} is neither a general nor a sequential model, but {kind.name.lower()}: it needs more than users, "
            "items and times, which compare does not provide. Leave it out."
        )
    return kind in KINDS


def as_sequential(config: Settings) -> None:
    """Make RecBole load, split and evaluate data for this model as for a sequential one.

    Negative sampling does not change. A model that is computed instead of trained gets one epoch, as in RecBole.
    """
    if config["MODEL_TYPE"] == ModelType.TRADITIONAL:
        config["epochs"] = 1
    config["MODEL_TYPE"] = ModelType.SEQUENTIAL


def with_first_events(train: Dataset) -> Dataset:
    """Add each user's first event to the training part; only general models have a training row for it."""
    rows = train.inter_feat
    return train.copy(rows.after(rows.history_start().unique()))
