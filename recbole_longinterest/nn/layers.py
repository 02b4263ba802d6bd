"""The layers of LongInterest: tensors and numbers only, no config and no data set.

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
    """One vector an event: ``U_s = norm(W1 f_s + W2 b_s + bias)`` from item part ``f`` and context part ``b``.

    ``b`` is the sum of the vectors that the event's sources give (rating level, behaviour type, time-gap bucket, ...).
    With ``gated`` the two parts are mixed by ``g = sigmoid(Wg [f; b])`` as ``norm(g * W1 f + (1 - g) * W2 b + bias)``,
    so an event decides for itself how much its context counts.

    Args:
        dim: size ``D`` of ``f``, ``b`` and ``U``.
        specs: the sources; empty for events that are items only.
        gated: gate instead of plain sum.
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
        """The sources by name, in their order."""
        return cast("dict[str, EventSource]", dict(self.levels.items()))

    def forward(self, item_vectors: Tensor, levels: dict[str, Tensor]) -> Tensor:
        """Fuse.

        Args:
            item_vectors: ``f``, [B, L, D].
            levels: level ids of each source, int64 [B, L, ...].

        Returns:
            ``U``, [B, L, D].
        """
        return self.fuse(item_vectors, self.embed(levels))

    def embed(self, levels: dict[str, Tensor]) -> dict[str, Tensor]:
        """The vectors that ``b`` is the sum of, [B, L, D] for each source."""
        return {name: table(levels[name]) for name, table in self.levels.items()}

    def fuse(self, item_vectors: Tensor, sides: dict[str, Tensor]) -> Tensor:
        """Fuse embedded parts: what :meth:`forward` does after :meth:`embed`.

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
        recurrent: of the cell, see :class:`~recbole_longinterest.nn.cells.Cell`, [B, P, W].
        sums: of the attention, see :meth:`RunningAttention.extend`, float64 [B, K, 2 + H/K]; K is 0 without attention.
    """

    recurrent: Tensor
    sums: Tensor


class ResidualBlock(nn.Module):
    """A Transformer's block: residual connections around the history's output and a feed-forward layer.

    ``z = norm(x + y)``, ``out = norm(z + W2 gelu(W1 z))`` with the event ``x``, and the history's ``y`` in place of
    self-attention (Vaswani et al. 2017; around a recurrence: LRURec, Yue et al. 2024). Positions are independent.

    Args:
        dim: size ``D`` of ``x``, ``y`` and the output; the layer inside has ``4 D``.
        dropout: dropout of ``y`` and of the feed-forward layer's output.
    """

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.first_norm = nn.LayerNorm(dim)
        self.feed_forward = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.last_norm = nn.LayerNorm(dim)

    def forward(self, event: Tensor, added: Tensor) -> Tensor:
        """``x`` and ``y``, [..., D], to [..., D]."""
        inner = self.first_norm(event + self.dropout(added))
        return self.last_norm(inner + self.dropout(self.feed_forward(inner)))


class InterestEncoder(nn.Module):
    """From fused events to the user's interest after every event: recurrent layer, running attention, projection.

    ``i = RNN(U)``, ``V_t`` = running attention over ``i``, ``y_t = Wq [V_t; i_t]``, and with a residual block
    ``block(U_t, y_t)``. Output ``t`` depends on events up to ``t`` only, so one pass serves every prefix of a history.

    Args:
        dim: size ``D`` of ``U`` and of the interest.
        hidden_size: size ``H`` of the recurrent state.
        num_layers: recurrent layers.
        rnn_type: name of a registered cell: ``"LSTM"``, ``"GRU"``, or one of your own.
        heads: attention heads, 0 for no attention (``y_t = Wq i_t``).
        dropout: dropout between recurrent layers, before the projection, and in the residual block.
        residual: whether there is a :class:`ResidualBlock` after the projection.
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
        """Encode.

        Args:
            fused: ``U``, [B, L, D].

        Returns:
            Interest after each event, [B, L, D].
        """
        states = self.rnn(fused)  # [B, L, H]
        attended = None if self.attention is None else self.attention(fused, states)
        return self.interest_of(fused, states, attended)

    def interest_of(self, fused: Tensor, states: Tensor, attended: Tensor | None) -> Tensor:
        """``y = Wq [V; i]``, or ``block(U, y)``; with any number of dimensions before the last."""
        if attended is not None:
            states = torch.cat([attended, states], dim=-1)
        interest = self.query(self.dropout(states))
        return interest if self.block is None else self.block(fused, interest)

    def start(self, batch: int) -> EncoderState:
        """The state before any event, of ``batch`` users."""
        heads = 0 if self.attention is None else self.attention.heads
        width = self.hidden_size // max(heads, 1)
        sums = torch.zeros(batch, heads, 2 + width, dtype=torch.float64, device=self.query.weight.device)
        sums[..., 0] = -torch.inf  # no score yet
        return EncoderState(self.rnn.start(batch), sums)

    def extend(self, fused: Tensor, state: EncoderState) -> tuple[Tensor, EncoderState]:
        """Process further events, without padding; the cost depends only on their number.

        Args:
            fused: ``U`` of the further events, [B, L, D].
            state: after the events before them.

        Returns:
            Interest after the last event, [B, D], equal to :meth:`forward`'s over all events; and the state there.
        """
        states, carried = self.rnn.extend(fused, state.recurrent)
        attended, sums = None, state.sums
        if self.attention is not None:
            attended, sums = self.attention.extend(fused, states, sums)
        return self.interest_of(fused[:, -1], states[:, -1], attended), EncoderState(carried, sums)
