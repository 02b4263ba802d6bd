"""Files and folders are written whole or not at all, and drafts go."""

import os
from pathlib import Path

import pytest

from recbole_longinterest.common.files import (
    atomic_file,
    atomic_folder,
    make_folder,
    write_bytes,
    write_text,
)


def test_a_file_that_could_not_be_written_is_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    write_text(file, "old")
    with pytest.raises(OSError, match="full"), atomic_file(file) as draft:
        draft.write_text("half")
        raise OSError("full")
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file]
    write_text(file, "new \u00e9")
    assert file.read_text(encoding="utf-8") == "new \u00e9"
    write_bytes(file, b"\xff")
    assert file.read_bytes() == b"\xff" and list(tmp_path.iterdir()) == [file]


def test_a_folder_that_could_not_be_written_is_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "above" / "model"
    with atomic_folder(folder) as draft:
        (draft / "inside").mkdir()
        (draft / "inside" / "a").write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_folder(folder) as draft:
        (draft / "b").write_text("half")
        raise KeyboardInterrupt
    assert [file.name for file in folder.rglob("*")] == ["inside", "a"]
    with atomic_folder(folder) as draft:
        (draft / "b").write_text("new")
    assert [file.name for file in folder.rglob("*")] == ["b"] and list(folder.parent.iterdir()) == [folder]


def test_a_full_disk_that_only_the_sync_reports_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "a", "old")

    def fsync(handle: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space"):
        write_text(tmp_path / "a", "new")
    with pytest.raises(OSError, match="No space"), atomic_folder(tmp_path / "b") as draft:
        (draft / "c").write_text("new")
    assert (tmp_path / "a").read_text() == "old" and [file.name for file in tmp_path.iterdir()] == ["a"]


def test_content_reaches_the_disk_before_the_rename_and_the_folder_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, bool]] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        name = Path(f"/proc/self/fd/{handle}").readlink().name
        seen.append((name, (tmp_path / "a").exists()))
        real(handle)

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc to see which file a handle is of")
    monkeypatch.setattr(os, "fsync", fsync)
    write_text(tmp_path / "a", "x")
    (draft, before), (folder, after) = seen
    assert draft.startswith(".a.") and not before and folder == tmp_path.name and after


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        with atomic_file(tmp_path / "[a]") as draft, atomic_folder(tmp_path / "[b]") as folder:
            draft.write_text("half")
            (folder / "c").write_text("half")
            os.kill(os.getpid(), 9)
    assert os.waitpid(child, 0)[1] == 9 and len(list(tmp_path.iterdir())) == 2
    (tmp_path / ".[a].0.tmp").touch()
    write_text(tmp_path / "[a]", "new")
    with atomic_folder(tmp_path / "[b]"):
        pass
    assert sorted(file.name for file in tmp_path.iterdir()) == [".[a].0.tmp", "[a]", "[b]"]


def test_links_stay_and_what_they_name_is_replaced(tmp_path: Path) -> None:
    real = tmp_path / "elsewhere"
    real.mkdir()
    (tmp_path / "a").symlink_to(real / "a")
    (tmp_path / "b").symlink_to(real / "b")
    for content in ("old", "new"):
        write_text(tmp_path / "a", content)
        with atomic_folder(tmp_path / "b") as draft:
            (draft / "c").write_text(content)
    assert (tmp_path / "a").is_symlink() and (real / "a").read_text() == "new"
    assert (tmp_path / "b").is_symlink() and (real / "b" / "c").read_text() == "new"
    assert len(list(tmp_path.rglob("*"))) == 6


def test_permissions_stay(tmp_path: Path) -> None:
    for mode in (0o600, 0o640):
        write_text(tmp_path / "a", "old")
        (tmp_path / "a").chmod(mode)
        write_text(tmp_path / "a", "new")
        assert (tmp_path / "a").stat().st_mode & 0o777 == mode
    with atomic_folder(tmp_path / "b"):
        pass
    (tmp_path / "b").chmod(0o750)
    with atomic_folder(tmp_path / "b"):
        pass
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o750


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_text(tmp_path / "pipe", "through")
    assert os.read(reader, 100) == b"through" and (tmp_path / "pipe").is_fifo()
    os.close(reader)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(ValueError, match=r"The folder .*/a/b cannot be made \(Not a directory\)\. Remove what is in"):
        make_folder(tmp_path / "a" / "b")
