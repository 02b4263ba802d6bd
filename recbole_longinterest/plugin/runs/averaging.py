"""Exponential moving average of the weights, used for evaluation and checkpoints.

The weights after one step contain the noise of its batch; their average has much less (Polyak & Juditsky 1992; Izmailov
et al. 2018). Between epochs the model holds the average, so validation and checkpoints use it. During an epoch it holds
the weights that the optimizer updates.
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
    """Moving average of a model's weights, ``a <- d a + (1 - d) w`` after each step, starting at the initial weights.

    At the ``n``-th of the first steps, ``d`` is ``(1 + n) / (10 + n)``, so that the initial weights lose influence.

    Args:
        model: the model. Its frozen parameters are not averaged, because RecVAE copies other parameters into them.
        decay: ``d``, in [0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.weights: list[Tensor] = list(model.parameters())
        # Holds the averages, or the weights while the model holds the averages.
        self.others = [weight.detach().clone() for weight in self.weights]
        self.decay, self.steps = decay, 0

    @torch.no_grad()
    def take_in(self) -> None:
        """Update the average after a step of the optimizer, while the model holds the weights."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.others, self.weights, 1 - decay)
        self.steps += 1

    @torch.no_grad()
    def swap(self) -> None:
        """Swap weights and averages in the model."""
        for weight, other in zip(self.weights, self.others, strict=True):
            if not weight.requires_grad:
                continue
            held = weight.detach().clone()
            weight.copy_(other)
            other.copy_(held)

    def state(self) -> dict[str, Any]:
        """State that a resumed training needs: its weights. The averages are in the model's state."""
        return {"steps": self.steps, "weights": self.others}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the state of :meth:`state`.

        Raises:
            ValueError: if it belongs to another model.
        """
        self.steps = state["steps"]
        with torch.no_grad():
            for other, kept in zip(self.others, state["weights"], strict=True):
                other.copy_(kept)


def read_decay(config: Settings) -> float:
    """Read ``weight_averaging``; 0 turns it off.

    Raises:
        ValueError: if it is not a number in [0, 1).
    """
    decay = config[SETTING]
    if decay is not None and (isinstance(decay, bool) or not isinstance(decay, (int, float)) or not 0 <= decay < 1):
        raise LongInterestError(f"{SETTING} must be a number of at least 0 and below 1; got {decay!r}.")
    return decay or 0.0


def average_of(trainer: "Trainer") -> WeightAverage | None:
    """The average of a trainer's weights, created at the first call; None if ``weight_averaging`` is off."""
    decay = read_decay(trainer.config)
    if decay and not hasattr(trainer, "weight_average"):
        trainer.weight_average = WeightAverage(trainer.model, decay)
    return trainer.weight_average if decay else None


@contextlib.contextmanager
def averaged_epoch(trainer: "Trainer") -> Iterator[None]:
    """Average the weights during an epoch; afterwards the model holds the averages. Does nothing if it is off."""
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
