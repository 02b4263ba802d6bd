"""Encode texts on all nodes of a Ray cluster with Ray Data."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import ray
import ray.data
from numpy.typing import NDArray

from recbole_longinterest.text.encoder import TextEncoder

TEXTS_A_CALL = 512  # texts per worker call; the cache requests several calls at once, and models load once


class ClusterEncoder:
    """An encoder for the text cache with one worker process for each GPU, or for each core, of the cluster.

    Args:
        encoder: the encoder for all workers. Every machine must have the same model folder at the same path.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        self.encoder = encoder
        self.batch_size = TEXTS_A_CALL
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0)) if encoder.backend == "torch" else 0  # onnxruntime encodes on the CPU
        self.workers = gpus or max(1, int(resources.get("CPU", 1)) - 1)  # one core for reading and collecting
        self.resources: dict[str, Any] = {"num_gpus": 1} if gpus else {"num_cpus": 1}

    @property
    def identity(self) -> str:
        """Identity of the encoder, so that it shares the cache with local encoding."""
        return self.encoder.identity

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts to vectors [n, dim], in their order."""
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        # As bytes, because texts may contain lone surrogates, which Arrow does not allow.
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
        """Does nothing, because this process loads no model."""


class _Worker:
    def __init__(self, encoder: TextEncoder) -> None:
        self.encoder = encoder

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        texts = [bytes(text).decode("utf-8", "surrogatepass") for text in batch["text"]]
        return {"row": batch["row"], "vector": self.encoder.encode(texts)}
