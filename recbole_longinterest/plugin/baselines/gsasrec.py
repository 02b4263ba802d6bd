"""gSASRec: SASRec with many negatives and generalised binary cross entropy (Petrov & Macdonald, RecSys 2023)."""

import math
from typing import TYPE_CHECKING, ClassVar

import torch
from recbole.data.interaction import Interaction
from recbole.model.layers import TransformerEncoder
from torch import Tensor, nn

from recbole_longinterest.plugin.baselines.base import CausalRecommender
from recbole_longinterest.plugin.baselines.options import POSITIVE, PROBABILITY, SHARE, SWITCH, one_of, whole
from recbole_longinterest.plugin.baselines.sampled import beta_of, draw_uniform, generalised_bce, scores_of

if TYPE_CHECKING:
    from recbole.data.dataset import SequentialDataset


class gSASRec(CausalRecommender):
    r"""SASRec with a loss that avoids overconfidence from negative sampling.

    With K sampled negatives, binary cross entropy overestimates probabilities: for an item that comes next with
    probability ``p`` it learns ``p / (p + alpha (1 - p))``, with the sampling rate ``alpha = K / (|I| - 1)``. gBCE
    raises the positive's probability to the power ``beta``::

        loss = -(log sigmoid(s+)^beta + sum_j log(1 - sigmoid(s_j))) / (K + 1)
        beta = alpha (t (1 - 1 / alpha) + 1 / alpha)

    With ``t = 1``, ``beta = alpha`` and the scores are calibrated; with ``t = 0`` it is binary cross entropy.

    Differences from the paper: the Transformer is RecBole's (BERT's layers with GELU), so only the loss differs from
    RecBole's SASRec; a target is never its own negative; with ``shared_negatives`` the whole batch uses one draw;
    ``prior_logit`` adds the log-odds of a random item to every score in the loss. This constant does not change
    rankings, and saves the first epochs, which would only push all scores down.

    Reference: Petrov & Macdonald, "gSASRec: Reducing Overconfidence in Sequential Recommendation Trained with Negative
    Sampling", RecSys 2023.
    """

    window_losses: ClassVar = ("gBCE",)
    rules: ClassVar = {
        "n_layers": whole(1),
        "n_heads": whole(1),
        "inner_size": whole(1),
        "attn_dropout_prob": PROBABILITY,
        "layer_norm_eps": POSITIVE,
        "hidden_act": one_of("gelu", "relu", "swish", "tanh", "sigmoid"),
        "negatives": whole(1),
        "shared_negatives": SWITCH,
        "calibration": SHARE,
        "prior_logit": SWITCH,
    }

    def build(self, dataset: "SequentialDataset") -> None:
        """Create SASRec's layers."""
        options = self.options
        self.beta = beta_of(options["negatives"], self.n_items, options["calibration"])
        self.prior = -math.log(max(1, self.n_items - 2)) if options["prior_logit"] else 0.0  # log-odds of 1 / |I|
        self.position_embedding = nn.Embedding(self.max_seq_length, self.hidden_size)
        self.trm_encoder = TransformerEncoder(
            n_layers=options["n_layers"],
            n_heads=options["n_heads"],
            hidden_size=self.hidden_size,
            inner_size=options["inner_size"],
            hidden_dropout_prob=options["hidden_dropout_prob"],
            attn_dropout_prob=options["attn_dropout_prob"],
            hidden_act=options["hidden_act"],
            layer_norm_eps=options["layer_norm_eps"],
        )
        self.LayerNorm = nn.LayerNorm(self.hidden_size, eps=options["layer_norm_eps"])
        self.dropout = nn.Dropout(options["hidden_dropout_prob"])

    def forward(self, interaction: Interaction) -> Tensor:
        """Output at every position, [B, L, D]."""
        item_seq = interaction[self.ITEM_SEQ]
        position = torch.arange(item_seq.shape[1], device=item_seq.device)
        events = self.item_embedding(item_seq) + self.position_embedding(position)
        events = self.dropout(self.LayerNorm(events))
        mask = self.get_attention_mask(item_seq)
        outputs: Tensor = self.trm_encoder(events, mask, output_all_encoded_layers=False)[-1]
        return outputs

    def loss(self, outputs: Tensor, items: Tensor, target: Tensor) -> Tensor:
        """Generalised binary cross entropy over drawn negatives."""
        options = self.options
        drawn = draw_uniform(target, options["negatives"], self.n_items, options["shared_negatives"])
        positive = (outputs * items[target]).sum(dim=1) + self.prior
        hit = drawn == target.unsqueeze(1) if options["shared_negatives"] else None
        return generalised_bce(positive, scores_of(outputs, items, drawn) + self.prior, self.beta, hit)
