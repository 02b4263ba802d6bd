"""Low-rank updates of an encoder's weights as plain tensors: how a model stores the encoder that it tuned.

An update of a linear layer ``W`` is ``W + up down`` (LoRA, Hu et al. 2022), with ``<layer>.down`` [r, in] and
``<layer>.up`` [out, r]; the layer is named as in the encoder's network. Neither peft nor a file is needed to apply it.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import TypeAlias

import torch
from torch import Tensor, nn

from recbole_longinterest.text.folder import EncoderError

Updates: TypeAlias = Mapping[str, Tensor]
DOWN, UP = ".down", ".up"


def merge_updates(network: nn.Module, updates: Updates, encoder: str) -> None:
    """Add updates to the weights of a network.

    Args:
        network: the encoder before its tuning.
        updates: updates of its layers.
        encoder: name of the encoder, for the error.

    Raises:
        EncoderError: if a layer is missing or has another shape.
    """
    for name in sorted(key.removesuffix(DOWN) for key in updates if key.endswith(DOWN)):
        down, up = updates[name + DOWN], updates[name + UP]
        try:
            weight = network.get_parameter(f"{name}.weight")
            if weight.shape != (len(up), down.shape[1]):
                raise AttributeError(f"{name} has the shape {list(weight.shape)}")
        except AttributeError as error:
            raise EncoderError(
                f"The tuned weights of this model do not fit the text encoder {encoder} ({error}). Set "
                "text_encoder to the encoder that the model was trained with."
            ) from error
        with torch.no_grad():
            weight.add_((up.float() @ down.float()).to(weight))


def updates_hash(updates: Updates) -> str:
    """Short SHA-256 of updates, for the identity of an encoder."""
    digest = sha256()
    for name in sorted(updates):
        digest.update(name.encode() + updates[name].detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
