"""Retrain a checkpoint from scratch on its current data."""

import copy
from pathlib import Path

from recbole_longinterest.common.known_places import remember
from recbole_longinterest.plugin.runs.checkpoints import LAST, load_checkpoint, save_checkpoint
from recbole_longinterest.plugin.runs.places import use_places
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.forget.lineage import last_of
from recbole_longinterest.training.forget.realign import ERASURES
from recbole_longinterest.training.update.parent import run_in_one_process


def retrain_checkpoint(path: Path, folder: Path, work: Path) -> None:
    """Train from scratch with a checkpoint's settings and data, and replace the checkpoint.

    After an interruption, the next call resumes from the last complete epoch.

    Args:
        path: the checkpoint. If it came from an update, it keeps the merged data but loses its lineage, because the new
            weights do not depend on the parents.
        folder: folder of its data.
        work: working folder of the training.
    """
    config = load_checkpoint(path)["config"]
    use_places(config, {"data_path": folder.parent})
    own = {name: config.external_config_dict.get(name) for name in ("rating_levels", "source_levels")}
    config.final_config_dict.update(own, lineage=None)
    config.final_config_dict.pop(ERASURES, None)
    final = copy.deepcopy(config)
    config.final_config_dict.update(
        resume=True,
        checkpoint_dir=str(work),
        show_progress=False,
        state="WARNING",
        save_dataset=False,
        dataset_save_path=None,
        save_dataloaders=False,
        dataloaders_save_path=None,
    )
    run_in_one_process(config)
    trained = pipeline.train(config)
    file = trained.trainer.saved_model_file
    best, last = load_checkpoint(file), load_checkpoint(f"{file}{LAST}")
    last["run"]["best_file"] = path.name
    save_checkpoint({**last, "config": final}, last_of(path))
    save_checkpoint({**best, "config": final}, path)
    remember("data_path", folder)
