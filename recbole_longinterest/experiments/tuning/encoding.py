"""Texts encoded by all nodes of a Ray cluster, through Ray Data."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import ray
import ray.data
from numpy.typing import NDArray

from recbole_longinterest.text.encoder import TextEncoder

TEXTS_A_CALL = 512  # a part that the cache asks for is some of these: models are loaded once a part


class ClusterEncoder:
    """An encoder for the text cache whose work is done by one process a GPU, or a core, of the cluster.

    Args:
        encoder: what each of them does; on other machines a folder of the same name must hold the same model.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        self.encoder = encoder
        self.batch_size = TEXTS_A_CALL
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0))
        self.workers = gpus or max(1, int(resources.get("CPU", 1)) - 1)  # a core is left to reading and collecting
        self.resources: dict[str, Any] = {"num_gpus": 1} if gpus else {"num_cpus": 1}

    @property
    def identity(self) -> str:
        """That of the encoder: both write one cache."""
        return self.encoder.identity

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors [n, dim] of texts, in their order."""
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        # As bytes: Arrow has no lone surrogates, which texts may have.
        rows = [{"row": row, "text": text.encode("utf-8", "surrogatepass")} for row, text in enumerate(texts)]
        blocks = max(self.workers, -(-len(rows) // (8 * self.encoder.batch_size)))
        encoded = ray.data.from_items(rows, override_num_blocks=min(blocks, len(rows))).map_batches(
            _Worker,
            fn_constructor_args=(self.encoder,),
            batch_size=8 * self.encoder.batch_size,
            compute=ray.data.ActorPoolStrategy(size=self.workers),
            **self.resources,
        )
        found: dict[int, NDArray[np.float32]] = {}
        for batch in encoded.iter_batches(batch_format="numpy"):
            found.update(zip(batch["row"].tolist(), batch["vector"], strict=True))
        return np.stack([found[row] for row in range(len(rows))]).astype(np.float32, copy=False)

    def unload(self) -> None:
        """Nothing is loaded here."""


class _Worker:
    def __init__(self, encoder: TextEncoder) -> None:
        self.encoder = encoder

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        texts = [bytes(text).decode("utf-8", "surrogatepass") for text in batch["text"]]
        return {"row": batch["row"], "vector": self.encoder.encode(texts)}
