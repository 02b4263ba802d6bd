"""Run an encoder's network with onnxruntime instead of torch (``text_backend: onnx``).

A network is exported once, in float32, to ``<cache>/onnx-<hash of its identity>/<SHA-256 of the file>.onnx``. Pooling,
maximum length, prompt and the layers after the pooling are not part of the graph, so all settings share it. A graph is
kept only if it gives the token vectors of torch, for texts of other lengths than those it was traced with. As with the
text cache, a damaged file or a folder that cannot be written costs time, never the run. Only this module knows the
files.
"""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from logging import getLogger
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from recbole_longinterest.common.files import put_in_place
from recbole_longinterest.common.known_places import default_cache_dir
from recbole_longinterest.common.leftovers import new_draft, sweep_folder
from recbole_longinterest.common.packages import require
from recbole_longinterest.text.folder import EncoderError, one_line
from recbole_longinterest.text.loaded import LoadedEncoder, longest_text

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FORMAT = 1  # part of the identity: raise it if other graphs are written
OPSET = 17
TOLERANCE = 1e-4  # largest difference to torch in any number of a token vector of length 1
BYTES = 2**31 - 2**20  # of weights: a graph with more does not fit into one file
LONGEST = 64  # tokens of the texts below, which a prompt or text_max_length must not cut
TRACED = ["a text of a few words", "another"]
COMPARED = ["the title of an item in a shop, with its brand, its colour and a year (1995)", "a", "four words and more"]


class TokenVectors(NamedTuple):
    """Output of a network, named as in transformers.

    Attributes:
        last_hidden_state: float32 [B, T, D].
    """

    last_hidden_state: Tensor


class OnnxNetwork:
    """A network as a graph in onnxruntime, on the CPU, with as many threads as torch.

    Args:
        graph: content of the file.
    """

    def __init__(self, graph: bytes) -> None:
        import onnxruntime  # belongs to the extra onnx

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._inputs = [given.name for given in self._session.get_inputs()]

    def __call__(self, **batch: Tensor) -> TokenVectors:
        """Turn token ids and what the tokenizer gives with them, int64 [B, T] each, into token vectors."""
        (hidden,) = self._session.run(None, {name: batch[name].numpy() for name in self._inputs})
        return TokenVectors(torch.from_numpy(hidden))


def with_onnx(loaded: LoadedEncoder, identity: str, cache_dir: Path | None = None) -> LoadedEncoder:
    """Replace an encoder's network by its graph, which is exported at first use.

    Args:
        loaded: the encoder with its torch network, on the CPU and in float32.
        identity: text that identifies the network's weights.
        cache_dir: folder of the cache; None for :func:`default_cache_dir`.

    Raises:
        EncoderError: if the network has over 2 GB of weights, cannot be exported, or its graph gives other vectors.
        MissingPackage: if onnx or onnxruntime is not installed.
    """
    require("onnxruntime", "text_backend: onnx")
    key = sha256(f"{FORMAT} {identity}".encode()).hexdigest()[:32]
    folder = (cache_dir or default_cache_dir()) / f"onnx-{key}"
    return replace(loaded, network=_kept(folder) or _exported(loaded, folder))


def write_graph(network: "PreTrainedModel", example: Mapping[str, Tensor], file: Path) -> None:
    """Write the graph of a network for batches of any size and length.

    Args:
        network: the network in evaluation mode.
        example: a batch, int64 [B, T] each; the graph's inputs have these names.
        file: the file to write.
    """
    axes = {0: "texts", 1: "tokens"}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the old exporter about itself, and about values that never change
        torch.onnx.export(
            _TokenVectorsOf(network, list(example)).eval(),
            tuple(example.values()),
            str(file),
            input_names=list(example),
            output_names=["hidden"],
            dynamic_axes={name: axes for name in (*example, "hidden")},
            opset_version=OPSET,
            dynamo=False,  # the other exporter needs onnxscript
        )


class _TokenVectorsOf(nn.Module):
    """A network with inputs by place and a single output, as the exporter needs it."""

    def __init__(self, network: "PreTrainedModel", names: list[str]) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.network(**dict(zip(self.names, inputs, strict=True))).last_hidden_state


def _kept(folder: Path) -> OnnxNetwork | None:
    """Load the graph in a folder; None if there is no undamaged one."""
    try:
        paths = sorted(folder.glob("*.onnx")) if folder.is_dir() else []
    except OSError:
        return None
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError as error:
            getLogger().warning(f"{path} cannot be read ({error}); the text encoder is exported again.")
            continue
        if sha256(content).hexdigest() == path.stem:
            return OnnxNetwork(content)
        getLogger().warning(f"Ignored {path}, which is damaged; the text encoder is exported again.")
    return None


def _exported(loaded: LoadedEncoder, folder: Path) -> OnnxNetwork:
    """Export the network, into the folder if it can be written."""
    require("onnx", "The export for text_backend: onnx")
    _check_size(loaded)
    getLogger().info(f"Exporting the text encoder {loaded.name} to ONNX, once, into {folder}.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep_folder(folder)  # drafts of killed processes
        with new_draft(folder / "graph.onnx") as draft:
            content, network = _traced(loaded, draft)
            put_in_place(draft, folder / f"{sha256(content).hexdigest()}.onnx")
        return network
    except OSError as error:
        getLogger().warning(
            f"The exported text encoder is not kept: {folder} cannot be written ({error}). "
            "Set RECBOLE_LI_CACHE to a folder that can be written."
        )
    with TemporaryDirectory() as other:
        return _traced(loaded, Path(other, "graph.onnx"))[1]


def _check_size(loaded: LoadedEncoder) -> None:
    size = sum(weight.numel() * weight.element_size() for weight in loaded.network.parameters())
    if size > BYTES:
        raise EncoderError(
            f"text_backend: onnx runs encoders with at most {BYTES / 1e9:.1f} GB of weights; {loaded.name} has "
            f"{size / 1e9:.1f} GB. Set text_backend: torch."
        )


def _traced(loaded: LoadedEncoder, file: Path) -> tuple[bytes, OnnxNetwork]:
    """Write the graph to a file and compare its token vectors with torch's."""
    limit = min(LONGEST, longest_text(loaded.tokenizer, loaded.network))
    loaded = replace(loaded, prompt="", limit=limit)
    with torch.inference_mode():
        batch = _batch(loaded, COMPARED)
        expected = loaded.hidden(batch)
    try:
        if hasattr(loaded.network, "set_attn_implementation"):  # not in older transformers
            loaded.network.set_attn_implementation("eager")  # fewer nodes than the graph of torch's own attention
        write_graph(loaded.network, _batch(loaded, TRACED), file)
        content = file.read_bytes()
        network = OnnxNetwork(content)
        found = replace(loaded, network=network).hidden(batch)
    except OSError:
        raise
    except Exception as error:  # the exporter and onnxruntime raise many kinds; the user needs the reason
        raise EncoderError(
            f"The text encoder {loaded.name} cannot be exported to ONNX by torch {torch.__version__}: "
            f"{one_line(error)}. Set text_backend: torch."
        ) from error
    real = batch["attention_mask"].bool()
    difference = functional.normalize(expected[real], dim=-1) - functional.normalize(found[real], dim=-1)
    apart = float(difference.abs().max())
    if not apart <= TOLERANCE:
        raise EncoderError(
            f"The ONNX graph of the text encoder {loaded.name} differs from torch by {apart:.1e}; the limit is "
            f"{TOLERANCE:g}. Set text_backend: torch."
        )
    return content, network


def _batch(loaded: LoadedEncoder, texts: list[str]) -> dict[str, Tensor]:
    return loaded.batch(loaded.tokenize(texts), range(len(texts)))
