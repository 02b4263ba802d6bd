"""Choose the best epoch by several criteria in one training, with a checkpoint for each.

The setting ``best_by`` lists further criteria: ``seen-masked`` (the ``valid_metric`` without items of the user's
history), ``Recall@20`` (another metric of RecBole's evaluation), or ``seen-masked Recall@20``. The native choice by
``valid_metric`` is always made, in RecBole's own file; each further choice has a file beside it.

Each criterion has its own early stopping: its choice is final after ``stopping_step`` epochs without improvement, and
the training stops when all choices are final. So the native checkpoint is the same with and without ``best_by``.
"""

import contextlib
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from recbole.evaluator import smaller_metrics

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.plugin.runs.checkpoints import load_checkpoint
from recbole_longinterest.plugin.runs.ranks import from_all_ranks
from recbole_longinterest.plugin.runs.seen_masked import (
    MASKED,
    METRICS,
    NATIVE,
    MaskedPass,
    TargetRows,
    metric_of,
    watching_batches,
)

if TYPE_CHECKING:
    from recbole.trainer.trainer import Trainer

SETTING = "best_by"
EarlyStopping = Callable[..., tuple[float, int, bool, bool]]


@dataclass(frozen=True)
class Criterion:
    """A criterion for the best epoch.

    Attributes:
        name: the entry in ``best_by``, in lower case.
        metric: key of the metric, such as ``ndcg@10``.
        masked: whether the metric is computed without items of the user's history.
    """

    name: str
    metric: str
    masked: bool

    @property
    def bigger(self) -> bool:
        """Whether a bigger value is better."""
        return self.metric.split("@")[0] not in smaller_metrics

    def file(self, best: Path) -> Path:
        """Checkpoint of its best epoch, beside RecBole's ``best``."""
        return best.with_name(f"{best.stem}.{re.sub('[^a-z0-9@.]+', '-', self.name)}{best.suffix}")


def entries_of(given: object) -> list[str]:
    """Parse the entries of ``best_by``: a list, or its text with commas, as on the command line.

    Raises:
        LongInterestError: if it has another type.
    """
    entries = given or []
    if isinstance(entries, str):
        inside = entries.strip().removeprefix("[").removesuffix("]")
        entries = [entry.strip(" '\"") for entry in inside.split(",")]
    if not isinstance(entries, (list, tuple)) or not all(isinstance(entry, str) for entry in entries):
        raise LongInterestError(f"{SETTING} must be a list of texts, such as [{MASKED}, Recall@20]; got {given!r}.")
    return list(entries)


def criteria_of(config: Settings) -> list[Criterion]:
    """Read ``best_by``.

    Raises:
        LongInterestError: if an entry cannot be computed.
    """
    entries = entries_of(config[SETTING])
    found = {}
    for entry in entries:
        masked = entry == MASKED or entry.startswith(f"{MASKED} ")
        metric = (entry.removeprefix(MASKED).strip() if masked else entry).lower()
        chosen = Criterion(entry.lower(), metric or str(config["valid_metric"]).lower(), masked)
        _check(chosen, config)
        found[chosen.name] = chosen
    return list(found.values())


def _check(chosen: Criterion, config: Settings) -> None:
    name, _, k = chosen.metric.partition("@")
    if chosen.name == MASKED and (name not in METRICS or not k.isdecimal()):
        raise LongInterestError(
            f"valid_metric must be one of {', '.join(METRICS)} with @K, such as NDCG@10, for {SETTING}: {MASKED}; got "
            f"{config['valid_metric']}."
        )
    if chosen.masked and (name not in METRICS or not k.isdecimal() or int(k) < 1):
        raise LongInterestError(
            f"{SETTING}: a {MASKED} metric must be one of {', '.join(METRICS)} with @K; got {chosen.metric!r}."
        )
    asked = {metric.lower() for metric in config["metrics"]}
    if not chosen.masked and (name not in asked or (k and int(k) not in config["topk"] if k.isdecimal() else bool(k))):
        raise LongInterestError(
            f"{SETTING} must name {MASKED} or a metric that is evaluated ({', '.join(config['metrics'])} at "
            f"{config['topk']}); got {chosen.name!r}. Add it to metrics and topk."
        )


@dataclass
class Choice:
    """A criterion's best epoch so far.

    Attributes:
        criterion: the criterion.
        score: the best value; None before the first evaluation.
        epoch: epoch of the best value, from 0.
        waited: number of evaluations since then.
        latest: the last value.
    """

    criterion: Criterion
    score: float | None = None
    epoch: int | None = None
    waited: int = 0
    latest: float = math.nan

    def state(self) -> dict[str, Any]:
        """State for resuming."""
        return {"score": self.score, "epoch": self.epoch, "waited": self.waited}


class Choices:
    """The best epochs of one training by further criteria, those of ``best_by``.

    Args:
        trainer: RecBole's trainer.
        valid_data: loader of the validation data.
        saved: whether checkpoints are written.

    Raises:
        LongInterestError: if ``best_by`` cannot be computed on these data.
    """

    def __init__(self, trainer: "Trainer", valid_data: AbstractDataLoader | None, saved: bool) -> None:
        criteria = criteria_of(trainer.config) if valid_data else []
        self.trainer, self.saved, self.valid_data = trainer, saved, valid_data
        self.choices = [Choice(criterion) for criterion in criteria]
        self.masked = any(criterion.masked for criterion in criteria)
        if self.masked:
            TargetRows(valid_data)  # raises an error before training if there are no histories

    def state(self) -> dict[str, dict[str, Any]]:
        """State for resuming, by criterion."""
        return {choice.criterion.name: choice.state() for choice in self.choices}

    def restore(self, state: dict[str, dict[str, Any]]) -> None:
        """Restore the state of :meth:`state`.

        Raises:
            KeyError: if it belongs to other criteria.
        """
        for choice in self.choices:
            kept = state[choice.criterion.name]
            choice.score, choice.epoch, choice.waited = kept["score"], kept["epoch"], kept["waited"]
            file = choice.criterion.file(Path(self.trainer.saved_model_file))
            if choice.epoch is not None and load_checkpoint(file)["epoch"] > choice.epoch:
                choice.score = None  # killed between the files: that epoch was the best, and runs again

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Update all choices at every validation of the trainer inside this context."""
        trainer, outer = self.trainer, vars(self.trainer).get("_valid_epoch")
        evaluate = trainer._valid_epoch
        if not self.choices:
            yield
            return

        def valid_epoch(*args: object, **kwargs: object) -> tuple[float, dict[str, float]]:
            if not self.masked:
                score, result = evaluate(*args, **kwargs)
                self._take(result, None)
                return score, result
            seen = MaskedPass(self.valid_data)
            with watching_batches(trainer, seen.add):
                score, result = evaluate(*args, **kwargs)
            self._take(result, seen)
            return score, result

        trainer._valid_epoch = valid_epoch
        try:
            yield
        finally:
            if outer is None:
                del trainer._valid_epoch  # restores the method of the class
            else:
                trainer._valid_epoch = outer

    def _take(self, result: dict[str, float], seen: MaskedPass | None) -> None:
        ranks = seen.ranks() if seen is not None else None
        for choice in self.choices:
            name, _, k = choice.criterion.metric.partition("@")
            if choice.criterion.masked and ranks is not None:
                values = metric_of(name, ranks, int(k))
                parts = from_all_ranks(self.trainer.config, (float(values.sum()), len(values)))
                mean = sum(part[0] for part in parts) / max(1, sum(part[1] for part in parts))
                choice.latest = round(mean, self.trainer.config["metric_decimal_place"])  # as RecBole does
            else:
                choice.latest = float(result[choice.criterion.metric])

    def stopping(self, own: EarlyStopping, epoch: Callable[[], int | None]) -> EarlyStopping:
        """RecBole's ``early_stopping`` for the native choice and all further ones.

        Args:
            own: RecBole's function.
            epoch: returns the epoch that is being evaluated.

        Returns:
            A function with the same arguments. It writes checkpoints of further choices that have improved, and stops
            the training when every choice is final, or the choice named by the trainer's ``stop_by``.
        """
        if not self.choices:
            return own

        def early_stopping(
            value: float, best: float, cur_step: int, max_step: int, bigger: bool = True
        ) -> tuple[float, int, bool, bool]:
            for choice in self.choices:
                self._decide(choice, own, epoch(), max_step)
            if cur_step > max_step:  # already final
                native = best, cur_step + 1, True, False
            else:
                native = own(value, best, cur_step, max_step=max_step, bigger=bigger)
            final = {NATIVE: native[2]}
            final |= {choice.criterion.name: choice.waited > max_step for choice in self.choices}
            stop_by = getattr(self.trainer, "stop_by", None)
            return (*native[:2], all(final.values()) if stop_by is None else final[stop_by], native[3])

        return early_stopping

    def _decide(self, choice: Choice, own: EarlyStopping, epoch: int | None, max_step: int) -> None:
        if choice.waited > max_step:
            return
        bigger = choice.criterion.bigger
        before = choice.score if choice.score is not None else (-math.inf if bigger else math.inf)
        score, choice.waited, _, better = own(choice.latest, before, choice.waited, max_step=max_step, bigger=bigger)
        if better:
            choice.score, choice.epoch = float(score), epoch
            if self.saved:
                file = choice.criterion.file(Path(self.trainer.saved_model_file))
                self.trainer._save_checkpoint(epoch, verbose=False, saved_model_file=str(file))


def scores_of(trainer: "Trainer") -> dict[str, float]:
    """The last values of a trainer's further choices, by name; empty without ``best_by``."""
    return {choice.criterion.name: choice.latest for choice in getattr(trainer, "choices", ())}
