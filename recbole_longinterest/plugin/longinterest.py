"""LongInterest as RecBole sees it: `calculate_loss`, `predict`, `full_sort_predict`."""

from typing import Any

import torch
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.model.loss import BPRLoss
from torch import Tensor

from recbole_longinterest.common.settings import Settings
from recbole_longinterest.nn.losses import Repeats, chunked_cross_entropy, sampled_softmax
from recbole_longinterest.nn.network import InterestNetwork, Sources
from recbole_longinterest.nn.options import ModelOptions


class LongInterest(InterestNetwork, SequentialRecommender):
    r"""A user's long-term interest from what the items say, how they were rated, and when.

    An event is fused from its item's vector ``e_j = E[j] + A t_j`` (ID embedding and projected BERT vector of the
    text) and from the embeddings of its rating level, behaviour type and time gap; an LSTM (Hochreiter & Schmidhuber
    1997) reads the events, attention over all of them so far gives the long-term interest ``V_t``, and
    ``y_t = Wq [V_t; i_t]`` scores every item by ``y_t . e_j``, and an item of the history by a learned number more or
    less. See :mod:`recbole_longinterest.nn.layers`.
    The network is :class:`~recbole_longinterest.nn.network.InterestNetwork`; this is RecBole's contract over it.

    Output ``t`` depends on events up to ``t`` only. So a batch whose interaction carries a target for every position
    (field ``<item_id>_target_list``, see `data.train_loader`) trains all of them in one pass; a
    batch of RecBole's prefix rows trains the last position. The target row's own rating and time are never read.

    An item without a training event is scored by its text: its ID embedding counts as zero, and it is no candidate of
    the training's softmax, which would teach it to lose. Without texts there is nothing else to score it by, and it is
    trained as any other.

    Args:
        config: RecBole's config.
        dataset: the training part of a :class:`~recbole_longinterest.data.longinterest_dataset.LongInterestDataset`.

    Raises:
        ValueError: for options out of range, all in one message.
    """

    n_items: int

    reads_windows = True  # calculate_loss takes one-pass batches as they are

    def __init__(self, config: Settings, dataset: Any) -> None:  # noqa: ANN401
        super().__init__(config, dataset)
        options = ModelOptions.from_config(config)
        features = dataset.features
        self.loss_type = options.loss_type
        self.fields = dataset.side_fields  # side feature -> field of the batch that carries it
        self.TARGET_SEQ = dataset.target_list_field

        sources = Sources(
            self.n_items,
            features.id,
            features.text,
            torch.as_tensor(dataset.training_rating_values()) if features.rating else None,
            dataset.num(dataset.behavior_tokens_field) if features.behavior else 0,
            features.time,
            dataset.training_events() > 0 if features.text else None,
        )
        self.build(options, sources, dataset.text_source)
        # Every process makes the buffers from the same data: DistributedDataParallel need not send them at every step.
        self._ddp_params_and_buffers_to_ignore = [name for name, _ in self.named_buffers()]
        self.bpr_loss = BPRLoss()
        self.sampled_softmax = options.sampled_softmax

    def side_levels(self, interaction: Interaction) -> dict[str, Tensor]:
        """Level ids of the history's side features, int64 [B, L] each, 0 being "missing"."""
        return self.levels_of({name: interaction[self.fields[name]] for name in self.fusion.levels})

    def last_interest(self, interaction: Interaction, item_vectors: Tensor) -> Tensor:
        """Interest after the last event of each history, [B, D]."""
        levels = self.side_levels(interaction)
        return self.interest_after(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN], levels, item_vectors)

    def calculate_loss(self, interaction: Interaction) -> Tensor:
        """Mean loss over the batch's targets: cross entropy, or BPR (Rendle et al. 2009)."""
        items, item_seq = self.item_vectors(), interaction[self.ITEM_SEQ]
        if self.TARGET_SEQ in interaction:
            target_seq = interaction[self.TARGET_SEQ]  # [B, L], 0 where nothing is to be predicted
            interest = self.forward(item_seq, self.side_levels(interaction), items)
            counted = target_seq > 0
            interest, target = interest[counted], target_seq[counted]  # [T, D], [T]
        else:
            counted = None
            interest, target = self.last_interest(interaction, items), interaction[self.POS_ITEM_ID]
        interest, items = self.comparable(interest, items)
        if self.loss_type == "BPR":
            losing = interaction[self.NEG_ITEM_ID]
            margin = self._scores(interest, items, target, item_seq) - self._scores(interest, items, losing, item_seq)
            return self.bpr_loss(margin, torch.zeros((), device=interest.device))
        bias = self.repeat_logit()
        if self.sampled_softmax:
            repeats = None if bias is None else Repeats(*had_before(item_seq, counted), bias)
            return sampled_softmax(interest, items, target, self.trained, self.sampled_softmax, repeats)
        place = self.trained.cumsum(dim=0).masked_fill(~self.trained, 0)  # of each item among the candidates, from 1
        repeats = None
        if bias is not None:
            had, begin, number = had_before(place[item_seq], counted)  # what is no candidate counts as padding
            repeats = Repeats(had - 1, begin, number, bias)
        candidates = items[1:] if self.trained[1:].all() else items[self.trained]
        return chunked_cross_entropy(interest, candidates, place[target] - 1, repeats)

    def _scores(self, interest: Tensor, items: Tensor, item: Tensor, item_seq: Tensor) -> Tensor:
        """Score of one item for each row, [B]."""
        scores = (interest * items[item]).sum(dim=-1)
        bias = self.repeat_logit()
        return scores if bias is None else scores + bias * (item_seq == item.unsqueeze(1)).any(dim=1)

    def predict(self, interaction: Interaction) -> Tensor:
        """Score of the row's item, [B]."""
        items = self.item_vectors()
        interest, items = self.comparable(self.last_interest(interaction, items), items)
        return self._scores(interest, items, interaction[self.ITEM_ID], interaction[self.ITEM_SEQ])

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """Scores of all items, [B, N]."""
        items = self.item_vectors()
        interest, items = self.comparable(self.last_interest(interaction, items), items)
        return self.add_repeats(interest @ items.T, interaction[self.ITEM_SEQ])


def had_before(item_seq: Tensor, counted: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """The items that stand in the history of each target, once each.

    Args:
        item_seq: histories padded with 0, int64 [B, L].
        counted: positions after which there is a target, bool [B, L]; None is one target a row, after all of it.

    Returns:
        Items in the order in which they first stand, history after history, int64 [E]; where those of each target begin
        among them, and how many they are, int64 [T].
    """
    ordered, order = item_seq.sort(dim=1, stable=True)
    new = ordered.diff(dim=1, prepend=torch.zeros_like(ordered[:, :1])) > 0  # the padding is none
    first = torch.zeros_like(new).scatter(1, order, new)  # where each item stands first
    items, until = item_seq[first], first.cumsum(dim=1)  # row by row; how many there are up to each position
    begin = until[:, -1].cumsum(dim=0) - until[:, -1]  # of each row in ``items``
    if counted is None:
        return items, begin, until[:, -1]
    row, position = counted.nonzero(as_tuple=True)
    return items, begin[row], until[row, position]
