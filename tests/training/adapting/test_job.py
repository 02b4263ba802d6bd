"""`recbole-li adapt`: a planted pattern is learned, kills lose nothing, and the folder is what was trained."""

import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recbole_longinterest.cli import main
from recbole_longinterest.text.adapting import fit
from recbole_longinterest.text.adapting.progress import Progress
from recbole_longinterest.text.encoder import TextEncoder
from recbole_longinterest.training.adapting import held_out, job
from recbole_longinterest.training.adapting.job import adapt_encoder
from recbole_longinterest.training.adapting.settings import AdaptSettings
from recbole_longinterest.training.settings import make_config
from tests.conftest import SMALL
from tests.text.conftest import save_bert

pytest.importorskip("peft", reason="peft is not installed (extra adapt)")
KINDS = ("toy story", "crime drama", "golden eye", "comedy heat")  # words of the tiny BERT
ITEMS = 80


def planted_item() -> str:
    """Items of four kinds; the kind is one of two words of the title, the last word is of no kind."""
    others = ["1995", "1996", "the", "of"]
    rows = [
        f"i{i}\t{' '.join([KINDS[i % 4].split()[i // 4 % 2]] * (3 + i // 32))} {others[i // 8 % 4]}\tk{i % 4}"
        for i in range(ITEMS)
    ]
    return "\n".join(["item_id:token\ttitle:token_seq\tclass:token_seq", *rows]) + "\n"


def planted_inter(users: int = 150) -> str:
    """Users who take items of one kind, each item once."""
    rng = np.random.default_rng(0)
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    for user in range(users):
        taken = rng.permutation(ITEMS // 4)[:10] * 4 + user % 4
        lines += [f"u{user}\ti{item}\t{10 * time}" for time, item in enumerate(taken)]
    return "\n".join(lines) + "\n"


@pytest.fixture
def config(write_dataset: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Config of the planted data with a tiny BERT."""
    monkeypatch.setenv("RECBOLE_LI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(held_out, "K", 2)  # of twelve items
    root = write_dataset("tiny", planted_inter(), planted_item())
    bert = save_bert(tmp_path / "bert")

    def make(**settings: Any) -> Any:
        own = {"data_path": str(root), "text_encoder": str(bert), "use_gpu": False, "rating_features": "off"}
        return make_config("LongInterest", "tiny", config_dict={**SMALL, **own, "text_fields": ["title"], **settings})

    return make


FAST = {"epochs": 10, "patience": 10, "anchors": 4, "learning_rate": 0.02, "held_out": 0.15}


@pytest.fixture
def last_is_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last epoch is kept: what can be trained of a BERT of 8 random dimensions learns too little to win."""
    monkeypatch.setattr(Progress, "best", property(lambda self: len(self.values) - 1))


def test_a_planted_pattern_is_learned(config: Callable[..., Any], tmp_path: Path) -> None:
    done = adapt_encoder(config(), tmp_path / "out", AdaptSettings("full", **FAST))
    assert done.after > done.before + 0.2 and 1 <= done.best <= done.epochs <= 10
    values = [float(value) for value in done.card.split("before and after each epoch: ")[1].split("\n")[0].split(", ")]
    assert len(values) == done.epochs + 1 and max(values) == values[done.best]


@pytest.mark.usefixtures("last_is_best")
@pytest.mark.parametrize(("method", "layers"), [("lora", None), ("lora", 1), ("adapter", None), ("full", None)])
def test_the_folder_is_what_was_trained(
    method: str, layers: int | None, config: Callable[..., Any], tmp_path: Path
) -> None:
    done = adapt_encoder(config(), tmp_path / "out", AdaptSettings(method, layers=layers, **{**FAST, "epochs": 2}))
    assert not list(tmp_path.glob("*.progress")) and not list(tmp_path.glob(".out*"))
    card = (tmp_path / "out" / "README.md").read_text()
    assert card == done.card and f"| {done.before:.4f} | {done.after:.4f} |" in card

    raw, ours = TextEncoder(str(tmp_path / "bert")), TextEncoder(str(tmp_path / "out"))
    texts = ["toy 1995", "story of", "crime the", ""]
    assert ours.identity != raw.identity and not np.allclose(raw.encode(texts), ours.encode(texts), atol=0.1)
    transformers = pytest.importorskip("sentence_transformers")
    theirs = transformers.SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(texts[:3])
    np.testing.assert_allclose(ours.encode(texts[:3]), theirs, atol=1e-5)

    if method == "lora":  # the updates apart, on the model that they belong to
        apart = tmp_path / "out" / "adapter"
        about = json.loads((apart / "adapter_config.json").read_text())
        assert about["base_model_name_or_path"] == str(tmp_path / "bert")
        with pytest.raises(ValueError, match=r"belongs to the model in .*bert, which only the adapter's file names"):
            TextEncoder(str(apart)).encode(texts)


@pytest.mark.usefixtures("last_is_best")
def test_the_updates_of_minilm_are_merged_on_load(
    config: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recbole_longinterest.text import models

    bert = models._model("minilm", tmp_path / "bert")
    monkeypatch.setattr(models, "_packaged_minilm", lambda: bert)
    monkeypatch.setattr(models, "MINILM_SHA256", models._file_sha256(tmp_path / "bert" / "model.safetensors"))
    # It trains with torch whatever encodes the texts of runs.
    chosen = config(text_encoder="minilm", text_backend="onnx")
    adapt_encoder(chosen, tmp_path / "out", AdaptSettings(**{**FAST, "epochs": 2}))
    texts = ["toy 1995", "story of the"]
    whole, apart = (TextEncoder(str(tmp_path / name)) for name in ("out", "out/adapter"))
    np.testing.assert_allclose(whole.encode(texts), apart.encode(texts), atol=1e-5)
    assert apart.identity != TextEncoder("minilm").identity
    if find_spec("onnxruntime") and find_spec("onnx"):
        graph = TextEncoder(str(tmp_path / "out" / "adapter"), device="cpu", backend="onnx")
        np.testing.assert_allclose(graph.encode(texts), apart.encode(texts), atol=1e-5)
    (tmp_path / "out" / "adapter" / "adapter_model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"has no adapter_model\.safetensors"):
        TextEncoder(str(tmp_path / "out" / "adapter")).encode(texts)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.usefixtures("last_is_best")
@pytest.mark.parametrize("method", ["lora", "adapter"])
def test_a_killed_adaptation_goes_on_with_the_same_result(
    method: str, config: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = AdaptSettings(method, **{**FAST, "epochs": 3})
    adapt_encoder(config(), tmp_path / "out", settings)
    whole = files_of(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")

    monkeypatch.setattr(fit, "SAVE_SECONDS", 0.0)
    batch, batches = fit.Fit._batch, []

    def killed(self: fit.Fit, items: Any) -> None:
        batches.append(len(items))
        if len(batches) in (3, 9):
            raise KeyboardInterrupt
        batch(self, items)

    monkeypatch.setattr(fit.Fit, "_batch", killed)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            adapt_encoder(config(), tmp_path / "out", settings)
        assert not (tmp_path / "out").exists() and (tmp_path / "out.progress").is_file()
    with pytest.raises(ValueError, match=r"out\.progress is .* with another temperature\. Give --restart"):
        adapt_encoder(config(), tmp_path / "out", AdaptSettings(method, temperature=0.1, **{**FAST, "epochs": 3}))
    assert len(batches) == 9
    adapt_encoder(config(), tmp_path / "out", settings)
    assert files_of(tmp_path / "out") == whole and not (tmp_path / "out.progress").exists()

    (tmp_path / "out.progress").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"out\.progress, .* is damaged\. Give --restart"):
        adapt_encoder(config(), tmp_path / "out", settings)
    adapt_encoder(config(), tmp_path / "out", settings, restart=True)


def test_held_out_items_and_later_events_never_enter(
    config: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def keep(counts: Any, structure: Any, **others: Any) -> Any:
        seen["counts"], seen["structure"] = counts, structure
        raise RuntimeError("far enough")

    monkeypatch.setattr(job, "find_positives", keep)
    split = job._held_out

    def watched(events: Any, *others: Any) -> Any:
        seen["known"] = int(events.known.sum())
        result = split(events, *others)
        seen["held"] = result[2]
        return result

    monkeypatch.setattr(job, "_held_out", watched)
    with pytest.raises(RuntimeError, match="far enough"):
        adapt_encoder(config(), Path("out"), AdaptSettings(structure=("class",), held_out=0.15))
    assert seen["known"] == 150 * 8  # of ten events of a user, two are for validation and test
    assert seen["held"].sum() == 24
    for pairs in (seen["counts"].toarray(), seen["structure"].toarray()):
        assert pairs.sum() > 0 and not pairs[seen["held"]].any() and not pairs[:, seen["held"]].any()


@pytest.mark.parametrize(
    ("settings", "more", "message"),
    [
        ({"text_vectors": "v.npy"}, {}, r"no text to adapt an encoder to: text_vectors is v\.npy"),
        ({"text_features": "off"}, {}, "no text to adapt an encoder to: text_features is off"),
        ({}, {"held_out": 0.05}, "--held-out 0.05 must give at least 10 items in each of two sets; it gives 4"),
        ({}, {"structure": ("brand",)}, "--structure must name columns of .*; got brand"),
        (
            {},
            {"learning_rate": 1e-9, "epochs": 1, "method": "adapter"},
            "None of 1 epochs improves recall@10 on held-out items",
        ),
    ],
)
def test_what_cannot_be_adapted(
    settings: dict[str, Any], more: dict[str, Any], message: str, config: Callable[..., Any]
) -> None:
    with pytest.raises(ValueError, match=message):
        adapt_encoder(config(**settings), Path("out"), AdaptSettings(**{**FAST, **more}))
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"method": "prefix"}, "--method must be one of lora, adapter, full; got prefix"),
        ({"temperature": 0}, "--temperature must be above 0; got 0"),
        ({"learning_rate": 0}, "--learning-rate must be above 0; got 0"),
        ({"popularity": 2}, "--popularity must be from 0 to 1; got 2"),
        ({"layers": 0}, "--layers must be at least 1; got 0"),
        ({"layers": 1, "method": "full"}, "--layers must be left out without --method lora; got 1"),
        ({"held_out": 0.5}, r"--held-out must be above 0 and at most 0\.4; got 0\.5"),
    ],
)
def test_wrong_settings(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdaptSettings(**wrong)


@pytest.mark.usefixtures("last_is_best")
def test_the_command(config: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config()
    arguments = ["adapt", "--dataset", "tiny", "--encoder", str(tmp_path / "bert"), "--output", "out", "--epochs", "2"]
    arguments += ["--method", "adapter", "--learning-rate", "0.02", "--held-out", "0.15", "--structure", "class"]
    arguments += ["--data_path=data", "--text_fields=['title']", "--use_gpu=False", "--state=ERROR"]
    assert main.main(arguments) == 0
    out, err = capsys.readouterr()
    assert "recall@10 among held-out items: " in out and "--text_encoder=out" in out and "Adapting" in err
    assert main.main(arguments) == 0  # its own folder is replaced
    Path("other").mkdir()
    arguments[arguments.index("out")] = "other"
    assert main.main(arguments) == 2
    assert "--output must be new or written by this command" in capsys.readouterr().err


@pytest.mark.usefixtures("last_is_best")
def test_a_folder_that_is_read_otherwise_is_not_kept(
    config: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from recbole_longinterest.text.adapting import output

    write = output.write_settings

    def wrong(folder: Path, settings: Any, width: int) -> None:
        write(folder, job.replace(settings, pooling=("cls",)), width)

    monkeypatch.setattr(output, "write_settings", wrong)
    with pytest.raises(
        ValueError, match=r"differs from the trained encoder \(its vectors are .*% off\).*--method adapter"
    ):
        adapt_encoder(config(), Path("out"), AdaptSettings(**{**FAST, "epochs": 1}))
    assert not Path("out").exists()
