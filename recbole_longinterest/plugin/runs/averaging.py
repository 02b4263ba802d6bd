"""An average of the weights over the steps of training, which is what is evaluated and kept.

The weights of one step carry the noise of its batch; their exponential moving average does not (Polyak & Juditsky 1992;
Izmailov et al. 2018). Between epochs the model holds the average, so that validation, checkpoint and everything made
from it see it; in an epoch it holds the weights that the optimizer moves.
"""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings

if TYPE_CHECKING:
    from recbole.trainer.trainer import Trainer

SETTING = "weight_averaging"


class WeightAverage:
    """Average of a model's weights, ``a <- d a + (1 - d) w`` after each step, from the weights at the start.

    ``d`` grows to its value over the first steps, as ``(1 + n) / (10 + n)`` at the n-th: the start is forgotten.

    Args:
        model: whose parameters are averaged. Frozen ones stay as they are: RecVAE copies others into its own.
        decay: ``d``, in [0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.weights: list[Tensor] = list(model.parameters())
        self.others = [weight.detach().clone() for weight in self.weights]  # what the model does not hold at the moment
        self.decay, self.steps = decay, 0

    @torch.no_grad()
    def take_in(self) -> None:
        """Follow a step of the optimizer, while the model holds the weights."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.others, self.weights, 1 - decay)
        self.steps += 1

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange weights and averages in the model."""
        for weight, other in zip(self.weights, self.others, strict=True):
            if not weight.requires_grad:
                continue
            held = weight.detach().clone()
            weight.copy_(other)
            other.copy_(held)

    def state(self) -> dict[str, Any]:
        """What a run that goes on needs, between epochs: the weights, beside the averages in the model's state."""
        return {"steps": self.steps, "weights": self.others}

    def restore(self, state: dict[str, Any]) -> None:
        """Put the state of :meth:`state` back.

        Raises:
            ValueError: if it is of another model.
        """
        self.steps = state["steps"]
        with torch.no_grad():
            for other, kept in zip(self.others, state["weights"], strict=True):
                other.copy_(kept)


def read_decay(config: Settings) -> float:
    """``weight_averaging``; 0 is none.

    Raises:
        ValueError: if it is no number in [0, 1).
    """
    decay = config[SETTING]
    if decay is not None and (isinstance(decay, bool) or not isinstance(decay, (int, float)) or not 0 <= decay < 1):
        raise LongInterestError(f"{SETTING} must be a number of at least 0 and below 1; got {decay!r}.")
    return decay or 0.0


def average_of(trainer: "Trainer") -> WeightAverage | None:
    """The average of a trainer's weights, made at the first call; None where none is asked for."""
    decay = read_decay(trainer.config)
    if decay and not hasattr(trainer, "weight_average"):
        trainer.weight_average = WeightAverage(trainer.model, decay)
    return trainer.weight_average if decay else None


@contextlib.contextmanager
def averaged_epoch(trainer: "Trainer") -> Iterator[None]:
    """An epoch of training after which the model holds the averages, if they are asked for."""
    average = average_of(trainer)
    if average is None:
        yield
        return
    average.swap()
    hook = trainer.optimizer.register_step_post_hook(lambda *_: average.take_in())
    try:
        yield
    finally:
        hook.remove()
    average.swap()
