"""Tune the upper layers of an encoder on cached hidden states of its frozen lower layers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recbole_longinterest.text.adapting.tunable import BATCH, RANK, TunedNetwork, trainable
from recbole_longinterest.text.folder import EncoderError, one_line
from recbole_longinterest.text.loaded import LoadedEncoder
from recbole_longinterest.text.updates import DOWN, UP, Updates

HIDDEN_BYTES = 4 * 2**30  # maximum size of the cache
CHECKED = 8  # number of texts whose vectors are compared with those of the whole encoder
TOLERANCE = 1e-3  # maximum relative difference of these vectors
HALF_TOLERANCE = 0.05  # the same in half precision


class UpperLayers(TunedNetwork):
    """An encoder whose upper layers have low-rank updates (LoRA) and read cached hidden states of the lower layers.

    The cache holds the input of the first tuned layer for every token of the catalogue in float32: ``tokens * width *
    4`` bytes, for MiniLM 1.5 kB per token. It is computed without dropout. The module starts in evaluation mode, where
    a text's vector depends only on the weights.

    Args:
        loaded: the encoder; it is changed, and must not be used elsewhere.
        texts: texts of the catalogue.
        layers: number of upper layers to tune.
        rank: rank of the updates.
        option: name of the setting that gave ``layers``, for messages.
        off: name of the setting to leave out if the encoder cannot be used, for messages.

    Raises:
        EncoderError: if the encoder has fewer layers or no linear layers, if its upper layers cannot run without the
            lower ones, or if the catalogue is too large for the cache.
    """

    def __init__(
        self,
        loaded: LoadedEncoder,
        texts: Sequence[str],
        layers: int,
        rank: int = RANK,
        option: str = "text_tuning_layers",
        off: str = "text_tuning",
    ) -> None:
        name, stack = _stack_of(loaded.network, off)
        if layers > len(stack):
            raise EncoderError(
                f"{option} must be at most the {len(stack)} layers of the text encoder {loaded.name}; got "
                f"{layers}. Give a smaller one."
            )
        first = len(stack) - layers
        above = tuple(f"{name}.{number}." for number in range(first, len(stack)))
        tuned = [
            place
            for place, layer in loaded.network.named_modules()
            if isinstance(layer, nn.Linear) and place.startswith(above)
        ]
        if not tuned:
            raise EncoderError(
                f"The layers of the text encoder {loaded.name} have no torch Linear to tune. Name another "
                f"text_encoder, or leave {off} out."
            )
        super().__init__(loaded, texts, "lora", rank, tuned, f"{off}: lora")
        self.module.eval()
        self._stack, self._first, self._off = stack, first, off
        self._lower: list[nn.Module] = []  # removed from the network
        self._lengths[[not text for text in texts]] = 0
        self._starts = np.cumsum(self._lengths) - self._lengths
        self.order: list[int] = sorted(np.flatnonzero(self._lengths).tolist(), key=lambda row: -self._lengths[row])
        self._hidden: Tensor | None = None  # [tokens, width]

    def padded(self, items: Sequence[int]) -> Tensor:
        """See :class:`TunedNetwork`; only the first call runs the lower layers."""
        if self._hidden is None:
            self._hidden = self._fill()
        batch = self.loaded.batch(self._tokens, items)
        places = np.concatenate([np.arange(self._lengths[item]) + self._starts[item] for item in items])
        mask = batch["attention_mask"].bool()
        hidden = self._hidden.new_zeros(*mask.shape, self._hidden.shape[1])
        hidden[mask] = self._hidden[torch.as_tensor(places, device=hidden.device)]  # padding is on the right
        with self._at_first(lambda _: hidden):
            return self.loaded.finished(self.loaded.pooled(batch))

    def save(self, folder: Path) -> Path | None:
        """See :class:`TunedNetwork`; the tuned encoder cannot be used afterwards."""
        for number, layer in enumerate(self._lower):
            self._stack[number] = layer.to(self.loaded.device)
        return super().save(folder)

    def updates(self) -> dict[str, Tensor]:
        """Return the updates as plain tensors, see :mod:`recbole_longinterest.text.updates`."""
        found = {}
        for name, layer in _lora_layers(self.loaded.network):
            found[name + DOWN] = layer.lora_A["default"].weight.detach().clone()
            found[name + UP] = layer.lora_B["default"].weight.detach() * layer.scaling["default"]
        return found

    def load_updates(self, updates: Updates) -> None:
        """Set the updates to a result of :meth:`updates`."""
        with torch.no_grad():
            for name, layer in _lora_layers(self.loaded.network):
                layer.lora_A["default"].weight.copy_(updates[name + DOWN])
                layer.lora_B["default"].weight.copy_(updates[name + UP] / layer.scaling["default"])

    @property
    def weights(self) -> list[nn.Parameter]:
        """The trainable parameters."""
        return list(trainable(self).values())

    def _fill(self) -> Tensor:
        """Run the lower layers once, remove them from the network, and check that the upper layers run without them."""
        checked = self.order[:CHECKED]
        was = self.module.training
        self.module.eval()
        with torch.no_grad():
            wanted = super().padded(checked)
            for start in range(0, len(self.order), BATCH):
                self._fill_batch(self.order[start : start + BATCH])
        hidden = self._hidden
        assert hidden is not None
        self._lower = [layer.cpu() for layer in self._stack[: self._first]]  # frees a GPU's memory
        for number in range(self._first):
            self._stack[number] = _Skipped()
        try:
            with torch.no_grad():
                found = self.padded(checked)
            apart = float(((found - wanted).norm(dim=1) / wanted.norm(dim=1).clamp(min=1e-12)).max())
            why = f"the vectors differ by {apart:.1%}"
        except EncoderError as error:
            apart, why = float("inf"), one_line(error)
        if not apart <= (TOLERANCE if self.loaded.precision == "fp32" else HALF_TOLERANCE):
            raise EncoderError(
                f"The upper layers of the text encoder {self.loaded.name} cannot run without the lower ones ({why}). "
                f"Name a BERT-like text_encoder, or leave {self._off} out."
            )
        self.module.train(was)
        return hidden

    def _fill_batch(self, rows: list[int]) -> None:
        batch = self.loaded.batch(self._tokens, rows)
        mask = batch["attention_mask"].bool()

        def keep(hidden: Tensor) -> Tensor:
            raise _Reached(hidden)

        try:
            with self._at_first(keep):
                self.loaded.pooled(batch)
        except _Reached as reached:
            hidden = reached.hidden.float()
        if self._hidden is None:
            self._hidden = self._room(hidden.shape[2], hidden.device)
        places = np.concatenate([np.arange(self._lengths[row]) + self._starts[row] for row in rows])
        self._hidden[torch.as_tensor(places, device=hidden.device)] = hidden[mask]

    def _room(self, width: int, device: torch.device) -> Tensor:
        """Allocate the cache.

        Raises:
            EncoderError: if it exceeds the limit.
        """
        tokens = int(self._lengths.sum())
        size = tokens * width * 4
        if size > HIDDEN_BYTES:
            raise EncoderError(
                f"{self._off} would keep {size / 2**30:.1f} GiB of hidden states ({tokens} tokens of {width} numbers); "
                f"the limit is {HIDDEN_BYTES / 2**30:.1f} GiB. Set a smaller text_max_length, or leave {self._off} out."
            )
        return torch.empty(tokens, width, device=device)

    @contextmanager
    def _at_first(self, change: Any) -> Iterator[None]:  # noqa: ANN401 - a function of the hidden states
        """Change the hidden states that the first tuned layer reads, [B, T, width]."""

        def before(
            _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> tuple[tuple[Any, ...], dict[str, Any]]:
            if args:
                return (change(args[0]), *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": change(kwargs["hidden_states"])}

        hook = self._stack[self._first].register_forward_pre_hook(before, with_kwargs=True)
        try:
            yield
        finally:
            hook.remove()


class _Skipped(nn.Module):
    """Replaces a removed lower layer."""

    def forward(self, hidden_states: Tensor, *_: object, **__: object) -> Tensor:
        return hidden_states


class _Reached(Exception):
    """Ends a forward pass at the first tuned layer."""

    def __init__(self, hidden: Tensor) -> None:
        super().__init__()
        self.hidden = hidden


def _stack_of(network: nn.Module, off: str) -> tuple[str, nn.ModuleList]:
    """Find the layers of an encoder: the module list with the most weights, and its name.

    Raises:
        EncoderError: if the network has no module list.
    """
    lists = [(name, layers) for name, layers in network.named_modules() if isinstance(layers, nn.ModuleList)]
    if not lists:
        raise EncoderError(
            f"The text encoder ({type(network).__name__}) has no list of layers to tune. Name a BERT-like "
            f"text_encoder, or leave {off} out."
        )
    return max(lists, key=lambda found: sum(weight.numel() for weight in found[1].parameters()))


def _lora_layers(network: nn.Module) -> list[tuple[str, Any]]:
    return [(name, layer) for name, layer in network.named_modules() if hasattr(layer, "lora_A")]
