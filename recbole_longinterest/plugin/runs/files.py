"""Names of a run's checkpoints, and the choice of the one to resume from."""

import os
from hashlib import sha256
from pathlib import Path

from recbole.config.configurator import Config

from recbole_longinterest.plugin.runs.checkpoints import LAST, CheckpointError
from recbole_longinterest.plugin.runs.plain_values import to_plain

# Settings that do not affect training: they may change when a run resumes.
FREE = {
    *("MASK_INDEX", "MASK_ITEM_SEQ", "POS_ITEMS", "NEG_ITEMS", "INVERSE_ITEM_SEQ"),  # RecBole's transforms add these
    *("CROP_ITEM_SEQ", "CROP_ITEM_SEQ_LEN", "REORDER_ITEM_SEQ"),  # when the loaders are made
    *("resume", "epochs", "pretrain_epochs", "config_files", "checkpoint_dir", "data_path", "show_progress", "state"),
    *("strict_keys", "quiet", "log_file", "log_wandb", "wandb_project", "gpu_id", "use_gpu", "device"),
    *("ip", "port", "local_rank", "offset"),
    *("save_dataset", "dataset_save_path", "save_dataloaders", "dataloaders_save_path", "verbose"),
}
# Settings added in later versions, with values that keep the earlier behaviour. With that value, or unset, a setting is
# left out of a run's name, so that runs of earlier versions are found and can resume.
LATER = {
    **dict.fromkeys(("event_features", "user_features", "source_levels", "item_sources")),
    **{"tie_order": "file", "tie_seed": 0, "split_by_time": None, "split_targets": "successive"},
    **{"memory": False, "memory_size": 100, "memory_weight": 1.0, "source_dropout": 0.0, "id_dropout": 0.0},
    **{"request_time": False, "text_chunks": 1, "text_backend": "torch", "text_numbers": None},
    **{"augment_crop": 0.0, "augment_mask": 0.0, "augment_reorder": 0.0, "augment_substitute": 0.0},
    **{"augment_neighbours": "text"},
    **{"text_tuning": "none", "text_tuning_layers": 1, "text_tuning_items": 64, "text_tuning_rate": 1e-4},
}


def settled(name: str, value: object) -> object:
    """A setting's value; if it is unset and in ``LATER``, the value of earlier versions."""
    return LATER.get(name) if value is None else value


def own_name(config: Config) -> str:
    """Name shared by all runs with these settings, for any number of epochs; ``resume: True`` looks for it."""
    kept = {
        name: value
        for name, value in config.final_config_dict.items()
        if (name not in FREE or name == "data_path")  # different data sets may have the same name
        and not (name in LATER and settled(name, value) == LATER[name])
    }
    text = repr(sorted((name, to_plain(value, name)) for name, value in kept.items()))
    return f"{config['model']}-{config['dataset']}-{sha256(text.encode()).hexdigest()[:12]}"


def earlier_file(config: Config) -> Path | None:
    """Last epoch's checkpoint of a run with these settings from before the ``LATER`` settings; None if not found."""
    kept = dict(config.final_config_dict)
    try:
        config.final_config_dict = {name: value for name, value in kept.items() if name not in LATER}
        path = Path(config["checkpoint_dir"], f"{own_name(config)}.pth{LAST}")
    finally:
        config.final_config_dict = kept
    return path if path.is_file() else None


def last_file(path: str | os.PathLike[str]) -> Path:
    """Last epoch's checkpoint of a run, given either of the run's two checkpoints.

    Raises:
        CheckpointError: if it does not exist.
    """
    given = Path(path)
    last = given if given.name.endswith(LAST) else given.with_name(given.name + LAST)
    if last.is_file():
        return last
    if given.is_file():
        raise CheckpointError(
            f"{given} holds only the weights of the best epoch, and {last}, which is needed to resume, does not exist."
        )
    raise CheckpointError(f"There is no checkpoint file {given} to resume from.")


def wanted_file(config: Config) -> Path | None:
    """Last epoch's checkpoint that ``resume`` selects; None without ``resume``, or if it is True and finds no file."""
    wanted = config["resume"]
    if wanted is True:
        path = Path(config["checkpoint_dir"], f"{own_name(config)}.pth{LAST}")
        return path if path.is_file() else None
    return last_file(wanted) if wanted else None
