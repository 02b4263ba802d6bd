"""Drafts of killed writers go, those of living ones stay, and an old folder gets its name back."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recbole_longinterest.common import exchange as exchange_module
from recbole_longinterest.common import files, leftovers
from recbole_longinterest.common.exchange import exchange
from recbole_longinterest.common.file_lock import lock_files
from recbole_longinterest.common.files import atomic_file, atomic_folder, write_text
from recbole_longinterest.common.leftovers import discard, recover, standing, sweep, sweep_folder

WRITE = """
import sys, time
from pathlib import Path
from recbole_longinterest.common.files import atomic_file, atomic_folder
with atomic_file(Path("a")) as draft, atomic_folder(Path("b")) as folder:
    print(draft.name, folder.name, flush=True)
    time.sleep(60)
"""


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_drafts_of_a_living_writer_stay_and_those_of_a_killed_one_go(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITE], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        drafts = sorted(writer.stdout.readline().split())
        sweep(tmp_path / "a")
        sweep_folder(tmp_path)
        write_text(tmp_path / "a", "mine")
        assert names(tmp_path) == [*drafts, "a"]
        writer.kill()
    sweep(tmp_path / "a")
    assert names(tmp_path) == [*(name for name in drafts if name.startswith(".b.")), "a"]
    sweep_folder(tmp_path)
    assert names(tmp_path) == ["a"]


def test_a_draft_that_was_taken_for_a_killed_writers_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_own = leftovers._is_own
    swept = []

    def late(handle: int, draft: Path) -> bool:
        if len(swept) < 2:
            swept.append(draft)
            sweep(tmp_path / "a")
        return is_own(handle, draft)

    monkeypatch.setattr(leftovers, "_is_own", late)
    write_text(tmp_path / "a", "whole")
    with atomic_folder(tmp_path / "b") as draft:
        (draft / "c").write_text("whole")
    assert len(swept) == 2 and names(tmp_path) == ["a", "b"] and (tmp_path / "a").read_text() == "whole"


def test_without_locks_a_draft_of_a_day_is_a_killed_writers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "fcntl", None)
    young, old = tmp_path / ".a.0123456789ab.tmp", tmp_path / ".a.0123456789ac.tmp"
    young.touch()
    old.mkdir()
    os.utime(old, (0, 0))
    with atomic_file(tmp_path / "a") as draft:
        assert names(tmp_path) == sorted([draft.name, young.name])
    assert names(tmp_path) == [young.name, "a"]


def test_folders_change_names_in_one_step(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    if not exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("needs a file system that exchanges")
    assert names(tmp_path / "a") == ["b"] and names(tmp_path / "b") == ["a"]
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "a", tmp_path / "c")


def test_other_systems_cannot_exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_module.sys, "platform", "darwin")
    assert not exchange(tmp_path / "a", tmp_path / "b")


def test_without_exchange_a_killed_writer_leaves_the_old_folder_findable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "m"
    with atomic_folder(folder) as draft:
        (draft / "a").write_text("old")
    monkeypatch.setattr(files, "exchange", lambda one, other: False)
    child = os.fork()
    if child == 0:
        rename = Path.rename
        monkeypatch.setattr(Path, "rename", lambda self, to: (rename(self, to), os.kill(os.getpid(), 9)))
        with atomic_folder(folder) as draft:
            (draft / "a").write_text("new")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 9 and not folder.exists() and len(names(tmp_path)) == 2
    assert (standing(folder) / "a").read_text() == "old" and standing(tmp_path / "other") == tmp_path / "other"
    with lock_files(folder):
        assert (folder / "a").read_text() == "old" and names(tmp_path) == [".m.lock", "m"]
    with atomic_folder(folder) as draft:
        (draft / "a").write_text("new")
    assert (folder / "a").read_text() == "new" and names(tmp_path) == ["m"]


def test_an_old_folder_goes_where_a_new_one_has_its_place(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / ".m.0123456789ab.old").mkdir()
    (tmp_path / ".m.0123456789ab.old" / "a").touch()
    (tmp_path / ".m.0123456789ac.tmp").symlink_to("nowhere")
    (tmp_path / ".mm.0123456789ab.old").mkdir()
    recover(tmp_path / "m")
    assert names(tmp_path) == [".mm.0123456789ab.old", "m"]


def test_a_folder_is_discarded_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m" / "n").mkdir(parents=True)
    monkeypatch.setattr(leftovers, "remove", lambda path: None)  # killed here
    discard(tmp_path / "m")
    discard(tmp_path / "m")
    assert len(names(tmp_path)) == 1 and not (tmp_path / "m").exists()
    monkeypatch.undo()
    sweep(tmp_path / "m")
    assert not names(tmp_path)
