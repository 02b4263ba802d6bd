"""The patch of RecBole's way from a checkpoint file to its data and its model."""

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
    why="It reads with a plain torch.load, which torch 2.6 refuses, and takes the data of another training.",
)
def load_data_and_model(model_file: str | os.PathLike[str], **named: object) -> "Loaded":
    """RecBole's ``load_data_and_model``: the data of a checkpoint's config, and its model.

    Args:
        model_file: the checkpoint.
        named: places that the checkpoint names and this user never has: ``data_path``, the folder above the data set's,
            ``text_encoder``, ``text_vectors`` and others of `plugin.runs.places`.

    Returns:
        config, model, dataset, train_data, valid_data, test_data.

    Raises:
        CheckpointError: as :func:`~recbole_longinterest.plugin.runs.checkpoints.load_checkpoint` and ``load_weights``.
        PlaceError: for a place to read from that the checkpoint alone names.
        ValueError: if there is no model of the checkpoint's name.
    """
    state = load_checkpoint(model_file)
    config = state["config"]
    own_models.check_known(config, model_file)
    places.use_places(config, named)
    model_class = get_model(str(config["model"]))  # first: the name becomes a folder of the log
    ranks.leave_finished_group(config)
    init_seed(config["seed"], config["reproducibility"])
    init_logger(config)
    logger = getLogger()
    logger.info(config)

    dataset = recbole.data.utils.create_dataset(config)
    logger.info(dataset)
    token_tables.check_vocabulary(state, dataset, model_file)
    train_data, valid_data, test_data = recbole.data.utils.data_preparation(config, dataset)
    token_tables.check_vocabulary(state, train_data._dataset, model_file)  # of the users' columns, which it has by now

    init_seed(config["seed"], config["reproducibility"])
    with AllocationLimit(model_file):
        model = model_class(config, train_data._dataset)
    model = model.to(config["device"])
    load_weights(model, state, model_file)
    return config, model, dataset, train_data, valid_data, test_data
