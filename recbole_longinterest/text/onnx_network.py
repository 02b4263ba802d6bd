"""Run an encoder's network with onnxruntime instead of torch (``text_backend: onnx``).

A network is exported once, in float32, to ``<cache>/onnx-<hash of its identity>/<SHA-256 of the file>.onnx``. Pooling,
maximum length, prompt and the layers after the pooling are not part of the graph, so one graph serves all settings. A
graph is kept only if its token vectors equal torch's, for texts of other lengths than those used for the export. As
with the text cache, a damaged file or a folder that cannot be written costs only time: the network is exported again.
Only this module knows the files.
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

FORMAT = 1  # part of the identity; increase it if a change of the code gives other graphs
OPSET = 17
TOLERANCE = 1e-4  # maximum difference to torch in any component of a token vector of length 1
BYTES = 2**31 - 2**20  # maximum size of the weights, so that the graph fits into one file
LONGEST = 64  # maximum number of tokens of the texts below, in place of text_max_length
TRACED = ["a text of a few words", "another"]
COMPARED = ["the title of an item in a shop, with its brand, its colour and a year (1995)", "a", "four words and more"]


class TokenVectors(NamedTuple):
    """Output of a network, with the name that transformers uses.

    Attributes:
        last_hidden_state: float32 [B, T, D].
    """

    last_hidden_state: Tensor


class OnnxNetwork:
    """A network as a graph in onnxruntime, on the CPU, with as many threads as torch.

    Args:
        graph: content of the graph's file.
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
        """Compute token vectors from the tokenizer's outputs (token ids, mask, ...), int64 [B, T] each."""
        (hidden,) = self._session.run(None, {name: batch[name].numpy() for name in self._inputs})
        return TokenVectors(torch.from_numpy(hidden))


def with_onnx(loaded: LoadedEncoder, identity: str, cache_dir: Path | None = None) -> LoadedEncoder:
    """Replace an encoder's network by its graph, which is exported at first use.

    Args:
        loaded: the encoder with its torch network, on the CPU and in float32.
        identity: text that identifies the network's weights.
        cache_dir: folder of the cache; None for :func:`default_cache_dir`.

    Raises:
        EncoderError: if the network has more than 2 GB of weights, cannot be exported, or gives other vectors in ONNX.
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
        warnings.simplefilter("ignore")  # the old exporter warns about itself and about constants
        torch.onnx.export(
            _TokenVectorsOf(network, list(example)).eval(),
            tuple(example.values()),
            str(file),
            input_names=list(example),
            output_names=["hidden"],
            dynamic_axes={name: axes for name in (*example, "hidden")},
            opset_version=OPSET,
            dynamo=False,  # the new exporter needs onnxscript
        )


class _TokenVectorsOf(nn.Module):
    """A network with positional inputs and a single output, as the exporter requires."""

    def __init__(self, network: "PreTrainedModel", names: list[str]) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.network(**dict(zip(self.names, inputs, strict=True))).last_hidden_state


def _kept(folder: Path) -> OnnxNetwork | None:
    """Load the graph of a folder; None without an undamaged graph."""
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
    """Export the network to the folder, or to a temporary folder if that cannot be written."""
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
    """Write the graph to a file, and check its token vectors against torch's."""
    limit = min(LONGEST, longest_text(loaded.tokenizer, loaded.network))
    loaded = replace(loaded, prompt="", limit=limit)
    with torch.inference_mode():
        batch = _batch(loaded, COMPARED)
        expected = loaded.hidden(batch)
    try:
        if hasattr(loaded.network, "set_attn_implementation"):  # not in older transformers
            loaded.network.set_attn_implementation("eager")  # its graph has fewer nodes than that of torch's attention
        write_graph(loaded.network, _batch(loaded, TRACED), file)
        content = file.read_bytes()
        network = OnnxNetwork(content)
        found = replace(loaded, network=network).hidden(batch)
    except OSError:
        raise
    except Exception as error:  # the exporter and onnxruntime may raise any error; the user needs the reason
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
