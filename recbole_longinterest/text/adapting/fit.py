"""The training loop: epochs over the items that have positives, with early stopping on held-out items."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from time import monotonic

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from recbole_longinterest.common.notebook import Bar, progress_bar
from recbole_longinterest.text.adapting.info_nce import backward_in_parts, info_nce
from recbole_longinterest.text.adapting.mining import batches_of_epoch, mine_negatives
from recbole_longinterest.text.adapting.positives import Positives
from recbole_longinterest.text.adapting.progress import Progress, ProgressFile
from recbole_longinterest.text.adapting.tunable import Tunable, all_vectors, trainable

SAVE_SECONDS = 60.0  # time between saved states: a killed training loses little more
WARM_UP = 20  # number of first batches in which the learning rate rises
CLIP = 1.0  # maximum norm of the gradient
TOKENS = 2**13  # maximum number in one forward and backward pass: about 1.5 GB for a MiniLM in float32


def parts_of(tokens: NDArray[np.int64], most: int) -> list[slice]:
    """Divide a batch into parts of at most ``most`` items and ``TOKENS`` tokens.

    Args:
        tokens: number of tokens of each item, [U].
        most: maximum number of items.

    Returns:
        Consecutive slices. An item with more tokens is a part of its own.
    """
    starts, taken = [0], 0
    for place, number in enumerate(tokens.tolist()):
        if place > starts[-1] and (place - starts[-1] == most or taken + number > TOKENS):
            starts.append(place)
            taken = 0
        taken += number
    return [slice(*bounds) for bounds in pairwise([*starts, len(tokens)])]


@dataclass(frozen=True)
class FitSettings:
    """Settings of the training.

    Attributes:
        epochs: maximum number of epochs. An epoch encodes every item that has a positive about once.
        patience: stop after this many epochs without a better value.
        anchors: anchors per batch; each adds a positive and a hard negative.
        part: maximum number of items in one forward and backward pass; limits the memory, does not change the result.
        temperature: temperature of the loss.
        learning_rate: learning rate of AdamW.
        seed: seed of batches, dropout and new weights.
    """

    epochs: int
    patience: int
    anchors: int
    part: int
    temperature: float
    learning_rate: float
    seed: int


@dataclass(frozen=True)
class Catalogue:
    """The items to train on.

    Attributes:
        texts: text by item id, "" for an item without a text.
        positives: the positive pairs, without held-out items.
        same: pairs of items with equal texts, [N, N].
        negatives: ids of the items that may be negatives, [n].
    """

    texts: Sequence[str]
    positives: Positives
    same: sp.csr_array
    negatives: NDArray[np.int64]

    @property
    def order(self) -> list[int]:
        """Items with a text, the longest first."""
        return sorted((i for i, text in enumerate(self.texts) if text), key=lambda i: -len(self.texts[i]))

    def vectors(self, tunable: Tunable) -> NDArray[np.float32]:
        """Encode all items, [N, D]; zeros for items without a text."""
        return all_vectors(tunable, len(self.texts), self.order)


class Fit:
    """A training that can be interrupted at any batch and continued with the same result.

    Args:
        tunable: the encoder to train.
        catalogue: the items.
        settings: settings of the training.
        before: vectors of all items by the untrained encoder, [N, D].
        value_of: function of all items' vectors that measures them on the held-out items; larger is better.
        file: file for the state.
        show_progress: show a progress bar.

    Attributes:
        best_vectors: vectors of all items by the best epoch so far; None after resuming, until a later epoch is better.
    """

    def __init__(
        self,
        tunable: Tunable,
        catalogue: Catalogue,
        settings: FitSettings,
        before: NDArray[np.float32],
        value_of: Callable[[NDArray[np.float32]], float],
        file: ProgressFile,
        show_progress: bool = True,
    ) -> None:
        self.tunable, self.catalogue, self.settings = tunable, catalogue, settings
        self.before, self.value_of, self.file, self.show_progress = before, value_of, file, show_progress
        self.weights = trainable(tunable)
        self.optimizer = torch.optim.AdamW(self.weights.values(), lr=settings.learning_rate, weight_decay=0.01)
        self.progress = Progress()
        self.best: dict[str, Tensor] = {}
        self.best_vectors: NDArray[np.float32] | None = None
        self.hard = torch.zeros(0, dtype=torch.int32)
        self._saved = monotonic()

    def run(self) -> Progress:
        """Train, and set the encoder's weights to those of the best epoch.

        Returns:
            The progress, with the value of each epoch and the best epoch.
        """
        if not self._resume():
            torch.manual_seed(self.settings.seed)
            self._evaluate(self.before)
        bar = progress_bar(
            total=self.settings.epochs * len(self.catalogue.positives.anchors),
            initial=self.progress.texts,
            desc="Adapting",
            unit="text",
            disable=not self.show_progress,
        )
        with bar:
            while self.progress.epoch <= self.settings.epochs and not self._is_over():
                self._epoch(bar)
                self._evaluate(self.catalogue.vectors(self.tunable))
                bar.set_postfix_str(f"epoch {len(self.progress.values) - 1}: {self.progress.values[-1]:.4f} held out")
                self._save()
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(self.best[name])
        return self.progress

    def _is_over(self) -> bool:
        return len(self.progress.values) - 1 - self.progress.best >= self.settings.patience

    def _epoch(self, bar: Bar) -> None:
        """Train the remaining batches of the current epoch. The batches depend only on the seed and the epoch."""
        self.tunable.module.train()
        drawn = np.random.default_rng([self.settings.seed, self.progress.epoch])
        lengths = [len(text) for text in self.catalogue.texts]
        batches = batches_of_epoch(self.catalogue.positives, self.hard.numpy(), self.settings.anchors, lengths, drawn)
        for number, items in enumerate(batches):
            if number < self.progress.step:
                continue
            self._batch(items)
            whole = self.progress.epoch * len(self.catalogue.positives.anchors)  # an epoch encodes a few texts twice
            bar.update(max(0, min(self.progress.texts + len(items), whole) - self.progress.texts))
            self.progress.texts = min(self.progress.texts + len(items), whole)
            if monotonic() - self._saved >= SAVE_SECONDS:
                self._save()

    def _batch(self, items: NDArray[np.int64]) -> None:
        weights, never = self.catalogue.positives.among(items)
        never |= self.catalogue.same[items][:, items].toarray()
        np.fill_diagonal(never, True)
        device = next(iter(self.weights.values())).device
        positive, negative = torch.as_tensor(weights, device=device), torch.as_tensor(~never, device=device)
        rate = self.settings.learning_rate * min(1.0, (self.progress.steps + 1) / WARM_UP)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        self.progress.loss += backward_in_parts(
            lambda rows: self.tunable.vectors(items[rows].tolist()),
            parts_of(self.tunable.tokens(items.tolist()), self.settings.part),
            lambda vectors: info_nce(vectors, positive, negative, self.settings.temperature),
        )
        torch.nn.utils.clip_grad_norm_(self.weights.values(), CLIP)
        self.optimizer.step()
        self.progress.step += 1
        self.progress.steps += 1

    def _evaluate(self, vectors: NDArray[np.float32]) -> None:
        """Measure the vectors of all items, and mine the hard negatives of the next epoch."""
        self.progress.values.append(self.value_of(vectors))
        epoch = len(self.progress.values) - 1
        if self.progress.best == epoch:
            self.best = {name: weight.detach().clone() for name, weight in self.weights.items()}
            self.best_vectors = vectors
        never = self.catalogue.positives.related + self.catalogue.positives.weights.astype(bool) + self.catalogue.same
        self.hard = torch.as_tensor(mine_negatives(vectors, self.catalogue.negatives, never.tocsr()))
        self.progress.epoch, self.progress.step, self.progress.loss = epoch + 1, 0, 0.0
        self.progress.texts = epoch * len(self.catalogue.positives.anchors)

    # --- resume ------------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        tensors: dict[str, Tensor] = {f"now.{name}": weight for name, weight in self.weights.items()}
        tensors |= {f"best.{name}": weight for name, weight in self.best.items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{number}.{name}": value for name, value in state.items()}
        self.file.write(self.progress, {**tensors, "hard": self.hard, "random": torch.get_rng_state()})
        self._saved = monotonic()

    def _resume(self) -> bool:
        """Restore the state from the file; return whether there is one."""
        found = self.file.read()
        if found is None:
            return False
        self.progress, tensors = found
        device = next(iter(self.weights.values())).device
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(tensors[f"now.{name}"])
        self.best = {name: tensors[f"best.{name}"].to(device) for name in self.weights}
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            kind, _, rest = name.partition(".")
            if kind == "adam":
                number, _, what = rest.partition(".")
                state.setdefault(int(number), {})[what] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        self.hard = tensors["hard"]
        torch.set_rng_state(tensors["random"])
        return True
