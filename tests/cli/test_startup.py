"""Help and errors of the command line cost no import of a heavy package."""

import subprocess
import sys
from pathlib import Path

import pytest

from recbole_longinterest.cli.main import COMMANDS
from recbole_longinterest.serving.model_folder import write_folder
from tests.conftest import PROJECT
from tests.served import random_served, write_histories

HEAVY = {"torch", "recbole", "ray", "pandas", "pyarrow", "numpy", "transformers", "matplotlib", "scipy"}
HEAVY |= {"fastapi", "pydantic", "uvicorn", "sqlalchemy", "alembic", "prometheus_client"}
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


def run_without_recbole(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process that cannot find RecBole."""
    return subprocess.run([sys.executable, "-c", HIDE_RECBOLE + program, *arguments], capture_output=True, text=True)


HIDE_RECBOLE = """
import sys
from importlib.machinery import PathFinder

class Hiding(PathFinder):
    hidden = True

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name == "recbole" and cls.hidden else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding
"""
COMMAND = "from recbole_longinterest.cli.main import main\nsys.exit(main(sys.argv[1:]))"
SENTENCE = (
    "recbole_longinterest needs RecBole 1.2.1 for this, and it is not installed: pip install --no-deps recbole==1.2.1 "
    "(recbole-li doctor checks the installation)\n"
)


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["encode"],
        ["adapt", "--output", "out"],
        ["graph", "--output", "out"],
        ["tune", "--model", "GRU4Rec", "--dataset", "ml-100k", "--output", "out"],
        ["compare", "--models", "GRU4Rec", "--datasets", "ml-100k", "--output", "out"],
        ["export", "a.pth", "-o", "b"],
        ["update", "a.pth", "--inter", "b"],
    ],
)
def test_without_recbole_a_command_says_what_to_install(arguments: list[str]) -> None:
    done = run_without_recbole(COMMAND, *arguments)
    assert (done.returncode, done.stderr) == (2, f"recbole-li: error: {SENTENCE}")


@pytest.mark.slow
def test_without_recbole_every_import_says_what_to_install() -> None:
    program = """
import importlib, pkgutil
import recbole_longinterest
from recbole_longinterest import LongInterestError
assert importlib.util.find_spec("recbole") is None
calls = [lambda name=name: getattr(recbole_longinterest, name) for name in recbole_longinterest.__all__]
calls += [recbole_longinterest.register, lambda: __import__("recbole.quick_start"), lambda: __import__("recbole")]
walk = pkgutil.walk_packages(recbole_longinterest.__path__, "recbole_longinterest.", onerror=lambda _: None)
names = [each.name for each in walk if not each.name.endswith("__main__")]
calls += [lambda name=name: importlib.import_module(name) for name in names]
said = []
for call in calls:
    try:
        call()
    except ImportError as error:
        assert isinstance(error, LongInterestError), repr(error)
        said.append(str(error))
print(len(names), len(said), *set(said), sep="\\n")
Hiding.hidden = False  # as after pip install in a notebook
from recbole.quick_start import load_data_and_model
print(recbole_longinterest.run.__name__, load_data_and_model.__module__)
"""
    done = run_without_recbole(program)
    assert done.returncode == 0, done.stderr
    modules, errors, *sentences, ready = done.stdout.splitlines()
    assert sentences == [SENTENCE.strip()]
    assert int(modules) > 150 and 50 < int(errors) < int(modules)
    assert ready == "run recbole_longinterest.plugin.fixes.load_model"


def test_without_recbole_a_model_serves_and_raw_files_are_prepared(tmp_path: Path) -> None:
    write_folder(random_served(), tmp_path / "m")
    history = str(write_histories(tmp_path / "h.csv"))
    served = ["--model", str(tmp_path / "m"), "--history", history]
    for arguments in (
        ["recommend", *served],
        ["strategies", *served],
        ["verify", str(tmp_path / "m")],
        ["explain", *served, "--user", "u1"],
        ["profile", *served, "--user", "u1"],
        [
            "prepare",
            "csv",
            history,
            "--user",
            "user_id",
            "--item",
            "item_id",
            "--time",
            "timestamp",
            "--output",
            str(tmp_path),
            "--name",
            "h",
        ],
    ):
        done = run_without_recbole(COMMAND, *arguments)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "h" / "h.inter").is_file()
    program = """
from recbole_longinterest import Event, Recommender
model = Recommender.load(sys.argv[1])
state = model.start()
state.update(Event("i1", rating=5, behavior="view", time=1))
print(len(model.recommend([Event("i1")], 3).items), len(state.recommend(3).items))
assert "recbole" not in sys.modules
"""
    done = run_without_recbole(program, str(tmp_path / "m"))
    assert done.stdout == "3 3\n", done.stderr


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
