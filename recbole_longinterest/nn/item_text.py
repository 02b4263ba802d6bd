"""The items' whitened text vectors as part of the model's state, so that a checkpoint is complete without them."""

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from recbole_longinterest.common.errors import LongInterestError


class TextMatrix(Protocol):
    """What a text source computes: see :class:`recbole_longinterest.data.item_texts.ItemTextMatrix`."""

    vectors: Tensor
    has_text: Tensor
    mean: Tensor
    projection: Tensor


class TextSource(Protocol):
    """Something that can make the text matrix of a catalogue when it is asked for, which may take minutes."""

    def matrix(self) -> TextMatrix:
        """Encode, whiten and align to the items' ids."""


BUFFERS = ("vectors", "has_text", "mean", "projection")


class ItemText(nn.Module):
    """Text vectors of the catalogue, filled from a source at first use or from a checkpoint, whichever comes first.

    Kept in the checkpoint with the whitening that made them: a reloaded model needs neither encoder nor cache, and a
    new item's text can be projected into the same space.

    Attributes:
        vectors: whitened text vectors, row 0 and rows without text zero, [N, text_dim].
        has_text: which items have a text, bool [N].
        mean: mean of the encoder's vectors over the items with text, [encoder_dim].
        projection: whitening projection, [encoder_dim, text_dim].
    """

    vectors: Tensor
    has_text: Tensor
    mean: Tensor
    projection: Tensor

    def __init__(self, n_items: int, text_dim: int, source: TextSource | None) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(n_items, text_dim))
        self.register_buffer("has_text", torch.zeros(n_items, dtype=torch.bool))
        self.register_buffer("mean", torch.zeros(0))
        self.register_buffer("projection", torch.zeros(0, text_dim))
        self._source = source

    def fill(self) -> None:
        """Make the text matrix now, if nothing has filled it yet."""
        if self._source is None:
            return
        matrix = self._source.matrix()
        if matrix.vectors.shape != self.vectors.shape:
            raise LongInterestError(
                f"The text matrix must have shape {tuple(self.vectors.shape)} (items, text_dim); got "
                f"{tuple(matrix.vectors.shape)}."
            )
        for name in BUFFERS:
            setattr(self, name, getattr(matrix, name).to(self.vectors.device))
        self._source = None

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:  # noqa: ANN401
        for name in ("mean", "projection"):  # their size is the encoder's, known only to the checkpoint
            if prefix + name in state_dict:
                setattr(self, name, torch.empty_like(state_dict[prefix + name], device=self.vectors.device))
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._source = None
