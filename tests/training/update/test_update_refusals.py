"""Updates that are refused, each with one sentence, before anything is changed."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recbole_longinterest.cli import main
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.settings import make_config
from recbole_longinterest.training.update.update import update_checkpoint
from tests.training.update.made import HEADER, LATER, new_events


def test_what_is_wrong_is_said(
    parent: Path,
    inter: Path,
    small_config: Callable[..., Any],
    write: Callable[[str, str], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refused(*words: Any) -> str:
        assert main.main(["update", *map(str, words)]) == 2
        return capsys.readouterr().err

    assert "There is no checkpoint file" in refused("none.pth", "--inter", inter)
    assert "There is no file none.inter" in refused(parent, "--inter", "none.inter")
    assert "scope must be one of items, head, all; got 'x'" in refused(parent, "--inter", inter, "--scope", "x")
    assert "replay must be a number of at least 0" in refused(parent, "--inter", inter, "--replay=-1")
    assert "An update has no setting hidden_size" in refused(parent, "--inter", inter, "--hidden_size=8")
    assert "epochs must be a whole number" in refused(parent, "--inter", inter, "--epochs=x")
    assert "is not a setting" in refused(parent, "--inter", inter, "more")
    assert "does not write over its parent" in refused(parent, "--inter", inter, "-o", parent)
    no_time = write("t.inter", "user_id:token\titem_id:token\trating:float\nu1\ti1\t3\n")
    assert "has no column timestamp; the training read user_id:token" in refused(parent, "--inter", no_time)
    other = write("k.inter", HEADER.replace("rating:float", "rating:token") + "u1\ti1\t3\t1\n")
    assert "has rating:token; the training read" in refused(parent, "--inter", other)
    few = write("f.item", "item_id:token\ttitle:token_seq\ni99\tA\n")
    assert "f.item has no column class" in refused(parent, "--inter", inter, "--item", few)
    occupied = parent.with_name("x.pth")
    shutil.copyfile(parent, occupied)
    assert "x.pth already exists and is not this update" in refused(parent, "--inter", inter, "-o", occupied)


def test_a_model_of_a_split_by_time_is_not_updated(small_config: Callable[..., Any], inter: Path) -> None:
    split = pipeline.run(small_config(split_by_time=[0.7, 0.9])).checkpoint
    with pytest.raises(ValueError, match="was trained with split_by_time, whose catalogue ends where validation"):
        update_checkpoint(split, inter)


def test_a_parquet_data_set_is_not_updated(parent: Path, inter: Path, tmp_path: Path) -> None:
    events = tmp_path / "data" / "tiny" / "tiny.inter"
    events.rename(events.with_name("tiny.inter.parquet"))
    with pytest.raises(ValueError, match=r"An update needs tiny\.inter, but .* has tiny\.inter\.parquet"):
        update_checkpoint(parent, inter)


def test_another_model_and_moved_or_changed_data(
    parent: Path, inter: Path, small_config: Callable[..., Any], tmp_path: Path
) -> None:
    done = update_checkpoint(parent, inter)
    merged = done.checkpoint.with_name(done.checkpoint.name + ".data") / "tiny" / "tiny.inter"
    merged.write_text(merged.read_text() + "u1\ti1\t3\t1\n")
    with pytest.raises(ValueError, match=r"is not the data that .* was made with"):
        update_checkpoint(done.checkpoint, inter)
    (tmp_path / "data").rename(tmp_path / "moved")
    assert update_checkpoint(parent, inter, settings={"seed": 1}, data_path=tmp_path / "moved").items == 25
    (tmp_path / "moved").rename(tmp_path / "data")
    config = small_config()
    other = pipeline.run(
        make_config(
            "GRU4Rec",
            "tiny",
            config_dict={
                "data_path": str(Path(config["data_path"]).parent),
                "epochs": 1,
                "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
            },
        )
    )
    assert other.checkpoint is not None
    with pytest.raises(ValueError, match="is a checkpoint of GRU4Rec; only LongInterest can be updated"):
        update_checkpoint(other.checkpoint, inter)


def test_the_data_of_another_checkpoint_are_not_removed(
    parent: Path, inter: Path, write: Callable[[str, str], Path], tmp_path: Path
) -> None:
    """A checkpoint that was renamed has its data where it was made: the name is not free."""
    update_checkpoint(parent, inter, output=tmp_path / "current.pth")
    (tmp_path / "current.pth").rename(tmp_path / "model.pth")
    more = write("more.inter", new_events(range(3), range(5), at=2 * LATER))
    with pytest.raises(ValueError, match=r"current\.pth\.data holds the data of another checkpoint"):
        update_checkpoint(tmp_path / "model.pth", more, output=tmp_path / "current.pth")
    assert update_checkpoint(tmp_path / "model.pth", more, output=tmp_path / "next.pth").items == 25


def test_a_wrong_setting_is_said_before_anything_is_merged(
    parent: Path, inter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["update", str(parent), "--inter", str(inter), "--epochs=-1"]) == 2
    assert "epochs must be a whole number" in capsys.readouterr().err and not list(parent.parent.glob("*.data"))
    assert main.main(["update", str(parent), "--inter", str(inter), "--learning_rate=1e-4", "--epochs=1"]) == 0
