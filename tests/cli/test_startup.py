"""Help and errors of the command line cost no import of a heavy package."""

import os
import subprocess
import sys

import pytest

from recbole_longinterest.cli.main import COMMANDS

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
    environment = {**os.environ, "RECBOLE_LI_REGISTER": "off"}  # goes as soon as RecBole is patched on its import
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, env=environment, check=True
    )
    return set(done.stdout.rpartition("imported: ")[2].split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_imports_no_heavy_package(arguments: list[str]) -> None:
    found = imported(PROGRAM, *arguments)
    assert "recbole_longinterest" in found and not found & HEAVY


@pytest.mark.parametrize("source", ["movielens", "amazon", "steam", "csv"])
def test_help_of_a_source_of_raw_files_imports_no_heavy_package(source: str) -> None:
    assert not imported(PROGRAM, "prepare", source, "--help") & HEAVY
