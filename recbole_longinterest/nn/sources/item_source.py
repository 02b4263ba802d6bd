"""Vectors that describe the items (texts, images, a knowledge graph), as part of the model's state.

Checkpoints contain them, so a reloaded model needs no encoder and no cache.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.nn.state_keys import TUNED, tuned_name


@dataclass(frozen=True)
class ItemMatrix:
    """Whitened vectors aligned with item ids, and the whitening transform.

    Attributes:
        vectors: [N, W]; zero for the padding and for items without a vector.
        present: which items have a vector, bool [N].
        mean: mean of all raw vectors, [E]; empty without whitening.
        whitening: projection of raw vectors, [E, W].
    """

    vectors: Tensor
    present: Tensor
    mean: Tensor
    whitening: Tensor


class MatrixSource(Protocol):
    """Makes the matrix of a catalogue on demand, which may take minutes.

    Attributes:
        width: columns ``W`` of the matrix.
    """

    @property
    def width(self) -> int:
        """Columns of the matrix."""

    def matrix(self) -> ItemMatrix:
        """Encode, whiten and align vectors to item ids."""


BUFFERS = ("vectors", "present", "mean", "whitening")


class ItemTable(nn.Module):
    """The matrix of a catalogue as buffers, filled by a checkpoint or at first use.

    Args:
        n_items: catalogue size ``N`` with the padding row 0.
        width: columns ``W`` of the matrix.
        source: makes the matrix; None if a checkpoint fills it.

    Attributes:
        vectors: [N, W]; see :class:`ItemMatrix` for all four.
        present: bool [N].
        mean: [E].
        whitening: [E, W].
    """

    vectors: Tensor
    present: Tensor
    mean: Tensor
    whitening: Tensor

    def __init__(self, n_items: int, width: int, source: MatrixSource | None = None) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(n_items, width))
        self.register_buffer("present", torch.zeros(n_items, dtype=torch.bool))
        self.register_buffer("mean", torch.zeros(0))
        self.register_buffer("whitening", torch.zeros(0, width))
        self._source = source

    def fill(self) -> None:
        """Make the matrix now, if it is still empty.

        Raises:
            LongInterestError: if the matrix has another shape.
        """
        if self._source is None:
            return
        matrix = self._source.matrix()
        if matrix.vectors.shape != self.vectors.shape:
            raise LongInterestError(
                f"The vectors of the items must have shape {tuple(self.vectors.shape)} (items, columns); got "
                f"{tuple(matrix.vectors.shape)}."
            )
        for name in BUFFERS:
            setattr(self, name, getattr(matrix, name).to(self.vectors.device))
        self._source = None

    def set_tuned(self, updates: Mapping[str, Tensor]) -> None:
        """Keep the updates of the encoder that made the vectors, so that new texts get vectors of the same encoder.

        Args:
            updates: updates by the name of the encoder's layer.
        """
        self.tuned = nn.Module()
        for name, value in updates.items():
            self.tuned.register_buffer(tuned_name(name), value)

    def tuned_updates(self) -> dict[str, Tensor]:
        """The updates of :meth:`set_tuned`; empty if the encoder was not tuned."""
        found = self.tuned.named_buffers() if hasattr(self, "tuned") else ()
        return {name.replace("/", "."): value for name, value in found}

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        start = prefix + TUNED
        tuned = {key[len(start) :]: value for key, value in state_dict.items() if key.startswith(start)}
        if tuned:  # only the checkpoint knows that the encoder was tuned
            self.set_tuned({name: torch.empty_like(value, device=self.vectors.device) for name, value in tuned.items()})
        for name in ("mean", "whitening"):  # their size depends on the encoder; only the checkpoint has it
            if prefix + name in state_dict:
                setattr(self, name, torch.empty_like(state_dict[prefix + name], device=self.vectors.device))
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._source = None


class ItemSource(ItemTable):
    """One part of the item vectors: ``A t_j``, a projection of the item's whitened vector.

    An item without a vector gets a learned "absent" vector, which distinguishes it from an item with an average vector.

    Args:
        n_items: catalogue size ``N`` with the padding row 0.
        width: columns ``W`` of the matrix.
        dim: size ``D`` of an item vector.
        source: makes the matrix; None if a checkpoint fills it.
        dropout: probability of treating an item's vector as absent in training, so that the network learns to handle
            items without one.
    """

    def __init__(
        self, n_items: int, width: int, dim: int, source: MatrixSource | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__(n_items, width, source)
        self.dropout = dropout
        self.project = nn.Linear(width, dim, bias=False)
        self.absent = nn.Parameter(torch.zeros(dim))

    def forward(self) -> Tensor:
        """This part of the vectors of the whole catalogue, [N, D]."""
        self.fill()
        present = self.present
        if self.training and self.dropout:
            present = present & (torch.rand(present.shape, device=present.device) >= self.dropout)
        return torch.where(present.unsqueeze(-1), self.project(self.vectors), self.absent)
