"""Train low-rank updates of the text encoder with the recommender's loss (``text_tuning: lora``).

The matrix of whitened text vectors collects the gradient of the loss from all uses of an item: in histories, as a
target, and in the softmax over the catalogue. After every step of the recommender, the items with the largest
gradients (``text_tuning_items``) are encoded again by the upper layers. Their gradients go through the encoder, and
their rows get the new vectors. Other rows keep their vectors and add up their gradients until these are among the
largest: stochastic gradient descent with memory (Stich et al. 2018, "Sparsified SGD with Memory"), over rows. After
the epoch, the updates become their moving average (``weight_averaging``, as for the network's weights), and the vectors
of all items are computed again, so validation and checkpoints use exact vectors. The whitening does not change: it is
computed from the untuned vectors.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.item_texts import ItemTexts, make_encoder
from recbole_longinterest.nn.network import InterestNetwork
from recbole_longinterest.nn.sources import ItemSource
from recbole_longinterest.nn.state_keys import TEXT
from recbole_longinterest.plugin.runs.averaging import WeightAverage, read_decay
from recbole_longinterest.text.adapting.tunable import all_vectors
from recbole_longinterest.text.adapting.upper_layers import UpperLayers
from recbole_longinterest.text.whitening import Whitening

if TYPE_CHECKING:
    from torch.optim import Optimizer

SETTING = "text_tuning"
METHODS = ("none", "lora")
DEFAULTS = {"text_tuning_layers": 1, "text_tuning_items": 64, "text_tuning_rate": 1e-4}
CLIP = 1.0  # maximum norm of the gradient


def wants_tuning(config: Settings) -> bool:
    """Whether ``text_tuning`` is on.

    Raises:
        LongInterestError: for an unknown value, or settings that do not allow tuning.
    """
    method = "none" if config[SETTING] in (None, False) else str(config[SETTING]).lower()
    if method not in METHODS:
        raise LongInterestError(f"{SETTING} must be one of {', '.join(METHODS)}; got {config[SETTING]!r}.")
    if method == "none":
        return False
    if not config["single_spec"]:
        raise LongInterestError(f"{SETTING}: {method} trains in one process. Leave out --nproc or {SETTING}.")
    if config["enable_amp"]:
        raise LongInterestError(f"{SETTING}: {method} cannot train with enable_amp. Leave one of them out.")
    if config["text_chunks"] not in (None, 1):
        raise LongInterestError(
            f"{SETTING}: {method} reads the first chunk of a text; text_chunks must be 1, got {config['text_chunks']}."
        )
    if config["text_backend"] not in (None, "torch"):
        raise LongInterestError(
            f"{SETTING}: {method} trains with torch; text_backend must be torch, got {config['text_backend']}."
        )
    return True


def read_number(config: Settings, name: str) -> float:
    """Read a numeric setting of the tuning; its default if it is not set.

    Raises:
        LongInterestError: if it is out of range.
    """
    value = DEFAULTS[name] if config[name] is None else config[name]
    whole = isinstance(DEFAULTS[name], int)
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not 0 < value < inf:
        raise LongInterestError(f"{name} must be a {'whole number' if whole else 'number'} above 0; got {value!r}.")
    return value


class TextTuning:
    """Tunes the text encoder during one training.

    Args:
        config: RecBole's config.
        model: a LongInterest model whose text vectors are computed.
        texts: texts of the catalogue.

    Attributes:
        optimizer: optimizer of the updates; the trainer saves it with the run.

    Raises:
        LongInterestError: if the data has no texts, or if a setting or the encoder cannot be used.
    """

    def __init__(self, config: Settings, model: InterestNetwork, texts: object) -> None:
        if not isinstance(texts, ItemTexts):
            why = f"text_vectors is {config['text_vectors']}" if config["text_vectors"] else "no texts are read"
            raise LongInterestError(
                f"{SETTING}: {config[SETTING]} needs texts and their encoder, but {why}. Set text_fields and "
                f"text_features: on, or leave {SETTING} out."
            )
        layers, items = (int(read_number(config, f"{SETTING}_{name}")) for name in ("layers", "items"))
        rate = read_number(config, f"{SETTING}_rate")
        self.source = cast(ItemSource, model.item_sources[TEXT])
        self.items, self.decay = items, read_decay(config)
        self._average: WeightAverage | None = None  # average of the updates in this epoch
        encoder = make_encoder(config)
        with torch.random.fork_rng(devices=[]):  # does not change the run's other random numbers
            torch.manual_seed(config["seed"])
            self.layers = UpperLayers(encoder.load(), texts.texts, layers)
        self.optimizer = torch.optim.AdamW(self.layers.weights, lr=rate, weight_decay=0.01)
        self.source.set_tuned(self.layers.updates())

    @contextmanager
    def epoch(self, optimizer: "Optimizer") -> Iterator[None]:
        """Tune during an epoch: start from the updates stored in the model, and store the new ones there at the end.

        Args:
            optimizer: the recommender's optimizer.
        """
        source = self.source
        self.layers.load_updates(source.tuned_updates())  # from the checkpoint, if the training was resumed
        self._average = WeightAverage(nn.ParameterList(self.layers.weights), self.decay) if self.decay else None
        source.vectors.requires_grad_(True)
        hook = optimizer.register_step_post_hook(lambda *_: self._step())
        try:
            yield
        finally:
            hook.remove()
            source.vectors.requires_grad_(False).grad = None
        if self._average is not None:
            self._average.swap()
        self.refresh()

    def refresh(self) -> None:
        """Compute the text vectors of all items with the current updates."""
        source, order = self.source, self.layers.order
        raw = all_vectors(self.layers, len(source.vectors), order)
        whitening = Whitening(source.mean.cpu().double().numpy(), source.whitening.cpu().double().numpy())
        source.vectors[order] = torch.as_tensor(whitening.transform(raw[order])).to(source.vectors)
        source.set_tuned(self.layers.updates())

    @torch.enable_grad()
    def _step(self) -> None:
        vectors = self.source.vectors
        if vectors.grad is None:  # the loss used no texts
            return
        rows = self._chosen(vectors.grad)
        if not len(rows):
            return
        white = (self.layers.vectors(rows.tolist()).float() - self.source.mean) @ self.source.whitening  # [n, W]
        white.backward(vectors.grad[rows])
        torch.nn.utils.clip_grad_norm_(self.layers.weights, CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self._average is not None:
            self._average.take_in()
        with torch.no_grad():
            vectors[rows] = white.detach()
            vectors.grad[rows] = 0

    def _chosen(self, gradient: Tensor) -> Tensor:
        """Select the items with the largest gradients, int64 [n]."""
        size = gradient.square().sum(dim=1) * self.source.present
        top = size.topk(min(self.items, len(size)))
        return top.indices[top.values > 0]
