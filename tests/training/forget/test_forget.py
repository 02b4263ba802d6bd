"""Users leave data, caches, reports and checkpoints of a lineage, whatever kills the command."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recbole_longinterest.cli.main import main
from recbole_longinterest.data.event_keys import event_keys, token_keys
from recbole_longinterest.nn.memory import tables_of
from recbole_longinterest.plugin.runs.checkpoints import load_checkpoint
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.export import export_checkpoint
from recbole_longinterest.training.forget import drafts, forget, journal
from recbole_longinterest.training.forget.forget import Forgotten, forget_users
from recbole_longinterest.training.settings import make_config
from recbole_longinterest.training.update.caps import Caps
from recbole_longinterest.training.update.update import update_checkpoint
from tests.training.update.made import HEADER, LATER, new_events

GONE = "u0"  # the first user of the file: without it RecBole numbers all tokens anew


@pytest.fixture
def lineage(small_config: Callable[..., Any], tmp_path: Path) -> tuple[Path, Path]:
    """A training with its cache, and an update with a report and a quarantine."""
    run = pipeline.run(small_config(epochs=2, save_dataset=True, save_dataloaders=True))
    assert run.checkpoint is not None
    extra = "".join(f"{GONE}\ti1\t4\t{LATER + place}\n" for place in range(9))
    (tmp_path / "new.inter").write_text(new_events(range(35), range(15, 20)) + extra)
    caps = Caps(max_events_per_user_item_day=5)
    done = update_checkpoint(run.checkpoint.resolve(), tmp_path / "new.inter", caps=caps, settings={"epochs": 1})
    return run.checkpoint.resolve(), done.checkpoint


def holding(folder: Path, *words: str) -> list[str]:
    """Names of the files that hold one of the words."""
    found = []
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.suffix != ".log":
            content = file.read_bytes()
            found += [file.name for word in words if word.encode() in content]
    return found


def recommended(checkpoint: Path, folder: Path) -> list[tuple[str, float]]:
    export_checkpoint(checkpoint, folder)
    items = Recommender.load(folder).recommend(["i3", "i5", "i8"], 8).items
    return [(item.item, item.score) for item in items]


def test_nothing_of_a_user_is_left(
    lineage: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "new.inter").unlink()
    parent, child = lineage
    folder = parent.parent
    before = holding(tmp_path, f"{GONE}\t", f'"{GONE}"')
    assert {"tiny.inter", f"{child.name}.quarantine.inter", f"{child.name}.intake.json"} <= set(before)
    caches = {file.name for file in folder.glob("tiny-*.pth")}
    assert len(caches) == 2
    assert main(["forget", GONE, "--lineage", str(child)]) == 0
    said = capsys.readouterr().out
    assert said.count("removed ") >= 3 and said.count("marked as trained on removed events") == 2
    assert holding(tmp_path, f"{GONE}\t", f'"{GONE}"') == []
    assert not {file.name for file in folder.glob("tiny-*.pth")} and not list(folder.glob("*.last"))
    for file in (tmp_path / "data" / "tiny" / "tiny.inter", Path(f"{child}.data") / "tiny" / "tiny.inter"):
        lines = file.read_text().splitlines()
        assert lines[0] == HEADER.strip() and len(lines) > 100
    assert not [file for file in folder.iterdir() if file.name.startswith(".") and file.name.endswith(".forget")]


def test_keys_of_the_events_go_too(lineage: tuple[Path, Path]) -> None:
    _, child = lineage
    shown = Path(f"{child}.data") / "shown.npy"
    lines = [line.split("\t") for line in (Path(f"{child}.data") / "tiny" / "tiny.inter").read_text().splitlines()[1:]]
    own = [line for line in lines if line[0] == GONE]
    keys = event_keys(
        token_keys([line[0] for line in own]),
        token_keys([line[1] for line in own]),
        np.array([float(line[3]) for line in own]),
    )
    before = np.load(shown)
    assert np.isin(keys, before).sum() >= 3
    forget_users([GONE], child)
    after = np.load(shown)
    assert not np.isin(keys, after).any() and set(after) == set(before) - set(keys)


def test_checkpoints_stay_usable_and_are_marked(lineage: tuple[Path, Path], tmp_path: Path) -> None:
    parent, child = lineage
    before = [recommended(file, tmp_path / f"m{n}") for n, file in enumerate(lineage)]
    done = forget_users([GONE], parent)  # any member names the lineage
    assert done.checkpoints == {parent: "marked", child: "marked"} and done.receipt is not None
    for number, file in enumerate(lineage):
        after = recommended(file, tmp_path / f"n{number}")
        assert [item for item, _ in after] == [item for item, _ in before[number]]
        assert [score for _, score in after] == pytest.approx([score for _, score in before[number]], abs=1e-5)
        config = load_checkpoint(file)["config"]
        assert config["erasures"] == [json.loads(done.receipt.read_text())["receipt"]]
    from recbole.quick_start import load_data_and_model

    load_data_and_model(child)
    (tmp_path / "later.inter").write_text(new_events(range(20, 30), range(10), at=2 * LATER))
    later = update_checkpoint(child, tmp_path / "later.inter", settings={"epochs": 1})
    assert len(load_checkpoint(later.checkpoint)["config"]["lineage"]) == 2
    again = forget_users(["u5", "u6"], child)
    assert len(again.checkpoints) == 3 and len(load_checkpoint(child)["config"]["erasures"]) == 2


def test_transitions_are_counted_again_without_the_users(lineage: tuple[Path, Path]) -> None:
    from recbole.quick_start import load_data_and_model

    before = [load_checkpoint(file)["state_dict"] for file in lineage]
    forget_users([GONE], lineage[1])
    for old, file in zip(before, lineage, strict=True):
        _, model, _, train, _, _ = load_data_and_model(file)
        kept = load_checkpoint(file)["state_dict"]
        counted = tables_of(model.with_lent(train._dataset.transitions(model.memory.size)))
        for name, table in counted.items():
            torch.testing.assert_close(kept[f"memory.{name}"], table, msg=f"{file.name} {name}")
        assert old["memory.support"].sum() > kept["memory.support"].sum()


def test_a_receipt_and_a_lineage_tell_nobody_who_it_was(lineage: tuple[Path, Path], tmp_path: Path) -> None:
    _, child = lineage
    (entry,) = load_checkpoint(child)["config"]["lineage"]
    old_hashes = {entry["parent_sha256"], *entry["new_sha256"].values(), entry["merged"]["sha256"]["inter"]}
    assert {len(word) for word in old_hashes} == {64}
    first = forget_users([GONE], child, receipt=tmp_path / "r.json")
    assert first.receipt == tmp_path / "r.json"
    receipt = json.loads(first.receipt.read_text())
    assert receipt["users"] == 1 and set(receipt["checkpoints"].values()) == {"marked"}
    text = first.receipt.read_text()
    assert GONE not in text.replace(receipt["receipt"], "") and "events" not in text
    assert not any(word in text for word in old_hashes)
    assert not any(word.encode() in child.read_bytes() for word in old_hashes)


def test_the_same_erasure_twice_and_users_of_a_file(
    lineage: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, child = lineage
    (tmp_path / "who.txt").write_text(f"{GONE}\r\n\nu1\n")
    assert main(["forget", "--users", str(tmp_path / "who.txt"), "--lineage", str(child), "u2", "--dry-run"]) == 0
    assert "dry run" in capsys.readouterr().out and (tmp_path / "data/tiny/tiny.inter").read_text().count("u1\t")
    assert main(["forget", "--users", str(tmp_path / "who.txt"), "--lineage", str(child), "u2"]) == 0
    text = (Path(f"{child}.data") / "tiny" / "tiny.inter").read_text()
    assert not any(f"\n{user}\t" in text for user in (GONE, "u1", "u2")) and "\nu3\t" in text
    content = child.read_bytes()
    capsys.readouterr()
    assert main(["forget", GONE, "--lineage", str(child)]) == 0
    assert capsys.readouterr().out == "the lineage has no events of these users\n" and child.read_bytes() == content
    assert main(["forget", "--lineage", str(child)]) == 2 and "No user is given" in capsys.readouterr().err
    assert main(["forget", "u9", "--lineage", "none.pth"]) == 2
    assert main(["forget", "u9", "--lineage", str(child), "--what"]) == 2


def test_a_user_of_the_update_alone_leaves_the_parent_alone(lineage: tuple[Path, Path]) -> None:
    parent, child = lineage
    content = parent.read_bytes()
    done = forget_users(["u34"], child)
    assert done.checkpoints == {child: "marked"} and parent.read_bytes() == content
    assert Path(f"{parent}.last").is_file()


@pytest.mark.parametrize("user", [GONE, "u34"])
def test_retraining(lineage: tuple[Path, Path], tmp_path: Path, user: str) -> None:
    _, child = lineage
    done = forget_users([user], child, retrain=True)
    assert done.checkpoints[child] == "retrained"
    config = load_checkpoint(child)["config"]
    assert not config["lineage"] and not config["erasures"] and config["data_path"] == f"{child}.data/tiny"
    # It is the model that a training on the remaining events gives.
    fresh = pipeline.run(
        make_config(
            config_dict={
                **{key: value for key, value in config.external_config_dict.items() if key != "model"},
                "data_path": f"{child}.data",
                "dataset": "tiny",
                "checkpoint_dir": str(tmp_path / "fresh"),
                "save_dataset": False,
                "save_dataloaders": False,
            }
        )
    )
    assert fresh.checkpoint is not None
    one, other = (load_checkpoint(file)["state_dict"] for file in (child, fresh.checkpoint))
    assert all(one[name].equal(other[name]) for name in other)
    resumed = pipeline.run(make_config(config_dict={"resume": str(child), "epochs": 3, "show_progress": False}))
    assert resumed.checkpoint == child


def test_another_model_on_the_same_data_is_set_aside(
    lineage: tuple[Path, Path], small_config: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    parent, child = lineage
    config = make_config(
        "GRU4Rec",
        "tiny",
        config_dict={
            "data_path": str(Path(load_checkpoint(parent)["config"]["data_path"]).parent),
            "epochs": 1,
            "show_progress": False,
            "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        },
    )
    other = pipeline.run(config)
    assert other.checkpoint is not None
    assert main(["forget", GONE, "--lineage", str(child)]) == 0
    assert f"set aside as {other.checkpoint.name}.unusable" in capsys.readouterr().out
    assert not other.checkpoint.exists() and other.checkpoint.with_name(f"{other.checkpoint.name}.unusable").is_file()


def test_an_update_that_was_stopped_is_removed(
    lineage: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recbole_longinterest.plugin.trainer import LongInterestTrainer

    parent, child = lineage

    def stopped(*args: Any, **kwargs: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LongInterestTrainer, "_train_epoch", stopped)
        with pytest.raises(KeyboardInterrupt):
            update_checkpoint(parent, tmp_path / "new.inter", output=parent.with_name("half.pth"))
    assert parent.with_name("half.pth.data").is_dir()
    assert parent.with_name("half.pth.data") in forget_users([GONE], child).removed
    assert not parent.with_name("half.pth.data").exists()


# --- kills -----------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Nothing catches it but the test."""


def content_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but logs, locks and the receipts, whose names are random."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and "erasure-" not in file.name and file.suffix not in (".log", ".lock")
    }


@pytest.mark.slow
def test_a_killed_erasure_is_finished_by_the_same_command(
    lineage: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed before each of its steps in turn: nothing has changed, or the next run finishes it."""
    parent, child = lineage
    saved, data, keep = parent.parent, tmp_path / "data", tmp_path / "keep"
    for folder in (saved, data):
        shutil.copytree(folder, keep / folder.name, symlinks=True)
    monkeypatch.setattr(forget, "token_hex", lambda number: "01" * number)  # one receipt name in all runs

    def restore() -> None:
        for folder in (saved, data):
            shutil.rmtree(folder)
            shutil.copytree(keep / folder.name, folder, symlinks=True)

    whole: Forgotten = forget_users([GONE], child)
    wanted = content_of(saved), content_of(data)
    assert whole.receipt is not None and whole.receipt.is_file()
    steps: list[str] = []
    kill_at = -1

    def counted(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            steps.append(name)
            if len(steps) == kill_at:
                raise Killed
            return original(*args, **kwargs)

        return step

    for module, name in (
        *((drafts, name) for name in ("copy_without", "save_checkpoint", "write_text", "caches_of")),
        *((forget, name) for name in ("write_text", "copy_over", "finish")),
        *((journal, name) for name in ("write_text", "copy_over")),
        (journal.shutil, "rmtree"),
        (journal.Path, "unlink"),
        (journal.Path, "replace"),
    ):
        monkeypatch.setattr(module, name, counted(name, getattr(module, name)))
    restore()
    steps.clear()
    forget_users([GONE], child)
    number, right = len(steps), 0
    assert number > 20
    for step in range(1, number + 1):
        restore()
        steps.clear()
        kill_at = step
        with pytest.raises(Killed):
            forget_users([GONE], child)
        kill_at = -1
        forget_users([GONE], child)
        right += (content_of(saved), content_of(data)) == wanted
    assert right == number


def test_a_journal_of_somebody_else_is_not_followed(lineage: tuple[Path, Path], tmp_path: Path) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("kept")
    work = lineage[1].with_name(f".{lineage[1].name}.forget")
    work.mkdir()
    (work / "journal.json").write_text(json.dumps({"removed": [str(victim)]}))
    with pytest.raises(ValueError, match="holds an erasure that another user has started"):
        forget_users([GONE], lineage[1])
    assert victim.read_text() == "kept"
