"""Other ways to encode texts, for `encode.py --against`: sentence-transformers, and onnxruntime in float32 and int8.

All use the same model, tokens and lengths, with mean pooling. For a fair comparison, onnxruntime gets texts sorted by
length, batches padded to their longest text, and as many threads as torch. Its graph is exported from the same weights;
int8 is onnxruntime's dynamic quantization of all matrix products.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from recbole_longinterest.text.models import quiet_transformers
from recbole_longinterest.text.onnx_network import write_graph

Encode = Callable[[list[str]], np.ndarray]
WAYS = ("sentence-transformers", "onnxruntime fp32", "onnxruntime int8")


def make(names: list[str], model: Path, folder: Path, max_length: int, batch_size: int) -> dict[str, Encode]:
    """Make encoders.

    Args:
        names: entries of ``WAYS``.
        model: folder of the model.
        folder: folder for exported graphs.
        max_length: maximum number of tokens of a text.
        batch_size: texts per batch.

    Returns:
        Encoders by name; each maps texts to vectors [n, dim].
    """
    made: dict[str, Encode] = {}
    graph = folder / "fp32.onnx"
    for name in names:
        if name == "sentence-transformers":
            made[name] = sentence_transformers(model, max_length, batch_size)
            continue
        if not graph.exists():
            export(model, graph)
        if name.endswith("int8"):
            made[name] = OnnxRuntime(model, quantized(graph), max_length, batch_size).encode
        else:
            made[name] = OnnxRuntime(model, graph, max_length, batch_size).encode
    return made


def sentence_transformers(model: Path, max_length: int, batch_size: int) -> Encode:
    """Make an encoder from the library's own `encode`, on the CPU."""
    from sentence_transformers import SentenceTransformer

    with quiet_transformers():
        encoder = SentenceTransformer(str(model), device="cpu")
    encoder.max_seq_length = max_length
    return lambda texts: encoder.encode(texts, batch_size=batch_size, show_progress_bar=False)


def export(model: Path, graph: Path) -> None:
    """Export the graph of a model, with ids and mask as inputs."""
    from transformers import AutoModel

    with quiet_transformers():
        network = AutoModel.from_pretrained(model, attn_implementation="eager").eval()
    ids = torch.randint(1_000, 2_000, (2, 7))
    write_graph(network, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, graph)


def quantized(graph: Path) -> Path:
    """Quantize a graph dynamically, with int8 weights."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    path = graph.with_name("int8.onnx")
    quantize_dynamic(str(graph), str(path), weight_type=QuantType.QInt8)
    return path


class OnnxRuntime:
    """Runs a graph in onnxruntime, with the model's tokenizer.

    Args:
        model: folder of the model.
        graph: file of the graph.
        max_length: maximum number of tokens of a text.
        batch_size: texts per batch.
    """

    def __init__(self, model: Path, graph: Path, max_length: int, batch_size: int) -> None:
        import onnxruntime
        from transformers import AutoTokenizer

        with quiet_transformers():
            self.tokenizer = AutoTokenizer.from_pretrained(model)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        self.max_length, self.batch_size = max_length, batch_size

    def encode(self, texts: list[str]) -> np.ndarray:
        """Encode texts to vectors [n, dim]."""
        order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
        parts = []
        for start in range(0, len(order), self.batch_size):
            chosen = [texts[place] for place in order[start : start + self.batch_size]]
            batch = self.tokenizer(
                chosen, padding=True, truncation=True, max_length=self.max_length, return_tensors="np"
            )
            given = {name: batch[name].astype(np.int64) for name in ("input_ids", "attention_mask")}
            (hidden,) = self.session.run(None, given)
            mask = given["attention_mask"][..., None].astype(np.float32)
            parts.append((hidden * mask).sum(axis=1) / mask.sum(axis=1))
        out = np.empty((len(texts), parts[0].shape[1]), dtype=np.float32)
        out[order] = np.concatenate(parts)
        return out
