"""Item-item weights, dense or with only the largest of each column, and solvers for their closed forms."""

import numpy as np
import scipy.linalg.lapack
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings

GIGABYTE = 10**9
MATRICES = 3  # N x N float64 matrices in memory at the peak: two of the closed form, and the sparse counts
ENTRIES = 2**22  # entries of sparse rows added at once
COLUMNS = 256  # columns of the dense matrix sorted at once


class ItemWeights(nn.Module):
    """An item-item weight matrix, ``B[source, target]``; a user's scores are ``x B``.

    Args:
        weights: float64 [N, N].
        kept: number of weights, the largest by absolute value, to keep in each column; None for all, as a dense matrix.

    Attributes:
        matrix: float64 [N, N], if dense.
        first: index of each source's first entry, int64 [N + 1], if sparse.
        target: target of each entry, int64.
        value: weight of each entry, float64.
    """

    matrix: Tensor
    first: Tensor
    target: Tensor
    value: Tensor

    def __init__(self, weights: NDArray[np.float64], kept: int | None) -> None:
        super().__init__()
        self.n_items = len(weights)
        self.sparse = kept is not None and kept < self.n_items
        if not self.sparse:
            self.register_buffer("matrix", torch.from_numpy(np.ascontiguousarray(weights)))
            return
        assert kept is not None
        source, target = largest_of_columns(weights, kept)
        first = np.searchsorted(source, np.arange(self.n_items + 1))
        self.register_buffer("first", torch.from_numpy(first))
        self.register_buffer("target", torch.from_numpy(target))
        self.register_buffer("value", torch.from_numpy(weights[source, target]))

    def scores(self, item_seq: Tensor, weight: Tensor) -> Tensor:
        """Scores of all items.

        Args:
            item_seq: item ids, padded with 0, int64 [B, L].
            weight: weight of each event, float64 [B, L].

        Returns:
            float64 [B, N].
        """
        row, column = (item_seq > 0).nonzero(as_tuple=True)
        scores = torch.zeros(len(item_seq), self.n_items, dtype=torch.float64, device=item_seq.device)
        source, weight = item_seq[row, column], weight[row, column]
        size = self.n_items if not self.sparse else max(1, int((self.first[1:] - self.first[:-1]).max()))
        step = max(1, ENTRIES // size)
        for begin in range(0, len(row), step):
            part = slice(begin, begin + step)
            self._add(scores, row[part], source[part], weight[part])
        return scores

    def _add(self, scores: Tensor, row: Tensor, source: Tensor, weight: Tensor) -> None:
        if not self.sparse:
            scores.index_add_(0, row, self.matrix[source] * weight.unsqueeze(1))
            return
        number = self.first[source + 1] - self.first[source]
        which = torch.repeat_interleave(torch.arange(len(row), device=row.device), number)
        place = (
            torch.arange(len(which), device=row.device) - (number.cumsum(0) - number)[which] + self.first[source][which]
        )
        index = row[which] * self.n_items + self.target[place]
        scores.view(-1).index_add_(0, index, self.value[place] * weight[which])


def largest_of_columns(weights: NDArray[np.float64], kept: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the ``kept`` largest nonzero weights, by absolute value, of each column.

    Returns:
        Their sources and targets, sorted by source, then target.
    """
    n_items = len(weights)
    sources, targets = [], []
    for begin in range(0, n_items, COLUMNS):
        block = np.abs(weights[:, begin : begin + COLUMNS])
        chosen = np.argpartition(block, n_items - kept, axis=0)[n_items - kept :]  # [kept, C]
        column = np.broadcast_to(np.arange(block.shape[1]), chosen.shape)
        nonzero = block[chosen, column] > 0
        sources.append(chosen[nonzero])
        targets.append(column[nonzero] + begin)
    source, target = np.concatenate(sources), np.concatenate(targets)
    order = np.lexsort([target, source])
    return source[order].astype(np.int64), target[order].astype(np.int64)


def read_kept(value: object) -> int | None:
    """Read ``kept_weights``: None for all, or a whole number of at least 1.

    Raises:
        LongInterestError: if it has another value.
    """
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise LongInterestError(
            f"kept_weights must be a whole number of at least 1, or ~ for all weights; got {value!r}."
        )
    return value


def read_amount(config: Settings, name: str, above: bool = True) -> float:
    """Read a number that must be above 0, or at least 0.

    Raises:
        LongInterestError: if it has another value.
    """
    value = config[name]
    right = isinstance(value, (int, float)) and not isinstance(value, bool) and value < float("inf")
    if not right or value < 0 or (above and value == 0):
        least = "a number above 0" if above else "a number of at least 0"
        raise LongInterestError(f"{name} must be {least}; got {value!r}.")
    return float(value)


def check_memory(n_items: int, limit: float, model: str) -> None:
    """Check that the closed form of a catalogue fits in ``memory_limit_gb``.

    Args:
        n_items: N, with the padding.
        limit: memory limit in gigabytes.
        model: name of the model, for the message.

    Raises:
        LongInterestError: if it needs more memory; the message says how much.
    """
    needed = MATRICES * 8 * n_items**2 / GIGABYTE
    if needed > limit:
        raise LongInterestError(
            f"{model} over {n_items - 1} items needs about {needed:.1f} GB for {MATRICES} matrices of items by items, "
            f"and memory_limit_gb is {limit:g}. Raise it if the machine has more, or filter rare items "
            "(item_inter_num_interval)."
        )


def factor(gram: NDArray[np.float64], reg_weight: float) -> NDArray[np.float64]:
    """Cholesky factor of ``gram + reg_weight I``, in place.

    Args:
        gram: symmetric matrix, [N, N]; overwritten.
        reg_weight: regularisation, above 0.

    Returns:
        The lower factor in LAPACK's Fortran order; values above the diagonal are undefined.
    """
    gram[np.diag_indices_from(gram)] += reg_weight
    lower, info = scipy.linalg.lapack.dpotrf(gram.T, lower=1, clean=0, overwrite_a=1)
    if info:
        raise LongInterestError(f"reg_weight {reg_weight:g} is too small for the counts of these data. Raise it.")
    return lower


def inverse(gram: NDArray[np.float64], reg_weight: float) -> NDArray[np.float64]:
    """Invert a symmetric matrix in place: ``(gram + reg_weight I)^-1``, [N, N]."""
    inverted, _ = scipy.linalg.lapack.dpotri(factor(gram, reg_weight), lower=1, overwrite_c=1)
    for begin in range(0, len(inverted), COLUMNS):  # LAPACK fills one triangle
        end = begin + COLUMNS
        block = inverted[begin:end, begin:end]
        block[:] = np.tril(block) + np.tril(block, -1).T
        inverted[begin:end, end:] = inverted[end:, begin:end].T
    return inverted


def solve(gram: NDArray[np.float64], right: NDArray[np.float64], reg_weight: float) -> NDArray[np.float64]:
    """Compute ``(gram + reg_weight I)^-1 right``, [N, N]; overwrites both arguments."""
    solved, _ = scipy.linalg.lapack.dpotrs(factor(gram, reg_weight), np.asfortranarray(right), lower=1, overwrite_b=1)
    return solved
