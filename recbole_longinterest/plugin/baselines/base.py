"""Base of the neural baselines: one output per position, and the score of an item is its dot product with it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import torch
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType
from torch import Tensor, nn

from recbole_longinterest.common.settings import Settings
from recbole_longinterest.nn.losses.cross_entropy import chunked_cross_entropy
from recbole_longinterest.plugin.baselines.options import POSITIVE, PROBABILITY, Rule, one_of, read_options, whole

if TYPE_CHECKING:
    from recbole.data.dataset import SequentialDataset


class CausalRecommender(SequentialRecommender, ABC):
    """A sequential model whose output at a position depends on the events up to it.

    So one pass over a window trains every position, also with losses that draw negatives. With RecBole's prefix rows,
    only the last position is trained. A subclass defines the outputs (:meth:`forward`) and its options
    (:attr:`rules`), and may override the compared vectors and the loss.

    Attributes:
        rules: allowed values of the options in ``properties/<Name>.yaml``.
        window_losses: allowed values of ``loss_type``, the default first.
        item_embedding: embeddings of all items, row 0 is the padding, [N, D].

    Args:
        config: RecBole's config.
        dataset: the training part of RecBole's sequential data set, or of a flat one.

    Raises:
        LongInterestError: if options are out of range; one message lists them all.
    """

    input_type = InputType.POINTWISE  # the losses draw the negatives, not RecBole
    reads_windows = True
    window_losses: ClassVar[tuple[str, ...]] = ("CE",)
    rules: ClassVar[Mapping[str, Rule]] = {}

    n_items: int
    max_seq_length: int

    def __init__(self, config: Settings, dataset: "SequentialDataset") -> None:
        super().__init__(config, dataset)
        general = {"hidden_size": whole(1), "initializer_range": POSITIVE, "hidden_dropout_prob": PROBABILITY}
        rules = {**general, "loss_type": one_of(*self.window_losses), **self.rules}
        self.options = read_options(config, rules, type(self).__name__)
        self.hidden_size: int = self.options["hidden_size"]
        self.loss_type: str = self.options["loss_type"]
        self.TARGET_SEQ = f"{self.ITEM_ID}_target{config['LIST_SUFFIX']}"
        self.item_embedding = nn.Embedding(self.n_items, self.hidden_size, padding_idx=0)
        self.build(dataset)
        self.apply(self._init_weights)

    @abstractmethod
    def build(self, dataset: "SequentialDataset") -> None:
        """Create the layers; ``options`` are already set."""

    @abstractmethod
    def forward(self, interaction: Interaction) -> Tensor:
        """Output at every position, [B, L, D]; position ``t`` depends on the events up to ``t``."""

    def comparable(self, outputs: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Prepare outputs, [T, D], and item vectors, [N, D], for the dot product; unchanged by default."""
        return outputs, items

    def loss(self, outputs: Tensor, items: Tensor, target: Tensor) -> Tensor:
        """Mean loss of the batch; by default cross entropy over the catalogue.

        Args:
            outputs: output before each target, from :meth:`comparable`, [T, D].
            items: vectors of all items, from :meth:`comparable`, [N, D].
            target: the next item, int64 [T].
        """
        return chunked_cross_entropy(outputs, items[1:], target - 1)

    def calculate_loss(self, interaction: Interaction) -> Tensor:
        """Mean loss over the batch's targets: all positions of a window, or the last one of a prefix row."""
        outputs = self.forward(interaction)
        if self.TARGET_SEQ in interaction:
            target_seq = interaction[self.TARGET_SEQ]  # [B, L], 0 for positions without a target
            counted = target_seq > 0
            outputs, target = outputs[counted], target_seq[counted]  # [T, D], [T]
        else:
            outputs = self.gather_indexes(outputs, interaction[self.ITEM_SEQ_LEN] - 1)
            target = interaction[self.POS_ITEM_ID]
        outputs, items = self.comparable(outputs, self.item_embedding.weight)
        return self.loss(outputs, items, target)

    def _compared(self, interaction: Interaction) -> tuple[Tensor, Tensor]:
        last = self.gather_indexes(self.forward(interaction), interaction[self.ITEM_SEQ_LEN] - 1)
        return self.comparable(last, self.item_embedding.weight)

    def predict(self, interaction: Interaction) -> Tensor:
        """Score of the row's item, [B]."""
        outputs, items = self._compared(interaction)
        return (outputs * items[interaction[self.ITEM_ID]]).sum(dim=-1)

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """Scores of all items, [B, N]."""
        outputs, items = self._compared(interaction)
        return outputs @ items.T

    def _init_weights(self, module: nn.Module) -> None:
        """Initialise weights from a normal distribution and biases with 0, as RecBole's SASRec does."""
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=self.options["initializer_range"])
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx].zero_()
