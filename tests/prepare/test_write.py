"""All files of a data set or none, and never over files that nobody meant."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from recbole_longinterest.common.file_lock import lock_files
from recbole_longinterest.common.resources import prepared_settings
from recbole_longinterest.prepare.write import MAX_NAME, check_name
from tests.prepare import layouts


@pytest.mark.parametrize(
    "way", ["dataset_configs", "dataset_configs/raw.yaml/x", "raw/raw.item/x", "raw/plots/time.png/x"]
)
def test_what_is_in_the_way_is_met_before_one_file_is_written(prepare: Callable, tmp_path: Path, way: str) -> None:
    path = tmp_path / "out" / way
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    arguments = ("movielens", layouts.ml_csv(tmp_path / "ml"), "--plots", "--overwrite")
    assert "No file of the new data set remains there" in prepare(*arguments, fails=True).err
    assert [file for file in (tmp_path / "out").rglob("*") if file.is_file()] == [path]


@pytest.mark.parametrize("file", ["raw/raw.inter", "raw/raw.item", "dataset_configs/raw.yaml"])
def test_files_that_are_there_are_kept(prepare: Callable, tmp_path: Path, file: str) -> None:
    path = tmp_path / "out" / file
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    folder = layouts.ml_csv(tmp_path / "ml")
    assert f"{path} already exists. Give another --name, or --overwrite" in prepare("movielens", folder, fails=True).err
    assert prepare("movielens", folder, "--overwrite").rows()


def test_plots_of_an_earlier_data_set_go(prepare: Callable, tmp_path: Path) -> None:
    folder = layouts.ml_csv(tmp_path / "ml")
    plots = prepare("movielens", folder, "--plots").folder / "plots"
    (plots / "notes.txt").write_text("mine")
    (folder / "tags.csv").unlink()
    prepare("movielens", folder, "--overwrite")
    assert [file.name for file in plots.iterdir()] == ["notes.txt"]
    (plots / "notes.txt").unlink()
    prepare("movielens", folder, "--overwrite")
    assert not plots.exists()


def test_without_links_the_settings_are_found_in_the_folder(
    prepare: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def symlink_to(self: Path, target: str) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(Path, "symlink_to", symlink_to)
    (tmp_path / "out" / "dataset_configs").mkdir(parents=True)
    (tmp_path / "out" / "dataset_configs" / "raw.yaml").write_text("text_fields: [old]")
    done = prepare("movielens", layouts.ml_csv(tmp_path / "ml"), "--overwrite")
    found = prepared_settings(done.output, "raw")
    assert found == done.folder / "prepare.yaml" and "old" not in found.read_text()
    assert str(found) in done.out and not (done.output / "dataset_configs").exists()


def test_a_data_set_whose_replacement_was_killed_gets_its_folder_back(tmp_path: Path) -> None:
    old = tmp_path / ".shop.0123456789ab.old"
    old.mkdir()
    (old / "prepare.yaml").write_text("{}")
    with lock_files(tmp_path / "shop"):
        old.parent.joinpath("shop").rename(old)
        assert prepared_settings(tmp_path, "shop") is None, "another process is between the two renames"
    assert prepared_settings(tmp_path, "shop") == tmp_path / "shop" / "prepare.yaml" and not old.exists()


@pytest.mark.parametrize("name", ["", ".", "..", "-x", "a b", "a/b", "n" * (MAX_NAME + 1), "dataset_configs", "a\n"])
def test_names_that_no_data_set_has(name: str) -> None:
    with pytest.raises(ValueError, match=f"at most {MAX_NAME} letters, digits, dots, dashes and underscores"):
        check_name(name, given=True)


def test_an_empty_name_is_none_of_the_dialects(prepare: Callable, tmp_path: Path) -> None:
    folder = layouts.ml_csv(tmp_path / "ml")
    assert "got ''. Give one with --name" in prepare("movielens", folder, "--name", "", name=None, fails=True).err


def test_behaviours_of_any_name_make_a_yaml_file(prepare: Callable, tmp_path: Path) -> None:
    names = ["a # b", "c: [d", "\uffff", "true", "null", "\u2028e"]
    lines = [f"u,i{at},{at},{name}" for at, name in enumerate(names)]
    (tmp_path / "log.csv").write_text("u,i,t,b\n" + "\n".join(lines), encoding="utf-8")
    arguments = ("csv", tmp_path / "log.csv", "--user", "u", "--item", "i", "--time", "t", "--behavior", "b")
    done = prepare(*arguments, "--target-behavior", "c: [d")
    content = yaml.safe_load((done.output / "dataset_configs" / "raw.yaml").read_text(encoding="utf-8"))
    assert content["target_behavior"] == "c: [d"
    error = prepare(
        *arguments, "--until", "1970-01-01T00:00:01", "--target-behavior", "true", "--overwrite", fails=True
    ).err
    assert "--target-behavior true is not a behaviour of the kept events; they have: a # b, c: [d." in error


def test_a_folder_with_a_space_is_quoted_in_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from recbole_longinterest.cli import main

    folder = layouts.ml_csv(tmp_path / "ml")
    assert main.main(["prepare", "movielens", str(folder), "--output", str(tmp_path / "a b"), "--quiet"]) == 0
    assert capsys.readouterr().out.endswith(f"--data_path '{tmp_path}/a b'\n")
