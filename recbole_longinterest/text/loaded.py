"""A text encoder in memory: tokenizes texts, pools token vectors, and applies the layers after the pooling."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recbole_longinterest.text.folder import EncoderError, one_line
from recbole_longinterest.text.models import quiet_transformers
from recbole_longinterest.text.pooling import pool

if TYPE_CHECKING:
    from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class LoadedEncoder:
    """A model in memory. Shapes: ``B`` texts, ``T`` tokens, ``D`` dimensions.

    Attributes:
        name: the user's name for the model, for messages.
        tokenizer: tokenizer that pads on the right.
        network: turns token ids into token vectors; with ``text_backend: onnx`` an
            :class:`~recbole_longinterest.text.onnx_network.OnnxNetwork`, which has no weights to train.
        steps: layers after the pooling.
        poolings: names of poolings, see :func:`~recbole_longinterest.text.pooling.pool`.
        prompt: text to put before every text.
        limit: maximum number of tokens of a text.
        skipped: number of first tokens that are not pooled.
        lower_case: whether texts are converted to lower case.
        precision: a key of ``PRECISIONS``.
        device: device of the network.
    """

    name: str
    tokenizer: "PreTrainedTokenizerBase"
    network: "PreTrainedModel"
    steps: Sequence[Callable[[Tensor], Tensor]]
    poolings: tuple[str, ...]
    prompt: str
    limit: int
    skipped: int
    lower_case: bool
    precision: str
    device: torch.device

    def tokenize(self, texts: Sequence[str]) -> "BatchEncoding":
        """Convert texts to token ids, without padding. A text without tokens becomes a single padding token."""
        prompted = [self.prompt + text for text in texts]
        if self.lower_case:
            prompted = [text.lower() for text in prompted]
        with quiet_transformers():
            tokens = self.tokenizer(prompted, truncation=True, max_length=self.limit)
        for row, ids in enumerate(tokens["input_ids"]):
            if not ids:  # "" in GPT-2: no special tokens, so nothing to pool
                for name, values in tokens.items():
                    values[row].append({"input_ids": self.tokenizer.pad_token_id, "attention_mask": 1}.get(name, 0))
        return tokens

    def count_tokens(self, pieces: Sequence[str]) -> list[int]:
        """Count the tokens of each piece of text, without prompt and special tokens."""
        lowered = [piece.lower() if self.lower_case else piece for piece in pieces]
        with quiet_transformers():
            return [len(ids) for ids in self.tokenizer(lowered, add_special_tokens=False)["input_ids"]]

    def batch(self, tokens: "BatchEncoding", rows: Sequence[int]) -> dict[str, Tensor]:
        """Pad the texts of the given rows to one length and move them to the device, [B, T] each."""
        picked = {name: [values[row] for row in rows] for name, values in tokens.items()}
        with quiet_transformers():
            padded = self.tokenizer.pad(picked, return_tensors="pt")
        return {name: values.to(self.device) for name, values in padded.items()}

    def hidden(self, batch: dict[str, Tensor]) -> Tensor:
        """Compute the token vectors, float32 [B, T, D], of a padded batch of token ids [B, T].

        Raises:
            EncoderError: if the model does not read token ids.
        """
        half = self.precision != "fp32"
        try:
            with torch.autocast(self.device.type, dtype=PRECISIONS[self.precision], enabled=half):
                return self.network(**batch).last_hidden_state.float()
        except (TypeError, ValueError, AttributeError, IndexError) as error:
            raise EncoderError(
                f"The text encoder {self.name} ({type(self.network).__name__}) does not turn token ids into vectors: "
                f"{one_line(error)}. Name a text model as text_encoder."
            ) from error

    def pooled(self, batch: dict[str, Tensor]) -> Tensor:
        """Compute the pooled vectors, float32 [B, D], of a padded batch of token ids [B, T].

        Raises:
            EncoderError: if the model does not read token ids.
        """
        return pool(self.hidden(batch), batch["attention_mask"], self.poolings, self.skipped)

    def finished(self, pooled: Tensor) -> Tensor:
        """Apply the layers after the pooling, [B, D] each."""
        for step in self.steps:
            pooled = step(pooled)
        return pooled


def prompt_length(tokenizer: "PreTrainedTokenizerBase", prompt: str) -> int:
    """Number of tokens of a prompt, without the end-of-text token."""
    ids = tokenizer(prompt)["input_ids"] if prompt else []
    return len(ids) - bool(ids and ids[-1] in tokenizer.all_special_ids)


def longest_text(tokenizer: "PreTrainedTokenizerBase", model: "PreTrainedModel") -> int:
    """Maximum number of tokens of a text: the tokenizer's limit or the size of the position table, if smaller."""
    limit = tokenizer.model_max_length  # 10**30 if unknown
    tables = ("position_embeddings", "wpe", "embed_positions")
    for name, module in model.named_modules():
        # The config's number is wrong for RoBERTa, whose table starts after the padding's row, and meaningless for T5,
        # which has no table. So the table is found by its name.
        if name.rpartition(".")[2] in tables and isinstance(module, torch.nn.Embedding):
            first = 0 if module.padding_idx is None else module.padding_idx + 1
            limit = min(limit, module.num_embeddings - getattr(module, "offset", first))  # OPT and BART start later
    return limit
