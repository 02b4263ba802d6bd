"""Attention over all events so far, for every prefix of a history at once and event by event.

Shapes as in :mod:`recbole_longinterest.nn.layers`; ``V`` values per head, ``n`` blocks of ``C`` positions.
"""

import torch
from torch import Tensor, nn

from recbole_longinterest.common.errors import LongInterestError

BLOCK = 64  # positions per block of the running attention: memory is B * L * BLOCK, cost O(L * BLOCK)


class RunningAttention(nn.Module):
    """Attention over all events so far: ``V_t = sum_{s<=t} softmax_s(w . [U_s; i_s]) i_s`` for every ``t`` at once.

    The score of an event depends on its own position only, so the softmax over ``s <= t`` is a running weighted mean:
    all prefixes of a history cost O(L + (L / 64)^2), and a new event costs O(1). With ``heads`` > 1 every head has its
    own ``w`` and reads its own slice of ``i``.

    Args:
        dim: size ``D`` of ``U``.
        hidden_size: size ``H`` of ``i`` and ``V``.
        heads: number of heads ``K``; must divide ``hidden_size``.

    Raises:
        ValueError: if ``heads`` does not divide ``hidden_size``.
    """

    def __init__(self, dim: int, hidden_size: int, heads: int = 1) -> None:
        super().__init__()
        if heads < 1 or hidden_size % heads:
            raise LongInterestError(
                f"attention_heads must divide hidden_size ({hidden_size}); got {heads}. "
                "Choose a divisor, for example 1, 2 or 4."
            )
        self.heads = heads
        self.score = nn.Linear(dim + hidden_size, heads)

    def forward(self, fused: Tensor, states: Tensor) -> Tensor:
        """Attention output after every event.

        Args:
            fused: ``U``, [B, L, D].
            states: ``i``, the states of the recurrent layer, [B, L, H].

        Returns:
            ``V``, [B, L, H].
        """
        scores, values = self.scored(fused, states)
        return running_softmax_mean(scores, values).flatten(2)

    def scored(self, fused: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """Score of each event, [B, L, K], and its value for each head, [B, L, K, H/K]."""
        return self.score(torch.cat([fused, states], dim=-1)), states.unflatten(-1, (self.heads, -1))

    def extend(self, fused: Tensor, states: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
        """Continue from the sums over all earlier events with further ones.

        Args:
            fused: ``U`` of the further events, [B, L, D].
            states: ``i`` of the further events, [B, L, H].
            sums: for each head the largest score so far, and the denominator and numerator relative to it,
                float64 [B, K, 2 + H/K]. In float32, rounding errors would grow over 10,000 events.

        Returns:
            ``V`` after the last event, [B, H], and the updated sums.
        """
        scores, values = (part.to(sums.dtype) for part in self.scored(fused, states))
        top = torch.maximum(sums[..., 0], scores.amax(dim=1))  # [B, K]
        kept = (sums[..., :1] - top.unsqueeze(-1)).exp()  # [B, K, 1]; 0 where nothing came before
        weights = (scores - top.unsqueeze(1)).exp().transpose(1, 2)  # [B, K, L]
        added = weights.unsqueeze(-2) @ values.transpose(1, 2)  # [B, K, 1, H/K]
        denominator = sums[..., 1:2] * kept + weights.sum(dim=-1, keepdim=True)  # [B, K, 1]
        numerator = sums[..., 2:] * kept + added.squeeze(-2)  # [B, K, H/K]
        attended = (numerator / denominator).flatten(1).to(states.dtype)
        return attended, torch.cat([top.unsqueeze(-1), denominator, numerator], dim=-1)


def running_softmax_mean(scores: Tensor, values: Tensor, block: int = BLOCK) -> Tensor:
    """Softmax-weighted mean of the values up to each position.

    ``out_t = sum_{s<=t} exp(scores_s) values_s / sum_{s<=t} exp(scores_s)``, computed as a blockwise scan. Inside a
    block, scores are relative to the running maximum of each position; between blocks, each block's sums are rescaled
    from its own maximum to the running one. This avoids overflow, and underflow relative to one global maximum. Sums
    use float32 or wider, also under autocast.

    Args:
        scores: [B, L, K].
        values: [B, L, K, V].
        block: positions per block; it does not affect the result.

    Returns:
        Running means in the dtype of ``values``, [B, L, K, V].
    """
    length = scores.shape[1]
    with torch.autocast(device_type=scores.device.type, enabled=False):
        dtype = torch.promote_types(values.dtype, torch.float32)
        s, v = _to_blocks(scores.to(dtype), values.to(dtype), min(block, length))
        # s [B, n, K, C], v [B, n, K, C, V]: n blocks of C positions
        inner = s.detach().cummax(dim=-1).values  # running maximum inside the block
        last = inner[..., -1:]  # maximum of the whole block, [B, n, K, 1]
        before = last.squeeze(-1).cummax(dim=1).values.roll(1, dims=1)  # maximum of all blocks before, [B, n, K]
        before[:, 0] = -torch.inf
        top = torch.maximum(inner, before.unsqueeze(-1))  # running maximum over everything so far, [B, n, K, C]

        causal = torch.ones(s.shape[-1], s.shape[-1], dtype=torch.bool, device=s.device).tril()
        weights = (s.unsqueeze(-2) - top.unsqueeze(-1)).masked_fill(~causal, -torch.inf).exp()  # [B, n, K, C, C]
        denominator = weights.sum(dim=-1)  # [B, n, K, C]
        numerator = weights @ v  # [B, n, K, C, V]

        if s.shape[1] > 1:
            own = (s - last).exp()  # weights against the block's own maximum
            block_sum = own.sum(dim=-1)  # [B, n, K]
            block_values = (own.unsqueeze(-2) @ v).squeeze(-2)  # [B, n, K, V]
            # Sums of all blocks before, against `before`: share[i, j] = exp(max_j - before_i) for j < i.
            earlier = torch.ones(s.shape[1], s.shape[1], dtype=torch.bool, device=s.device).tril(-1)
            maxima = last.squeeze(-1).transpose(1, 2)  # [B, K, n]
            gap = maxima.unsqueeze(-2) - before.transpose(1, 2).unsqueeze(-1)  # [B, K, n, n]
            share = gap.masked_fill(~earlier, -torch.inf).exp()
            carried_sum = share @ block_sum.transpose(1, 2).unsqueeze(-1)  # [B, K, n, 1]
            carried_values = share @ block_values.transpose(1, 2)  # [B, K, n, V]
            rescale = (before.unsqueeze(-1) - top).exp()  # [B, n, K, C], 0 in the first block
            denominator = denominator + rescale * carried_sum.transpose(1, 2)
            numerator = numerator + rescale.unsqueeze(-1) * carried_values.transpose(1, 2).unsqueeze(-2)
        out = numerator / denominator.unsqueeze(-1)
    return out.permute(0, 1, 3, 2, 4).flatten(1, 2)[:, :length].to(values.dtype)


def _to_blocks(scores: Tensor, values: Tensor, block: int) -> tuple[Tensor, Tensor]:
    """Split [B, L, ...] into blocks of ``block`` positions. No event reads the padding of the last block."""
    fill = -scores.shape[1] % block
    if fill:
        scores = nn.functional.pad(scores, (0, 0, 0, fill))
        values = nn.functional.pad(values, (0, 0, 0, 0, 0, fill))
    s = scores.unflatten(1, (-1, block)).transpose(2, 3)  # [B, n, K, C]
    v = values.unflatten(1, (-1, block)).transpose(2, 3)  # [B, n, K, C, V]
    return s, v
