"""The patch of RecBole's function that loads data and model from a checkpoint."""

import os
from logging import getLogger
from typing import TYPE_CHECKING

import recbole.data.utils
from recbole.utils import get_model, init_logger, init_seed

from recbole_longinterest.plugin import own_models
from recbole_longinterest.plugin.fixes.registry import patch
from recbole_longinterest.plugin.runs import places, ranks, token_tables
from recbole_longinterest.plugin.runs.allocation import AllocationLimit
from recbole_longinterest.plugin.runs.checkpoints import load_checkpoint, load_weights

if TYPE_CHECKING:
    from recbole.config.configurator import Config
    from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
    from recbole.data.dataset import Dataset
    from recbole.model.abstract_recommender import AbstractRecommender

    Loaded = tuple[Config, AbstractRecommender, Dataset, AbstractDataLoader, AbstractDataLoader, AbstractDataLoader]


@patch(
    "recbole.quick_start.quick_start:load_data_and_model",
    name="safe_checkpoints",
    kind="safety",
    issue=(2174, 2212),
    why="RecBole calls torch.load, which fails since torch 2.6, and does not check that the data matches the "
    "checkpoint.",
)
def load_data_and_model(model_file: str | os.PathLike[str], **named: object) -> "Loaded":
    """RecBole's ``load_data_and_model``: load the data of a checkpoint's config, and its model.

    Args:
        model_file: the checkpoint.
        named: places to read from that the checkpoint names and the user has not used before: ``data_path`` (the parent
            of the data set's folder), ``text_encoder``, ``text_vectors`` and others, see `plugin.runs.places`.

    Returns:
        config, model, dataset, train_data, valid_data, test_data.

    Raises:
        CheckpointError: see :func:`~recbole_longinterest.plugin.runs.checkpoints.load_checkpoint` and ``load_weights``.
        PlaceError: if only the checkpoint names a place to read from, not the user.
        ValueError: if the checkpoint's model is unknown.
    """
    state = load_checkpoint(model_file)
    config = state["config"]
    own_models.check_known(config, model_file)
    places.use_places(config, named)
    model_class = get_model(str(config["model"]))  # first, because the name becomes a folder of the log
    ranks.leave_finished_group(config)
    init_seed(config["seed"], config["reproducibility"])
    init_logger(config)
    logger = getLogger()
    logger.info(config)

    dataset = recbole.data.utils.create_dataset(config)
    logger.info(dataset)
    token_tables.check_vocabulary(state, dataset, model_file)
    train_data, valid_data, test_data = recbole.data.utils.data_preparation(config, dataset)
    token_tables.check_vocabulary(state, train_data._dataset, model_file)  # now with the users' columns

    init_seed(config["seed"], config["reproducibility"])
    with AllocationLimit(model_file):
        model = model_class(config, train_data._dataset)
    model = model.to(config["device"])
    load_weights(model, state, model_file)
    return config, model, dataset, train_data, valid_data, test_data
