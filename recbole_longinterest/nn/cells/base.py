"""The interface of a recurrent cell, and the registry."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from recbole_longinterest.common.registry import Registry


class Cell(nn.Module, ABC):
    """A recurrence over fused events: output ``t`` depends on events up to ``t`` only.

    The constructor of a registered cell takes ``(dim, hidden_size, num_layers, dropout)``: the size ``D`` of an event,
    the size ``H`` of an output, the number of layers, and the dropout between layers.

    Shapes as in :mod:`recbole_longinterest.nn.layers`; the state of a user is ``P`` vectors of width ``W``.

    Attributes:
        state_shape: ``(P, W)``.
    """

    state_shape: tuple[int, int]

    @abstractmethod
    def forward(self, fused: Tensor) -> Tensor:
        """Outputs after every event of complete histories, [B, L, D] to [B, L, H]."""

    def start(self, batch: int) -> Tensor:
        """Initial state, before any event, [B, P, W]; zeros unless a cell overrides this."""
        weight = next(self.parameters(), torch.empty(0))  # a cell may have no parameters
        return weight.new_zeros(batch, *self.state_shape)

    @abstractmethod
    def extend(self, fused: Tensor, carried: Tensor) -> tuple[Tensor, Tensor]:
        """Process further events.

        Args:
            fused: vectors of the further events, without padding, [B, L, D].
            carried: the state after the earlier events, [B, P, W].

        Returns:
            Outputs after each of the events, [B, L, H], and the state after the last one.
        """

    def step(self, event: Tensor, carried: Tensor) -> tuple[Tensor, Tensor]:
        """Process one event as :meth:`extend` does, with few operations that ONNX supports.

        Args:
            event: vector of the event, [B, D].
            carried: the state before it, [B, P, W].

        Returns:
            The output, [B, H], and the new state.
        """
        outputs, carried = self.extend(event.unsqueeze(1), carried)
        return outputs.squeeze(1), carried


CELLS: Registry[Callable[[int, int, int, float], Cell]] = Registry(
    "rnn_type", "register_cell", "recbole_longinterest.cells"
)


def register_cell(name: str, make: Callable[[int, int, int, float], Cell]) -> None:
    """Register a cell as a value of ``rnn_type``.

    Args:
        name: the value of ``rnn_type``.
        make: the class, or a function of ``(dim, hidden_size, num_layers, dropout)``.

    Raises:
        LongInterestError: if the name is taken.
    """
    CELLS.add(name, make)
