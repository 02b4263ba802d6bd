"""Help and errors of the command line cost no import of a heavy package."""

import subprocess
import sys
from pathlib import Path

import pytest

from recbole_longinterest.cli.main import COMMANDS
from recbole_longinterest.serving.model_folder import write_folder
from tests.conftest import PROJECT
from tests.served import random_served

HEAVY = {"torch", "recbole", "ray", "pandas", "pyarrow", "numpy", "transformers", "matplotlib", "scipy"}
PROGRAM = """
import sys
from recbole_longinterest.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as stop:
    assert stop.code in (None, 0), stop.code
print("imported:", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def imported(program: str, *arguments: str) -> set[str]:
    """Top-level packages that a program has imported at its end, in a fresh process."""
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("imported: ")[2].split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_imports_no_heavy_package(arguments: list[str]) -> None:
    found = imported(PROGRAM, *arguments)
    assert "recbole_longinterest" in found and not found & HEAVY


@pytest.mark.parametrize("source", ["movielens", "amazon", "steam", "csv"])
def test_help_of_a_source_of_raw_files_imports_no_heavy_package(source: str) -> None:
    assert not imported(PROGRAM, "prepare", source, "--help") & HEAVY


def test_importing_the_package_imports_no_heavy_package() -> None:
    program = "import sys, recbole_longinterest\nprint('imported:', *sys.modules)"
    found = imported(program)
    assert "recbole_longinterest" in found and not found & HEAVY


def test_loading_a_model_imports_neither_recbole_nor_pandas(tmp_path: Path) -> None:
    write_folder(random_served(), tmp_path / "m")
    program = (
        "import sys\nfrom recbole_longinterest import Recommender\nRecommender.load(sys.argv[1])\n"
        "print('imported:', *sys.modules)"
    )
    assert imported(program, str(tmp_path / "m")) & HEAVY == {"torch", "numpy"}


NO_RECBOLE = """
import sys
sys.modules["recbole"] = None
from recbole_longinterest.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("arguments", [["run"], ["export", "a.pth", "-o", "b"], ["update", "a.pth", "--inter", "b"]])
def test_without_recbole_a_command_says_what_to_install(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", NO_RECBOLE, *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        "recbole-li: error: recbole_longinterest needs RecBole 1.2.1, which is not installed: pip install "
        "recbole==1.2.1\n"
    )


@pytest.mark.slow
def test_help_is_fast_and_loading_a_model_takes_little_beside_torch(tmp_path: Path) -> None:
    script = PROJECT / "benchmarks" / "startup.py"
    if not script.is_file():
        pytest.skip("not a checkout")
    write_folder(random_served(), tmp_path / "m")
    command = [sys.executable, str(script), "--model", str(tmp_path / "m"), "--runs", "1"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    in_torch_units = {line[:30].strip(): float(line[30:].split()[2]) for line in out.splitlines()[1:]}
    assert in_torch_units.pop("import torch") == 1
    assert in_torch_units.pop("Recommender.load") < 1.3
    assert len(in_torch_units) >= len(COMMANDS) and max(in_torch_units.values()) < 0.3, out
