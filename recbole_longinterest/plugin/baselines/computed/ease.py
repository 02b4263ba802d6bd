"""EASE over users' histories: a linear item-item model in closed form."""

import numpy as np
import scipy.sparse
import torch
from recbole.data.interaction import Interaction
from recbole.utils import InputType
from torch import Tensor

from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.flat_dataset import FlatSequentialDataset
from recbole_longinterest.nn.options import read_switch
from recbole_longinterest.plugin.baselines.computed.base import ComputedRecommender
from recbole_longinterest.plugin.baselines.computed.item_weights import (
    ItemWeights,
    check_memory,
    inverse,
    read_amount,
    read_kept,
)
from recbole_longinterest.plugin.baselines.computed.training_log import training_log


class SeqEASE(ComputedRecommender):
    """EASE (Steck, WWW 2019) that reads a user's history at evaluation.

    With ``X`` the users' training items, ``P = (X^T X + reg_weight I)^-1`` and ``B = I - P diag(1 / diag P)``, that is
    ``B_ij = -P_ij / P_jj`` and ``B_jj = 0`` (equation 8). A user's scores are ``x B`` (equation 1).

    Difference from the paper: ``x`` is the history of the evaluated row (at the test it includes the validation event),
    because in sequential evaluation a user has no fixed row. RecBole's own ``EASE``, a general model, is different: its
    ``x`` is always the user's training row, and it computes in float32.

    Keys: ``reg_weight`` (lambda), ``history_counts`` (``X`` and ``x`` count an item's events instead of 0 or 1),
    ``kept_weights`` (number of largest weights to keep in each column of ``B``; ~ keeps all, 8 N^2 bytes in a
    checkpoint), ``memory_limit_gb`` (the closed form needs about 24 N^2 bytes).

    Args:
        config: RecBole's config.
        dataset: the training part, over the flat log.

    Raises:
        LongInterestError: if a key has an invalid value, the data set has no flat log, or the catalogue needs more
            memory than ``memory_limit_gb``.
    """

    input_type = InputType.POINTWISE

    def __init__(self, config: Settings, dataset: FlatSequentialDataset) -> None:
        super().__init__(config, dataset)
        self.history_counts = read_switch(config, "history_counts", default=False)
        reg_weight, kept = read_amount(config, "reg_weight"), read_kept(config["kept_weights"])
        check_memory(self.n_items, read_amount(config, "memory_limit_gb"), "SeqEASE")
        log = training_log(dataset, "SeqEASE")
        counts = scipy.sparse.csr_matrix(
            (np.ones(len(log.item)), (log.user, log.item)), shape=(int(log.user[-1]) + 1, self.n_items)
        )
        counts.sum_duplicates()
        if not self.history_counts:
            counts.data[:] = 1.0
        weights = inverse((counts.T @ counts).toarray(), reg_weight)
        weights /= -np.diag(weights).copy()
        np.fill_diagonal(weights, 0.0)
        self.weights = ItemWeights(weights, kept)

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """Scores of all items, float64 [B, N]."""
        item_seq = interaction[self.ITEM_SEQ]
        weight = torch.ones(item_seq.shape, dtype=torch.float64, device=item_seq.device)
        if not self.history_counts:
            weight /= times_in_history(item_seq, self.n_items)
        return self.weights.scores(item_seq, weight)


def times_in_history(item_seq: Tensor, n_items: int) -> Tensor:
    """Count how often each event's item occurs in its row, float64 [B, L]; at least 1.

    Args:
        item_seq: item ids, padded with 0, int64 [B, L].
        n_items: N, with the padding.
    """
    one = torch.ones(item_seq.shape, dtype=torch.float64, device=item_seq.device)
    number = torch.zeros(len(item_seq), n_items, dtype=torch.float64, device=item_seq.device)
    return number.scatter_add_(1, item_seq, one).gather(1, item_seq)
