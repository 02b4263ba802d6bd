"""Pool token vectors into one vector per text, and load the layers that follow in a sentence-transformers folder."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from recbole_longinterest.text.folder import EncoderError, FolderSettings, read_json

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "Identity": lambda values: values,
    "Tanh": torch.tanh,
    "ReLU": torch.relu,
    "Sigmoid": torch.sigmoid,
    "GELU": functional.gelu,
}


def pool(hidden: Tensor, mask: Tensor, poolings: Sequence[str], skipped: int = 0) -> Tensor:
    """Pool the token vectors of each text into one vector. Padding on either side has no effect.

    Args:
        hidden: token vectors, [B, T, D].
        mask: 1 for tokens and 0 for padding, at least one 1 per row, [B, T].
        poolings: ``mean``, ``cls`` (the first token), ``last``, and from sentence-transformers folders ``max``,
            ``mean_sqrt_len`` (the sum divided by the square root of the length) and ``weighted_mean`` (weighted by
            position). Several are concatenated.
        skipped: number of first tokens to leave out, which belong to a prompt.

    Returns:
        [B, D * number of poolings].
    """
    count = mask.cumsum(dim=1)  # position of a token in its text, from 1
    mask = mask * (count > skipped)
    weights = mask.to(hidden.dtype).unsqueeze(-1)  # [B, T, 1]
    length = weights.sum(dim=1).clamp(min=1)  # [B, 1]; 0 if the prompt fills the whole length
    places = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
    rows = torch.arange(len(hidden), device=hidden.device)
    parts = []
    for pooling in poolings:
        if pooling == "mean":
            parts.append((hidden * weights).sum(dim=1) / length)
        elif pooling == "mean_sqrt_len":
            parts.append((hidden * weights).sum(dim=1) / length.sqrt())
        elif pooling == "weighted_mean":
            by_place = weights * count.unsqueeze(-1)
            parts.append((hidden * by_place).sum(dim=1) / by_place.sum(dim=1).clamp(min=1))
        elif pooling == "max":
            parts.append(hidden.masked_fill(weights == 0, -torch.inf).amax(dim=1))
        elif pooling == "cls":
            parts.append(hidden[rows, places.masked_fill(mask == 0, mask.shape[1] - 1).amin(dim=1)])
        else:
            parts.append(hidden[rows, places.masked_fill(mask == 0, 0).amax(dim=1)])
    return torch.cat(parts, dim=1)


def load_steps(folder: Path, settings: FolderSettings, device: torch.device) -> list[Callable[[Tensor], Tensor]]:
    """Load the layers after the pooling, in order; each maps [B, D] to [B, D].

    Raises:
        EncoderError: if a dense layer is not a weight, an optional bias and a known activation.
    """
    return [
        functional.normalize if kind == "Normalize" else _dense(folder / path, device) for kind, path in settings.steps
    ]


def _dense(folder: Path, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Load a ``Dense`` layer of sentence-transformers."""
    from safetensors.torch import load_file

    config = read_json(folder / "config.json")
    name = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    activation = ACTIVATIONS.get(name.rpartition(".")[2]) if name.startswith("torch.nn.") else None
    inputs = config.get("module_input_name", "sentence_embedding")
    if activation is None or config.get("use_residual") or inputs != "sentence_embedding":
        raise EncoderError(
            f"The dense layer {folder} must have an activation of {', '.join(ACTIVATIONS)}, no residual, and pooled "
            f"input; got {name}, {config.get('use_residual', False)}, {inputs}. Name another text_encoder."
        )
    if not (folder / "model.safetensors").is_file():
        raise EncoderError(
            f"The dense layer {folder} has no model.safetensors, and pickled weights are not read. Save the model "
            "again with a newer sentence-transformers, if you trust it."
        )
    tensors = load_file(folder / "model.safetensors", device=str(device))
    weight, bias = tensors["linear.weight"].float(), tensors.get("linear.bias")
    return lambda vectors: activation(functional.linear(vectors, weight, None if bias is None else bias.float()))
