"""What the models share that are computed from the training part in one step and not trained."""

import torch
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import SequentialRecommender
from torch import Tensor, nn

from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.flat_dataset import FlatSequentialDataset


class ComputedRecommender(SequentialRecommender):
    """A model that is ready when it is made: one epoch without a gradient, then RecBole's evaluation.

    A subclass registers what it computes as buffers, so that a checkpoint holds it, and scores all items in
    :meth:`full_sort_predict`.

    Args:
        config: RecBole's config.
        dataset: the training part.
    """

    reads_windows = True  # one pass, the fastest way over nothing to learn

    def __init__(self, config: Settings, dataset: FlatSequentialDataset) -> None:
        super().__init__(config, dataset)
        self.nothing = nn.Parameter(torch.zeros(1))  # RecBole's trainer wants something to train

    def calculate_loss(self, interaction: Interaction) -> Tensor:
        """Nothing is trained."""
        return self.nothing.sum()

    def predict(self, interaction: Interaction) -> Tensor:
        """Score of the row's item, float32 [B]: RecBole puts those of sampled candidates into a table of that type."""
        scores = self.full_sort_predict(interaction)
        return scores.gather(1, interaction[self.ITEM_ID].unsqueeze(1)).squeeze(1).float()
