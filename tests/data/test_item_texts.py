"""From the .item file or a vector file to the matrix that LongInterest trains on, whatever the titles are."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import recbole.data
from recbole.config import Config
from recbole.quick_start import load_data_and_model

from recbole_longinterest.data.item_vectors import ItemVectors
from recbole_longinterest.data.longinterest_dataset import LongInterestDataset
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.settings import make_config
from tests.conftest import SMALL, FakeEncoder, synthetic_inter
from tests.text.conftest import TITLES, encoder, save_bert

ITEMS = 20  # of synthetic_inter
NO_TITLE = ["", " ", " \u3000\u00a0 "]  # and one item has no row: 4 of 20


def item_file(separator: str) -> tuple[str, dict[str, str]]:
    """An .item file of awkward titles for i0 to i18, none for i19, and the text that every item should have."""
    titles = [*TITLES, *NO_TITLE]
    if separator != "\t":
        titles.append("Toy\tStory")
    titles += [f"toy {i}" for i in range(ITEMS - 1 - len(titles))]
    rows = [f"i{i}{separator}{title}" for i, title in enumerate(titles)]
    content = "\n".join([f"item_id:token{separator}title:token_seq", *rows]) + "\n"
    return content, {f"i{i}": " ".join(title.split()) for i, title in enumerate(titles)} | {f"i{ITEMS - 1}": ""}


@pytest.mark.parametrize("separator", ["\t", "|"])
def test_awkward_titles_from_the_file_to_a_trained_model(
    small_config: Callable[..., Config],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    separator: str,
) -> None:
    monkeypatch.undo()  # the fake encoder
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECBOLE_LI_CACHE", str(tmp_path / "cache"))
    bert = save_bert(tmp_path / "bert")
    content, expected = item_file(separator)
    settings = {"text_fields": ["title"], "text_encoder": str(bert), "device": "cpu", "field_separator": separator}
    inter = synthetic_inter(users=60).replace("\t", separator)
    config = small_config(inter=inter, item=content, use_gpu=False, state="INFO", **settings)
    caplog.set_level("INFO")
    data = LongInterestDataset(config)
    assert "4 of 20 items have no text; they share a learned vector." in caplog.text
    tokens = data.field2id_token["item_id"]
    assert data.text_source is not None and not isinstance(data.text_source, ItemVectors)
    assert data.text_source.texts == ["", *(expected[token] for token in tokens[1:])]
    matrix = data.text_source.matrix()
    assert matrix.present.tolist() == [bool(text) for text in data.text_source.texts]
    assert (matrix.vectors[~matrix.present] == 0).all() and matrix.vectors.isfinite().all()
    alone = encoder(bert).encode([expected["i0"]])
    row = int(np.flatnonzero(tokens == "i0")[0])
    whitened = (alone - matrix.mean.numpy()) @ matrix.whitening.numpy()
    np.testing.assert_allclose(matrix.vectors[row].numpy(), whitened[0], atol=1e-3)

    result = pipeline.run(config)
    assert all(math.isfinite(value) for value in result.test_result.values())
    assert result.checkpoint is not None and result.checkpoint.is_file()


def test_a_tab_inside_a_tab_separated_title_names_the_line(small_config: Callable[..., Config]) -> None:
    config = small_config(item="item_id:token\ttitle:token\ni0\tHeat\ni1\tToy\tStory\n", text_fields=["title"])
    with pytest.raises(ValueError, match=r"tiny\.item, line 3: 3 columns where the header has 2\. Correct the line"):
        LongInterestDataset(config)


def test_a_template_in_place_of_fields(small_config: Callable[..., Config]) -> None:
    rows = "".join(
        f"i{i}\t{'' if i == 1 else f'Title {i}'}\t{'' if i == 2 else f'Kind {i}'}\n" for i in range(ITEMS - 1)
    )
    item = f"item_id:token\ttitle:token_seq\tclass:token_seq\n{rows}"
    data = LongInterestDataset(small_config(item=item, text_fields=None, text_template="{title} of {class}"))
    assert data.text_source is not None and not isinstance(data.text_source, ItemVectors)
    texts = dict(zip(data.field2id_token["item_id"], data.text_source.texts, strict=True))
    assert [texts[f"i{i}"] for i in (0, 1, 2, 19)] == ["Title 0 of Kind 0", "Kind 1", "Title 2", ""]


def test_numbers_in_words_as_the_data_set_declares_them(small_config: Callable[..., Config]) -> None:
    """A shop's catalogue with prices and years; the rules are in the file of settings beside the data."""
    rows = "".join(f"i{i}\tThing {i}\t{5 * i if i else 'ask us'}\t{1980 + i}\n" for i in range(ITEMS))
    item = f"item_id:token\ttitle:token_seq\tprice:float\tyear:token\n{rows}"
    small_config(item=item)
    Path("data/tiny/prepare.yaml").write_text(
        "text_template: '{title}, {price}, from {year} on'\ntext_numbers: {price: [20, 50], year: 10}\n"
    )
    changed = {key: value for key, value in SMALL.items() if key != "text_fields"}
    config = make_config("LongInterest", "tiny", config_dict={**changed, "data_path": "data"})
    data = LongInterestDataset(config)
    assert data.text_source is not None and not isinstance(data.text_source, ItemVectors)
    texts = dict(zip(data.field2id_token["item_id"], data.text_source.texts, strict=True))
    assert [texts[f"i{i}"] for i in (0, 3, 4, 10)] == [
        "Thing 0, ask us, from 1980 on",
        "Thing 3, low price, from 1980 on",
        "Thing 4, medium price, from 1980 on",
        "Thing 10, high price, from 1990 on",
    ]
    assert make_config("GRU4Rec", "tiny", config_dict={"data_path": "data"})["text_numbers"]  # no unknown key


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"text_template": "{title} by {plot}"},
            r"has no column plot, named in text_fields or text_template; its columns are",
        ),
        (
            {"text_numbers": {"prize": 10}},
            r"tiny\.item has no column prize, named in text_numbers; its columns are: item_id, title, class",
        ),
        ({"text_numbers": {"title": 0}}, r"text_numbers\.title must be a step above 0"),
        ({"text_template": "title"}, r"text_template must be text with columns .* got 'title'"),
        ({"text_pooling": "max"}, r"text_pooling must be one of mean, cls, last; got 'max'"),
        ({"text_prompt": 7}, r"text_prompt must be a text or a prompt's name; got 7\. Set it in"),
        ({"text_precision": "fp8"}, r"text_precision must be one of fp32, fp16, bf16; got 'fp8'\. Set it in"),
    ],
)
def test_wrong_options(
    small_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], message: str
) -> None:
    from recbole_longinterest.data import item_texts
    from recbole_longinterest.text.encoder import TextEncoder

    config = small_config(**settings)
    monkeypatch.setattr(item_texts, "TextEncoder", TextEncoder)  # not the fake
    with pytest.raises(ValueError, match=message):
        LongInterestDataset(config)


def test_options_reach_the_encoder(
    small_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from recbole_longinterest.data import item_texts

    seen: dict[str, Any] = {}

    def make(name: str, **settings: Any) -> FakeEncoder:
        seen.update(settings, name=name)
        return FakeEncoder()

    config = small_config(
        text_encoder="folder",
        text_pooling="last",
        text_max_length=9,
        text_prompt="p: ",
        text_precision="bf16",
        text_chunks=3,
        text_backend="onnx",
    )
    monkeypatch.setattr(item_texts, "TextEncoder", make)
    LongInterestDataset(config)
    del seen["device"]
    assert seen == {
        **{"name": "folder", "pooling": "last", "max_length": 9, "prompt": "p: ", "precision": "bf16"},
        **{"batch_size": 64, "named": True, "chunks": 3, "updates": None, "backend": "onnx"},
    }


# --- ready vectors ---------------------------------------------------------------------------------------------------


def write_vectors(path: Path, left_out: int = 4) -> dict[str, np.ndarray]:
    """Vectors of 6 dimensions, for all but the last items, for some that nobody has seen, and one of i0 twice."""
    rng = np.random.default_rng(0)
    tokens = [*(f"i{i}" for i in range(ITEMS - left_out)), "unseen", "i0"][::-1]
    vectors = rng.normal(3, [1, 2, 3, 4, 5, 6], size=(len(tokens), 6)).astype(np.float32)
    np.save(path, vectors)
    path.with_suffix(".txt").write_text("\n".join(tokens) + "\n")
    return dict(zip(tokens[::-1], vectors[::-1], strict=True))


def test_a_vector_file_is_whitened_and_aligned_and_what_it_leaves_out_is_counted(
    small_config: Callable[..., Config], tmp_path: Path, fake_encoder: FakeEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    vectors = write_vectors(tmp_path / "v.npy")
    config = small_config(item="", text_vectors=str(tmp_path / "v.npy"), text_fields=None)  # no .item file is needed
    caplog.set_level("INFO")
    data = LongInterestDataset(config)
    assert isinstance(data.text_source, ItemVectors) and "text" in data.features
    matrix = data.text_source.matrix()
    assert (
        "16 of 20 items have a vector in" in caplog.text and "other 4 have no text and share a learned" in caplog.text
    )
    assert matrix is data.text_source.matrix() and fake_encoder.encoded == []
    tokens = data.field2id_token["item_id"]
    assert matrix.present.tolist() == [token in vectors for token in tokens]
    rows = matrix.vectors[matrix.present].numpy()
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(np.cov(rows.T, bias=True), np.eye(4), atol=1e-4)
    first = np.load(tmp_path / "v.npy")[0]  # of two of one item the first in the file counts
    row = int(np.flatnonzero(tokens == "i0")[0])
    expected = (first - matrix.mean.numpy()) @ matrix.whitening.numpy()
    np.testing.assert_allclose(matrix.vectors[row].numpy(), expected, atol=1e-4)


def test_training_on_a_vector_file_and_a_saved_data_set(small_config: Callable[..., Config], tmp_path: Path) -> None:
    write_vectors(tmp_path / "v.npy")
    config = small_config(text_vectors=str(tmp_path / "v.npy"), save_dataset=True)
    first = recbole.data.create_dataset(config)
    again = recbole.data.create_dataset(config)
    assert isinstance(again.text_source, ItemVectors) and again is not first
    np.testing.assert_array_equal(first.text_source.matrix().vectors, again.text_source.matrix().vectors)
    result = pipeline.run(config)
    assert all(math.isfinite(value) for value in result.test_result.values())
    (tmp_path / "v.npy").unlink()  # a checkpoint is complete
    _, model, *_ = load_data_and_model(model_file=str(result.checkpoint))
    np.testing.assert_array_equal(model.item_sources["text"].vectors.cpu(), first.text_source.matrix().vectors)


def test_vectors_that_recbole_loads(
    small_config: Callable[..., Config], write_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    vectors = write_vectors(tmp_path / "v.npy")
    preload = {
        "additional_feat_suffix": ["itememb"],
        "preload_weight": {"iid": "item_emb"},
        "alias_of_item_id": ["iid"],
        "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"], "itememb": ["iid", "item_emb"]},
    }
    folder = write_dataset("tiny", synthetic_inter()) / "tiny"
    known = {token: vector for token, vector in vectors.items() if token != "unseen"}
    rows = "".join(f"{token}\t{' '.join(map(str, vector))}\n" for token, vector in known.items())
    (folder / "tiny.itememb").write_text(f"iid:token\titem_emb:float_seq\n{rows}")
    config = small_config(text_vectors="iid", save_dataset=True, **preload)
    data = recbole.data.create_dataset(config)
    matrix = data.text_source.matrix()
    assert matrix.present.tolist() == [token in known for token in data.field2id_token["item_id"]]
    assert matrix.mean.shape == (6,)
    again = recbole.data.create_dataset(config)
    np.testing.assert_array_equal(again.text_source.matrix().vectors, matrix.vectors)
    result = pipeline.run(config)
    assert all(math.isfinite(value) for value in result.test_result.values())


def test_vectors_of_another_field_that_recbole_loaded() -> None:
    source = ItemVectors(["[PAD]", "a", "b"], 2, "uid", "item_id", preloaded=np.ones((2, 4)))
    with pytest.raises(
        ValueError, match=r"the field uid with 1 tokens, and there are 2 items\. Set alias_of_item_id: "
    ):
        source.matrix()


def test_a_vector_file_of_other_items(small_config: Callable[..., Config], tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.eye(2))
    (tmp_path / "v.txt").write_text("x\ny\n")
    data = LongInterestDataset(small_config(text_vectors=str(tmp_path / "v.npy")))
    with pytest.raises(
        ValueError, match=r"Not one of the 20 items has a vector in .*v\.npy .*Check that its item tokens"
    ):
        data.text_source.matrix()  # type: ignore[union-attr]


def test_an_unknown_vector_file(small_config: Callable[..., Config]) -> None:
    data = LongInterestDataset(small_config(text_vectors="nowhere.npy"))
    with pytest.raises(ValueError, match=r"text_vectors names the file nowhere\.npy, which does not exist"):
        data.text_source.matrix()  # type: ignore[union-attr]
