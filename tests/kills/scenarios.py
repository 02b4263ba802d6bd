"""What the warm process runs: a command as typed, or parts of those that start processes of their own."""

import hashlib
from collections.abc import Sequence

import numpy as np

from recbole_longinterest.cli import main
from recbole_longinterest.common import files
from recbole_longinterest.data import item_texts
from recbole_longinterest.text import cache, encoder


class FakeEncoder:
    """Stands in for TextEncoder: a vector that depends on the text alone."""

    identity = "fake"
    batch_size = 4

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        seeds = [list(hashlib.sha256(text.encode()).digest()) for text in texts]
        return np.stack([np.random.default_rng(seed).standard_normal(16) for seed in seeds]).astype(np.float32)

    def unload(self) -> None:
        """Nothing is loaded."""


item_texts.TextEncoder = encoder.TextEncoder = FakeEncoder  # type: ignore[assignment,misc]


def command(*arguments: str) -> int:
    """Run `recbole-li`."""
    return main.main(arguments)


def without_exchange(*arguments: str) -> int:
    """Run `recbole-li` where folders cannot be exchanged in one step."""
    files.exchange = lambda one, other: False
    return command(*arguments)


def small_shards(*arguments: str) -> int:
    """Run `recbole-li` with shards of 16 texts, of which a small file has several."""
    cache.TEXTS_A_SHARD = 16
    return command(*arguments)
