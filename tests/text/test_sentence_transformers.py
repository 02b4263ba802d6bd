"""Vectors are those that sentence-transformers makes of the same folder, which is not needed to make them."""

import json
import shutil
from collections.abc import Sequence
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recbole_longinterest.text.encoder import EncoderError
from recbole_longinterest.text.folder import FolderSettings, read_settings
from tests.text.conftest import TEXTS, TITLES, encoder, save_bert

pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed (it is in the dev group)")

SAMPLE = [*TEXTS[:5], *TITLES]
FAMILIES = ["tiny_bert", "tiny_chinese_bert", "tiny_roberta", "tiny_multilingual", "tiny_byte_gpt2", "tiny_t5"]


def save_folder(folder: Path, plain: Path, pooling: str | list[str] = "mean", *more: Any, **settings: Any) -> Any:
    """A sentence-transformers folder around a plain one; returns sentence-transformers' own model of it."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    transformer = Transformer(str(plain), max_seq_length=settings.pop("max_seq_length", 16))
    prompt = settings.pop("include_prompt", True)
    modules = [transformer, Pooling(8, pooling, include_prompt=prompt), *more]
    model = SentenceTransformer(modules=modules, device="cpu", **settings)
    model.save(str(folder))
    return model


def assert_same(ours: np.ndarray, model: Any, texts: Sequence[str] = SAMPLE, **settings: Any) -> None:
    """Our vectors equal sentence-transformers' to 1e-5, and tell the texts apart."""
    theirs = model.encode(list(texts), show_progress_bar=False, **settings)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_and_pooling(family: str, pooling: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    plain = request.getfixturevalue(family)
    model = save_folder(tmp_path / "folder", plain, {"last": "lasttoken"}.get(pooling, pooling))
    followed = encoder(tmp_path / "folder").encode(SAMPLE)
    assert_same(followed, model)
    named = encoder(plain, pooling=pooling, max_length=16).encode(SAMPLE)
    np.testing.assert_allclose(named, followed, atol=1e-5)
    different = len(np.unique(followed.round(4), axis=0))
    assert different >= (1 if pooling == "cls" and family != "tiny_byte_gpt2" else 8)


def test_a_plain_folder_is_pooled_after_its_kind(tiny_bert: Path, tiny_byte_gpt2: Path) -> None:
    for folder, pooling in ((tiny_bert, "mean"), (tiny_byte_gpt2, "last")):
        own, named = encoder(folder), encoder(folder, pooling=pooling)
        assert own.identity == named.identity and f" {pooling} " in own.identity
        np.testing.assert_array_equal(own.encode(TEXTS), named.encode(TEXTS))


@pytest.mark.parametrize(
    "pooling", ["max", "mean_sqrt_len_tokens", "weightedmean", ["mean", "cls"], ["cls", "max", "lasttoken"]]
)
def test_poolings_that_only_folders_name(tiny_bert: Path, tmp_path: Path, pooling: str | list[str]) -> None:
    model = save_folder(tmp_path / "folder", tiny_bert, pooling)
    assert_same(encoder(tmp_path / "folder").encode(SAMPLE), model)


def test_poolings_as_older_folders_name_them(tiny_bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    save_folder(folder, tiny_bert)
    modes = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True, "pooling_mode_max_tokens": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 8, **modes}))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 6, "do_lower_case": false}')
    modules = json.loads((folder / "modules.json").read_text())
    for module, kind in zip(modules, ["Transformer", "Pooling"], strict=True):
        module["type"] = f"sentence_transformers.models.{kind}"
    modules[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "0_Transformer").mkdir()
    for path in [path for path in folder.iterdir() if path.is_file() and path.name not in TOP]:
        path.rename(folder / "0_Transformer" / path.name)
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    assert model.max_seq_length == 6
    assert read_settings(folder).pooling == ("cls", "mean") and read_settings(folder).max_length == 6
    assert_same(encoder(folder).encode(SAMPLE), model)


TOP = ("modules.json", "config_sentence_transformers.json")


def test_dense_layers_and_normalization(tiny_bert: Path, tmp_path: Path) -> None:
    import torch
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize

    layers = [Dense(8, 6), Dense(6, 4, bias=False, activation_function=torch.nn.Identity()), Normalize()]
    model = save_folder(tmp_path / "folder", tiny_bert, "mean", *layers)
    ours = encoder(tmp_path / "folder")
    vectors = ours.encode(SAMPLE)
    assert_same(vectors, model)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert ours.identity.endswith("Dense Dense Normalize")


def test_what_is_set_goes_over_the_folder(tiny_bert: Path, tmp_path: Path) -> None:
    from sentence_transformers.sentence_transformer.modules import Normalize

    save_folder(tmp_path / "folder", tiny_bert, "max", Normalize(), max_seq_length=8)
    other = save_folder(tmp_path / "other", tiny_bert, "cls", Normalize(), max_seq_length=5)
    assert_same(encoder(tmp_path / "folder", pooling="cls", max_length=5).encode(SAMPLE), other)


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "weightedmean", "lasttoken"])
def test_prompts(tiny_bert: Path, tmp_path: Path, pooled: bool, pooling: str) -> None:
    prompts = {"query": "the golden eye . ", "document": "crime drama "}
    settings = {"prompts": prompts, "default_prompt_name": "document", "include_prompt": pooled}
    model = save_folder(tmp_path / "folder", tiny_bert, pooling, **settings)
    default = encoder(tmp_path / "folder")
    assert_same(default.encode(SAMPLE), model)
    query = encoder(tmp_path / "folder", prompt="query")
    assert_same(query.encode(SAMPLE), model, prompt_name="query")
    own = encoder(tmp_path / "folder", prompt="a comedy ")
    assert_same(own.encode(SAMPLE), model, prompt="a comedy ")
    none = encoder(tmp_path / "folder", prompt="")
    assert_same(none.encode(SAMPLE), model, prompt="")
    assert len({each.identity for each in (default, query, own, none)}) == 4


def test_a_prefix_for_a_plain_folder(tiny_bert: Path, tmp_path: Path) -> None:
    model = save_folder(tmp_path / "folder", tiny_bert)
    assert_same(encoder(tiny_bert, prompt="toy: ", max_length=16).encode(SAMPLE), model, prompt="toy: ")


@pytest.mark.parametrize("kind", ["bert", "distilbert", "xlm-roberta"])  # the last two as earlier folders have it
def test_lower_case(tmp_path: Path, tiny_roberta: Path, kind: str) -> None:
    folder = tmp_path / "folder"
    save_folder(folder, tiny_roberta)
    settings = json.loads((folder / "sentence_bert_config.json").read_text())
    (folder / "sentence_bert_config.json").unlink()
    (folder / f"sentence_{kind}_config.json").write_text(json.dumps({**settings, "do_lower_case": True}))
    from sentence_transformers import SentenceTransformer

    ours, model = encoder(folder), SentenceTransformer(str(folder), device="cpu")
    assert_same(ours.encode(["Toy STORY", "toy story"]), model, ["Toy STORY", "toy story"])
    vectors = ours.encode(["Toy STORY", "toy story"])
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert ours.identity.endswith("lower case")


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("family", ["tiny_bert", "tiny_byte_gpt2"])
def test_half_precision_is_close(family: str, precision: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(family)
    full, half = encoder(folder), encoder(folder, precision=precision)
    assert half.identity == full.identity.replace("fp32", precision) != full.identity
    vectors = half.encode(SAMPLE)
    assert vectors.dtype == np.float32
    difference = np.abs(vectors - full.encode(SAMPLE)).max()
    assert 0 < difference < 0.1


@pytest.mark.integration
def test_packaged_minilm() -> None:
    from sentence_transformers import SentenceTransformer

    from recbole_longinterest.text.models import find_model

    model = SentenceTransformer(str(find_model("minilm").folder), device="cpu")
    assert_same(encoder("minilm").encode(SAMPLE), model)


def test_identity_covers_every_file_that_counts(tiny_bert: Path, tmp_path: Path) -> None:
    from sentence_transformers.sentence_transformer.modules import Dense

    folder = tmp_path / "folder"
    save_folder(folder, tiny_bert, "mean", Dense(8, 4))
    before = encoder(folder).identity
    assert encoder(shutil.copytree(folder, tmp_path / "copy")).identity == before
    (folder / "README.md").write_text("not a part of the model")
    assert encoder(folder).identity == before
    weights = folder / "2_Dense" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert encoder(folder).identity != before
    pooling = encoder(folder).identity
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode": "cls"}')
    assert encoder(folder).identity != pooling


def write_modules(folder: Path, *modules: tuple[str, str]) -> None:
    """A modules.json of (kind, path)."""
    entries = [{"type": f"sentence_transformers.models.{kind}", "path": path} for kind, path in modules]
    (folder / "modules.json").write_text(json.dumps(entries))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda f: (f / "modules.json").write_text("{"),
            r"modules\.json is damaged or absent: .*Copy the model folder",
        ),
        (lambda f: (f / "modules.json").write_text("{}"), r"modules\.json is damaged or absent: a list is expected"),
        (
            lambda f: (f / "modules.json").write_text("[1]"),
            r"must have a type and a path inside the folder; got 1\. Cop",
        ),
        (lambda f: write_modules(f, ("Transformer", "../other")), r"a path inside the folder; got .*other"),
        (
            lambda f: write_modules(f, ("Transformer", ""), ("WordWeights", "1_Words")),
            r"must name Transformer, Pooling and then any of Dense, Normalize, Dropout; it names Transformer, Word",
        ),
        (lambda f: write_modules(f), r"it names nothing\. Name another text_encoder, or give its vectors as text_vect"),
        (lambda f: (f / "1_Pooling" / "config.json").unlink(), r"1_Pooling.config\.json is damaged or absent"),
        (
            lambda f: (f / "1_Pooling" / "config.json").write_text('{"pooling_mode": "middle"}'),
            r"pooling_mode of .* must be one of cls, max, mean, .*; got \['middle'\]\. Set text_pooling",
        ),
        (
            lambda f: (f / "2_Dense" / "config.json").write_text('{"activation_function": "os.system"}'),
            r"must have an activation of Identity, Tanh, .*; got os\.system, False, sentence_embedding\. Name another",
        ),
        (
            lambda f: (f / "2_Dense" / "model.safetensors").rename(f / "2_Dense" / "pytorch_model.bin"),
            r"dense layer .* has no model\.safetensors, and pickled weights are not read\. Save the model again",
        ),
    ],
)
def test_folders_that_are_refused(tiny_bert: Path, tmp_path: Path, spoil: Any, message: str) -> None:
    from sentence_transformers.sentence_transformer.modules import Dense

    folder = tmp_path / "folder"
    save_folder(folder, tiny_bert, "mean", Dense(8, 4))
    spoil(folder)
    with pytest.raises(EncoderError, match=message):
        encoder(folder).encode(TEXTS)


def test_a_plain_folder_says_nothing(tiny_bert: Path) -> None:
    assert read_settings(tiny_bert) == FolderSettings()


def test_a_half_downloaded_hub_folder_is_downloaded_again(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_folder(tmp_path / "whole", tiny_bert, "cls")
    half = Path(shutil.copytree(tmp_path / "whole", tmp_path / "half"))
    shutil.rmtree(half / "1_Pooling")

    def download(name: str, **settings: Any) -> str:
        if settings.get("local_files_only"):
            return str(half)
        import fnmatch

        kept = [path.relative_to(tmp_path / "whole").as_posix() for path in (tmp_path / "whole").rglob("*")]
        (left_out,) = settings["ignore_patterns"]
        assert "1_Pooling/config.json" in kept and not any(fnmatch.fnmatch(path, left_out) for path in kept)
        assert fnmatch.fnmatch("onnx/config.json", left_out)
        return str(tmp_path / "whole")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert_same(encoder("someone/model").encode(SAMPLE), model)


def test_one_seed_one_bert(tmp_path: Path) -> None:
    """The comparison is worth something: another model gives other vectors."""
    first, second = save_bert(tmp_path / "a"), save_bert(tmp_path / "b", seed=1)
    assert np.abs(encoder(first).encode(SAMPLE) - encoder(second).encode(SAMPLE)).max() > 0.1


def test_it_is_not_needed_at_run_time() -> None:
    assert not [need for need in requires("recbole-longinterest") or [] if need.startswith("sentence")]
