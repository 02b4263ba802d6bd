"""Tiny models of the kinds an encoder may be, with random weights and a tokenizer of a few words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recbole_longinterest.text.encoder import TextEncoder

TEXTS = ["toy story", "heat . crime drama . 1995", "golden eye", "the story of the toy . 1996", "a", ""]
WORDS = [
    "toy",
    "story",
    "heat",
    "crime",
    "drama",
    "golden",
    "eye",
    "the",
    "a",
    "of",
    "comedy",
    "and",
    "1995",
    "1996",
    ".",
]


def encoder(name: Path | str, **settings: object) -> TextEncoder:
    """An encoder on the CPU."""
    return TextEncoder(str(name), device="cpu", **settings)  # type: ignore[arg-type]


def save_tokenizer(folder: Path, **special: str) -> None:
    """A lower-casing tokenizer by words; BERT-like (sentence marks and padding) if it has ``cls_token``."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    marks = [*dict.fromkeys(special.values())]
    vocab = {word: number for number, word in enumerate([*marks, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token=special["unk_token"]))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if "cls_token" in special:
        pair = [(mark, vocab[mark]) for mark in (special["cls_token"], special["sep_token"])]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{pair[0][0]} $A {pair[1][0]}", special_tokens=pair
        )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)


def save_bert(folder: Path, seed: int = 0, **settings: Any) -> Path:
    """A BERT of 8 dimensions that reads 16 tokens."""
    import torch
    from transformers import BertConfig, BertModel

    save_tokenizer(folder, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]")
    torch.manual_seed(seed)
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=32, max_position_embeddings=16, initializer_range=0.5, **size, **settings)
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def tiny_bert(tmp_path: Path) -> Path:
    """Folder of a BERT."""
    return save_bert(tmp_path / "bert")


@pytest.fixture
def tiny_gpt2(tmp_path: Path) -> Path:
    """Folder of a GPT-2: decoder only, no padding token, an empty text has no token."""
    import torch
    from transformers import GPT2Config, GPT2Model

    folder = tmp_path / "gpt2"
    save_tokenizer(folder, unk_token="<|endoftext|>", eos_token="<|endoftext|>", bos_token="<|endoftext|>")
    torch.manual_seed(0)
    GPT2Model(
        GPT2Config(vocab_size=32, n_positions=16, n_embd=8, n_layer=1, n_head=2, initializer_range=0.5)
    ).save_pretrained(folder)
    return folder


@pytest.fixture
def tiny_t5(tmp_path: Path) -> Path:
    """Folder of a T5: an encoder-decoder, no table of positions."""
    import torch
    from transformers import T5Config, T5Model

    folder = tmp_path / "t5"
    save_tokenizer(folder, pad_token="<pad>", unk_token="<unk>", eos_token="</s>")
    torch.manual_seed(0)
    T5Model(
        T5Config(vocab_size=32, d_model=8, d_kv=4, d_ff=16, num_layers=1, num_heads=2, pad_token_id=0)
    ).save_pretrained(folder)
    return folder


@pytest.fixture
def write_item(tmp_path: Path) -> Callable[..., Path]:
    """Write an .item file from text or bytes."""

    def write(content: str | bytes, name: str = "data.item") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write
