"""Text of others reaches terminals, logs and tables without control characters and formulas."""

import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from recbole_longinterest.cli import main
from recbole_longinterest.cli.outcome import Exact, finish
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.html_pages import render_page
from recbole_longinterest.common.printable import (
    CONTROL,
    IN_LINES,
    printable,
    printable_cell,
    printable_json,
    printable_lines,
    printable_log,
)
from recbole_longinterest.prepare.report import _counted
from recbole_longinterest.serving.model_folder import write_folder
from recbole_longinterest.serving.recommender import Recommender
from tests.served import random_served

HOSTILE = "a\nWARNING forged\r\x1b[31mred\x1b]8;;http://x\x07\x9b2J\u202eevil\u2066\u2028\x00\ud800"


def test_control_characters_are_written_out() -> None:
    assert printable("a\n\x1b[1m\x9b\u202e\ud800") == "a\\n\\x1b[1m\\x9b\\u202e\\ud800"
    assert not CONTROL.search(printable(HOSTILE)) and not IN_LINES.search(printable_lines(HOSTILE))
    assert printable_lines("a\n\tb\r") == "a\n\tb\\r"
    for fair in ("Amélie 天 \U0001f468\u200d\U0001f469", "שלום\u200f", "مرحبا", "ក្សេម\u200bម"):
        assert printable(fair) == fair
    assert printable(7) == "7"


def test_json_means_the_same() -> None:
    text = json.dumps({"title": HOSTILE[:-1]}, ensure_ascii=False)
    assert IN_LINES.search(text) and not IN_LINES.search(printable_json(text))
    assert json.loads(printable_json(text)) == json.loads(text)


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", " =", "\uff1d"])
def test_formulas_are_none_in_a_cell_for_people(begin: str) -> None:
    assert printable_cell(f"{begin}cmd|' /C calc'!A0") == f"'{begin}cmd|' /C calc'!A0"


def test_a_log_keeps_its_colours_and_lines() -> None:
    assert printable_log("\x1b[1;35mtrain\x1b[0m\n\tloss\x07 \x1b[2J") == "\x1b[1;35mtrain\x1b[0m\n\tloss\\x07 \\x1b[2J"


def test_numbers_stay_numbers() -> None:
    for number in (-5, 2.5, None, "-5", "+49", "-1.5e-3", "7", "a=b", ""):
        assert printable_cell(number) == number
    assert not str(printable_cell("\t=1")).startswith(("\t", "=")) and printable_cell("-") == "'-"


def test_errors_and_results_of_commands_are_printed_so(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(error: Exception) -> Any:
        raise error

    assert not CONTROL.search(str(LongInterestError(f"no item {HOSTILE}")))
    for error in (LongInterestError(HOSTILE), ValueError(HOSTILE), OSError(2, "no", HOSTILE), RuntimeError(HOSTILE)):
        assert finish(lambda error=error: fail(error), "") == 2  # type: ignore[misc]
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and not IN_LINES.search(said)
    assert finish(lambda: f"{HOSTILE}\n", "") == 0
    assert not IN_LINES.search(capsys.readouterr().out)
    assert finish(lambda: Exact("a\x1b"), "") == 0 and capsys.readouterr().out == "a\x1b"


def test_pages_hold_no_control_characters() -> None:
    values = {"user": HOSTILE, "events": 1, "span": "", "titles": [], "items": []}
    chart = {"width": 1, "height": 1, "scale": [], "lines": []}
    page = render_page("recbole_longinterest.serving.explain", "interest.html.j2", {**values, "chart": chart})
    assert "forged" in page and not IN_LINES.search(page)


def test_a_report_has_a_line_a_row() -> None:
    assert not CONTROL.search(printable(_counted("", {HOSTILE: 1}, {HOSTILE: HOSTILE})))


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A model whose tokens and titles are hostile, and a history of hostile users and items."""
    served = random_served()
    served.items.titles[1:4] = ['=HYPERLINK("http://x")', "\x1b]0;owned\x07", "line\nforged line"]
    served.items.tokens[1:4] = ["@i0", "i1\u202e", "-2"]
    write_folder(served, tmp_path / "m")
    rows = [
        {"user_id": user, "item_id": item} for user in ("=1+1", "u\x1b[2J", "-7") for item in ("i9", "zz\nFAKE\x1b")
    ]
    pd.DataFrame(rows).to_json(tmp_path / "h.jsonl", orient="records", lines=True)
    (tmp_path / "c").write_text("@i0\ni1\u202e\n-2\nzz\x1b\n")
    return tmp_path


def test_recommend_neutralises_cells_unless_raw(
    hostile: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    command = ["recommend", "-m", str(hostile / "m"), "--history", str(hostile / "h.jsonl")]
    command += ["--candidates", str(hostile / "c"), "-k", "3"]
    assert main.main([*command, "-o", str(hostile / "o.csv")]) == 0
    text = (hostile / "o.csv").read_text(encoding="utf-8")
    assert not IN_LINES.search(text) and text.count("\n") == 10
    table = pd.read_csv(hostile / "o.csv", dtype=str)
    assert sorted(set(table["user_id"])) == ["'=1+1", "-7", "u\\x1b[2J"]
    assert sorted(set(table["item_id"])) == ["'@i0", "-2", "i1\\u202e"]
    assert '\'=HYPERLINK("http://x")' in set(table["title"]) and "line\\nforged line" in set(table["title"])
    assert pd.to_numeric(table["score"]).notna().all()
    assert main.main([*command, "--raw", "-o", str(hostile / "raw.csv")]) == 0
    raw = pd.read_csv(hostile / "raw.csv", dtype=str)
    assert set(raw["user_id"]) == {"=1+1", "u\x1b[2J", "-7"} and set(raw["item_id"]) == {"@i0", "i1\u202e", "-2"}
    capfd.readouterr()
    assert main.main([*command, "--format", "jsonl"]) == 0
    said = capfd.readouterr()
    assert not IN_LINES.search(said.out) and not IN_LINES.search(said.err)
    assert {item["title"] for item in json.loads(said.out.splitlines()[0])["items"]} >= {"\x1b]0;owned\x07"}
    assert "zz\\nFAKE\\x1b" in caplog.text and not any(CONTROL.search(record.message) for record in caplog.records)


def test_explain_and_profile_are_plain(hostile: Path, capfd: pytest.CaptureFixture[str]) -> None:
    common = ["-m", str(hostile / "m"), "--history", str(hostile / "h.jsonl"), "--user", "u\x1b[2J"]
    assert main.main(["explain", *common, "--item", "i1\u202e", "-o", str(hostile / "p.html")]) == 0
    assert main.main(["profile", *common]) == 0
    assert main.main(["explain", *common, "--item", "no\nitem\x1b"]) == 2
    said = capfd.readouterr()
    assert "u\\x1b[2J" in said.out and "\\x1b]0;owned\\x07" in said.out
    assert not IN_LINES.search(said.out) and not IN_LINES.search(said.err)
    assert not IN_LINES.search((hostile / "p.html").read_text(encoding="utf-8"))


def test_a_notebook_shows_text_not_markup(hostile: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = Recommender.load(hostile / "m")
    model.served.items.titles[1] = "<script>alert(1)</script>"
    with caplog.at_level(logging.WARNING):
        found = model.recommend(["i9", "zz"], 3, candidates=["@i0", "i1\u202e", "-2", "x\x1b"])
    html = found._repr_html_()
    assert "<script>" not in html and "&lt;script&gt;" in html and not CONTROL.search(html)
    assert "by interest, 1 events read, 1 unknown items skipped" in html and html.count("<tr>") == 4
    assert "x\\x1b" in caplog.text and "\x1b" not in caplog.text
