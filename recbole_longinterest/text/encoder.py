"""Encode texts with any Hugging Face encoder: a local folder, a model of the hub, or the packaged MiniLM."""

from collections.abc import Sequence
from logging import getLogger
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recbole_longinterest.text.chunks import split_text
from recbole_longinterest.text.folder import EncoderError
from recbole_longinterest.text.loaded import PRECISIONS, LoadedEncoder, longest_text, prompt_length
from recbole_longinterest.text.models import MINILM, Model, find_model, load_model, model_identity
from recbole_longinterest.text.onnx_network import with_onnx
from recbole_longinterest.text.pooling import load_steps
from recbole_longinterest.text.updates import Updates, merge_updates, updates_hash

if TYPE_CHECKING:
    from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

POOLINGS = ("mean", "cls", "last")
BACKENDS = ("torch", "onnx")
MAX_LENGTH = 128  # tokens, if the folder has no such setting
UNKNOWN_LENGTH = 10**6  # a larger limit means that the tokenizer has no limit
SHORTEST = 4  # minimum of text_max_length: the special tokens and one of the text
YAML = "Set it in a config file or on the command line."


class TextEncoder:
    """Turn texts into vectors with a pre-trained encoder, which is loaded at the first :meth:`encode`.

    Only safetensors weights are loaded, and no code from a model folder is run. The settings of a sentence-transformers
    folder are used: pooling, length, prompt, dense layers, normalization. Decoder-only models (GPT-2) and the encoder
    half of encoder-decoder models (T5) work too.

    Args:
        name_or_path: ``"minilm"`` for the packaged all-MiniLM-L6-v2, a model folder, or a name on the Hugging Face hub.
        pooling: ``"mean"`` of a text's token vectors, the first one (``"cls"``), or the ``"last"`` one, which suits
            decoders. None uses the folder's setting; if it has none, ``"last"`` for decoders and ``"mean"`` for others.
        max_length: maximum number of tokens of a text, up to the model's limit. None uses the folder's setting, or 128.
        prompt: a text to put before every text, or the name of one of the folder's prompts. None uses the folder's
            default prompt.
        precision: ``"fp32"``, or ``"fp16"`` or ``"bf16"`` for half precision (weights stay float32). None means
            bf16 on a GPU that supports it, else fp32.
        chunks: maximum number of parts into which a text longer than ``max_length`` is split. The pooled vectors of the
            parts are averaged, weighted by their numbers of tokens, before the layers after the pooling. With None or
            1, long texts are cut.
        batch_size: number of texts per batch; does not change the vectors.
        device: device to encode on; None means the GPU if there is one.
        named: whether the user chose this encoder. If only a file names it, no folder is read and nothing is downloaded
            from the hub.
        updates: changes of its weights by a model that tuned it (``text_tuning``); None or empty for none.
        backend: library that runs the network: ``"torch"`` (also for None), or ``"onnx"`` for onnxruntime, which always
            encodes in fp32 on the CPU.

    Raises:
        EncoderError: (a ValueError) if an argument is wrong. A missing model raises it only when the model is needed.
    """

    def __init__(
        self,
        name_or_path: str = MINILM,
        *,
        pooling: str | None = None,
        max_length: int | None = None,
        prompt: str | None = None,
        precision: str | None = None,
        chunks: int | None = None,
        batch_size: int = 64,
        device: str | torch.device | None = None,
        named: bool = True,
        updates: Updates | None = None,
        backend: str | None = None,
    ) -> None:
        if not isinstance(name_or_path, str) or not name_or_path.strip():
            raise EncoderError(
                f"text_encoder must be minilm, a model folder or a Hugging Face hub name; got {name_or_path!r}. {YAML}"
            )
        if pooling is not None and pooling not in POOLINGS:
            raise EncoderError(f"text_pooling must be one of {', '.join(POOLINGS)}; got {pooling!r}. {YAML}")
        if max_length is not None and (not isinstance(max_length, int) or max_length < SHORTEST):
            raise EncoderError(f"text_max_length must be an integer of at least {SHORTEST}; got {max_length!r}. {YAML}")
        if prompt is not None and not isinstance(prompt, str):
            raise EncoderError(f"text_prompt must be a text or a prompt's name; got {prompt!r}. {YAML}")
        if precision is not None and precision not in PRECISIONS:
            raise EncoderError(f"text_precision must be one of {', '.join(PRECISIONS)}; got {precision!r}. {YAML}")
        if chunks is not None and (isinstance(chunks, bool) or not isinstance(chunks, int) or chunks < 1):
            raise EncoderError(f"text_chunks must be an integer of at least 1; got {chunks!r}. {YAML}")
        if not isinstance(batch_size, int) or batch_size < 1:
            raise EncoderError(f"text_batch_size must be an integer of at least 1; got {batch_size!r}. {YAML}")
        if backend is not None and backend not in BACKENDS:
            raise EncoderError(f"text_backend must be one of {', '.join(BACKENDS)}; got {backend!r}. {YAML}")
        if backend == "onnx" and precision not in (None, "fp32"):
            raise EncoderError(f"text_precision must be fp32 with text_backend: onnx; got {precision!r}. {YAML}")
        self.name = name_or_path.strip()
        self.named = named
        self.updates = updates or {}
        self.pooling = pooling
        self.max_length = max_length
        self.prompt = prompt
        self.chunks = chunks or 1
        self.batch_size = batch_size
        self.backend = backend or "torch"
        given = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.device = torch.device("cpu") if backend == "onnx" else given
        self._unused_device = given if given.type != self.device.type else None
        self.precision = precision or own_precision(self.device)
        self._found: Model | None = None
        self._loaded: LoadedEncoder | None = None

    @property
    def identity(self) -> str:
        """Identity of weights, tokenizer and settings: everything, besides the text, that a vector depends on.

        A folder is identified by its content, a hub model by name and commit. Only a hub model that was never
        downloaded needs the network.

        Raises:
            EncoderError: if the model is not available.
        """
        model = self._find()
        settings = model.settings
        parts = [
            model_identity(model),
            "+".join(self._poolings),
            f"max_length={self.max_length or settings.max_length or ('own' if settings.says_length else MAX_LENGTH)}",
            self.precision,
        ]
        if self._prompt:
            parts.append(f"prompt={self._prompt!r}" + ("" if settings.pools_prompt else " not pooled"))
        if settings.lower_case:
            parts.append("lower case")
        if self.chunks > 1:
            parts.append(f"{self.chunks} chunks")
        if self.updates:
            parts.append(f"tuned {updates_hash(self.updates)}")
        if self.backend != "torch":  # its vectors differ in the last digits; torch's identity is unchanged
            parts.append(self.backend)
        return " ".join([*parts, *(kind for kind, _ in settings.steps)])

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts. The global random state is restored, so a run gives the same results with and without a cache.

        Args:
            texts: any number of texts; a text without tokens is encoded as a single padding token.

        Returns:
            float32 [n, dim] in the order of ``texts``; [0, 0] if there are no texts. A vector does not depend on the
            other texts of its batch, except for rounding.

        Raises:
            EncoderError: if the model is not available or not a text encoder, or its vectors have NaN or infinity.
        """
        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        with torch.random.fork_rng(devices=[]):
            loaded = self._load()  # outside of inference mode, or the weights could never be trained
            with torch.inference_mode():
                vectors = self._encode_whole(loaded, texts)
        wrong = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(wrong):
            half = "" if self.precision == "fp32" else f" in {self.precision} (text_precision: fp32 may help)"
            raise EncoderError(
                f"The text encoder {self.name} gives NaN or infinity for {len(wrong)} of {len(texts)} texts{half}, the "
                f"first {texts[wrong[0]][:60]!r}. Its weights are damaged or not made for this. Name another "
                "text_encoder."
            )
        return vectors

    def unload(self) -> None:
        """Free the model's memory; the next :meth:`encode` loads it again."""
        self._loaded = None

    @property
    def model(self) -> Model:
        """Location and settings of the model.

        Raises:
            EncoderError: if the model is not available.
        """
        return self._find()

    def load(self) -> LoadedEncoder:
        """Load the model, in float32 and without dropout. Changes to its network change the vectors.

        Raises:
            EncoderError: if the model is not available, is not a text encoder, or does not run in torch.
        """
        if self.backend != "torch":
            raise EncoderError(f"text_backend: {self.backend} has no weights to train. Set text_backend: torch.")
        return self._load()

    def _find(self) -> Model:
        if self._found is None:
            self._found = find_model(self.name, self.named)
        return self._found

    @property
    def _poolings(self) -> tuple[str, ...]:
        return (self.pooling,) if self.pooling else self._find().settings.pooling

    @property
    def _prompt(self) -> str:
        settings = self._find().settings
        return settings.default_prompt if self.prompt is None else settings.prompts.get(self.prompt, self.prompt)

    def _load(self) -> LoadedEncoder:
        """Load the model in float32 on the device, with its settings, in its backend."""
        if self._loaded is None:
            model = self._find()
            loaded = self._load_torch(model)
            if self.backend == "onnx":
                if self._unused_device is not None:
                    getLogger().warning(
                        f"text_backend: onnx encodes on the CPU; text_backend: torch would use {self._unused_device}."
                    )
                tuned = f" tuned {updates_hash(self.updates)}" if self.updates else ""
                loaded = with_onnx(loaded, model_identity(model) + tuned)
            self._loaded = loaded
        return self._loaded

    def _load_torch(self, model: Model) -> LoadedEncoder:
        tokenizer, network = load_model(model)
        merge_updates(network, self.updates, self.name)
        # Padding on the left would shift the token positions of a decoder.
        tokenizer.padding_side = "right"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
        if tokenizer.pad_token is None:
            raise EncoderError(
                f"The tokenizer of the text encoder {self.name} has no pad, end or unknown token to fill a batch "
                "with. Set pad_token in its tokenizer_config.json."
            )
        return LoadedEncoder(
            self.name,
            tokenizer,
            network.float().to(self.device).eval(),
            load_steps(model.root, model.settings, self.device),
            self._poolings,
            self._prompt,
            self._limit(tokenizer, network),
            0 if model.settings.pools_prompt else prompt_length(tokenizer, self._prompt),
            model.settings.lower_case,
            self.precision,
            self.device,
        )

    def _limit(self, tokenizer: "PreTrainedTokenizerBase", network: "PreTrainedModel") -> int:
        """Maximum number of tokens of a text that the model reads."""
        longest = longest_text(tokenizer, network)
        settings = self._find().settings
        own = settings.max_length
        if own is None:
            own = longest if settings.says_length and longest < UNKNOWN_LENGTH else MAX_LENGTH
        limit = min(self.max_length or own, longest)
        if self.max_length and limit < self.max_length:
            getLogger().warning(
                f"text_max_length is {self.max_length}, but {self.name} reads at most {limit} tokens; {limit} are used."
            )
        return limit

    def _encode_whole(self, loaded: LoadedEncoder, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts to vectors [n, D], each text in up to ``chunks`` parts."""
        if self.chunks == 1:
            return loaded.finished(self._encode_tokens(loaded, loaded.tokenize(texts))).cpu().numpy()
        room = max(1, loaded.limit - len(loaded.tokenize([""])["input_ids"][0]))
        split = [split_text(text, room, self.chunks, loaded.count_tokens) for text in texts]
        tokens = loaded.tokenize([chunk for chunks in split for chunk in chunks])
        owner = torch.tensor([row for row, chunks in enumerate(split) for _ in chunks], device=self.device)
        weights = torch.tensor([float(len(ids)) for ids in tokens["input_ids"]], device=self.device)
        weights /= torch.zeros(len(texts), device=self.device).index_add_(0, owner, weights)[owner]
        parts = self._encode_tokens(loaded, tokens) * weights[:, None]
        whole = torch.zeros(len(texts), parts.shape[1], device=self.device).index_add_(0, owner, parts)
        return loaded.finished(whole).cpu().numpy()

    def _encode_tokens(self, loaded: LoadedEncoder, tokens: "BatchEncoding") -> Tensor:
        """Compute the pooled vectors [n, D] of tokenized texts, in batches of similar length, the longest first."""
        lengths = [len(ids) for ids in tokens["input_ids"]]
        order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
        parts = []
        for start in range(0, len(order), self.batch_size):
            batch = loaded.batch(tokens, order[start : start + self.batch_size])
            parts.append(loaded.pooled(batch))
        vectors = torch.cat(parts)
        out = torch.empty_like(vectors)
        out[order] = vectors
        return out


def own_precision(device: torch.device | str | None = None) -> str:
    """Default precision on a device; None for this machine's default device."""
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
