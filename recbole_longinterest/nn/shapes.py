"""Compare the tensors of a file with what its settings ask for, before anything is allocated."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.nn.network import InterestNetwork, Sources
from recbole_longinterest.nn.options import ModelOptions

SIZES = ("embedding_size", "hidden_size")


class ShapeError(LongInterestError):
    """Weights that are not of the shapes that their settings ask for; the message ends a sentence."""


def check_shapes(options: ModelOptions, sources: Sources, weights: Mapping[str, Any]) -> None:
    """Check the shapes of the weights that both a network and a file have.

    The network is made on torch's ``meta`` device, where a table of 16 TB takes no memory.

    Args:
        options: of the network.
        sources: what it reads.
        weights: of the file, by name.

    Raises:
        ShapeError: names the first tensor of another shape.
        KeyError: for a source whose settings are broken, as the network itself.
        TypeError: likewise.
    """
    network = InterestNetwork()
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            network.build(options, sources)
    except (NotImplementedError, RuntimeError):  # a part of somebody's own, which needs numbers
        shapes = [value.shape for value in weights.values() if isinstance(value, Tensor)]
        largest = max((max(shape, default=1) for shape in shapes), default=1)
        for name in SIZES:
            if getattr(options, name) > largest:
                raise ShapeError(f"{name} is {getattr(options, name)}, and no tensor is that long") from None
        return
    for name, wanted in network.named_parameters():  # buffers are of the data, and some take the size that a file has
        value = weights.get(name)
        if isinstance(value, Tensor) and value.shape != wanted.shape:
            raise ShapeError(
                f"size mismatch for {name}: it is {list(value.shape)}, and the settings ask for {list(wanted.shape)}"
            )
