"""The network of LongInterest: tensors and ints only, no config and no data set.

Shapes: ``B`` batch, ``L`` positions of a history (padded at the end), ``D`` item dimension, ``H`` hidden size,
``K`` attention heads, ``N`` items of the catalogue (row 0 is the padding).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.nn.attention import RunningAttention
from recbole_longinterest.nn.dropout import Dropout


class ItemEncoder(nn.Module):
    """Item vectors ``e_j = E[j] + A t_j``: an ID embedding plus a projection of the item's whitened text vector.

    An item without text gets a learned "no text" vector in place of ``A t_j``, so that it is not taken for an item
    whose text happens to be average. One of the two parts may be off.

    Args:
        n_items: catalogue size with the padding row 0.
        dim: size ``D`` of an item vector.
        text_dim: columns of the text matrix, 0 for no text part.
        use_id: whether items have an ID embedding.

    Raises:
        ValueError: if both parts are off.
    """

    def __init__(self, n_items: int, dim: int, text_dim: int = 0, use_id: bool = True) -> None:
        super().__init__()
        if not use_id and text_dim == 0:
            raise LongInterestError(
                "An item needs at least one of id_features and text_features; both are off. Switch one of them on."
            )
        self.id_embedding = nn.Embedding(n_items, dim, padding_idx=0) if use_id else None
        self.text_projection = nn.Linear(text_dim, dim, bias=False) if text_dim else None
        self.no_text = nn.Parameter(torch.zeros(dim)) if text_dim else None

    def forward(
        self, text_vectors: Tensor | None = None, has_text: Tensor | None = None, trained: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The parts of the vectors of the whole catalogue.

        Args:
            text_vectors: whitened text vectors, [N, text_dim]; needed if there is a text part.
            has_text: which items have a text, bool [N].
            trained: which items have an ID embedding that says something, bool [N]; the others' is taken as zero.
                None is all of them.

        Returns:
            What the item vectors are the sum of, [N, D] each: ``id``, ``text`` or both.
        """
        parts: dict[str, Tensor] = {}
        if self.id_embedding is not None:
            known = self.id_embedding.weight
            parts["id"] = known if trained is None else known * trained.unsqueeze(-1)
        if self.text_projection is not None and self.no_text is not None:
            if text_vectors is None or has_text is None:
                raise LongInterestError(
                    "ItemEncoder has a text part: text_vectors [N, text_dim] and has_text [N] are needed."
                )
            parts["text"] = torch.where(has_text.unsqueeze(-1), self.text_projection(text_vectors), self.no_text)
        return parts


class EventFusion(nn.Module):
    """One vector an event: ``U_s = norm(W1 f_s + W2 b_s + bias)`` from item part ``f`` and context part ``b``.

    ``b`` is the sum of the embeddings of the event's side features (rating level, behaviour type, time-gap bucket).
    With ``gated`` the two parts are mixed by ``g = sigmoid(Wg [f; b])`` as ``norm(g * W1 f + (1 - g) * W2 b + bias)``,
    so an event decides for itself how much its context counts.

    Args:
        dim: size ``D`` of ``f``, ``b`` and ``U``.
        n_levels: number of values of each side feature, 0 being "missing"; empty for events that are items only.
        gated: gate instead of plain sum.
    """

    def __init__(self, dim: int, n_levels: dict[str, int], gated: bool = False) -> None:
        super().__init__()
        self.item = nn.Linear(dim, dim)
        self.levels = nn.ModuleDict({name: nn.Embedding(size, dim) for name, size in n_levels.items()})
        self.context = nn.Linear(dim, dim, bias=False) if n_levels else None
        self.gate = nn.Linear(2 * dim, dim) if gated and n_levels else None
        self.norm = nn.LayerNorm(dim)

    def forward(self, item_vectors: Tensor, levels: dict[str, Tensor]) -> Tensor:
        """Fuse.

        Args:
            item_vectors: ``f``, [B, L, D].
            levels: a level id per event for each side feature, int64 [B, L].

        Returns:
            ``U``, [B, L, D].
        """
        return self.fuse(item_vectors, self.embed(levels))

    def embed(self, levels: dict[str, Tensor]) -> dict[str, Tensor]:
        """The embeddings that ``b`` is the sum of, [B, L, D] for each side feature."""
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
    """All that an :class:`InterestEncoder` keeps of the events so far, whatever their number.

    Attributes:
        recurrent: ``h`` of every recurrent layer, then ``c`` of every LSTM layer, [B, layers or 2 layers, H].
        sums: of the attention, see :meth:`RunningAttention.extend`, float64 [B, K, 2 + H/K]; K is 0 without attention.
    """

    recurrent: Tensor
    sums: Tensor


class ResidualBlock(nn.Module):
    """A position's own event beside what the history adds to it, and a feed-forward layer: a Transformer's block.

    ``z = norm(x + y)``, ``out = norm(z + W2 gelu(W1 z))`` with the history's ``y`` in the place of self-attention
    (Vaswani et al. 2017; around a recurrence: LRURec, Yue et al. 2024). Each position by itself.

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
        rnn_type: ``"LSTM"`` or ``"GRU"``.
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
        recurrent = {"LSTM": nn.LSTM, "GRU": nn.GRU}[rnn_type]
        between = dropout if num_layers > 1 else 0.0
        self.rnn = recurrent(dim, hidden_size, num_layers, batch_first=True, dropout=between)
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
        states, _ = self.rnn(fused)  # [B, L, H]
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
        weight = self.query.weight
        parts = self.rnn.num_layers * (2 if isinstance(self.rnn, nn.LSTM) else 1)
        heads = 0 if self.attention is None else self.attention.heads
        width = self.rnn.hidden_size // max(heads, 1)
        sums = torch.zeros(batch, heads, 2 + width, dtype=torch.float64, device=weight.device)
        sums[..., 0] = -torch.inf  # no score yet
        recurrent = torch.zeros(batch, parts, self.rnn.hidden_size, dtype=weight.dtype, device=weight.device)
        return EncoderState(recurrent, sums)

    def extend(self, fused: Tensor, state: EncoderState) -> tuple[Tensor, EncoderState]:
        """Take further events in: the cost depends on their number alone, and no padding is allowed.

        Args:
            fused: ``U`` of the further events, [B, L, D].
            state: after the events before them.

        Returns:
            Interest after the last event, [B, D], equal to :meth:`forward`'s over all events; and the state there.
        """
        carried = state.recurrent.transpose(0, 1).contiguous()  # [parts, B, H]
        layers = self.rnn.num_layers
        if isinstance(self.rnn, nn.LSTM):
            states, (hidden, cell) = self.rnn(fused, (carried[:layers], carried[layers:]))
            carried = torch.cat([hidden, cell])
        else:
            states, carried = self.rnn(fused, carried)
        attended, sums = None, state.sums
        if self.attention is not None:
            attended, sums = self.attention.extend(fused, states, sums)
        return self.interest_of(fused[:, -1], states[:, -1], attended), EncoderState(carried.transpose(0, 1), sums)
