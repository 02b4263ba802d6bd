"""Int8 weights with one scale per row: a quarter of the file size, with an error of at most half a step."""

from collections.abc import Mapping

import torch
from torch import Tensor

SCALE = ".scale"  # suffix of the tensor with the row scales of an int8 table
KEPT = (".whitening", "item_text.projection", "/down", "/up")  # kept in full precision: used only to encode new items


def packed(weights: Mapping[str, Tensor], int8: bool) -> dict[str, Tensor]:
    """Prepare weights for a file, optionally with matrices in int8.

    Args:
        weights: state dict of a network.
        int8: quantize matrices, with one scale per row.
    """
    if not int8:
        return {name: value.contiguous() for name, value in weights.items()}
    out = {}
    for name, value in weights.items():
        if value.dim() < 2 or not value.is_floating_point() or name.endswith(KEPT):
            out[name] = value.contiguous()
            continue
        out[name], out[name + SCALE] = quantize_rows(value)
    return out


def unpacked(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert weights from :func:`packed` to float32."""
    out = {}
    for name, value in weights.items():
        if name.endswith(SCALE):
            continue
        scale = weights.get(name + SCALE)
        out[name] = value if scale is None else value.float() * scale
    return out


def quantize_rows(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Quantize symmetrically to int8 by row: ``matrix ~ int8 * scale``, with an error of at most half a scale.

    Args:
        matrix: [n, d].

    Returns:
        int8 [n, d], and float32 scales [n, 1]; rows of zeros have scale 1.
    """
    top = matrix.abs().amax(dim=-1, keepdim=True)
    scale = torch.where(top > 0, top / 127, 1.0).float()
    return (matrix / scale).round().to(torch.int8), scale
