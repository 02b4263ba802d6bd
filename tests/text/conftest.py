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
    config = BertConfig(vocab_size=32, max_position_embeddings=16, initializer_range=0.5, **{**size, **settings})
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


# Titles as catalogues have them: what a reader, a tokenizer or a file format may trip over.
TITLES = [
    '"Great Performances" Cats (1998)',
    'He said ""hi""',
    "it's 5' 4\" \u2014 \u2018really\u2019",
    "Toy Story 🧸🚀 👩‍👩‍👧",
    "قصة لعبة (مدبلج)",
    "סיפור של צעצוע",
    "霸王别姬 Farewell My Concubine",
    "玩具總動員",
    "Amélie / Le fabuleux destin d\u2019Ame\u0301lie",
    "NaN",
    "x" * 10_000,
    "toy story " * 1_000,
]


@pytest.fixture
def tiny_chinese_bert(tmp_path: Path) -> Path:
    """Folder of a BERT as bert-base-chinese lies on the hub: a vocab.txt of characters, no tokenizer.json."""
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path / "chinese"
    characters = sorted({mark for title in TITLES for mark in title if "\u4e00" <= mark <= "\u9fff"})
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, "toy", "story", "x", "##x", "my"]
    torch.manual_seed(0)
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=len(words), max_position_embeddings=32, initializer_range=0.5, **size)
    BertModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false, "model_max_length": 32}')
    return folder


def save_byte_bpe(folder: Path, special: list[str]) -> int:
    """A byte-level BPE as RoBERTa and GPT-2 have, in vocab.json and merges.txt; returns the size of its vocabulary."""
    from tokenizers import ByteLevelBPETokenizer

    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator([*TEXTS, *TITLES[:10]], vocab_size=320, special_tokens=special, show_progress=False)
    folder.mkdir(exist_ok=True)
    tokenizer.save_model(str(folder))
    return tokenizer.get_vocab_size()


@pytest.fixture
def tiny_roberta(tmp_path: Path) -> Path:
    """Folder of a RoBERTa, whose positions start after the padding's."""
    import torch
    from transformers import RobertaConfig, RobertaModel

    folder = tmp_path / "roberta"
    words = save_byte_bpe(folder, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    torch.manual_seed(0)
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = RobertaConfig(vocab_size=words, max_position_embeddings=34, initializer_range=0.5, **size)
    RobertaModel(config).save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 32}')
    return folder


@pytest.fixture
def tiny_multilingual(tmp_path: Path) -> Path:
    """Folder of an XLM-RoBERTa, as multilingual-e5 is one: pieces of all scripts, no words and no bytes."""
    import torch
    from tokenizers import SentencePieceUnigramTokenizer, processors
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

    folder = tmp_path / "multilingual"
    marks = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    pieces = SentencePieceUnigramTokenizer()
    pieces.train_from_iterator(
        [*TEXTS, *TITLES[:10]], vocab_size=200, special_tokens=marks, unk_token="<unk>", show_progress=False
    )
    pieces.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = dict(zip(("bos_token", "pad_token", "eos_token", "unk_token", "mask_token"), marks, strict=True))
    PreTrainedTokenizerFast(
        tokenizer_object=pieces, cls_token="<s>", sep_token="</s>", model_max_length=32, **names
    ).save_pretrained(folder)
    torch.manual_seed(0)
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    words = pieces.get_vocab_size()
    config = XLMRobertaConfig(
        vocab_size=words, max_position_embeddings=34, pad_token_id=1, initializer_range=0.5, **size
    )
    XLMRobertaModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def tiny_byte_gpt2(tmp_path: Path) -> Path:
    """Folder of a GPT-2 with its own kind of tokenizer, and a token to pad with."""
    import torch
    from transformers import GPT2Config, GPT2Model

    folder = tmp_path / "byte_gpt2"
    words = save_byte_bpe(folder, ["<|endoftext|>"])
    torch.manual_seed(0)
    GPT2Model(
        GPT2Config(vocab_size=words, n_positions=32, n_embd=8, n_layer=1, n_head=2, initializer_range=0.5)
    ).save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 32, "pad_token": "<|endoftext|>"}')
    return folder


@pytest.fixture
def write_item(tmp_path: Path) -> Callable[..., Path]:
    """Write an .item file from text or bytes."""

    def write(content: str | bytes, name: str = "data.item") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write
