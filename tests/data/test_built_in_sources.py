"""Sources of item vectors without code: files of vectors, further encoders, images; several at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recbole_longinterest import run
from recbole_longinterest.data.image_encoder import ImageEncoder
from recbole_longinterest.data.longinterest_dataset import LongInterestDataset
from recbole_longinterest.nn.sources import ItemMatrix, ItemSource
from tests.contracts import check_contracts


def save_vision(folder: Path) -> Path:
    """A ViT of 8 dimensions that reads 8 x 8 pixels, with random weights."""
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    torch.manual_seed(0)
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    ViTModel(ViTConfig(image_size=8, patch_size=4, initializer_range=0.5, **size)).save_pretrained(folder)
    ViTImageProcessor(size={"height": 8, "width": 8}).save_pretrained(folder)
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Images of every item but i0 and i1, each of a colour."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed (extra vision)")
    folder = tmp_path / "images"
    folder.mkdir()
    for item in range(2, 20):
        picture = image.new("RGB", (12, 9), (10 * item, 255 - 10 * item, 7 * item % 256))
        picture.putpixel((item % 12, item % 9), (255, 255, 255))
        picture.save(folder / f"i{item}.{'png' if item % 2 else 'jpg'}")
    (folder / "notes.txt").write_text("no image")
    return folder


def test_several_sources_at_once_hold_the_contracts(
    small_config: Callable[..., Any], images: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "v.npy", np.random.default_rng(0).normal(size=(10, 6)).astype(np.float32))
    (tmp_path / "v.txt").write_text("".join(f"i{item}\n" for item in range(10)))
    sources = {
        "cover": {"kind": "image", "folder": str(images), "encoder": str(save_vision(tmp_path / "vit")), "width": 3},
        "vectors": {"file": str(tmp_path / "v.npy"), "width": 5},
        "class_text": {"kind": "text", "fields": ["class"], "width": 2},
    }
    model = check_contracts(small_config, tmp_path / "model", item_sources=sources, source_dropout=0.3)
    network, tokens = model.network, model.served.items.tokens
    held = {name: {tokens[i] for i in source.present.nonzero().flatten()} for name, source in network.sources.items()}
    everything = set(tokens[1:])
    assert held["cover"] == everything - {"i0", "i1"} and held["vectors"] == everything & {f"i{n}" for n in range(10)}
    assert held["class_text"] == held["text"] == everything
    assert {name: source.vectors.shape[1] for name, source in network.sources.items()} == {
        "text": 4,
        "cover": 3,
        "vectors": 5,
        "class_text": 2,
    }
    kinds = network.sources["class_text"].vectors
    first = [i for i, token in enumerate(tokens) if i and int(token[1:]) % 4 == 1]
    assert torch.allclose(kinds[first], kinds[first[0]])  # four classes, four vectors


def test_images_are_encoded_once_and_each_apart(images: Path, tmp_path: Path) -> None:
    folder = save_vision(tmp_path / "vit")
    encoder = ImageEncoder(str(folder))
    keys = [encoder.key_of(images / name) for name in ("i2.jpg", "i3.png", "i2.jpg")]
    found = encoder.encode(keys)
    assert found.shape == (3, 8) and np.array_equal(found[0], found[2]) and not np.allclose(found[0], found[1])
    np.testing.assert_allclose(encoder.encode(keys[1:2])[0], found[1], atol=1e-5)
    first = ImageEncoder(str(folder), "cls")
    assert first.identity != encoder.identity and not np.allclose(
        first.encode([first.key_of(images / "i2.jpg")]), found[0]
    )


def test_a_dropped_source_is_the_absent_one_in_training_alone() -> None:
    torch.manual_seed(0)
    source = ItemSource(2001, 3, 4, dropout=0.25)
    source.vectors.normal_()
    source.present[1:] = True
    torch.nn.init.normal_(source.absent)
    dropped = (source() == source.absent).all(dim=1)[1:]
    assert dropped.float().mean() == pytest.approx(0.25, abs=0.04)
    assert not (source.eval()() == source.absent).all(dim=1)[1:].any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"x": {"kind": "vectors"}}, r"item_sources\.x lacks file; its settings are file, width\. Correct it"),
        ({"x": {"kind": "vectors", "file": "v.npy", "dim": 3}}, r"item_sources\.x has no setting dim"),
        ({"x": {"kind": "vectors", "file": "v.npy", "width": 0.5}}, r"item_sources\.x\.width must be a whole number"),
        ({"x": {"kind": "vectors", "file": "o.npy"}}, r"item_sources\.x: not one of the 20 items has a vector"),
        ({"x": {"kind": "pictures"}}, "The name of an item source must be one of .*; got 'pictures'"),
        ({"a.b": {"kind": "vectors", "file": "v.npy"}}, r"item_sources: a source cannot be called 'a\.b'"),
        ({"image": {"folder": "gone", "encoder": "vit"}}, "There is no folder of images gone"),
        ({"image": {"folder": "images", "encoder": "nowhere"}}, "nowhere has no config.json. Download the model"),
        (
            {"image": {"folder": "images", "encoder": "vit", "pooling": "max"}},
            "pooling of images must be one of mean",
        ),
    ],
)
def test_settings_that_are_wrong(
    settings: dict[str, Any], message: str, small_config: Callable[..., Any], tmp_path: Path, images: Path
) -> None:
    for name, items in (("v", "i"), ("o", "other")):
        np.save(tmp_path / f"{name}.npy", np.random.default_rng(0).normal(size=(5, 6)))
        (tmp_path / f"{name}.txt").write_text("".join(f"{items}{item}\n" for item in range(5)))
    save_vision(tmp_path / "vit")
    with pytest.raises(ValueError, match=message):
        data = LongInterestDataset(small_config(item_sources=settings))
        for source in data.item_matrices.values():
            assert isinstance(source.matrix(), ItemMatrix)


def test_files_that_are_no_images(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = ImageEncoder(str(save_vision(tmp_path / "vit")))
    (images / "i0.png").write_bytes(b"not an image")
    with pytest.raises(ValueError, match=r"i0\.png is not an image that can be read"):
        encoder.encode([encoder.key_of(images / "i0.png")])
    monkeypatch.setattr("recbole_longinterest.data.image_encoder.PIXELS", 100)
    with pytest.raises(ValueError, match=r"i2\.jpg has more than 100 pixels"):
        encoder.encode([encoder.key_of(images / "i2.jpg")])
    (images / "i2.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"The item i2 has two images, i2\.jpg and i2\.png"):
        from recbole_longinterest.data.image_encoder import image_files

        image_files(images)


def test_a_model_of_text_is_no_image_encoder(images: Path, tmp_path: Path) -> None:
    from tests.text.conftest import save_bert

    encoder = ImageEncoder(str(save_bert(tmp_path / "bert")))
    with pytest.raises(ValueError, match=r"cannot be loaded|does not turn images into vectors"):
        encoder.encode([encoder.key_of(images / "i2.jpg")])


def test_source_dropout_is_checked(small_config: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"source_dropout must be a number from 0 to 0\.99; got 1"):
        run(small_config(source_dropout=1))
