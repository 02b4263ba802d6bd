"""Trainable versions of an encoder: low-rank updates (LoRA), a small network behind it, or all weights."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from recbole_longinterest.common.packages import require
from recbole_longinterest.text.loaded import LoadedEncoder

METHODS = ("lora", "adapter", "full")
LEARNING_RATES = {"lora": 5e-4, "adapter": 1e-3, "full": 2e-5}
RANK = 16
BOTTLENECK = 256
BATCH = 64  # texts per batch outside of training
SIMILAR = 0.75  # texts are padded to one length if the shortest has at least this share of the longest one's tokens
TOGETHER = 8  # minimum number of texts that are padded to one length


class Tunable(Protocol):
    """An encoder of the items' texts with trainable parts. An item is given by the index of its text."""

    @property
    def module(self) -> nn.Module:
        """Module with the trainable parameters; it is switched between training and evaluation mode."""

    def vectors(self, items: Sequence[int]) -> Tensor:
        """Vectors of items, [n, D], for which gradients can be computed."""

    def tokens(self, items: Sequence[int]) -> NDArray[np.int64]:
        """Number of tokens of each of the given texts; the memory for gradients depends on them."""


def trainable(tunable: Tunable) -> dict[str, nn.Parameter]:
    """Return the trainable parameters by name."""
    return {name: weight for name, weight in tunable.module.named_parameters() if weight.requires_grad}


def all_vectors(tunable: Tunable, number: int, order: Sequence[int]) -> NDArray[np.float32]:
    """Encode many items without dropout.

    Args:
        tunable: the encoder.
        number: number of rows of the result.
        order: items to encode, preferably sorted by length.

    Returns:
        [number, D]; zeros for items that are not in ``order``.
    """
    was = tunable.module.training
    tunable.module.eval()
    found: NDArray[np.float32] | None = None
    with torch.no_grad():
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            part = tunable.vectors(rows).float().cpu().numpy()
            if found is None:
                found = np.zeros((number, part.shape[1]), np.float32)
            found[rows] = part
    tunable.module.train(was)
    return np.zeros((number, 0), np.float32) if found is None else found


def groups_of(lengths: NDArray[np.int64]) -> list[slice]:
    """Divide texts into groups of similar length.

    Args:
        lengths: number of tokens of each text, the largest first, [n].

    Returns:
        Slices of the texts. A group ends before a text with fewer than ``SIMILAR`` times as many tokens as its first
        text, but not before it has ``TOGETHER`` texts.
    """
    starts = [0]
    for place, length in enumerate(lengths.tolist()):
        if length < SIMILAR * lengths[starts[-1]] and place - starts[-1] >= TOGETHER:
            starts.append(place)
    return [slice(*bounds) for bounds in pairwise([*starts, len(lengths)])]


class TunedNetwork:
    """The encoder itself: all of its weights, or low-rank updates of its linear layers (LoRA).

    LoRA trains ``W + (alpha / r) B A``. ``B`` is zero at the start, so training starts from the original encoder (Hu et
    al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models").

    Args:
        loaded: the encoder.
        texts: texts of the items.
        method: ``"lora"`` or ``"full"``.
        rank: rank ``r`` of the updates.
        layers: names of the layers that ``"lora"`` updates; None for all linear ones.
        wanted_by: the command or setting that needs peft, named in the error.

    Attributes:
        loaded: the encoder; its network is trained.
    """

    def __init__(
        self,
        loaded: LoadedEncoder,
        texts: Sequence[str],
        method: str,
        rank: int = RANK,
        layers: Sequence[str] | None = None,
        wanted_by: str = "recbole-li adapt --method lora",
    ) -> None:
        self.loaded = loaded
        self._tokens = loaded.tokenize(list(texts))
        self._lengths = np.array([len(ids) for ids in self._tokens["input_ids"]], np.int64)
        network: nn.Module = loaded.network
        if method == "lora":
            require("peft", wanted_by)
            from peft import LoraConfig, get_peft_model  # belongs to the extra adapt

            targets = "all-linear" if layers is None else list(layers)
            settings = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets)
            network = get_peft_model(loaded.network, settings)
        else:
            for name, weight in network.named_parameters():
                weight.requires_grad_("pooler" not in name)  # the vectors do not use the pooler
        self._module = network

    @property
    def module(self) -> nn.Module:
        """See :class:`Tunable`."""
        return self._module

    def vectors(self, items: Sequence[int]) -> Tensor:
        """See :class:`Tunable`; texts of similar length are encoded together, so that little is padding."""
        lengths = self.tokens(items)
        order = np.argsort(-lengths, kind="stable")
        found = [self.padded([items[place] for place in order[group]]) for group in groups_of(lengths[order])]
        return torch.cat(found)[torch.as_tensor(np.argsort(order), device=found[0].device)]

    def padded(self, items: Sequence[int]) -> Tensor:
        """Encode texts that are padded to one length, [n, D]."""
        return self.loaded.finished(self.loaded.pooled(self.loaded.batch(self._tokens, items)))

    def tokens(self, items: Sequence[int]) -> NDArray[np.int64]:
        """See :class:`Tunable`."""
        return self._lengths[np.asarray(items)]

    def save(self, folder: Path) -> Path | None:
        """Write the network with merged updates, and the updates in peft's format to the subfolder ``adapter``.

        Returns:
            The subfolder of the updates; None if all weights are trained.
        """
        network: Any = self._module  # a model of transformers or peft, which are untyped
        if not hasattr(network, "merge_and_unload"):
            network.save_pretrained(folder, safe_serialization=True)
            return None
        adapter = folder / "adapter"
        network.save_pretrained(adapter, safe_serialization=True)
        network.merge_and_unload().save_pretrained(folder, safe_serialization=True)
        return adapter


class ResidualAdapter(nn.Module):
    """A residual bottleneck, ``x + B relu(A x + a)``, with ``B`` zero at the start.

    It is the adapter of Houlsby et al. 2019 ("Parameter-Efficient Transfer Learning for NLP", section 2), but used once
    behind the encoder instead of in every layer.

    Args:
        size: size of a vector, ``D``.
        bottleneck: number of rows of ``A``.
    """

    def __init__(self, size: int, bottleneck: int = BOTTLENECK) -> None:
        super().__init__()
        self.down = nn.Linear(size, bottleneck)
        self.up = nn.Linear(bottleneck, size, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, vectors: Tensor) -> Tensor:
        """Transform vectors [B, D] to [B, D]."""
        return vectors + self.up(functional.relu(self.down(vectors)))

    def as_dense(self) -> list[tuple[Tensor, Tensor, str]]:
        """Return the same function as two dense layers without a residual, for a sentence-transformers folder.

        Since ``x = relu(x) - relu(-x)``, the first layer outputs ``x`` and ``-x`` in addition to the bottleneck.

        Returns:
            Weight, bias and torch's name of the activation of each layer.
        """
        size = self.up.weight.shape[0]
        same, none = torch.eye(size), torch.zeros(size)
        down, up = self.down.weight.detach().cpu(), self.up.weight.detach().cpu()
        first = torch.cat([same, -same, down])
        last = torch.cat([same, -same, up], dim=1)
        bias = torch.cat([none, none, self.down.bias.detach().cpu()])
        return [(first, bias, "torch.nn.modules.activation.ReLU"), (last, none, "torch.nn.modules.linear.Identity")]


class TunedHead:
    """A small trainable network behind the encoder. The encoder is not trained, so every text is encoded only once.

    Args:
        vectors: vectors of the items' texts before normalisation, [N, D].
        device: device to train on.
        normalizes: whether the encoder normalises its vectors.
        bottleneck: size of the network.
    """

    def __init__(
        self, vectors: NDArray[np.float32], device: torch.device, normalizes: bool, bottleneck: int = BOTTLENECK
    ) -> None:
        self._normalizes = normalizes
        self._vectors = torch.as_tensor(vectors, device=device)
        self.adapter = ResidualAdapter(vectors.shape[1], bottleneck).to(device)

    @property
    def module(self) -> nn.Module:
        """See :class:`Tunable`."""
        return self.adapter

    def vectors(self, items: Sequence[int]) -> Tensor:
        """See :class:`Tunable`."""
        found = self.adapter(self._vectors[torch.as_tensor(items, device=self._vectors.device)])
        return functional.normalize(found, dim=-1) if self._normalizes else found

    def tokens(self, items: Sequence[int]) -> NDArray[np.int64]:
        """See :class:`Tunable`; always 1, because only the small network needs memory for gradients."""
        return np.ones(len(items), np.int64)
