"""The layers of LongInterest. They take tensors and numbers only, no config and no data set.

Shapes: ``B`` batch, ``L`` positions of a history (padded at the end), ``D`` item dimension, ``H`` hidden size,
``K`` attention heads, ``N`` items of the catalogue (row 0 is the padding).
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from recbole_longinterest.nn.attention import RunningAttention
from recbole_longinterest.nn.cells import CELLS
from recbole_longinterest.nn.dropout import Dropout
from recbole_longinterest.nn.sources import EVENT_SOURCES, EventSource, SourceSpec


class EventFusion(nn.Module):
    """One vector per event: ``U_s = norm(W1 f_s + W2 b_s + bias)`` from item part ``f`` and context part ``b``.

    ``b`` is the sum of the vectors of the event's sources (rating level, behaviour type, time-gap bucket, ...). With
    ``gated``, a gate ``g = sigmoid(Wg [f; b])`` weights the parts: ``norm(g * W1 f + (1 - g) * W2 b + bias)``. So the
    weight of the context depends on the event.

    Args:
        dim: size ``D`` of ``f``, ``b`` and ``U``.
        specs: the sources of event features; empty for events without features.
        gated: whether to use the gate instead of a plain sum.
    """

    def __init__(self, dim: int, specs: Sequence[SourceSpec] = (), gated: bool = False) -> None:
        super().__init__()
        self.item = nn.Linear(dim, dim)
        self.levels = nn.ModuleDict({spec.name: EVENT_SOURCES.get(spec.kind)(spec, dim) for spec in specs})
        self.context = nn.Linear(dim, dim, bias=False) if specs else None
        self.gate = nn.Linear(2 * dim, dim) if gated and specs else None
        self.norm = nn.LayerNorm(dim)

    @property
    def sources(self) -> dict[str, EventSource]:
        """The sources of event features, by name."""
        return cast("dict[str, EventSource]", dict(self.levels.items()))

    def forward(self, item_vectors: Tensor, levels: dict[str, Tensor]) -> Tensor:
        """Fuse items and level ids into event vectors.

        Args:
            item_vectors: ``f``, [B, L, D].
            levels: level ids of each source, int64 [B, L, ...].

        Returns:
            ``U``, [B, L, D].
        """
        return self.fuse(item_vectors, self.embed(levels))

    def embed(self, levels: dict[str, Tensor]) -> dict[str, Tensor]:
        """The summands of ``b``: a vector per event for each source, [B, L, D]."""
        return {name: table(levels[name]) for name, table in self.levels.items()}

    def fuse(self, item_vectors: Tensor, sides: dict[str, Tensor]) -> Tensor:
        """Fuse parts that :meth:`embed` has embedded; the second half of :meth:`forward`.

        Args:
            item_vectors: ``f``, [B, L, D].
            sides: from :meth:`embed`.

        Returns:
            ``U``, [B, L, D].
        """
        fused = self.item(item_vectors)
        if self.context is not None:
            embedded = torch.stack(list(sides.values())).sum(dim=0)
            context = self.context(embedded)
            if self.gate is None:
                fused = fused + context
            else:
                gate = torch.sigmoid(self.gate(torch.cat([item_vectors, embedded], dim=-1)))
                fused = gate * fused + (1 - gate) * context
        return self.norm(fused)


class EncoderState(NamedTuple):
    """The state of an :class:`InterestEncoder`; its size does not depend on the number of events.

    Attributes:
        recurrent: state of the cell, see :class:`~recbole_longinterest.nn.cells.Cell`, [B, P, W].
        sums: sums of the attention, see :meth:`RunningAttention.extend`, float64 [B, K, 2 + H/K]; without attention
            K is 0.
    """

    recurrent: Tensor
    sums: Tensor


class ResidualBlock(nn.Module):
    """A Transformer block whose self-attention is replaced by the encoder's output.

    ``z = norm(x + y)``, ``out = norm(z + W2 gelu(W1 z))`` with the event ``x`` and the encoder's output ``y`` (Vaswani
    et al. 2017; around a recurrence: LRURec, Yue et al. 2024). Positions are independent.

    Args:
        dim: size ``D`` of ``x``, ``y`` and the output; the hidden layer has size ``4 D``.
        dropout: dropout on ``y`` and on the feed-forward layer's output.
    """

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.first_norm = nn.LayerNorm(dim)
        self.feed_forward = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.last_norm = nn.LayerNorm(dim)

    def forward(self, event: Tensor, added: Tensor) -> Tensor:
        """Combine ``x`` and ``y``, [..., D] each, into [..., D]."""
        inner = self.first_norm(event + self.dropout(added))
        return self.last_norm(inner + self.dropout(self.feed_forward(inner)))


class InterestEncoder(nn.Module):
    """Encode fused events into the user's interest after every event: recurrent layer, running attention, projection.

    ``i = RNN(U)``, ``V_t`` = running attention over ``i``, ``y_t = Wq [V_t; i_t]``, and with a residual block
    ``block(U_t, y_t)``. Output ``t`` depends on events up to ``t`` only, so one pass encodes every prefix of a history.

    Args:
        dim: size ``D`` of ``U`` and of the interest.
        hidden_size: size ``H`` of the recurrent state.
        num_layers: recurrent layers.
        rnn_type: name of a registered cell: ``"LSTM"``, ``"GRU"``, or your own.
        heads: attention heads, 0 for no attention (``y_t = Wq i_t``).
        dropout: dropout between recurrent layers, before the projection, and in the residual block.
        residual: whether to add a :class:`ResidualBlock` after the projection.
    """

    def __init__(
        self,
        dim: int,
        hidden_size: int,
        num_layers: int,
        rnn_type: str,
        heads: int,
        dropout: float = 0.0,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.rnn = CELLS.get(rnn_type)(dim, hidden_size, num_layers, dropout)
        self.hidden_size = hidden_size
        self.attention = RunningAttention(dim, hidden_size, heads) if heads else None
        self.dropout = Dropout(dropout)
        self.query = nn.Linear(2 * hidden_size if heads else hidden_size, dim)
        self.block = ResidualBlock(dim, dropout) if residual else None

    def forward(self, fused: Tensor) -> Tensor:
        """Encode complete histories.

        Args:
            fused: ``U``, [B, L, D].

        Returns:
            Interest after each event, [B, L, D].
        """
        states = self.rnn(fused)  # [B, L, H]
        attended = None if self.attention is None else self.attention(fused, states)
        return self.interest_of(fused, states, attended)

    def interest_of(self, fused: Tensor, states: Tensor, attended: Tensor | None) -> Tensor:
        """Interest from states and attention: ``y = Wq [V; i]``, or ``block(U, y)``; [..., D]."""
        if attended is not None:
            states = torch.cat([attended, states], dim=-1)
        interest = self.query(self.dropout(states))
        return interest if self.block is None else self.block(fused, interest)

    def start(self, batch: int) -> EncoderState:
        """Initial state of ``batch`` users, before any event."""
        heads = 0 if self.attention is None else self.attention.heads
        width = self.hidden_size // max(heads, 1)
        sums = torch.zeros(batch, heads, 2 + width, dtype=torch.float64, device=self.query.weight.device)
        sums[..., 0] = -torch.inf  # no score yet
        return EncoderState(self.rnn.start(batch), sums)

    def extend(self, fused: Tensor, state: EncoderState) -> tuple[Tensor, EncoderState]:
        """Process further events, without padding. The cost depends only on their number.

        Args:
            fused: ``U`` of the further events, [B, L, D].
            state: the state after the earlier events.

        Returns:
            Interest after the last event, [B, D], equal to :meth:`forward` over all events; and the new state.
        """
        states, carried = self.rnn.extend(fused, state.recurrent)
        attended, sums = None, state.sums
        if self.attention is not None:
            attended, sums = self.attention.extend(fused, states, sums)
        return self.interest_of(fused[:, -1], states[:, -1], attended), EncoderState(carried, sums)
