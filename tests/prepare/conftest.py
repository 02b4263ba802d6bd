"""Prepare as the command does, and read what came of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from recbole_longinterest.cli import main


@dataclass
class Result:
    """Exit code, what was printed, and the folder above the data set's."""

    code: int
    out: str
    err: str
    output: Path
    name: str

    @property
    def folder(self) -> Path:
        return self.output / self.name

    def rows(self, suffix: str = "inter") -> list[dict[str, str]]:
        """Rows of an atomic file as they stand."""
        lines = (self.folder / f"{self.name}.{suffix}").read_text(encoding="utf-8").split("\n")
        assert lines.pop() == ""
        head = [column.partition(":")[0] for column in lines[0].split("\t")]
        return [dict(zip(head, line.split("\t"), strict=True)) for line in lines[1:]]

    def report(self) -> dict[str, Any]:
        import json

        return json.loads((self.folder / "prepare.json").read_text())


@pytest.fixture
def prepare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """`recbole-li prepare` with some arguments; the data set is named "raw" unless they say otherwise."""

    def run(*args: object, name: str | None = "raw", fails: bool = False, may_fail: bool = False) -> Result:
        output = tmp_path / "out"
        named = ["--name", name] if name else []
        words = [str(arg) for arg in args]
        before = {file: file.read_bytes() for file in output.rglob("*") if file.is_file()}
        code = main.main(["prepare", *words, *named, "--output", str(output), "--quiet"])
        said = capsys.readouterr()
        assert may_fail or (code != 0) == fails, said.err
        assert "Traceback" not in said.err
        if code:
            assert said.err.startswith("recbole-li: error: ") and len(said.err.strip().splitlines()) == 1
            after = {file: file.read_bytes() for file in output.rglob("*") if file.is_file()}
            assert before == after, "a half-written output"
        return Result(code, said.out, said.err, output, name or "")

    return run
