"""Logging of a run to terminal, log file, TensorBoard and Weights & Biases, which a resumed run continues."""

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
    """Apply ``quiet`` and ``log_file``, which RecBole's ``init_logger`` does not have.

    Args:
        config: with ``quiet``, the terminal shows no log, warnings or progress bars; the log is appended to
            ``log_file``.

    Raises:
        ValueError: if the file cannot be written.
    """
    root = logging.getLogger()
    if config["quiet"]:
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"  # transformers reads it on import
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
            raise LongInterestError(f"log_file must be a writable file; {path} is not: {error.strerror}.") from error
        file.setFormatter(FORMAT)
        file.addFilter(RemoveColorFilter())
        own_handlers.add(file)


def places(trainer: "Trainer") -> dict[str, str | None]:
    """Log destinations of a trainer, for resuming: name of TensorBoard's folder, and id of the W&B run."""
    trainer.tensorboard.flush()  # in case the process is killed
    wandb = trainer.wandblogger
    return {
        "tensorboard": Path(trainer.tensorboard.log_dir).name,
        "wandb": wandb._wandb.run.id if wandb.log_wandb else None,
    }


def go_on(trainer: "Trainer", before: dict[str, str | None]) -> None:
    """Continue the logs of :func:`places` at the next epoch.

    TensorBoard drops the logs of a killed epoch. The new folder that RecBole's trainer has made is removed.
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
