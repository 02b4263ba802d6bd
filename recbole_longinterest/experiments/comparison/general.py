"""Run RecBole's general recommenders on the same training events and test targets as sequential models.

RecBole gives a general model other rows, masks the user's items, and evaluates users instead of rows. Here it runs like
a sequential model and ignores the histories.
"""

from recbole.data.dataset import Dataset
from recbole.utils import ModelType, get_model

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.plugin.own_models import model_name

KINDS = (ModelType.GENERAL, ModelType.TRADITIONAL)
WITHOUT_DRAW = ("EASE", "ItemKNN")  # RecBole's: computed from the training data (its other linear models draw)
LEAVE_ONE_OUT = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"}


def is_general(model: str) -> bool:
    """Whether a model of RecBole, or ``module:Class``, is a general recommender rather than a sequential one.

    Raises:
        ValueError: if it is neither, or does not exist.
    """
    kind = get_model(model_name(model)).type
    if kind not in (*KINDS, ModelType.SEQUENTIAL):
        raise LongInterestError(
            f"{model} reads more than who had what when ({kind.name.lower()}); compare runs RecBole's sequential and "
            "general models. Leave it out."
        )
    return kind in KINDS


def as_sequential(config: Settings) -> None:
    """Make RecBole load, split and evaluate for this model as for a sequential one.

    Its negative sampling does not change. A model that is computed and not trained gets one epoch, as in RecBole.
    """
    if config["MODEL_TYPE"] == ModelType.TRADITIONAL:
        config["epochs"] = 1
    config["MODEL_TYPE"] = ModelType.SEQUENTIAL


def with_first_events(train: Dataset) -> Dataset:
    """The training part and each user's first event, which is a training pair here but no row of a sequential model."""
    rows = train.inter_feat
    return train.copy(rows.after(rows.history_start().unique()))
