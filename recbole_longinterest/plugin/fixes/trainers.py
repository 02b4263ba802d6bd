"""RecBole's own ways to a checkpoint file, all through :mod:`recbole_longinterest.plugin.runs.checkpoints`."""

import os
import secrets
from collections.abc import Sequence
from logging import getLogger
from pathlib import Path
from typing import Any

import recbole.data.utils
import recbole.utils
import torch
from recbole.config.configurator import Config
from recbole.trainer.trainer import DecisionTreeTrainer, PretrainTrainer, Trainer
from recbole.utils import init_logger, init_seed, set_color

from recbole_longinterest.plugin.fixes.hooks import QUICK_START, rebind
from recbole_longinterest.plugin.runs import ranks, token_tables
from recbole_longinterest.plugin.runs.checkpoints import (
    LAST,
    load_checkpoint,
    load_weights,
    other_parameter,
    save_checkpoint,
)
from recbole_longinterest.plugin.runs.files import own_name


def safe_checkpoints() -> None:
    """Trainers write protocol 4 in place and read with a plain ``torch.load``, refused by torch >= 2.6 (#2174, #2212).

    A checkpoint of a GPU loads without one.
    """
    evaluate = Trainer.evaluate

    def _save_checkpoint(self: Trainer, epoch: int, verbose: bool = True, **kwargs: Any) -> None:  # noqa: ANN401
        if not self.config["single_spec"] and self.config["local_rank"] != 0:
            return
        path = kwargs.pop("saved_model_file", self.saved_model_file)
        save_checkpoint(trainer_state(self, epoch), path)
        if path == self.saved_model_file:
            self.best_epoch = epoch
        if verbose:
            self.logger.info(set_color("Saving current", "blue") + f": {path}")

    def resume_checkpoint(self: Trainer, resume_file: str | os.PathLike[str]) -> None:
        self.saved_model_file = str(resume_file).removesuffix(LAST)
        state = load_checkpoint(resume_file, self.device)
        # The rest, which Trainer.fit puts back; only the last epoch's file has it.
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

    def evaluate_loaded(
        self: Trainer,
        eval_data: Any,  # noqa: ANN401
        load_best_model: bool = True,
        model_file: str | os.PathLike[str] | None = None,
        show_progress: bool = False,
    ) -> Any:  # noqa: ANN401
        if eval_data and load_best_model:
            ranks.wait_for_all(self.config)  # rank 0 may still be writing
            path = model_file or self.saved_model_file
            load_weights(self.model, load_checkpoint(path, self.device), path)
            self.logger.info(f"Loading model structure and parameters from {path}")
        return evaluate(self, eval_data, load_best_model=False, show_progress=show_progress)

    def save_pretrained_model(self: PretrainTrainer, epoch: int, saved_model_file: str) -> None:
        save_checkpoint(trainer_state(self, epoch), saved_model_file)
        self.saved_model_file = saved_model_file

    def _save_tree_checkpoint(self: DecisionTreeTrainer, epoch: int) -> None:
        state = {"epoch": epoch, "cur_step": self.cur_step, "best_valid_score": self.best_valid_score}
        state |= {"config": self.config, "state_dict": self.temp_best_file, "other_parameter": None}
        save_checkpoint(state, self.saved_model_file)

    Trainer._save_checkpoint = _save_checkpoint
    Trainer.resume_checkpoint = resume_checkpoint
    Trainer.evaluate = evaluate_loaded
    PretrainTrainer.save_pretrained_model = save_pretrained_model
    DecisionTreeTrainer._save_checkpoint = _save_tree_checkpoint
    rebind("load_data_and_model", load_data_and_model, *QUICK_START)


def checkpoint_names() -> None:
    """Trainers name their checkpoint by the second, so parallel runs share one file (no upstream issue known).

    Each loads the weights of the other at the end. The name gets a suffix from the system's randomness, which leaves
    the seeded generators alone. The ranks of one distributed run keep one name: rank 0's.
    """
    for owner, attributes in (
        (Trainer, ("saved_model_file",)),
        (DecisionTreeTrainer, ("saved_model_file", "temp_file", "temp_best_file")),
    ):
        _name_uniquely(owner, attributes)


def _name_uniquely(owner: type, attributes: Sequence[str]) -> None:
    original = owner.__init__  # type: ignore[misc]

    def __init__(self: Any, config: Config, model: torch.nn.Module) -> None:  # noqa: ANN401
        original(self, config, model)
        suffix = secrets.token_hex(6)
        own = ranks.from_first_rank(config, own_name(config)) if config["resume"] is True else None
        for attribute in attributes:
            file = Path(getattr(self, attribute))
            stem = own or ranks.from_first_rank(config, f"{file.stem}-{suffix}")  # its second, too
            setattr(self, attribute, str(file.with_name(f"{stem}{file.suffix}")))

    owner.__init__ = __init__  # type: ignore[misc]


def trainer_state(trainer: Trainer, epoch: int) -> dict[str, Any]:
    """What RecBole keeps of a trainer after this epoch."""
    return {
        "config": trainer.config,
        "epoch": epoch,
        "cur_step": trainer.cur_step,
        "best_valid_score": trainer.best_valid_score,
        "state_dict": trainer.model.state_dict(),
        token_tables.STATE: getattr(trainer, "vocabulary", None),
        "other_parameter": other_parameter(trainer.model),
        "optimizer": trainer.optimizer.state_dict(),
    }


def load_data_and_model(model_file: str | os.PathLike[str]) -> tuple[Any, ...]:
    """RecBole's ``load_data_and_model``: the data of a checkpoint's config, and its model.

    Args:
        model_file: the checkpoint.

    Returns:
        config, model, dataset, train_data, valid_data, test_data.

    Raises:
        CheckpointError: as :func:`~recbole_longinterest.plugin.runs.checkpoints.load_checkpoint` and ``load_weights``.
        ValueError: if there is no model of the checkpoint's name.
    """
    state = load_checkpoint(model_file)
    config = state["config"]
    model_class = recbole.utils.get_model(str(config["model"]))  # first: the name becomes a folder of the log
    ranks.leave_finished_group(config)
    init_seed(config["seed"], config["reproducibility"])
    init_logger(config)
    logger = getLogger()
    logger.info(config)

    dataset = recbole.data.utils.create_dataset(config)
    logger.info(dataset)
    token_tables.check_vocabulary(state, dataset, model_file)
    train_data, valid_data, test_data = recbole.data.utils.data_preparation(config, dataset)

    init_seed(config["seed"], config["reproducibility"])
    model = model_class(config, train_data._dataset).to(config["device"])
    load_weights(model, state, model_file)
    return config, model, dataset, train_data, valid_data, test_data
