"""Text vectors from any Hugging Face encoder: a local folder, a hub name, or the packaged MiniLM."""

from collections.abc import Sequence
from logging import getLogger
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from recbole_longinterest.text.models import (
    MINILM,
    EncoderError,
    load_model,
    model_identity,
    one_line,
    quiet_transformers,
)

__all__ = ["POOLINGS", "EncoderError", "TextEncoder", "pool"]

POOLINGS = ("mean", "cls", "last")
SHORTEST = 4  # tokens: the special ones and at least one of the text
YAML = "Set it in properties/LongInterest.yaml."


class TextEncoder:
    """Turns texts into vectors with a pre-trained encoder, loaded at the first :meth:`encode`.

    Only safetensors weights are loaded and no code of a model's own is run. Decoder-only models (GPT-2) and the encoder
    half of encoder-decoder models (T5) work too. On a GPU that can, bfloat16 is used, else float32.

    Args:
        name_or_path: ``"minilm"`` for the packaged all-MiniLM-L6-v2, a model folder, or a name on the Hugging Face hub.
        pooling: ``"mean"`` of a text's token vectors, its first (``"cls"``), or its ``"last"``, which suits decoders.
        max_length: tokens of a text that are read; at most what the model can.
        batch_size: texts encoded at a time; does not change the vectors.
        device: where to encode; None is the GPU if there is one.

    Raises:
        EncoderError: (a ValueError) for a bad argument; a model that cannot be had is told when it is needed.
    """

    def __init__(
        self,
        name_or_path: str = MINILM,
        *,
        pooling: str = "mean",
        max_length: int = 128,
        batch_size: int = 64,
        device: str | torch.device | None = None,
    ) -> None:
        if not isinstance(name_or_path, str) or not name_or_path.strip():
            raise EncoderError(
                f"text_encoder must be minilm, a model folder or a Hugging Face hub name; got {name_or_path!r}. {YAML}"
            )
        if pooling not in POOLINGS:
            raise EncoderError(f"text_pooling must be one of {', '.join(POOLINGS)}; got {pooling!r}. {YAML}")
        if not isinstance(max_length, int) or max_length < SHORTEST:
            raise EncoderError(f"text_max_length must be an integer of at least {SHORTEST}; got {max_length!r}. {YAML}")
        if not isinstance(batch_size, int) or batch_size < 1:
            raise EncoderError(f"text_batch_size must be an integer of at least 1; got {batch_size!r}. {YAML}")
        self.name = name_or_path.strip()
        self.pooling = pooling
        self.max_length = max_length
        self.batch_size = batch_size
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._loaded: tuple[Any, Any, int] | None = None

    @property
    def identity(self) -> str:
        """Everything that decides the vectors except the text: weights, tokenizer, pooling, length, precision.

        A folder is known by its content, wherever it lies; a hub model by name and commit. Needs no network, but for a
        hub model that was never downloaded.

        Raises:
            EncoderError: if the model cannot be had.
        """
        precision = "bf16" if self._bf16 else "fp32"
        return f"{model_identity(self.name)} {self.pooling} max_length={self.max_length} {precision}"

    def encode(self, texts: Sequence[str], show_progress: bool = True) -> NDArray[np.float32]:
        """Encode texts. The global random state is left as it was, so that a run is the same with a filled cache.

        Args:
            texts: any number of texts; one that has no token at all is encoded as a single end-of-text token.
            show_progress: show a progress bar.

        Returns:
            float32 [n, dim] in the order of ``texts``, the same whatever texts share a batch (up to rounding); [0, 0]
            for no texts.

        Raises:
            EncoderError: if the model cannot be had, is no text encoder, or gives values that are not finite.
        """
        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            tokenizer, model, limit = self._load()
            with quiet_transformers():
                tokens = tokenizer(list(texts), truncation=True, max_length=limit)
                vectors = self._encode_tokens(tokenizer, model, tokens, show_progress)
        wrong = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(wrong):
            raise EncoderError(
                f"The text encoder {self.name} gives NaN or infinity for {len(wrong)} of {len(texts)} texts, the first "
                f"{texts[wrong[0]][:60]!r}. Its weights are damaged or not made for this: name another text_encoder."
            )
        return vectors

    def unload(self) -> None:
        """Free the model's memory; the next :meth:`encode` loads it again."""
        self._loaded = None

    @property
    def _bf16(self) -> bool:
        return self.device.type == "cuda" and torch.cuda.is_bf16_supported()

    def _load(self) -> tuple[Any, Any, int]:
        """Tokenizer, model in float32 on the device, and the tokens of a text that are read."""
        if self._loaded is None:
            tokenizer, model = load_model(self.name)
            # On the left, padding would shift the positions that a decoder gives its tokens.
            tokenizer.padding_side = "right"
            if tokenizer.pad_token is None:
                tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
            if tokenizer.pad_token is None:
                raise EncoderError(
                    f"The tokenizer of the text encoder {self.name} has no pad, end or unknown token to fill a batch "
                    "with. Set pad_token in its tokenizer_config.json."
                )
            limit = min(self.max_length, _longest(tokenizer, model))
            if limit < self.max_length:
                getLogger().warning(
                    f"text_max_length is {self.max_length}, and {self.name} can read {limit} tokens: {limit} are read."
                )
            self._loaded = tokenizer, model.float().to(self.device).eval(), limit
        return self._loaded

    def _encode_tokens(self, tokenizer: Any, model: Any, tokens: Any, show_progress: bool) -> NDArray[np.float32]:  # noqa: ANN401
        """Vectors [n, D] of tokenized texts, in batches of like length, the longest first."""
        for row, ids in enumerate(tokens["input_ids"]):
            if not ids:  # "" in GPT-2: no special tokens, so nothing to pool
                for name, values in tokens.items():
                    values[row].append({"input_ids": tokenizer.pad_token_id, "attention_mask": 1}.get(name, 0))
        lengths = [len(ids) for ids in tokens["input_ids"]]
        order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
        parts = []
        with tqdm(total=len(order), desc="Encoding texts", unit="text", disable=not show_progress) as bar:
            for start in range(0, len(order), self.batch_size):
                rows = order[start : start + self.batch_size]
                batch = {name: [values[row] for row in rows] for name, values in tokens.items()}
                parts.append(self._forward(model, tokenizer.pad(batch, return_tensors="pt")))
                bar.update(len(rows))
        vectors = torch.cat(parts).cpu().numpy()
        out = np.empty_like(vectors)
        out[order] = vectors
        return out

    def _forward(self, model: Any, batch: Any) -> Tensor:  # noqa: ANN401
        """Vectors float32 [B, D] of a padded batch of token ids [B, T]."""
        batch = {name: values.to(self.device) for name, values in batch.items()}
        try:
            with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._bf16):
                hidden = model(**batch).last_hidden_state  # [B, T, D]
        except (TypeError, ValueError, AttributeError) as error:
            raise EncoderError(
                f"The text encoder {self.name} ({type(model).__name__}) does not turn token ids into vectors: "
                f"{one_line(error)}. Name a text model as text_encoder."
            ) from error
        return pool(hidden.float(), batch["attention_mask"], self.pooling)


def pool(hidden: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """One vector a text from its token vectors; padding on either side changes nothing.

    Args:
        hidden: [B, T, D].
        mask: [B, T], 1 for tokens and 0 for padding; at least one 1 a row.
        pooling: ``"mean"``, ``"cls"`` (the first token) or ``"last"``.

    Returns:
        [B, D].
    """
    if pooling == "mean":
        weights = mask.to(hidden.dtype).unsqueeze(-1)  # [B, T, 1]
        return (hidden * weights).sum(dim=1) / weights.sum(dim=1)
    length = mask.shape[1]
    places = torch.arange(length, device=mask.device).expand_as(mask)
    if pooling == "cls":
        at = places.masked_fill(mask == 0, length).amin(dim=1)  # [B]
    else:
        at = places.masked_fill(mask == 0, -1).amax(dim=1)
    return hidden[torch.arange(len(hidden), device=hidden.device), at]


def _longest(tokenizer: Any, model: Any) -> int:  # noqa: ANN401
    """Tokens that a model can read: its tokenizer's limit and its table of positions, whichever is less."""
    limit = tokenizer.model_max_length  # 10**30 if unknown
    for name, module in model.named_modules():
        # By name, since a config's number is wrong for RoBERTa (whose table starts after the padding's row) and means
        # nothing for T5 (which has no table).
        if name.rpartition(".")[2] in ("position_embeddings", "wpe") and isinstance(module, torch.nn.Embedding):
            first = 0 if module.padding_idx is None else module.padding_idx + 1
            limit = min(limit, module.num_embeddings - first)
    return limit
