"""Long short-term memory (Hochreiter & Schmidhuber 1997)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from recbole_longinterest.nn.cells.base import Cell


class LSTM(nn.LSTM, Cell):
    """torch's LSTM; the state is ``h`` of every layer, then ``c`` of every layer.

    Args:
        dim: size ``D`` of an event.
        hidden_size: size ``H`` of an output.
        num_layers: number of layers.
        dropout: dropout between layers.
    """

    def __init__(self, dim: int, hidden_size: int, num_layers: int, dropout: float) -> None:
        super().__init__(dim, hidden_size, num_layers, batch_first=True, dropout=dropout if num_layers > 1 else 0.0)
        self.state_shape = 2 * num_layers, hidden_size

    def forward(self, fused: Tensor) -> Tensor:  # type: ignore[override]
        """See :meth:`Cell.forward`."""
        return super().forward(fused)[0]

    def extend(self, fused: Tensor, carried: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Cell.extend`."""
        parts = carried.transpose(0, 1).contiguous()  # [P, B, H]
        states, after = super().forward(fused, (parts[: self.num_layers], parts[self.num_layers :]))
        return states, torch.cat(after).transpose(0, 1)

    def step(self, event: Tensor, carried: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Cell.step`."""
        width, layers = self.hidden_size, self.num_layers
        before = carried.reshape(-1, 2 * layers * width).split(width, dim=1)
        kept = [slice(0, 2 * width), slice(3 * width, 4 * width), slice(2 * width, 3 * width)]  # i, f, o, then g
        hidden_after, cell_after = [], []
        for layer in range(layers):
            ours, theirs, our_bias, their_bias = self.all_weights[layer]
            weight = torch.cat([torch.cat([ours[part], theirs[part]], dim=1) for part in kept])
            bias = torch.cat([our_bias[part] + their_bias[part] for part in kept])
            gates = functional.linear(torch.cat([event, before[layer]], dim=1), weight, bias)
            opened, offered = gates.split([3 * width, width], dim=1)
            put, keep, show = opened.sigmoid().split(width, dim=1)
            cell = keep * before[layers + layer] + put * offered.tanh()
            event = show * cell.tanh()
            hidden_after.append(event)
            cell_after.append(cell)
        return event, torch.cat([*hidden_after, *cell_after], dim=1).reshape(-1, 2 * layers, width)
