"""A lock keeps other processes out, says so at once, and goes with its process."""

import contextlib
import errno
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import filelock
import pytest

from recbole_longinterest.common.file_lock import FileLockError, lock_files

HOLD = """
import sys, time
from pathlib import Path
from recbole_longinterest.common.file_lock import lock_files
with lock_files(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_another_process_is_refused_at_once_and_a_killed_one_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.pth"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        begun = time.monotonic()
        with (
            pytest.raises(FileLockError, match=r"Another process is updating to .*a\.pth at the moment\. .* or stop\."),
            lock_files(path, "updating to", "stop"),
        ):
            pass
        assert time.monotonic() - begun < 1
        holder.kill()
    with lock_files(path):
        assert [file.name for file in path.parent.iterdir()] == [".a.pth.lock"]
    assert not list(path.parent.iterdir())


def test_a_lock_is_released_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), lock_files(tmp_path / "a"):
        raise KeyboardInterrupt
    with lock_files(tmp_path / "a"):
        pass
    assert not list(tmp_path.iterdir())


def test_removing_the_lock_file_never_lets_two_in(tmp_path: Path) -> None:
    """One may have opened the old file, and locks it when it is gone and a third has locked a new one."""
    inside: list[int] = []
    together: list[int] = []

    def work(number: int) -> int:
        entered = 0
        while entered < 100:
            with contextlib.suppress(FileLockError), lock_files(tmp_path / "a"):
                inside.append(number)
                together.append(len(inside))
                entered += 1
                inside.remove(number)
        return entered

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [100] * 4
    assert set(together) == {1}


@pytest.mark.parametrize(("number", "goes_on"), [(errno.ENOLCK, True), (errno.EACCES, False)])
def test_a_file_system_without_locks_gives_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, goes_on: bool
) -> None:
    def acquire(self: filelock.FileLock) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    said = None if goes_on else pytest.raises(FileLockError, match=r".* cannot be written \(Permission denied\)\. Make")
    with said or contextlib.nullcontext(), lock_files(tmp_path / "a"):
        assert goes_on


def test_the_holder_may_take_its_lock_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a"
    (tmp_path / "link").symlink_to(path.parent)
    with lock_files(path):
        with lock_files(tmp_path / "link" / "a", again=True):
            pass
        with pytest.raises(FileLockError), lock_files(path):
            pass
        assert path.with_name(".a.lock").exists()
    assert [file.name for file in tmp_path.iterdir()] == ["link"], "folders made for the lock alone go with it"
