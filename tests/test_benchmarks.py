"""The benchmarks run, and what they claim holds on a small scale."""

import runpy
import sys

import pytest

from tests.conftest import PROJECT


@pytest.mark.slow
@pytest.mark.integration
def test_encoding_is_three_times_as_fast_as_a_plain_loop(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = PROJECT / "benchmarks" / "encode.py"
    if not script.is_file():
        pytest.skip("not a checkout")
    words = "--texts 400 --chunk 100 --plain-share 0.1"
    monkeypatch.setattr(sys, "argv", [str(script), *words.split()])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(script), run_name="__main__")
    out = capsys.readouterr().out
    assert stop.value.code == 0, out
    assert "400 synthetic titles, at most 128 tokens" in out and "a random sample of 40 of these titles" in out
    assert float(out.rpartition("ratio:")[2].split()[0]) >= 3


@pytest.mark.slow
def test_preparing_takes_little_memory(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    script = PROJECT / "benchmarks" / "prepare.py"
    if not script.is_file():
        pytest.skip("not a checkout")
    monkeypatch.setattr(sys, "argv", [str(script), "--rows", "300000", "--milliseconds"])
    with pytest.raises(SystemExit):  # its exit code judges the speed, in which the start of Python weighs here
        runpy.run_path(str(script), run_name="__main__")
    out = capfd.readouterr().out
    assert "milliseconds: 300,000" in out and "300,000 rows, " in out
    assert float(out.rpartition(" GB at the peak")[0].split()[-1]) < 2
