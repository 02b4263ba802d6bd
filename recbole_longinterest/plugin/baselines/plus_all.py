"""RecBole's encoders inside LongInterest: comparison rows that isolate the effect of the network."""

from typing import TYPE_CHECKING, ClassVar

import torch
from recbole.model.layers import TransformerEncoder
from torch import Tensor, nn

from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.lazy_matrix import Overlay
from recbole_longinterest.plugin.baselines.options import PROBABILITY, Rule, one_of, read_options, whole
from recbole_longinterest.plugin.longinterest import LongInterest

if TYPE_CHECKING:
    from recbole_longinterest.data.longinterest_dataset import LongInterestDataset

LAYER_NORM_EPS = 1e-12  # as in RecBole's SASRec
RULES: dict[str, Rule] = {
    "n_layers": whole(1),
    "n_heads": whole(1),
    "hidden_size": whole(1),
    "inner_size": whole(1),
    "hidden_dropout_prob": PROBABILITY,
    "attn_dropout_prob": PROBABILITY,
    "hidden_act": one_of("gelu", "relu", "swish", "tanh", "sigmoid"),
}


class SASRecEncoder(nn.Module):
    """The encoder of RecBole's SASRec: position embeddings, layer norm, a causal Transformer.

    Args:
        config: RecBole's config.
        window: number of positions.
    """

    def __init__(self, config: Settings, window: int) -> None:
        super().__init__()
        options = read_options(config, RULES, "SASRecAll")
        size = options["hidden_size"]
        self.position_embedding = nn.Embedding(window, size)
        self.norm = nn.LayerNorm(size, eps=LAYER_NORM_EPS)
        self.dropout = nn.Dropout(options["hidden_dropout_prob"])
        self.transformer = TransformerEncoder(**options, layer_norm_eps=LAYER_NORM_EPS)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=config["initializer_range"])
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, fused: Tensor) -> Tensor:
        """Events [B, L, D] to outputs [B, L, D]; output ``t`` depends on events up to ``t``."""
        length = fused.shape[1]
        events = self.dropout(self.norm(fused + self.position_embedding.weight[:length]))
        later = torch.full((length, length), -1e4, device=fused.device).triu(1)  # masks the padding too
        return self.transformer(events, later, output_all_encoded_layers=False)[-1]


class SASRecAll(LongInterest):
    """LongInterest with RecBole's SASRec (Kang & McAuley 2018) in place of its LSTM and attention.

    Everything else is LongInterest's: vectors of texts and other item sources, ratings, behaviours and time, weight
    averaging, the repeat bias, one pass, the optimizer, cold items. So any difference in results comes from the
    network. It reads only the last ``MAX_ITEM_LIST_LENGTH`` events of a history, its number of positions. It has no
    state of constant size, so it cannot be exported.

    Args:
        config: RecBole's config; ``hidden_size`` is also the size of the item vectors.
        dataset: the training part of a :class:`~recbole_longinterest.data.longinterest_dataset.LongInterestDataset`.

    Raises:
        LongInterestError: if options are out of range.
    """

    rules: ClassVar = RULES

    def __init__(self, config: Settings, dataset: "LongInterestDataset") -> None:
        # Not set in the config itself, where a comparison that continues would take it for another setting.
        config = Overlay(config, {"embedding_size": config["hidden_size"]})
        super().__init__(config, dataset)
        self.window = int(config["MAX_ITEM_LIST_LENGTH"])
        self.interest_encoder = SASRecEncoder(config, self.window)  # type: ignore[assignment]

    def interest_after(
        self, item_seq: Tensor, length: Tensor, levels: dict[str, Tensor], item_vectors: Tensor
    ) -> Tensor:
        """Interest after the last event of each history, from its last ``window`` events, [B, D].

        Args:
            item_seq: item ids, padded at the end, int64 [B, L].
            length: number of events of each history, int64 [B].
            levels: level ids of each source, int64 [B, L, ...].
            item_vectors: vectors of all items, [N, D].
        """
        if item_seq.shape[1] > self.window:
            first = (length - self.window).clamp(min=0)  # [B]
            place = first.unsqueeze(1) + torch.arange(self.window, device=length.device)  # [B, W]
            row = torch.arange(len(length), device=length.device).unsqueeze(1)
            item_seq, length = item_seq[row, place], length - first
            levels = {name: value[row, place] for name, value in levels.items()}
        return super().interest_after(item_seq, length, levels, item_vectors)


class GRU4RecEncoder(nn.Module):
    """The encoder of RecBole's GRU4Rec: a GRU without biases, and a linear layer.

    Args:
        config: RecBole's config.
    """

    def __init__(self, config: Settings) -> None:
        super().__init__()
        size, hidden = config["embedding_size"], config["hidden_size"]
        self.gru = nn.GRU(size, hidden, config["num_layers"], bias=False, batch_first=True)
        self.dense = nn.Linear(hidden, size)
        for name, weight in self.gru.named_parameters():
            if name.endswith("_l0"):
                nn.init.xavier_uniform_(weight)

    def forward(self, fused: Tensor) -> Tensor:
        """Events [B, L, D] to outputs [B, L, D]; output ``t`` depends on events up to ``t``."""
        return self.dense(self.gru(fused)[0])


class GRU4RecAll(LongInterest):
    """LongInterest with RecBole's GRU4Rec (Tan et al. 2016) in place of its LSTM and attention.

    Everything else is LongInterest's, as with :class:`SASRecAll`; it cannot be exported either.

    Args:
        config: RecBole's config.
        dataset: the training part of a :class:`~recbole_longinterest.data.longinterest_dataset.LongInterestDataset`.

    Raises:
        LongInterestError: if options are out of range.
    """

    def __init__(self, config: Settings, dataset: "LongInterestDataset") -> None:
        super().__init__(config, dataset)
        self.interest_encoder = GRU4RecEncoder(config)  # type: ignore[assignment]
