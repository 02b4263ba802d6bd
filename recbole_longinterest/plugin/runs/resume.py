"""Resume training bit for bit, for every RecBole trainer that trains by epochs.

After every epoch the full state is written to ``<checkpoint>.last``, beside the best epoch's ``<checkpoint>``. A killed
epoch runs again from its start. The setting ``resume`` selects the run: a file, or True for the file of a run with the
same settings, whose name depends only on them.
"""

import contextlib
import functools
import inspect
import re
from collections.abc import Callable, Iterator
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch.distributed as dist
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader

from recbole_longinterest.common.file_lock import lock_files
from recbole_longinterest.common.leftovers import sweep_folder
from recbole_longinterest.plugin.runs import logs, token_tables
from recbole_longinterest.plugin.runs import state as run_state
from recbole_longinterest.plugin.runs.averaging import average_of
from recbole_longinterest.plugin.runs.checkpoints import (
    LAST,
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
)
from recbole_longinterest.plugin.runs.choices import Choices
from recbole_longinterest.plugin.runs.files import earlier_file, last_file
from recbole_longinterest.plugin.runs.ranks import from_all_ranks
from recbole_longinterest.plugin.runs.resumed_settings import check_same_settings
from recbole_longinterest.plugin.same_code import with_globals

if TYPE_CHECKING:
    from recbole.trainer.trainer import Trainer


class _Session:
    """One call of a trainer's loop over epochs: restores the state, and saves it after each epoch."""

    def __init__(
        self, trainer: "Trainer", train_data: AbstractDataLoader, valid_data: AbstractDataLoader | None, saved: bool
    ) -> None:
        self.trainer = trainer
        self.loaders = train_data, valid_data
        self.choices = Choices(trainer, valid_data, saved)
        self.rows = len(train_data._dataset)
        trainer.vocabulary = token_tables.vocabulary(train_data._dataset)
        self.saved = saved
        self.attributes = run_state.model_attributes(trainer.model)
        self.epoch: int | None = None  # the current epoch until it is saved
        self.finished = False
        wanted = trainer.config["resume"]
        self.last = Path(trainer.saved_model_file + LAST)
        if wanted and wanted is not True and self._state is None:
            self.last = last_file(wanted)

    @property
    def _state(self) -> dict[str, Any] | None:
        """State that ``Trainer.resume_checkpoint`` has read and that is not restored yet."""
        return getattr(self.trainer, "run_state", None)

    @property
    def best(self) -> Path:
        """The best epoch's checkpoint; the run's other files are named after it."""
        return self.last.with_name(self.last.name.removesuffix(LAST))

    def begin(self) -> None:
        """Resume from the selected checkpoint, if any."""
        trainer = self.trainer
        if trainer.config["resume"] and self._state is None:
            if self.last.is_file():  # otherwise resume is True, and there is no checkpoint yet
                state = load_checkpoint(self.last)
                if "run" not in state:
                    raise CheckpointError(f"{self.last} has no state to resume from.")
                check_same_settings(self.last, state["config"], trainer.config)
                trainer.resume_checkpoint(self.last)
            else:
                trainer.logger.info(f"There is no {self.last} to resume from: training starts at the first epoch.")
                earlier = earlier_file(trainer.config)
                if earlier is not None and earlier != self.last:
                    trainer.logger.warning(
                        f"{earlier} belongs to a run of an earlier version with other defaults (no memory of "
                        f"transitions). To resume it, give --resume={earlier}."
                    )
        if self._state is not None:
            self._restore(self._state)
            trainer.run_state = None

    def _restore(self, state: dict[str, Any]) -> None:
        trainer = self.trainer
        token_tables.check_vocabulary(state, self.loaders[0]._dataset, self.last)
        if state["rows"] != self.rows:
            raise CheckpointError(
                f"{self.last} was trained on {state['rows']} rows and {trainer.config['dataset']} now gives "
                f"{self.rows}: the data has changed. Start a new run without resume."
            )
        rank, ranks = (0, 1) if trainer.config["single_spec"] else (dist.get_rank(), dist.get_world_size())
        if len(state["ranks"]) != ranks:
            raise CheckpointError(
                f"{self.last} was trained by {len(state['ranks'])} processes; it cannot resume with {ranks}. "
                f"Give --nproc={len(state['ranks'])}."
            )
        total = trainer.pretrain_epochs if state["pretraining"] else trainer.epochs
        if trainer.start_epoch > total:
            raise CheckpointError(
                f"{self.last} has {trainer.start_epoch} epochs already; epochs must be at least that, got {total}."
            )
        try:
            for name, optimizer in run_state.other_optimizers(trainer).items():
                optimizer.load_state_dict(state["optimizers"][name])
            average = average_of(trainer)
            if average is not None:
                average.restore(state["average"])
            run_state.restore_attributes(trainer.model, state["attributes"])
            run_state.restore_loader_state(state["ranks"][rank]["loaders"], *self.loaders)
            run_state.restore_random_state(state["ranks"][rank]["random"])
            if rank == 0:  # the saved logs are rank 0's
                logs.go_on(trainer, state["logs"])
            trainer.best_valid_result = state["best_valid_result"]
            trainer.train_loss_dict = state["train_loss_dict"]
            trainer.saved_model_file = str(self._best_file(state["best_file"]))
            self.choices.restore(state.get("choices", {}))
        except (KeyError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{self.last} was written by other code: {error}") from error
        self._check_best(state["best_epoch"])
        self.finished = state["stopped"] or trainer.start_epoch == total

    def _best_file(self, name: object) -> Path:
        """The best epoch's checkpoint: the run's own, or a pretraining's, which RecBole names after its epoch.

        Other names are ignored, so that a checkpoint cannot choose which file in its folder is overwritten.
        """
        config = self.trainer.config
        stages = rf"{re.escape(config['model'])}-{re.escape(config['dataset'])}-\d+\.pth"
        pretrains = hasattr(self.trainer, "pretrain_epochs") and re.fullmatch(stages, str(name))
        return self.last.with_name(str(name)) if pretrains else self.best

    def _check_best(self, best_epoch: int | None) -> None:
        """Check that the best epoch's checkpoint is not newer than the last epoch's."""
        trainer = self.trainer
        trainer.best_epoch = best_epoch
        if best_epoch is None:
            return
        best = load_checkpoint(trainer.saved_model_file)
        if best["epoch"] > best_epoch:  # killed between the two files: that epoch was the best, and runs again
            trainer.best_valid_score = -np.inf if trainer.valid_metric_bigger else np.inf

    def epochs(self, *limits: int) -> Iterator[int]:
        """Replacement of ``range`` in the loop, which saves each epoch at its end."""
        for epoch in range(*limits):
            self.epoch = epoch
            yield epoch
            self.save()

    def current(self) -> int | None:
        """The current epoch; None if it is already saved."""
        return self.epoch

    def save(self, stopped: bool = False) -> None:
        """Write the last epoch's checkpoint, if an epoch is not saved yet; all ranks call ``trainer.after_save``."""
        trainer, epoch = self.trainer, self.epoch
        self.epoch = None
        if epoch is None or not self.saved:
            return
        self._write(epoch, stopped)
        after_save = getattr(trainer, "after_save", None)
        if after_save is not None:
            after_save(epoch)

    def _write(self, epoch: int, stopped: bool) -> None:
        trainer = self.trainer
        mine = {"random": run_state.random_state(), "loaders": run_state.loader_state(*self.loaders)}
        ranks = from_all_ranks(trainer.config, mine)
        if trainer.config["local_rank"] != 0:
            return
        others, average = run_state.other_optimizers(trainer), average_of(trainer)
        run = {
            "ranks": ranks,
            "rows": self.rows,
            "stopped": stopped,
            "pretraining": getattr(trainer.model, "train_stage", "").endswith("pretrain"),
            "attributes": run_state.changed_attributes(trainer.model, self.attributes),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in others.items()},
            "optimizer_in_use": run_state.optimizer_in_use(trainer),
            "best_valid_result": trainer.best_valid_result,
            "train_loss_dict": trainer.train_loss_dict,
            "best_file": Path(trainer.saved_model_file).name,
            "best_epoch": getattr(trainer, "best_epoch", None),
            "logs": logs.places(trainer),
            "average": None if average is None else average.state(),
            "choices": self.choices.state(),
        }
        save_checkpoint({**run_state.trainer_state(trainer, epoch), "run": run}, self.last)


def resumable(loop: Callable[..., Any]) -> Callable[..., Any]:
    """Make RecBole's loop over epochs resumable; it runs the same code, and saves its state after each epoch.

    Args:
        loop: method of a trainer that loops over a ``range`` of epochs.

    Returns:
        The replacement.
    """
    signature = inspect.signature(loop)

    @functools.wraps(loop)
    def run(self: "Trainer", train_data: AbstractDataLoader, *args: object, **kwargs: object) -> object:
        given = signature.bind(self, train_data, *args, **kwargs).arguments
        session = _Session(self, train_data, given.get("valid_data"), given.get("saved", True))
        first = self.config["single_spec"] or dist.get_rank() == 0
        with lock_files(session.best) if session.saved and first else contextlib.nullcontext():
            if session.saved and first:
                sweep_folder(session.best.parent)
            session.begin()
            self.choices = session.choices.choices
            if session.finished:
                getLogger().info(f"The training of {session.last} is finished: there is nothing to resume.")
                self.eval_collector.data_collect(train_data)  # as the loop does at its start, for coverage and others
                return self.best_valid_score, self.best_valid_result
            names: dict[str, object] = {"range": session.epochs}
            if "early_stopping" in loop.__globals__:
                names["early_stopping"] = session.choices.stopping(loop.__globals__["early_stopping"], session.current)
            with session.choices.watching():
                result = with_globals(loop, **names)(self, train_data, *args, **kwargs)
            session.save(stopped=True)  # only the epoch of an early stop is not saved yet
            return result

    return run
