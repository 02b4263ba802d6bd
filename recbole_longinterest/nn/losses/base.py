"""The interface of a loss, and the registry."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor

from recbole_longinterest.common.registry import Registry


@dataclass(frozen=True)
class LossBatch:
    """The inputs of a loss for one batch.

    Shapes: ``T`` targets, ``N`` items, ``D`` vector size, ``B`` histories, ``L`` events.

    Attributes:
        interest: interest of the user before each target, as it enters the dot product, [T, D].
        items: vectors of all items, as they enter the dot product, [N, D].
        target: the next item, int64 [T].
        losing: a negative item for each target, int64 [T]; None for a loss without ``negatives``.
        item_seq: histories, padded with 0, int64 [B, L].
        counted: positions followed by a target, bool [B, L]; None means one target per row, after the last event.
        trained: items that occur in the training data, bool [N].
        repeat: bias added to the scores of items in the user's history, a scalar; None without a bias.
    """

    interest: Tensor
    items: Tensor
    target: Tensor
    losing: Tensor | None
    item_seq: Tensor
    counted: Tensor | None
    trained: Tensor
    repeat: Tensor | None

    def scores(self, item: Tensor) -> Tensor:
        """Score of one item per row, [B], in a batch with one target per row."""
        scores = (self.interest * self.items[item]).sum(dim=-1)
        if self.repeat is None:
            return scores
        return scores + self.repeat * (self.item_seq == item.unsqueeze(1)).any(dim=1)


class LossOptions(Protocol):
    """The options of a network that a loss may read."""

    @property
    def loss_type(self) -> str:
        """Name of the loss."""

    @property
    def sampled_softmax(self) -> int:
        """Number of items drawn for a sampled softmax; 0 for a softmax over all items."""


class Loss(ABC):
    """A training loss. To add one: subclass this, call :func:`register_loss`, and set ``loss_type`` to its name.

    Attributes:
        negatives: whether RecBole draws a negative item for each target.
        windows: whether the loss accepts a target at every position of a window, so that one pass trains on a whole
            history. Otherwise training uses RecBole's rows, one per prefix.
    """

    negatives: ClassVar[bool] = False
    windows: ClassVar[bool] = True

    @classmethod
    def from_options(cls, options: LossOptions) -> "Loss":
        """Create the loss from the options of a run."""
        return cls()

    @abstractmethod
    def __call__(self, batch: LossBatch) -> Tensor:
        """The mean loss over the batch's targets, a scalar."""


LOSSES: Registry[type[Loss]] = Registry("loss_type", "register_loss", "recbole_longinterest.losses")


def register_loss(name: str, loss: type[Loss]) -> None:
    """Register a loss as a value of ``loss_type``.

    Args:
        name: the value of ``loss_type``.
        loss: the class.

    Raises:
        LongInterestError: if the name is taken.
    """
    LOSSES.add(name, loss)


def make_loss(options: LossOptions) -> Loss:
    """Create the loss named in the options. ``loss_type: CE`` with ``sampled_softmax`` above 0 is the sampled loss."""
    sampled = options.loss_type == "CE" and options.sampled_softmax
    return LOSSES.get("sampled_softmax" if sampled else options.loss_type).from_options(options)
