"""A cell of a notebook has one progress bar, whatever the number of loops."""

import logging
import sys
import warnings
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from recbole.config import Config
from recbole.utils import init_logger

from recbole_longinterest.common import notebook
from recbole_longinterest.common.notebook import CellBar, in_notebook, progress_bar
from recbole_longinterest.plugin.fixes.command_line import command_line
from recbole_longinterest.plugin.fixes.environment import terminal_streams
from recbole_longinterest.plugin.fixes.hooks import install
from recbole_longinterest.plugin.fixes.notebooks import one_bar_a_cell
from recbole_longinterest.plugin.runs import own_handlers
from recbole_longinterest.prepare.prepare_data import prepare_data


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A notebook's kernel that keeps what is displayed, and what it was updated to."""
    shell = SimpleNamespace(kernel=object(), execution_count=1)
    found = SimpleNamespace(shell=shell, outputs=[])

    class Handle:
        def __init__(self, content: dict[str, str]) -> None:
            self.drawn = [content]

        def update(self, content: dict[str, str], raw: bool) -> None:
            self.drawn.append(content)

    def display(content: dict[str, str], raw: bool, display_id: bool) -> Handle:
        found.outputs.append(Handle(content))
        return found.outputs[-1]

    ipython: Any = ModuleType("IPython")
    ipython.get_ipython = lambda: shell
    ipython.display = ModuleType("IPython.display")
    ipython.display.display = display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython.display)
    monkeypatch.setattr(notebook, "_shown", {})
    monkeypatch.setattr(notebook, "EVERY", 0.0)
    return found


def test_the_loops_of_a_cell_share_a_bar(kernel: SimpleNamespace) -> None:
    assert in_notebook()
    for epoch in range(50):
        bar = one_bar_a_cell(pytest.fail)([1, 2], total=2, ncols=100, desc=f"\x1b[1;35mTrain {epoch}\x1b[0m")
        for _ in bar:
            bar.set_postfix_str("\x1b[1;33mGPU <1 G>\x1b[0m")
    (output,) = kernel.outputs
    assert output.drawn[-1]["text/plain"] == "Train 49 2 of 2 GPU &lt;1 G&gt;" and len(output.drawn) == 250
    assert output.drawn[-1]["text/html"].startswith('<progress value="2" max="2">')
    kernel.shell.execution_count = 2
    assert list(CellBar(iter("abc"))) == ["a", "b", "c"] and len(kernel.outputs) == 2
    assert list(CellBar([])) == [] and len(CellBar([1])) == 1 and len(kernel.outputs) == 2


def test_commands_called_from_a_cell_draw_its_bar(
    kernel: SimpleNamespace, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with progress_bar(total=3_000_000, desc="events", unit="B", unit_scale=True) as bar:
        bar.update(1_500_000)
    assert kernel.outputs[0].drawn[-1]["text/plain"] == "events 1.50MB of 3.00MB"
    with progress_bar(total=4, initial=1, desc="compare", unit="cell") as bar:
        bar.n += 1
        bar.set_postfix_str("ml-100k <b>")
        bar.write("one failed")
    assert kernel.outputs[0].drawn[-1]["text/plain"] == "compare 2 of 4 ml-100k &lt;b&gt;"
    assert capfd.readouterr() == ("one failed\n", "")
    drawn = len(kernel.outputs[0].drawn)
    with progress_bar(total=4, disable=True) as bar:
        bar.update()
    assert len(kernel.outputs[0].drawn) == drawn

    (tmp_path / "e.csv").write_text("u,i,t\na,x,10\na,y,20\nb,x,30\nb,y,40\n")
    prepare_data("csv", paths=[tmp_path / "e.csv"], user="u", item="i", time="t", output=tmp_path / "dataset")
    assert kernel.outputs[0].drawn[-1]["text/plain"] == "writing 4 of 4"
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("kernel")
def test_the_streams_of_a_notebook_are_not_wrapped() -> None:
    terminal_streams(pytest.fail)(autoreset=True)


@pytest.mark.usefixtures("kernel")
def test_no_notes_that_ipywidgets_is_missing(caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        install()
        warnings.warn("IProgress not found. Please update jupyter and ipywidgets.", stacklevel=1)
        logging.getLogger("ray.widgets.util").info("Missing packages: ['ipywidgets']")
    assert not warned and not caplog.records


def test_outside_of_notebooks_bars_are_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", None)
    assert not in_notebook()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace()))
    assert not in_notebook()  # IPython in a terminal
    with progress_bar(total=1, disable=True) as bar:
        assert type(bar).__name__ == "tqdm"
    assert one_bar_a_cell(lambda *args, **options: (args, options))([1], ncols=3) == (([1],), {"ncols": 3})


@pytest.mark.usefixtures("kernel")
def test_recboles_own_run_logs_its_settings_for_debugging(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    with command_line([]):
        config = Config("BPR", "ml-100k", config_dict={"state": "INFO"})
    root = logging.getLogger()
    before = root.filters[:]
    try:
        init_logger(config)
        levels = {type(each).__name__: each.level for each in own_handlers.handlers()}
        for level in (logging.INFO, logging.DEBUG):
            with caplog.at_level(level):
                root.info(config)  # as recbole.quick_start does
                root.info("a line")
    finally:
        root.filters[:] = before
        own_handlers.remove_all()
    assert set(levels.values()) == {logging.INFO}  # which shows no record of a lower level
    assert [record.levelno for record in caplog.records[-3:]] == [logging.INFO, logging.DEBUG, logging.INFO]
