"""Base of the models that are computed from the training data in one step."""

import torch
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import SequentialRecommender
from torch import Tensor, nn

from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.flat_dataset import FlatSequentialDataset


class ComputedRecommender(SequentialRecommender):
    """A model that its constructor computes. RecBole runs one epoch without gradients and then evaluates it.

    A subclass registers its results as buffers, so that a checkpoint contains them, and scores all items in
    :meth:`full_sort_predict`.

    Args:
        config: RecBole's config.
        dataset: the training part.
    """

    reads_windows = True  # one pass makes the empty epoch fastest

    def __init__(self, config: Settings, dataset: FlatSequentialDataset) -> None:
        super().__init__(config, dataset)
        self.nothing = nn.Parameter(torch.zeros(1))  # RecBole's trainer needs a parameter

    def calculate_loss(self, interaction: Interaction) -> Tensor:
        """A constant, because nothing is trained."""
        return self.nothing.sum()

    def predict(self, interaction: Interaction) -> Tensor:
        """Score of the row's item, float32 [B], the type of RecBole's table of sampled candidates."""
        scores = self.full_sort_predict(interaction)
        return scores.gather(1, interaction[self.ITEM_ID].unsqueeze(1)).squeeze(1).float()
