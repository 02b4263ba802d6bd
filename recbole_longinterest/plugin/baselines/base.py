"""What the neural baselines share: one output for every position, and an item's score as a dot product with it."""

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

    So one pass over a window trains every position, with the losses that draw negatives too; with RecBole's prefix rows
    the last position is trained. A subclass gives the outputs (:meth:`forward`), its options (:attr:`rules`), and may
    change the vectors that are compared and the loss.

    Attributes:
        rules: what the options in ``properties/<Name>.yaml`` may be.
        window_losses: values of ``loss_type``, the default first.
        item_embedding: of all items, the padding being 0, [N, D].

    Args:
        config: RecBole's config.
        dataset: the training part of RecBole's sequential data set, or of a flat one.

    Raises:
        LongInterestError: for options out of range, all in one message.
    """

    input_type = InputType.POINTWISE  # RecBole draws no negatives: the losses do
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
        """Make the layers; ``options`` are read by now."""

    @abstractmethod
    def forward(self, interaction: Interaction) -> Tensor:
        """Output at every position, [B, L, D]; position ``t`` depends on the events up to ``t``."""

    def comparable(self, outputs: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs, [T, D], and item vectors, [N, D], whose dot product is the score; here both as they are."""
        return outputs, items

    def loss(self, outputs: Tensor, items: Tensor, target: Tensor) -> Tensor:
        """Mean loss of the batch; here cross entropy over the catalogue.

        Args:
            outputs: before each target, ready for the dot product, [T, D].
            items: of all items, ready for the dot product, [N, D].
            target: the item that came next, int64 [T].
        """
        return chunked_cross_entropy(outputs, items[1:], target - 1)

    def calculate_loss(self, interaction: Interaction) -> Tensor:
        """Mean loss over the batch's targets: all positions of a window, or the last one of a prefix row."""
        outputs = self.forward(interaction)
        if self.TARGET_SEQ in interaction:
            target_seq = interaction[self.TARGET_SEQ]  # [B, L], 0 where nothing is to be predicted
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
        """Start weights from a normal distribution and biases from 0, as RecBole's SASRec."""
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=self.options["initializer_range"])
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx].zero_()
