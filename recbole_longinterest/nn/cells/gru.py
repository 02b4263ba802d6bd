"""Gated recurrent unit (Cho et al. 2014)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from recbole_longinterest.nn.cells.base import Cell


class GRU(nn.GRU, Cell):
    """torch's GRU; the state is ``h`` of every layer.

    Args:
        dim: size ``D`` of an event.
        hidden_size: size ``H`` of an output.
        num_layers: number of layers.
        dropout: dropout between layers.
    """

    def __init__(self, dim: int, hidden_size: int, num_layers: int, dropout: float) -> None:
        super().__init__(dim, hidden_size, num_layers, batch_first=True, dropout=dropout if num_layers > 1 else 0.0)
        self.state_shape = num_layers, hidden_size

    def forward(self, fused: Tensor) -> Tensor:  # type: ignore[override]
        """See :meth:`Cell.forward`."""
        return super().forward(fused)[0]

    def extend(self, fused: Tensor, carried: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Cell.extend`."""
        states, after = super().forward(fused, carried.transpose(0, 1).contiguous())
        return states, after.transpose(0, 1)

    def step(self, event: Tensor, carried: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Cell.step`."""
        width, layers = self.hidden_size, self.num_layers
        before = carried.reshape(-1, layers * width).split(width, dim=1)
        after = []
        for layer in range(layers):
            ours, theirs, our_bias, their_bias = self.all_weights[layer]
            ours_reset, ours_keep, ours_new = functional.linear(event, ours, our_bias).chunk(3, dim=1)
            reset, keep, new = functional.linear(before[layer], theirs, their_bias).chunk(3, dim=1)
            new = (ours_new + (ours_reset + reset).sigmoid() * new).tanh()
            event = new + (ours_keep + keep).sigmoid() * (before[layer] - new)
            after.append(event)
        return event, torch.cat(after, dim=1).reshape(-1, layers, width)
