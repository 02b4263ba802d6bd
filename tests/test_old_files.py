"""Files from before the modules moved to their rooms: they load, go on, grow and serve, and give what they gave.

In ``old_files/before_rooms.zip``, ``make.py`` says how the tree at commit b35962e made them, and ``expected.json`` what
that tree gave.
"""

import csv
import json
import shutil
import zipfile
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from recbole_longinterest import (
    Event,
    InterestState,
    Recommender,
    encode_items,
    export_checkpoint,
    make_config,
    run,
    update_checkpoint,
)
from recbole_longinterest.cli.main import main
from recbole_longinterest.plugin.fixes.command_line import command_line
from recbole_longinterest.plugin.runs.checkpoints import load_checkpoint
from recbole_longinterest.plugin.runs.files import own_name

ARCHIVE = Path(__file__).with_name("old_files") / "before_rooms.zip"
EXPECTED: dict[str, Any] = json.loads(zipfile.Path(ARCHIVE, "before_rooms/expected.json").read_text(encoding="utf-8"))
COMMANDS: dict[str, list[str]] = EXPECTED["commands"]
HISTORIES = {name: [Event(**event) for event in events] for name, events in EXPECTED["histories"].items()}


BEFORE = {"memory": False}  # defaults that were others


@pytest.fixture(autouse=True)
def _a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has the old files for itself, with other times of change, and works in their folder."""
    shutil.unpack_archive(ARCHIVE, tmp_path)
    copy = tmp_path / "before_rooms"
    monkeypatch.chdir(copy)
    monkeypatch.setenv("RECBOLE_LI_CACHE", str(copy / "text_cache"))


def only(pattern: str) -> Path:
    """The one file of a pattern."""
    (found,) = Path().glob(pattern)
    return found


def config_of(command: list[str], **more: Any) -> Any:
    """The config of one of the old commands."""
    model = command[command.index("--model") + 1] if "--model" in command else "LongInterest"
    with command_line([argument for argument in command if "=" in argument]):
        return make_config(model, "toy", [command[command.index("--config_files") + 1]], more)


def metrics_of(checkpoint: Path) -> dict[str, float]:
    """Metrics of a checkpoint on the test data, by RecBole's own way to a checkpoint."""
    from recbole.quick_start import load_data_and_model
    from recbole.utils import get_trainer

    config, model, _, _, _, test_data = load_data_and_model(str(checkpoint))
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    return dict(trainer.evaluate(test_data, load_best_model=False))


def assert_recommends(model: Recommender, wanted: dict[str, Any], **options: Any) -> None:
    """A model gives these items, with these scores, for the histories."""
    given = model.recommend(HISTORIES, 5, **options)
    for name, pairs in wanted.items():
        assert_pairs(given[name].items, pairs)


def assert_pairs(items: Iterable[Any], wanted: list[Any]) -> None:
    found = [(item.item, item.score) for item in items]
    assert [item for item, _ in found] == [item for item, _ in wanted]
    assert [score for _, score in found] == pytest.approx([score for _, score in wanted], abs=1e-4)


# --- checkpoints and runs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["finished", "gru4rec", "updated"])
def test_a_checkpoint_gives_its_metrics(folder: str) -> None:
    assert metrics_of(only(f"{folder}/*.pth")) == pytest.approx(EXPECTED["tested"][folder])


@pytest.mark.parametrize("folder", ["stopped", "gru4rec"])
def test_a_stopped_run_goes_on_by_its_settings(folder: str) -> None:
    files = sorted(Path(folder).iterdir())
    last = only(f"{folder}/*.last")
    assert load_checkpoint(last)["epoch"] < 5
    done = run(config_of(COMMANDS[folder], resume=True, **(BEFORE if folder == "stopped" else {})))
    assert dict(done.best_valid_result) == pytest.approx(EXPECTED["resumed"][folder]["valid"])
    assert dict(done.test_result) == pytest.approx(EXPECTED["resumed"][folder]["test"])
    assert load_checkpoint(last)["epoch"] == 5
    assert sorted(Path(folder).iterdir()) == files  # a run of another name would have begun anew


def test_a_stopped_run_of_other_defaults_is_found_and_said(caplog: pytest.LogCaptureFixture) -> None:
    last = only("stopped/*.last")
    before = last.read_bytes()
    run(config_of(COMMANDS["stopped"], resume=True, epochs=1))
    assert "with other defaults (no memory of transitions). To resume it, give --resume=" in caplog.text
    assert last.name in caplog.text
    assert last.read_bytes() == before


@pytest.mark.parametrize("folder", ["stopped", "gru4rec"])
@pytest.mark.parametrize("ending", ["", ".last"])
def test_a_stopped_run_goes_on_from_its_file(folder: str, ending: str, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = only(f"{folder}/*.pth")
    assert main(["run", f"--resume={checkpoint}{ending}"]) == 0
    said = capsys.readouterr().out
    results = EXPECTED["resumed"][folder]
    assert f"ndcg@10       {results['valid']['ndcg@10']:10.4f}  {results['test']['ndcg@10']:10.4f}" in said
    assert f"checkpoint: {checkpoint}" in said


def test_a_run_of_other_settings_does_not_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", f"--resume={only('stopped/*.pth')}", "--hidden_size=16"]) == 2
    assert "cannot resume with other settings: hidden_size is 16 and was 8" in capsys.readouterr().err


# --- what was saved of the data --------------------------------------------------------------------------------------


def batches(loader: Any) -> str:
    """SHA-256 of all batches that a loader gives."""
    given = []
    for batch in loader:
        interaction = batch[0] if isinstance(batch, tuple) else batch
        given.append({name: value.tolist() for name, value in sorted(interaction.interaction.items())})
    return sha256(json.dumps(given).encode()).hexdigest()


def test_a_saved_data_set_of_before_is_made_anew() -> None:
    """A cache knows the settings that it was made with, and there are more of them now."""
    from recbole.data import create_dataset, data_preparation
    from recbole.data.utils import load_split_dataloaders

    config = config_of(COMMANDS["cached"])
    assert load_split_dataloaders(config) is None
    assert [batches(loader) for loader in data_preparation(config, create_dataset(config))] == EXPECTED["batches"]


def test_text_vectors_are_found_in_the_cache() -> None:
    filled = encode_items(config_of(COMMANDS["stopped"])).filled
    assert filled.known == filled.distinct > 0


# --- serving ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "engine"), [("fp32", "torch"), ("int8", "torch"), ("onnx", "torch"), ("onnx", "onnx")]
)
def test_an_export_recommends_what_it_did(folder: str, engine: str) -> None:
    if engine == "onnx":
        pytest.importorskip("onnxruntime")
    assert_recommends(Recommender.load(f"exports/{folder}", engine), EXPECTED["int8" if folder == "int8" else "fp32"])


def test_a_state_in_bytes_goes_on() -> None:
    model = Recommender.load("exports/fp32")
    content = Path("exports/state.bin").read_bytes()
    state = InterestState.from_bytes(model, content)
    assert_pairs(state.recommend(5).items, EXPECTED["state"])
    assert state.to_bytes() == content
    assert state.update(Event("i16", rating=2, time=1_000_100_000))


def test_an_explanation_is_what_it_was() -> None:
    model = Recommender.load("exports/fp32")
    why = model.recommend(HISTORIES["events"], 1, explain=True).items[0].why
    assert {event.item: event.share for event in why.events} == pytest.approx(EXPECTED["explained"], abs=1e-4)
    assert why.sources == pytest.approx(EXPECTED["sources"], abs=1e-4)


def test_an_export_takes_a_new_item_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECBOLE_LI_CACHE", "empty_cache")  # so that the encoder's folder is read
    model = Recommender.load("exports/fp32")
    assert model.add_items(pd.DataFrame([EXPECTED["new_item"]])).new == ["i99"]
    assert_recommends(model, EXPECTED["with the new item"], candidates=["i1", "i2", "i99"])


def test_the_command_recommends_from_an_export(capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["item_id,rating,timestamp"]
    lines += [f"{event.item},{event.rating},{event.time}" for event in HISTORIES["events"]]
    Path("history.csv").write_text("\n".join(lines) + "\n")
    command = ["recommend", "--model", "exports/fp32", "--history", "history.csv", "--topk", "5", "--output", "out.csv"]
    assert main(command) == 0, capsys.readouterr().err
    with Path("out.csv").open(encoding="utf-8") as file:
        assert [row["item_id"] for row in csv.DictReader(file)] == [item for item, _ in EXPECTED["fp32"]["events"]]


@pytest.mark.parametrize("kind", ["fp32", "int8", "onnx"])
def test_a_checkpoint_is_exported_as_it_was(kind: str) -> None:
    if kind == "onnx":
        pytest.importorskip("onnx")
    export_checkpoint(only("finished/*.pth"), "model", int8=kind == "int8", onnx=kind == "onnx")
    model = Recommender.load("model", "onnx" if kind == "onnx" else "torch")
    assert_recommends(model, EXPECTED[kind])
    assert model.fingerprint == Recommender.load(f"exports/{kind}").fingerprint
    found, before = (
        json.loads((folder / "items.json").read_text()) for folder in (Path("model"), Path("exports", kind))
    )
    assert len(found.pop("recent")) == len(found["tokens"]) and found == before  # exports of before have no counts
    if kind == "fp32":  # states that users have kept are states of the model that is exported today, too
        state = InterestState.from_bytes(model, Path("exports/state.bin").read_bytes())
        assert_pairs(state.recommend(5).items, EXPECTED["state"])


# --- updates ---------------------------------------------------------------------------------------------------------

UPDATE: dict[str, Any] = {"scope": "all", "settings": {"seed": 3}}


def served(checkpoint: Path | str) -> Recommender:
    """A checkpoint, exported and loaded."""
    export_checkpoint(checkpoint, "model")
    return Recommender.load("model")


def test_an_updated_checkpoint_is_exported_with_its_lineage() -> None:
    model = served("updated/toy.pth")
    assert_recommends(model, EXPECTED["updated"])
    assert load_checkpoint("updated/toy.pth")["config"]["lineage"] == EXPECTED["lineage"]
    assert model.served.about["lineage"] == EXPECTED["lineage"]


def test_an_update_that_was_made_is_not_made_again() -> None:
    content = Path("updated/toy.pth").read_bytes()
    parent = only("finished/*.pth")
    done = update_checkpoint(parent, "new/new.inter", "new/new.item", "updated/toy.pth", **UPDATE)
    assert done.trained == [] and done.items == 28
    assert Path("updated/toy.pth").read_bytes() == content


def test_a_checkpoint_is_updated_as_it_was() -> None:
    parent = only("finished/*.pth")
    done = update_checkpoint(parent, "new/new.inter", "new/new.item", "anew/toy.pth", **UPDATE)
    assert done.trained
    before, now = (load_checkpoint(file)["state_dict"] for file in ("updated/toy.pth", "anew/toy.pth"))
    assert before.keys() == now.keys()
    for name, value in before.items():
        if name != "interest_encoder.attention.score.bias":  # the softmax takes it off: its gradient is rounding noise
            torch.testing.assert_close(now[name], value, rtol=1e-4, atol=1e-5)
    assert_recommends(served("anew/toy.pth"), EXPECTED["updated"])


def test_an_updated_checkpoint_is_updated_again() -> None:
    done = update_checkpoint("updated/toy.pth", "new/later.inter", output="again/toy.pth")
    lineage = load_checkpoint(done.checkpoint)["config"]["lineage"]
    assert [entry["parent"] for entry in lineage] == [EXPECTED["lineage"][0]["parent"], "toy.pth"]
    assert lineage[:1] == EXPECTED["lineage"]
    assert_recommends(served("again/toy.pth"), EXPECTED["updated again"])


# --- searches and comparisons ----------------------------------------------------------------------------------------


def unfinished_trial() -> Path:
    """Folder of the trial that was stopped, whose files are named as they would be had the search begun here.

    The name of a run's files follows from its settings, the absolute path of its data among them.
    """
    (folder,) = (
        trial.parent for trial in Path("tuned/trials").glob("*/trial.json") if not (trial.parent / "end.json").is_file()
    )
    fixed = json.loads(Path("tuned/search.json").read_text())["fixed"]
    setting = json.loads((folder / "trial.json").read_text())["setting"]
    here = {"data_path": str(Path("data").resolve()), "num_threads": 1, "checkpoint_dir": str(folder)}
    with command_line([]):
        config = make_config("BPR", "toy", (), {**fixed, **setting, **here, "resume": True, "show_progress": False})
    for file in list(folder.glob("*.pth*")):
        file.rename(folder / f"{own_name(config)}{''.join(file.suffixes)}")
    return folder


@pytest.mark.slow
def test_a_search_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    stopped = unfinished_trial()
    (finished,) = (end.parent for end in Path("tuned/trials").glob("*/end.json"))
    epochs = {folder: (folder / "epochs.jsonl").read_text() for folder in (finished, stopped)}
    behind = load_checkpoint(next(stopped.glob("*.last")))["epoch"] + 1
    assert 0 < behind < 30
    assert main([*COMMANDS["tune"], "--resume"]) == 0, capsys.readouterr().err
    assert (finished / "epochs.jsonl").read_text() == epochs[finished]
    now = (stopped / "epochs.jsonl").read_text()
    assert now.startswith(epochs[stopped])
    assert now.removeprefix(epochs[stopped]).count("\n") == 30 - behind  # no epoch of the file was trained again
    with Path("tuned/trials.csv").open(encoding="utf-8") as file:
        scores = {trial["trial"]: float(trial["valid_score"]) for trial in csv.DictReader(file)}
    assert scores == pytest.approx(EXPECTED["searched"]["scores"])
    assert metrics_of(Path("tuned/best.pth")) == pytest.approx(EXPECTED["searched"]["test"])


def finished_cell() -> Path:
    """Folder of the finished cell, as it would be had the comparison been made here: its settings hold paths."""
    (folder,) = Path("compared/cells/toy").glob("LongInterest-*")
    cell, result = (json.loads((folder / name).read_text()) for name in ("cell.json", "result.json"))
    paths = {name: str(Path(cell["settings"][name]).resolve()) for name in ("data_path", "text_encoder")}
    result["manifest"]["config"]["text_encoder"] = paths["text_encoder"]
    (folder / "result.json").write_text(json.dumps(result))
    what = json.dumps([{**cell["settings"], **paths}, cell["change"], cell["model"]], sort_keys=True)
    return folder.rename(folder.with_name(f"LongInterest-2020-{sha256(what.encode()).hexdigest()[:8]}"))


@pytest.mark.slow
def test_a_finished_comparison_is_not_run_again(capsys: pytest.CaptureFixture[str]) -> None:
    cell = finished_cell()
    files = {file: file.read_bytes() for file in cell.iterdir()}
    results = Path("compared/results.csv").read_text()
    assert main(COMMANDS["compare"]) == 0, capsys.readouterr().err
    assert list(Path("compared/cells/toy").glob("LongInterest-*")) == [cell]
    assert {file: file.read_bytes() for file in cell.iterdir()} == files
    now = [line.rpartition(",") for line in Path("compared/results.csv").read_text().splitlines()]
    assert [line for line, _, _ in now] == results.splitlines()
    assert [last for _, _, last in now] == ["tie_seed", *["0"] * (len(now) - 1)]  # a column that has come since


def test_no_path_of_a_machine_is_in_the_files() -> None:
    """The fixtures serve wherever they lie."""
    for file in (path for path in Path().rglob("*") if path.is_file() and path.name != "make.py"):
        parts = [file.read_bytes()]
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                parts = [archive.read(name) for name in archive.namelist()]
        for content in parts:
            assert not any(place in content for place in (b"/tmp", b"/work", b"/root", b"/home")), file
