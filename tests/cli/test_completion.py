"""Completion scripts, asked by the shells themselves."""

import shutil
import subprocess
from pathlib import Path

import pytest

from recbole_longinterest.cli import completion, main

ASK_BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_recbole_li 2>/dev/null  # compopt complains outside of a completion
echo "${COMPREPLY[@]}"
"""
ASKED = [
    ("recbole-li comple", "completion"),
    ("recbole-li run --model LongI", "LongInterest"),
    ("recbole-li tune --model eSAS", "eSASRec"),
    ("recbole-li compare --models GRU4RecC", "GRU4RecCPR"),
    ("recbole-li run --dataset ml-lat", "ml-latest-small"),
    ("recbole-li tune --scheduler m", "median"),
    ("recbole-li run --repeat_b", "--repeat_bias="),
    ("recbole-li columns --text_nu", "--text_numbers="),
    ("recbole-li export x --repeat_b", ""),  # no command with settings
    ("recbole-li prepare movie", "movielens"),
    ("recbole-li prepare csv --category-s", "--category-separator"),
    ("recbole-li prepare amazon --category-s", ""),
    ("recbole-li completion f", "fish"),
]


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("completion")
    files = {}
    for shell in completion.SHELLS:
        with pytest.MonkeyPatch.context() as patched:
            said: list[str] = []
            patched.setattr("sys.stdout.write", said.append)
            assert main.main(["completion", shell]) == 0
        files[shell] = folder / shell
        files[shell].write_text("".join(said))
    return files


@pytest.mark.parametrize(("line", "expected"), ASKED)
def test_bash(line: str, expected: str, scripts: dict[str, Path]) -> None:
    asked = ["bash", "-c", ASK_BASH, "ask", str(scripts["bash"]), *line.split(" ")]
    assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip() == expected


def test_bash_leaves_files_to_the_shell(scripts: dict[str, Path]) -> None:
    asked = ["bash", "-c", ASK_BASH, "ask", str(scripts["bash"]), "recbole-li", "export", "x", "--output", ""]
    assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip() == ""
    assert "complete -o default" in scripts["bash"].read_text()


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_takes_the_script(scripts: dict[str, Path]) -> None:
    program = 'autoload -U compinit; compinit -u -D; source "$1"; print $_comps[recbole-li]'
    asked = ["zsh", "-f", "-c", program, "ask", str(scripts["zsh"])]
    assert "_recbole_li" in subprocess.run(asked, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish(scripts: dict[str, Path]) -> None:
    program = f"source {scripts['fish']};" + "echo ---;".join(f"complete -C '{line}';" for line, _ in ASKED)
    done = subprocess.run(["fish", "--no-config", "-c", program], capture_output=True, text=True, check=True)
    found = [[line.partition("\t")[0] for line in part.splitlines()] for part in done.stdout.split("---\n")]
    assert found == [[expected] if expected else [] for _, expected in ASKED]


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main.main(["completion", "tcsh"])
    assert "invalid choice: 'tcsh'" in capsys.readouterr().err
