"""The files of a training run: what they are called, and which one is wanted."""

import os
from hashlib import sha256
from pathlib import Path

from recbole.config.configurator import Config

from recbole_longinterest.plugin.runs.checkpoints import LAST, CheckpointError
from recbole_longinterest.plugin.runs.plain_values import to_plain

# Settings that leave the course of a training as it is: they may be others when it goes on.
FREE = {
    *("MASK_INDEX", "MASK_ITEM_SEQ", "POS_ITEMS", "NEG_ITEMS", "INVERSE_ITEM_SEQ"),  # what RecBole's transforms add,
    *("CROP_ITEM_SEQ", "CROP_ITEM_SEQ_LEN", "REORDER_ITEM_SEQ"),  # once the loaders are made
    *("resume", "epochs", "pretrain_epochs", "config_files", "checkpoint_dir", "data_path", "show_progress", "state"),
    *("strict_keys", "quiet", "log_file", "log_wandb", "wandb_project", "gpu_id", "use_gpu", "device"),
    *("ip", "port", "local_rank", "offset"),
    *("save_dataset", "dataset_save_path", "save_dataloaders", "dataloaders_save_path", "verbose"),
}
# Settings that came later, with what was done before: while they are that, or unset, they are left out of a run's name,
# so that older runs are found, and go on.
LATER = {
    **dict.fromkeys(("event_features", "user_features", "source_levels", "item_sources")),
    **{"tie_order": "file", "tie_seed": 0, "split_by_time": None, "split_targets": "successive"},
    **{"memory": False, "memory_size": 100, "memory_weight": 1.0, "source_dropout": 0.0},
    "request_time": False,
}


def settled(name: str, value: object) -> object:
    """A setting's value; of one that came later and is unset, what it was before."""
    return LATER.get(name) if value is None else value


def own_name(config: Config) -> str:
    """Name that runs of these settings share, whatever their number of epochs: what ``resume: True`` looks for."""
    kept = {
        name: value
        for name, value in config.final_config_dict.items()
        if (name not in FREE or name == "data_path")  # a data set's name alone does not say which it is
        and not (name in LATER and settled(name, value) == LATER[name])
    }
    text = repr(sorted((name, to_plain(value, name)) for name, value in kept.items()))
    return f"{config['model']}-{config['dataset']}-{sha256(text.encode()).hexdigest()[:12]}"


def earlier_file(config: Config) -> Path | None:
    """The last epoch's file of a run of these settings from before those that came later; None if there is none."""
    kept = dict(config.final_config_dict)
    try:
        config.final_config_dict = {name: value for name, value in kept.items() if name not in LATER}
        path = Path(config["checkpoint_dir"], f"{own_name(config)}.pth{LAST}")
    finally:
        config.final_config_dict = kept
    return path if path.is_file() else None


def last_file(path: str | os.PathLike[str]) -> Path:
    """The file of a run's last epoch, from either of the run's files.

    Raises:
        CheckpointError: if there is none.
    """
    given = Path(path)
    last = given if given.name.endswith(LAST) else given.with_name(given.name + LAST)
    if last.is_file():
        return last
    if given.is_file():
        raise CheckpointError(
            f"{given} holds the weights of the best epoch only, and {last}, which a run goes on from, is not beside it."
        )
    raise CheckpointError(f"There is no checkpoint file {given} to go on from.")


def wanted_file(config: Config) -> Path | None:
    """The last epoch's file that a config's ``resume`` asks for; None if it asks for none or there is none yet."""
    wanted = config["resume"]
    if wanted is True:
        path = Path(config["checkpoint_dir"], f"{own_name(config)}.pth{LAST}")
        return path if path.is_file() else None
    return last_file(wanted) if wanted else None
