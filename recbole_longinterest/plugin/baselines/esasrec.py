"""eSASRec: SASRec's objective with LiGR layers and a sampled softmax (Tikhonovich et al., RecSys 2025)."""

from typing import TYPE_CHECKING, ClassVar

import torch
from recbole.data.interaction import Interaction
from torch import Tensor, nn
from torch.nn import functional

from recbole_longinterest.plugin.baselines.base import CausalRecommender
from recbole_longinterest.plugin.baselines.options import PROBABILITY, SHARE, SWITCH, whole
from recbole_longinterest.plugin.baselines.sampled import draw_uniform, log_correction, sampled_softmax, scores_of

if TYPE_CHECKING:
    from recbole.data.dataset import SequentialDataset


class LiGRBlock(nn.Module):
    """A Transformer layer with gated residuals (Borisyuk et al. 2025).

    ``x + sigmoid(x W) * f(norm(x))``, first with causal attention as ``f``, then with a SwiGLU feed-forward,
    ``(SiLU(x A) * x B) C``.

    Args:
        size: D.
        heads: attention heads; must divide ``size``.
        inner_size: hidden size of the feed-forward layer.
        dropout: dropout on both outputs.
        attention_dropout: dropout on the attention weights.
    """

    def __init__(self, size: int, heads: int, inner_size: int, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.heads, self.attention_dropout = heads, attention_dropout
        self.attention_norm, self.inner_norm = nn.LayerNorm(size), nn.LayerNorm(size)
        self.attention_gate, self.inner_gate = nn.Linear(size, size), nn.Linear(size, size)
        self.qkv, self.attention_out = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.switch, self.value = nn.Linear(size, inner_size), nn.Linear(size, inner_size)
        self.inner_out = nn.Linear(inner_size, size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer: [B, L, D] to [B, L, D]."""
        x = x + self.attention_gate(x).sigmoid() * self.dropout(self.attend(self.attention_norm(x)))
        normed = self.inner_norm(x)
        inner = self.inner_out(functional.silu(self.switch(normed)) * self.value(normed))
        return x + self.inner_gate(x).sigmoid() * self.dropout(inner)

    def attend(self, x: Tensor) -> Tensor:
        """Causal softmax attention, [B, L, D]."""
        batch, length, size = x.shape
        parts = self.qkv(x).view(batch, length, 3, self.heads, size // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = parts  # [B, heads, L, D / heads]
        dropout = self.attention_dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=True)
        out: Tensor = self.attention_out(mixed.transpose(1, 2).reshape(batch, length, size))
        return out


class eSASRec(CausalRecommender):
    r"""Enhanced SASRec: next-item training at all positions, LiGR layers, sampled softmax.

    The loss of a target is its cross entropy against K negatives, drawn uniformly. A share of them
    (``in_batch_share``) is drawn from the batch's targets instead, that is, by popularity. With ``logq``,
    ``-log(K Q(j))`` is added to the score of a negative ``j``, where ``Q`` is the sampling distribution, so that the
    sum over the sample estimates the sum over the catalogue.

    Differences from the paper: a target is never its own negative; for in-batch negatives, ``Q`` is the item's share
    of the training targets; a final layer norm, as in SASRec; full cross entropy with ``loss_type: CE``.

    Reference: Tikhonovich et al., "eSASRec: Enhancing Transformer-based Recommendations in a Modular Fashion", RecSys
    2025; layers: Borisyuk et al., "From Features to Transformers: Redefining Ranking for Scalable Impact", 2025.
    """

    window_losses: ClassVar = ("sampled_softmax", "CE")
    rules: ClassVar = {
        "n_layers": whole(1),
        "n_heads": whole(1),
        "inner_size": whole(1),
        "attn_dropout_prob": PROBABILITY,
        "negatives": whole(1),
        "in_batch_share": SHARE,
        "logq": SWITCH,
    }

    def build(self, dataset: "SequentialDataset") -> None:
        """Create the layers, and compute the sampling probability of each item."""
        options = self.options
        self.position_embedding = nn.Embedding(self.max_seq_length, self.hidden_size)
        dropouts = options["hidden_dropout_prob"], options["attn_dropout_prob"]
        self.blocks = nn.ModuleList(
            LiGRBlock(self.hidden_size, options["n_heads"], options["inner_size"], *dropouts)
            for _ in range(options["n_layers"])
        )
        self.norm = nn.LayerNorm(self.hidden_size)
        self.dropout = nn.Dropout(options["hidden_dropout_prob"])
        share = options["in_batch_share"]
        probability = torch.full((self.n_items,), (1 - share) / max(1, self.n_items - 2))
        if share:
            events = torch.bincount(dataset.inter_feat[self.ITEM_ID], minlength=self.n_items)
            probability += share * events / events.sum()
        self.register_buffer("probability", probability)

    def forward(self, interaction: Interaction) -> Tensor:
        """Output at every position, [B, L, D]."""
        item_seq = interaction[self.ITEM_SEQ]
        position = torch.arange(item_seq.shape[1], device=item_seq.device)
        x = self.dropout(self.item_embedding(item_seq) + self.position_embedding(position))
        for block in self.blocks:
            x = block(x)
        outputs: Tensor = self.norm(x)
        return outputs

    def loss(self, outputs: Tensor, items: Tensor, target: Tensor) -> Tensor:
        """Cross entropy over drawn negatives, or over the catalogue."""
        if self.loss_type == "CE":
            return super().loss(outputs, items, target)
        number = self.options["negatives"]
        of_batch = round(self.options["in_batch_share"] * number)
        drawn = draw_uniform(target, number - of_batch, self.n_items)
        if of_batch:
            place = torch.randint(len(target), (len(target), of_batch), device=target.device)
            drawn = torch.cat([drawn, target[place]], dim=1)  # [T, K]
        negative = scores_of(outputs, items, drawn)
        if self.options["logq"]:
            negative = negative + log_correction(drawn, self.probability, number)
        positive = (outputs * items[target]).sum(dim=1)
        return sampled_softmax(positive, negative, drawn == target.unsqueeze(1))
