"""Patches of RecBole's trainers: safe checkpoints, resumable runs, and the loss over windows."""

import functools
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole.utils import set_color

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.plugin.fixes.registry import patch
from recbole_longinterest.plugin.one_pass import train_on_windows
from recbole_longinterest.plugin.runs import choices, ranks, resume, token_tables
from recbole_longinterest.plugin.runs.checkpoints import (
    LAST,
    CheckpointError,
    load_checkpoint,
    load_weights,
    save_checkpoint,
)
from recbole_longinterest.plugin.runs.files import own_name
from recbole_longinterest.plugin.runs.state import trainer_state

if TYPE_CHECKING:
    import torch
    from recbole.config.configurator import Config
    from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
    from recbole.trainer.trainer import DecisionTreeTrainer, PretrainTrainer, Trainer

TRAINERS = "recbole.trainer.trainer"

# Checkpoints are written atomically and read as plain data. A checkpoint written on a GPU loads without a GPU.
safe_checkpoints = functools.partial(patch, name="safe_checkpoints", kind="safety", issue=(2174, 2212))
READS = "RecBole calls torch.load, which fails for its checkpoints since torch 2.6."
WRITES = (
    "RecBole writes pickle protocol 4, which torch's safe loader does not read. If it is killed while writing, a "
    "damaged file is left."
)


@safe_checkpoints(f"{TRAINERS}:Trainer._save_checkpoint", why=WRITES)
def _save_checkpoint(self: "Trainer", epoch: int, verbose: bool = True, **kwargs: Any) -> None:
    if not self.config["single_spec"] and self.config["local_rank"] != 0:
        return
    path = kwargs.pop("saved_model_file", self.saved_model_file)
    save_checkpoint(trainer_state(self, epoch), path)
    if path == self.saved_model_file:
        self.best_epoch = epoch
    if verbose:
        self.logger.info(set_color("Saving current", "blue") + f": {path}")


@safe_checkpoints(f"{TRAINERS}:Trainer.resume_checkpoint", why=READS)
def resume_checkpoint(self: "Trainer", resume_file: str | os.PathLike[str]) -> None:
    """Load weights, optimizer and the run's state, which ``Trainer.fit`` restores.

    Args:
        self: the trainer.
        resume_file: checkpoint of the best or the last epoch.
    """
    self.saved_model_file = str(resume_file).removesuffix(LAST)
    state = load_checkpoint(resume_file, self.device)
    # Only the last epoch's file has the run's state.
    self.run_state = state.get("run") and {**state["run"], token_tables.STATE: state.get(token_tables.STATE)}
    self.start_epoch = state["epoch"] + 1
    self.cur_step = state["cur_step"]
    self.best_valid_score = state["best_valid_score"]
    if state["config"]["model"].lower() != self.config["model"].lower():
        self.logger.warning(f"{resume_file} is a checkpoint of {state['config']['model']}.")
    load_weights(self.model, state, resume_file)
    if self.run_state and self.run_state["optimizer_in_use"]:
        self.optimizer = getattr(self, self.run_state["optimizer_in_use"])
    self.optimizer.load_state_dict(state["optimizer"])
    self.logger.info(f"Checkpoint loaded. Resume training from epoch {self.start_epoch}")


@safe_checkpoints(f"{TRAINERS}:Trainer.evaluate", why=READS, wraps=True)
def evaluate(original: Callable[..., Any]) -> Callable[..., Any]:
    """Load the best model safely, then evaluate as RecBole does."""

    def evaluate_loaded(
        self: "Trainer",
        eval_data: "AbstractDataLoader",
        load_best_model: bool = True,
        model_file: str | os.PathLike[str] | None = None,
        show_progress: bool = False,
    ) -> Any:  # noqa: ANN401
        if eval_data and load_best_model:
            path = Path(model_file or self.saved_model_file)
            ranks.share_file(self.config, path)  # after rank 0 has written it
            load_weights(self.model, load_checkpoint(path, self.device), path)
            self.logger.info(f"Loading model structure and parameters from {path}")
        return original(self, eval_data, load_best_model=False, show_progress=show_progress)

    return evaluate_loaded


@safe_checkpoints(f"{TRAINERS}:PretrainTrainer.save_pretrained_model", why=WRITES)
def save_pretrained_model(self: "PretrainTrainer", epoch: int, saved_model_file: str) -> None:
    """Write the checkpoint of a pretraining.

    Args:
        self: the trainer.
        epoch: the epoch.
        saved_model_file: path of the checkpoint.
    """
    save_checkpoint(trainer_state(self, epoch), saved_model_file)
    self.saved_model_file = saved_model_file


@safe_checkpoints(f"{TRAINERS}:DecisionTreeTrainer._save_checkpoint", why=WRITES)
def _save_tree_checkpoint(self: "DecisionTreeTrainer", epoch: int) -> None:
    state = {"epoch": epoch, "cur_step": self.cur_step, "best_valid_score": self.best_valid_score}
    state |= {"config": self.config, "state_dict": self.temp_best_file, "other_parameter": None}
    save_checkpoint(state, self.saved_model_file)


# --- names -----------------------------------------------------------------------------------------------------------


def _naming(original: Callable[..., None], attributes: Sequence[str]) -> Callable[..., None]:
    """Add a random suffix to file names, without using the seeded generators. All ranks of a run use rank 0's name."""

    def __init__(self: "Trainer", config: "Config", model: "torch.nn.Module") -> None:
        original(self, config, model)
        suffix = secrets.token_hex(6)
        own = ranks.from_first_rank(config, own_name(config)) if config["resume"] is True else None
        for attribute in attributes:
            file = Path(getattr(self, attribute))
            stem = own or ranks.from_first_rank(config, f"{file.stem}-{suffix}")  # the stem has rank 0's time, too
            setattr(self, attribute, str(file.with_name(f"{stem}{file.suffix}")))

    return __init__


checkpoint_names = functools.partial(
    patch,
    name="checkpoint_names",
    kind="fix",
    why="A checkpoint's name ends in a time in seconds, so parallel runs may use one file and load each other's "
    "weights.",
    wraps=True,
)


@checkpoint_names(f"{TRAINERS}:Trainer.__init__")
def name_checkpoint(original: Callable[..., None]) -> Callable[..., None]:
    """Add a random suffix to the name of the checkpoint."""
    return _naming(original, ("saved_model_file",))


@checkpoint_names(f"{TRAINERS}:DecisionTreeTrainer.__init__")
def name_tree_checkpoints(original: Callable[..., None]) -> Callable[..., None]:
    """Add a random suffix to the names of the checkpoint and of the trees' own files."""
    return _naming(original, ("saved_model_file", "temp_file", "temp_best_file"))


# --- resuming --------------------------------------------------------------------------------------------------------

resumable_training = functools.partial(patch, name="resumable_training", kind="feature", issue=(1735, 2126), wraps=True)


@resumable_training(
    f"{TRAINERS}:Trainer.fit",
    f"{TRAINERS}:NCLTrainer.fit",
    f"{TRAINERS}:PretrainTrainer.pretrain",
    why="A resumed run restores only the weights and one optimizer. Random states and the order of batches start anew.",
)
def resumable_loop(loop: Callable[..., Any]) -> Callable[..., Any]:
    """Save the full state of RecBole's training loop after each epoch, see `plugin.runs.resume`."""
    return resume.resumable(loop)


@resumable_training(
    f"{TRAINERS}:DecisionTreeTrainer.fit",
    why="Tree models do not train by epochs, so the settings resume and best_by would be ignored without an error.",
)
def tree_fit(original: Callable[..., Any]) -> Callable[..., Any]:
    """Raise an error for ``resume`` and ``best_by``."""

    @functools.wraps(original)
    def fit(self: "DecisionTreeTrainer", *args: object, **kwargs: object) -> object:
        if self.config["resume"]:
            raise CheckpointError(
                f"{self.config['model']} does not train by epochs, so it cannot resume from a checkpoint. "
                "Leave resume out."
            )
        if self.config[choices.SETTING]:
            raise LongInterestError(
                f"{self.config['model']} does not train by epochs, so there is no best epoch to choose. "
                f"Leave {choices.SETTING} out."
            )
        return original(self, *args, **kwargs)

    return fit


# --- windows ---------------------------------------------------------------------------------------------------------

patch(
    f"{TRAINERS}:Trainer._train_epoch",
    name="train_on_windows",
    kind="feature",
    why="RecBole has no loss over windows and no weight averaging, and the batches of a resumed run differ.",
    wraps=True,
)(train_on_windows)
