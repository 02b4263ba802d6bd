"""Where a run writes what it does: terminal, log file, TensorBoard, Weights & Biases; after a resume as before."""

import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from recbole.config.configurator import Config
from recbole.utils.logger import RemoveColorFilter

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.plugin.runs import own_handlers

if TYPE_CHECKING:
    from recbole.trainer.trainer import Trainer

FORMAT = logging.Formatter("%(asctime)-15s %(levelname)s  %(message)s", "%a %d %b %Y %H:%M:%S")  # RecBole's


def set_up(config: Config) -> None:
    """What RecBole's ``init_logger`` leaves out: ``quiet`` and ``log_file``.

    Args:
        config: ``quiet`` takes log, warnings and progress bars off the terminal; ``log_file`` gets what the log says
            and is added to.

    Raises:
        ValueError: if the file cannot be written.
    """
    root = logging.getLogger()
    if config["quiet"]:
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"  # transformers asks for it when it is imported
        logging.captureWarnings(True)
        for handler in root.handlers[:]:
            if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
                root.removeHandler(handler)
    if config["log_file"] and config["local_rank"] == 0:
        path = Path(config["log_file"]).resolve()
        if str(path) in {getattr(handler, "baseFilename", None) for handler in root.handlers}:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = logging.FileHandler(path, encoding="utf-8")
        except OSError as error:
            raise LongInterestError(
                f"log_file must be a file that can be written; {path} cannot: {error.strerror}."
            ) from error
        file.setFormatter(FORMAT)
        file.addFilter(RemoveColorFilter())
        own_handlers.add(file)


def places(trainer: "Trainer") -> dict[str, str | None]:
    """Where a trainer logs to, to go on there: the name of TensorBoard's folder, and the run of W&B."""
    trainer.tensorboard.flush()  # a killed process writes no more
    wandb = trainer.wandblogger
    return {
        "tensorboard": Path(trainer.tensorboard.log_dir).name,
        "wandb": wandb._wandb.run.id if wandb.log_wandb else None,
    }


def go_on(trainer: "Trainer", before: dict[str, str | None]) -> None:
    """Log on where :func:`places` was, from the epoch that is trained next.

    TensorBoard drops what a killed epoch left; the new folder, which RecBole's trainer has made, is removed.
    """
    writer = trainer.tensorboard
    fresh = Path(writer.log_dir)
    name = before["tensorboard"]
    if name and name not in (fresh.name, "..") and Path(name).name == name:
        writer.close()
        if all(file.name.startswith("events.out.") for file in fresh.iterdir()):
            shutil.rmtree(fresh)
        trainer.tensorboard = type(writer)(str(fresh.with_name(name)), purge_step=trainer.start_epoch)
    if trainer.eval_step > 0:
        trainer.wandblogger.validations_before = trainer.start_epoch // trainer.eval_step
