"""LongInterest as RecBole sees it: `calculate_loss`, `predict`, `full_sort_predict`."""

from typing import Any

import torch
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.model.loss import BPRLoss
from torch import Tensor, nn
from torch.nn import functional

from recbole_longinterest.model.item_text import ItemText
from recbole_longinterest.model.layers import EventFusion, InterestEncoder, ItemEncoder
from recbole_longinterest.model.levels import TIME_GAP_LEVELS, rating_levels_of, time_gap_levels_of
from recbole_longinterest.model.losses import chunked_cross_entropy, sampled_softmax
from recbole_longinterest.model.options import ModelOptions

EVAL_POSITIONS = 2**17  # positions of padded histories encoded together at evaluation: bounds memory, changes nothing
TEMPERATURE = 0.07  # where the learned temperature of cosine logits starts (CLIP, Radford et al. 2021)


class LongInterest(SequentialRecommender):
    r"""A user's long-term interest from what the items say, how they were rated, and when.

    An event is fused from its item's vector ``e_j = E[j] + A t_j`` (ID embedding and projected BERT vector of the
    text) and from the embeddings of its rating level, behaviour type and time gap; an LSTM (Hochreiter & Schmidhuber
    1997) reads the events, attention over all of them so far gives the long-term interest ``V_t``, and
    ``y_t = Wq [V_t; i_t]`` scores every item by ``y_t . e_j``. See :mod:`recbole_longinterest.model.layers`.

    Output ``t`` depends on events up to ``t`` only. So a batch whose interaction carries a target for every position
    (field ``<item_id>_target_list``, see :mod:`recbole_longinterest.data.loader`) trains all of them in one pass; a
    batch of RecBole's prefix rows trains the last position. The target row's own rating and time are never read.

    An item without a training event is scored by its text: its ID embedding counts as zero, and it is no candidate of
    the training's softmax, which would teach it to lose. Without texts there is nothing else to score it by, and it is
    trained as any other.

    Args:
        config: RecBole's config.
        dataset: the training part of a :class:`~recbole_longinterest.data.dataset.LongInterestDataset`.

    Raises:
        ValueError: for options out of range, all in one message.
    """

    reads_windows = True  # calculate_loss takes one-pass batches as they are

    def __init__(self, config: Any, dataset: Any) -> None:  # noqa: ANN401 - RecBole is untyped
        super().__init__(config, dataset)
        options = ModelOptions.from_config(config)
        features = dataset.features
        self.loss_type = options.loss_type
        self.fields = dataset.side_fields  # side feature -> field of the batch that carries it
        self.TARGET_SEQ = dataset.target_list_field

        self.item_text = ItemText(self.n_items, options.text_dim, dataset.text_source) if features.text else None
        self.item_encoder = ItemEncoder(
            self.n_items, options.embedding_size, options.text_dim if features.text else 0, features.id
        )
        n_levels = {}
        if features.rating:
            self.register_buffer("rating_values", torch.as_tensor(dataset.training_rating_values()))
            n_levels["rating"] = len(self.rating_values) + 1
        if features.behavior:
            n_levels["behavior"] = dataset.num(config["BEHAVIOR_FIELD"])
        if features.time:
            n_levels["time"] = TIME_GAP_LEVELS
        trained = dataset.training_events() > 0 if features.text else torch.arange(self.n_items) > 0
        self.register_buffer("trained", trained)  # [N]; kept in the checkpoint, the padding is none
        self.fusion = EventFusion(options.embedding_size, n_levels, options.fusion == "gated")
        self.interest_encoder = InterestEncoder(
            options.embedding_size,
            options.hidden_size,
            options.num_layers,
            options.rnn_type,
            options.attention_heads if options.attention else 0,
            options.hidden_dropout_prob,
        )
        self.dropout = nn.Dropout(options.dropout_prob)
        cosine = options.logits == "cosine"
        self.log_scale = nn.Parameter(torch.tensor(1 / TEMPERATURE).log()) if cosine else None
        self.bpr_loss = BPRLoss()
        self.sampled_softmax = options.sampled_softmax
        if self.sampled_softmax:
            self.register_buffer("log_count", dataset.training_item_counts().float().log(), persistent=False)
        self._init_item_weights(options.initializer_range)

    def _init_item_weights(self, scale: float) -> None:
        """Embeddings and text projection start small, whatever the catalogue's size; the rest as torch has it."""
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=scale)
                if module.padding_idx is not None:
                    nn.init.zeros_(module.weight[module.padding_idx])
        if self.item_encoder.text_projection is not None:
            nn.init.normal_(self.item_encoder.text_projection.weight, std=scale)

    def prepare(self) -> None:
        """Encode the items' texts now instead of at the first batch (once; a reloaded model has them already)."""
        if self.item_text is not None:
            self.item_text.fill()

    def item_vectors(self) -> Tensor:
        """Vectors of all items, row 0 being the padding, [N, D]."""
        if self.item_text is None:
            return self.item_encoder()
        self.item_text.fill()
        return self.item_encoder(self.item_text.vectors, self.item_text.has_text, self.trained)

    def forward(self, item_seq: Tensor, levels: dict[str, Tensor], item_vectors: Tensor) -> Tensor:
        """Interest of the user after every event of a history.

        Args:
            item_seq: item ids, padded at the end, int64 [B, L].
            levels: level ids of the side features, int64 [B, L] each; see :meth:`side_levels`.
            item_vectors: from :meth:`item_vectors`, [N, D].

        Returns:
            Interest vectors, [B, L, D]; what stands at padded positions has no meaning.
        """
        events = self.dropout(functional.embedding(item_seq, item_vectors))
        return self.interest_encoder(self.fusion(events, levels))

    def side_levels(self, interaction: Interaction) -> dict[str, Tensor]:
        """Level ids of the history's side features, int64 [B, L] each, 0 being "missing"."""
        levels = {}
        if "rating" in self.fusion.levels:
            levels["rating"] = rating_levels_of(interaction[self.fields["rating"]], self.rating_values)
        if "behavior" in self.fusion.levels:
            levels["behavior"] = interaction[self.fields["behavior"]]
        if "time" in self.fusion.levels:
            levels["time"] = time_gap_levels_of(interaction[self.fields["time"]])
        return levels

    def last_interest(self, interaction: Interaction, item_vectors: Tensor) -> Tensor:
        """Interest after the last event of each history, [B, D].

        At evaluation, histories are encoded in groups of similar length that hold a bounded number of positions.
        """
        item_seq, length = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        levels = self.side_levels(interaction)
        if torch.is_grad_enabled() or item_seq.numel() <= EVAL_POSITIONS:
            return self.gather_indexes(self.forward(item_seq, levels, item_vectors), length - 1)
        order = torch.argsort(length, descending=True)
        out = torch.empty(len(order), item_vectors.shape[1], dtype=item_vectors.dtype, device=item_seq.device)
        begin = 0
        while begin < len(order):
            longest = int(length[order[begin]])
            rows = order[begin : begin + max(1, EVAL_POSITIONS // longest)]
            part = {name: value[rows, :longest] for name, value in levels.items()}
            interest = self.forward(item_seq[rows, :longest], part, item_vectors)
            out[rows] = self.gather_indexes(interest, length[rows] - 1).to(out.dtype)
            begin += len(rows)
        return out

    def _comparable(self, interest: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Interest and item vectors as they enter the dot product: normalised and scaled for cosine logits."""
        if self.log_scale is None:
            return interest, items
        return functional.normalize(interest, dim=-1) * self.log_scale.exp(), functional.normalize(items, dim=-1)

    def calculate_loss(self, interaction: Interaction) -> Tensor:
        """Mean loss over the batch's targets: cross entropy, or BPR (Rendle et al. 2009)."""
        items = self.item_vectors()
        if self.TARGET_SEQ in interaction:
            target_seq = interaction[self.TARGET_SEQ]  # [B, L], 0 where nothing is to be predicted
            interest = self.forward(interaction[self.ITEM_SEQ], self.side_levels(interaction), items)
            counted = target_seq > 0
            interest, target = interest[counted], target_seq[counted]  # [T, D], [T]
        else:
            interest, target = self.last_interest(interaction, items), interaction[self.POS_ITEM_ID]
        interest, items = self._comparable(interest, items)
        if self.loss_type == "BPR":
            difference = items[target] - items[interaction[self.NEG_ITEM_ID]]
            return self.bpr_loss((interest * difference).sum(dim=-1), torch.zeros((), device=interest.device))
        if self.sampled_softmax:
            return sampled_softmax(interest, items, target, self.log_count, self.sampled_softmax)
        candidates = self.trained.nonzero().flatten()
        place = self.trained.cumsum(dim=0) - 1  # of each item among them
        return chunked_cross_entropy(interest, items.index_select(0, candidates), place[target])

    def predict(self, interaction: Interaction) -> Tensor:
        """Score of the row's item, [B]."""
        items = self.item_vectors()
        interest, items = self._comparable(self.last_interest(interaction, items), items)
        return (interest * items[interaction[self.ITEM_ID]]).sum(dim=-1)

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """Scores of all items, [B, N]."""
        items = self.item_vectors()
        interest, items = self._comparable(self.last_interest(interaction, items), items)
        return interest @ items.T
