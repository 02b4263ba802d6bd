"""Bayesian personalised ranking (Rendle et al. 2009)."""

from typing import ClassVar

import torch
from torch import Tensor

from recbole_longinterest.nn.losses.base import Loss, LossBatch

GAMMA = 1e-10  # as RecBole's BPRLoss: keeps the logarithm finite


class BPR(Loss):
    """``-log(gamma + sigmoid(score of the target - score of the negative item))``."""

    negatives: ClassVar[bool] = True
    windows: ClassVar[bool] = False

    def __call__(self, batch: LossBatch) -> Tensor:
        """The mean loss, a scalar."""
        assert batch.losing is not None
        margin = batch.scores(batch.target) - batch.scores(batch.losing)
        return -torch.log(GAMMA + torch.sigmoid(margin)).mean()
