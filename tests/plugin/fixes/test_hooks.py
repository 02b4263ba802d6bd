"""Patches come with RecBole's import, before or after the plugin's, and cost nothing until then."""

import ast
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import recbole_longinterest
from recbole_longinterest.plugin.fixes import hooks

Python = Callable[..., CompletedProcess[str]]
ROOT = Path(recbole_longinterest.__file__).parent
SEEN = """
from recbole.config.configurator import Config
from recbole.data.dataset import LongInterestDataset
from recbole.trainer import LongInterestTrainer
from recbole.utils import get_model, get_trainer, ensure_dir
from recbole.utils.argument_list import dataset_arguments
import recbole.quick_start.quick_start, recbole.quick_start, recbole.data, recbole.utils.logger, numpy
print(get_model("LongInterest").__module__, "text_fields" in dataset_arguments, numpy.str is numpy.str_)
print(Config._load_cmd_line.__module__, ensure_dir is recbole.utils.logger.ensure_dir, ensure_dir.__module__)
for module in (recbole.quick_start, recbole.quick_start.quick_start):
    print(module.objective_function.__module__, module.load_data_and_model.__module__)
print(recbole.data.create_dataset.__module__, recbole.quick_start.quick_start.create_dataset.__module__)
from recbole_longinterest.plugin.fixes import registry
print({each.state for each in registry.patches()})
"""


def test_importing_the_plugin_imports_nothing_heavy(python: Python) -> None:
    heavy = {"recbole", "torch", "numpy", "pandas", "ray", "transformers", "wrapt"}
    code = "import sys, recbole_longinterest; print(*sys.modules)"
    assert not heavy & set(python(code).stdout.split())


def test_importing_recbole_does_not_import_the_network(python: Python) -> None:
    code = "import sys, recbole_longinterest, recbole.config, recbole.trainer; print(*sys.modules)"
    loaded = set(python(code).stdout.split())
    assert "recbole_longinterest.plugin.fixes.trainers" in loaded
    assert not {"recbole_longinterest.plugin.longinterest", "recbole_longinterest.nn.network", "ray"} & loaded


def test_before_and_after_recbole(python: Python) -> None:
    before = python("import recbole_longinterest\n" + SEEN).stdout
    after = python(
        "import recbole.quick_start, recbole.utils.logger, recbole.data.dataset, recbole.trainer\n"
        "import recbole.model.sequential_recommender, recbole.model.general_recommender\n"
        "import recbole_longinterest\n" + SEEN
    ).stdout
    assert before == after
    lines = before.splitlines()
    assert lines[0] == "recbole_longinterest.plugin.longinterest True True"
    assert lines[1].split() == [
        *("recbole_longinterest.plugin.fixes.config", "True", "recbole_longinterest.plugin.fixes.environment")
    ]
    fixes = "recbole_longinterest.plugin.fixes"
    assert lines[2] == lines[3] == f"{fixes}.ray_objective {fixes}.load_model"
    assert lines[4] == f"{fixes}.loaders {fixes}.loaders"


def test_recboles_quick_start_runs_the_model_whichever_is_imported_first(
    python: Python, write_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    from tests.conftest import synthetic_inter

    settings = {"data_path": str(write_dataset("tiny", synthetic_inter())), "epochs": 1, "state": "ERROR"}
    settings |= {"hidden_size": 8, "embedding_size": 8, "show_progress": False}
    first, second = "from recbole.quick_start import run_recbole", "import recbole_longinterest"
    run = f"print(run_recbole('LongInterest', 'tiny', config_dict={settings})['test_result'])"
    results = {
        python("\n".join((*order, run)), cwd=tmp_path).stdout.splitlines()[-1]
        for order in ((first, second), (second, first))
    }
    assert len(results) == 1 and "recall@10" in results.pop()


def test_a_callback_comes_once_the_module_has_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    (tmp_path / "late_module.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    seen: list[int] = []
    hooks.when_imported("late_module", lambda module: seen.append(module.value))
    assert seen == [] and "late_module" not in sys.modules
    import late_module  # type: ignore[import-not-found]

    assert seen == [1]
    hooks.when_imported("late_module", lambda module: seen.append(module.value + 1))
    assert seen == [1, 2]
    monkeypatch.delitem(sys.modules, "late_module")
    assert late_module.value == 1


def test_every_module_with_patches_is_watched_for() -> None:
    with_patches = {
        file.stem for file in Path(hooks.__file__).parent.glob("*.py") if "registry import patch" in file.read_text()
    }
    assert with_patches == {fix for fixes in hooks.WATCHED.values() for fix in fixes}


FORKS = """
import os, sys, traceback
import pandas, ray.tune, scipy.sparse, sklearn.metrics, torch, torch.utils.tensorboard  # once for all children
import recbole_longinterest
failed = []
for name in sys.argv[1:]:
    child = os.fork()
    if not child:
        try:
            __import__(name)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    if os.waitpid(child, 0)[1]:
        failed.append(name)
print("failed:", *failed)
"""


@pytest.mark.slow
def test_any_of_our_modules_may_be_imported_first(python: Python) -> None:
    """A hook must not come back to a module of ours that is half imported."""
    names = [
        ".".join(("recbole_longinterest", *file.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
        for room in ("plugin", "data")
        for file in sorted((ROOT / room).rglob("*.py"))
    ]
    assert len(names) > 40
    done = python(FORKS, *names)
    assert done.stdout.splitlines()[-1] == "failed:", done.stderr[-3000:]


def test_patches_import_late_only_what_they_say() -> None:
    """An import inside a function says why."""
    for file in sorted(Path(hooks.__file__).parent.glob("*.py")):
        lines = file.read_text().splitlines()
        for node in ast.walk(ast.parse("\n".join(lines))):
            for child in getattr(node, "body", []) if isinstance(node, ast.FunctionDef) else []:
                if isinstance(child, (ast.Import, ast.ImportFrom)):
                    near = " ".join(lines[max(child.lineno - 3, 0) : child.lineno + 4]).lower()
                    assert "late" in near, f"{file.name}, line {child.lineno}"
