"""Weights in int8 with a scale a row: a quarter of the file, off by half a step at most."""

from collections.abc import Mapping

import torch
from torch import Tensor

SCALE = ".scale"  # ending of the name of the tensor with the row scales of an int8 table
KEPT = (".whitening", "item_text.projection")  # in full precision: encodes new items, and no step reads it


def packed(weights: Mapping[str, Tensor], int8: bool) -> dict[str, Tensor]:
    """Weights as a file holds them: matrices in int8 with a scale a row, if asked for.

    Args:
        weights: state dict of a network.
        int8: whether to quantize.
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
    """Weights of :func:`packed` in float32, quantized or not."""
    out = {}
    for name, value in weights.items():
        if name.endswith(SCALE):
            continue
        scale = weights.get(name + SCALE)
        out[name] = value if scale is None else value.float() * scale
    return out


def quantize_rows(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Symmetric int8 with a scale a row: ``matrix ~ int8 * scale``, off by half a scale at most.

    Args:
        matrix: [n, d].

    Returns:
        int8 [n, d], and float32 scales [n, 1]; a row of zeros has scale 1.
    """
    top = matrix.abs().amax(dim=-1, keepdim=True)
    scale = torch.where(top > 0, top / 127, 1.0).float()
    return (matrix / scale).round().to(torch.int8), scale
