"""RecBole's general recommenders on the rows of a comparison: the same events to learn from, the same targets to rank.

RecBole gives a general model rows of its own, masks what a user has had, and evaluates users in place of rows. Here it
is run as a sequential model is, whose histories it does not read.
"""

from recbole.data.dataset import Dataset
from recbole.utils import ModelType, get_model

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings

KINDS = (ModelType.GENERAL, ModelType.TRADITIONAL)
LEAVE_ONE_OUT = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"}


def is_general(model: str) -> bool:
    """Whether a model of RecBole is a general recommender, and no sequential one.

    Raises:
        ValueError: if it is neither, or there is no such model.
    """
    kind = get_model(model).type
    if kind not in (*KINDS, ModelType.SEQUENTIAL):
        raise LongInterestError(
            f"{model} reads more than who had what when ({kind.name.lower()}); compare runs RecBole's sequential and "
            "general models. Leave it out."
        )
    return kind in KINDS


def as_sequential(config: Settings) -> None:
    """Let RecBole load, split and evaluate for this model as for a sequential one.

    Its negatives stay its own. A model that is computed and not trained gets its one epoch, as by RecBole's trainer.
    """
    if config["MODEL_TYPE"] == ModelType.TRADITIONAL:
        config["epochs"] = 1
    config["MODEL_TYPE"] = ModelType.SEQUENTIAL


def with_first_events(train: Dataset) -> Dataset:
    """The training part with each user's first event: no row of a sequential model, but a pair to learn from."""
    rows = train.inter_feat
    return train.copy(rows.after(rows.history_start().unique()))
