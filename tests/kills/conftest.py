"""Kill a command at every point, and see what stands there and whether it goes on."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from logging import getLogger
from pathlib import Path
from typing import Any

import pytest

from recbole_longinterest.common.leftovers import LEFTOVER
from tests.conftest import PROJECT
from tests.kills.points import How

COMMAND = "tests.kills.scenarios:command"
# Logs are named by the time, one more for every run; receipts of erasures, and known journals, by a random number.
VOLATILE = re.compile(r"(.*/)?log(_tensorboard)?(/.*)?$|.*\.erasure-[0-9a-f]+\.json$|cache/places/[0-9a-f]+$")
Look = Callable[[Path], Any]


@dataclass
class Ended:
    """How a forked process ended: exit code or minus signal, what it printed, file operations that it did."""

    code: int
    said: str
    points: int


class Warm:
    """The process of :mod:`tests.kills.warm`."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT), "PYTHONWARNINGS": "ignore"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.kills.warm"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
            env=environment,
        )

    def run(
        self,
        root: Path,
        arguments: list[str],
        work: str = COMMAND,
        how: How = "count",
        at: int = 1,
        size: int | None = None,
    ) -> Ended:
        assert self.process.stdin and self.process.stdout
        request = {"root": str(root), "work": work, "arguments": arguments, "how": how, "at": at, "size": size}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return Ended(**json.loads(self.process.stdout.readline()))


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    made = Warm()
    yield made
    made.process.stdin.close()  # type: ignore[union-attr]
    made.process.wait(30)


@dataclass
class Trial:
    """A command in a folder, which begins as a copy of another one each time.

    Attributes:
        warm: the process that forks.
        root: the folder; always the same path, which results may depend on.
        start: the folder that it is a copy of.
        arguments: of the command.
        look: what of the folder must be old or new.
        work: what is run.
        right: what a look may also give after a kill; None for nothing else.
        may_stay: end of the names of leftovers that a full disk may leave; none if empty.
        wrong: what was wrong, in words.
    """

    warm: Warm
    root: Path
    start: Path
    arguments: list[str]
    look: Look
    work: str = COMMAND
    right: Callable[[Any], bool] | None = None
    may_stay: str = ""
    wrong: list[str] = field(default_factory=list)

    def run(self, **options: Any) -> Ended:
        return self.warm.run(self.root, self.arguments, self.work, **options)

    def reset(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self.start, self.root, symlinks=True)

    def __post_init__(self) -> None:
        self.reset()
        self.old, self.before = self.look(self.root), names(self.root)
        done = self.run()
        assert done.code == 0, done.said[-3000:]
        self.points = done.points
        self.new, self.after = self.look(self.root), names(self.root)
        assert not leftovers(self.root)

    def kill_everywhere(self, points: range | None = None, sizes: list[int] | None = None) -> None:
        """Kill at every point, and in the midst of writes; the command must then go on."""
        tried = 0
        every = [{"at": at} for at in points or range(1, self.points + 1)]
        for options in [*every, *({"size": size} for size in (file_sizes(self.root) if sizes is None else sizes))]:
            self.reset()
            killed = self.run(how="kill", **options)
            if killed.code == 0 and killed.points < options.get("at", sys.maxsize):
                continue  # no file grew to the size; a log whose name another second gave needs one try less
            tried += 1
            self._check(killed.code in (-9, -25), options, f"ended with {killed.code}: {killed.said[-500:]}")
            found = self.look(self.root)
            whole = found in (self.old, self.new) or (self.right is not None and self.right(found))
            self._check(whole, options, f"neither old nor new: {sorted(names(self.root))}")
            self._goes_on(options)
        self._report("kills", tried)

    def fill_everywhere(self, sizes: list[int] | None = None) -> None:
        """Let the disk be full from every point on, and in the midst of writes: one sentence, nothing lost."""
        tried = 0
        every = [{"at": at} for at in range(1, self.points + 1)]
        for options in [*every, *({"size": size} for size in (file_sizes(self.root) if sizes is None else sizes))]:
            self.reset()
            done = self.run(how="full", **options)
            tried += 1
            found = self.look(self.root)
            if done.code:
                lines = [line for line in done.said.splitlines() if line.startswith("recbole-li: error: ")]
                said = done.code == 2 and len(lines) == 1 and "Traceback" not in done.said
                self._check(said, options, f"code {done.code}: {done.said[-500:]}")
                whole = found in (self.old, self.new) or (self.right is not None and self.right(found))
                self._check(whole, options, f"neither old nor new: {sorted(names(self.root))}")
                left = [name for name in leftovers(self.root) if not self.may_stay or not name.endswith(self.may_stay)]
                self._check(not left, options, f"leaves {left}")
                self._goes_on(options)
            else:  # what it needed was written before, or can be done without
                self._check(found == self.new, options, "says that it is done, and is not")
        self._report("full disks", tried)

    def _goes_on(self, options: dict[str, int]) -> None:
        again = self.run()
        self._check(again.code == 0, options, f"does not go on: {again.said[-500:]}")
        self._check(self.look(self.root) == self.new, options, "gives something else when it goes on")
        self._check(names(self.root) == self.after, options, f"leaves {names(self.root) ^ self.after}")

    def _check(self, right: bool, options: dict[str, int], what: str) -> None:
        if not right:
            self.wrong.append(f"{options}: {what}")

    def _report(self, what: str, tried: int) -> None:
        wrong = {line.partition("}")[0] for line in self.wrong}
        said = f"{what} of {' '.join(self.arguments[:3])}: {tried} tried, {tried - len(wrong)} right"
        getLogger().info(said)  # shown by --log-cli-level=INFO
        assert tried and not self.wrong, "\n".join([said, *self.wrong])


@pytest.fixture
def trial(warm: Warm, tmp_path: Path) -> Callable[..., Trial]:
    """A trial that starts from ``tmp_path / "start"``, where its earlier commands are run first."""

    def make(arguments: list[str], look: Look, *before: list[str], **options: Any) -> Trial:
        start = tmp_path / "start"
        start.mkdir(exist_ok=True)
        root = tmp_path / "root"
        if before:
            shutil.rmtree(root, ignore_errors=True)
            shutil.copytree(start, root, symlinks=True)
            for words in before:
                done = warm.run(root, words)
                assert done.code == 0, done.said[-3000:]
            start = tmp_path / "prepared"
            shutil.rmtree(start, ignore_errors=True)
            root.rename(start)
        return Trial(warm, root, start, arguments, look, **options)

    return make


def names(root: Path) -> set[str]:
    """All paths below a folder, without the volatile ones."""
    found = {str(path.relative_to(root)) for path in root.rglob("*")}
    return {name for name in found if not VOLATILE.match(name)}


def leftovers(root: Path) -> list[str]:
    """Drafts, old folders and locks."""
    return sorted(
        str(path.relative_to(root))
        for path in root.rglob(".*")
        if LEFTOVER.fullmatch(path.name) or path.name.endswith(".lock")
    )


def files_of(root: Path) -> dict[str, bytes]:
    """Contents of all files that are not hidden, without the logs: what a user sees."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
        and not VOLATILE.match(str(path.relative_to(root)))
    }


def file_sizes(root: Path) -> list[int]:
    """Sizes at which a write of these files is cut: before the first byte, in the midst, before the last."""
    sizes = {path.stat().st_size for path in root.rglob("*") if path.is_file()}
    return sorted({cut for size in sizes for cut in (size // 2, size - 1) if cut > 0} | {0})
