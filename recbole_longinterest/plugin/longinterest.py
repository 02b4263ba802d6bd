"""LongInterest as a RecBole model, with `calculate_loss`, `predict` and `full_sort_predict`."""

from typing import TYPE_CHECKING

from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import SequentialRecommender
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.source_fields import REQUEST_GAP
from recbole_longinterest.nn.augmentation import NEIGHBOURS, Augmentation, Windows, nearest_items
from recbole_longinterest.nn.losses import LossBatch, make_loss
from recbole_longinterest.nn.memory import last_items
from recbole_longinterest.nn.network import InterestNetwork, Sources
from recbole_longinterest.nn.options import ModelOptions

if TYPE_CHECKING:
    from recbole_longinterest.data.longinterest_dataset import LongInterestDataset


class LongInterest(InterestNetwork, SequentialRecommender):
    r"""Sequential recommender that models a user's long-term interest from item texts, ratings and times.

    An event is fused from the vector of its item, ``e_j = E[j] + A t_j`` (ID embedding and projected BERT vector of the
    text), and the embeddings of its rating level, behaviour type and time gap. An LSTM (Hochreiter & Schmidhuber 1997)
    reads the events, attention over all events so far gives the long-term interest ``V_t``, and ``y_t = Wq [V_t; i_t]``
    scores every item by ``y_t . e_j``, plus a learned bias for items of the history. See
    :mod:`recbole_longinterest.nn.layers`. A memory of transitions adds counts of which items followed the user's last
    items in all histories, see :mod:`recbole_longinterest.nn.memory`. The network itself is
    :class:`~recbole_longinterest.nn.network.InterestNetwork`; this class adds RecBole's interface.

    Output ``t`` depends on events up to ``t`` only. So a batch with a target for every position (field
    ``<item_id>_target_list``, see `data.train_loader`) trains all positions in one pass; a batch of RecBole's prefix
    rows trains the last position. The rating and time of the target are never used, except with ``request_time``: the
    time from the last event to the target, see :mod:`recbole_longinterest.nn.request`.

    An item without training events is scored by its text: its ID embedding counts as zero, and it is left out of the
    training softmax, which would push its score down. Without texts, such an item is trained like any other.

    Args:
        config: RecBole's config.
        dataset: the training part of a :class:`~recbole_longinterest.data.longinterest_dataset.LongInterestDataset`.

    Raises:
        ValueError: if options are out of range; one message lists them all.
    """

    n_items: int

    reads_windows = True  # calculate_loss accepts one-pass batches

    def __init__(self, config: Settings, dataset: "LongInterestDataset") -> None:
        super().__init__(config, dataset)
        options = ModelOptions.from_config(config)
        self.loss = make_loss(options)
        self.fields = dataset.side_fields  # event source -> field of the batch with its numbers
        self.TARGET_SEQ = dataset.target_list_field
        matrices = dataset.item_matrices
        sources = Sources(
            self.n_items,
            dataset.features.id,
            {name: matrix.width for name, matrix in matrices.items()},
            dataset.event_sources(),
            dataset.training_events() > 0 if matrices else None,
            dataset.request_gaps() if options.request_time else None,
        )
        self.build(options, sources, matrices, dataset.transitions)
        self.augmentation, self.neighbours_by = Augmentation(options), options.augment_neighbours
        if options.augment_substitute:
            self._check_neighbours()
        # Every process makes the buffers from the same data, so DistributedDataParallel does not have to send them.
        self._ddp_params_and_buffers_to_ignore = [name for name, _ in self.named_buffers()]

    @property
    def reads_request_time(self) -> bool:
        """Whether the time of the request is used; in training and evaluation it is the target's time."""
        return self.request is not None

    def side_levels(self, interaction: Interaction) -> dict[str, Tensor]:
        """Level ids of the history's event sources, int64 [B, L, ...]; 0 means "missing"."""
        return self.levels_of({name: interaction[self.fields[name]] for name in self.fusion.levels})

    def last_interest(self, interaction: Interaction, item_vectors: Tensor) -> Tensor:
        """Interest after the last event of each history, [B, D]; with ``request_time``, at the time of the request."""
        levels = self.side_levels(interaction)
        length = interaction[self.ITEM_SEQ_LEN]
        interest = self.interest_after(interaction[self.ITEM_SEQ], length, levels, item_vectors)
        return interest if self.request is None else self.at_request(interest, interaction[REQUEST_GAP])

    def _check_neighbours(self) -> None:
        if self.neighbours_by == "counts" and self.memory is None:
            raise LongInterestError(
                "augment_neighbours: counts needs memory: on. Switch it on, or set augment_neighbours: text."
            )
        if self.neighbours_by == "text" and not self.sources:
            raise LongInterestError(
                "augment_neighbours: text needs text_features or another item source. Switch one on, or set "
                "augment_neighbours: counts, or augment_substitute: 0."
            )

    def neighbours(self) -> Tensor:
        """Items that may replace each item in training, int64 [N, k], 0 for none.

        By ``augment_neighbours``: those with similar vectors of the first item source, usually the texts, or the most
        frequent followers.
        """
        if self.neighbours_by == "counts" and self.memory is not None:
            self.memory.fill()
            return self.memory.followers[:, :NEIGHBOURS].long()
        source = next(iter(self.sources.values()))
        source.fill()
        return nearest_items(source.vectors, source.present)

    def calculate_loss(self, interaction: Interaction) -> Tensor:
        """Mean loss over the batch's targets, according to ``loss_type``."""
        items, item_seq = self.item_vectors(), interaction[self.ITEM_SEQ]
        if self.TARGET_SEQ in interaction:
            windows = self._windows(interaction)
            item_seq, counted = windows.history, windows.target > 0
            levels = {name: windows.events[name] for name in self.fusion.levels}
            interest = self.forward(windows.inputs, levels, items)
            if self.request is not None:
                interest = self.at_request(interest, windows.events[REQUEST_GAP])
            interest, target = interest[counted], windows.target[counted]  # [T, D], [T]
        elif self.augmentation:
            raise LongInterestError(
                "augment_* changes the windows of one-pass training, but this training uses RecBole's prefix rows "
                "(one_pass: False, another loss than CE, or benchmark_filename). Set augment_* to 0."
            )
        else:
            counted = None
            interest, target = self.last_interest(interaction, items), interaction[self.POS_ITEM_ID]
        losing = interaction[self.NEG_ITEM_ID] if self.loss.negatives else None
        interest, items = self.comparable(interest, items)
        return self.loss(
            LossBatch(interest, items, target, losing, item_seq, counted, self.trained, self.repeat_logit())
        )

    def _windows(self, interaction: Interaction) -> Windows:
        """The windows of a one-pass batch, changed as ``augment_*`` says."""
        item_seq, events = interaction[self.ITEM_SEQ], self.side_levels(interaction)
        if self.request is not None:
            events[REQUEST_GAP] = interaction[REQUEST_GAP]
        windows = Windows(item_seq, item_seq, interaction[self.TARGET_SEQ], events)
        return self.augmentation(windows, self.neighbours) if self.augmentation and self.training else windows

    def _scores(self, interest: Tensor, items: Tensor, item: Tensor, item_seq: Tensor) -> Tensor:
        """Score of one item for each row, [B]."""
        batch = LossBatch(interest, items, item, None, item_seq, None, self.trained, self.repeat_logit())
        return batch.scores(item)

    def predict(self, interaction: Interaction) -> Tensor:
        """Score of the row's item, [B]."""
        items = self.item_vectors()
        interest, items = self.comparable(self.last_interest(interaction, items), items)
        scores = self._scores(interest, items, interaction[self.ITEM_ID], interaction[self.ITEM_SEQ])
        if self.memory is None:
            return scores
        return scores + self.memory.of_items(self._last_items(interaction), interaction[self.ITEM_ID])

    def _last_items(self, interaction: Interaction) -> Tensor:
        return last_items(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """Scores of all items, [B, N]."""
        items = self.item_vectors()
        interest, items = self.comparable(self.last_interest(interaction, items), items)
        scores = self.add_repeats(interest @ items.T, interaction[self.ITEM_SEQ])
        return scores if self.memory is None else self.memory.add_to(scores.detach(), self._last_items(interaction))
