"""Comparisons and searches after a kill at any point."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recbole_longinterest.experiments.epochs import read_epochs
from tests.conftest import synthetic_inter
from tests.kills.conftest import Trial, files_of

pytestmark = [pytest.mark.slow, pytest.mark.exhaustive]
TIMES = ("seconds", "peak_memory_mb", "train_seconds", "gpu_memory_mb", "manifest")


@pytest.fixture(autouse=True)
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "start" / "data" / "tiny"
    folder.mkdir(parents=True)
    (folder / "tiny.inter").write_text(synthetic_inter(events=6))
    return folder


def results_of(root: Path) -> Any:
    """Results of the cells without what a run measures of time and memory; every file must be readable."""
    found: dict[str, Any] = {}
    for file in sorted(root.glob("out/cells/*/*/result.json")):
        content = json.loads(file.read_text())
        if content["status"] == "finished":
            found[content["name"]] = {name: value for name, value in content.items() if name not in TIMES}
            assert read_epochs(file.parent) or content["name"] in ("Pop", "Their")
            assert (file.parent / "ranks.parquet").read_bytes().endswith(b"PAR1")
    for name in ("summary.html", "table.tex", "results.csv"):
        assert not (root / "out" / name).exists() or (root / "out" / name).stat().st_size
    return found


def test_a_comparison_goes_on(trial: Callable[..., Trial]) -> None:
    compare = ["compare", "--models=GRU4Rec,Pop", "--seeds=1", "--datasets=tiny", "--data_path=data", "--output=out"]
    compare += ["--hidden_size=8", "--embedding_size=8", "--epochs=1", "--quiet", "--state=ERROR"]
    tried = trial(compare, results_of, work="tests.kills.scenarios:compare_in_forks")
    assert tried.old == {} and set(tried.new) == {"GRU4Rec", "Pop"}
    tried.right = lambda found: found.items() <= tried.new.items()
    tried.kill_everywhere(sizes=[])


def test_lists_of_another_system_are_ranked_again(trial: Callable[..., Trial], data: Path) -> None:
    rows = [f"u{user},i{item},{item}" for user in range(30) for item in range(20)]
    (data.parent.parent / "their.csv").write_text("\n".join(["user,item,score", *rows]) + "\n")
    compare = ["compare", "--models=", "--lists=Their=their.csv", "--datasets=tiny", "--data_path=data", "--output=out"]
    tried = trial([*compare, "--quiet", "--state=ERROR"], results_of, work="tests.kills.scenarios:compare_in_forks")
    assert tried.old == {} and set(tried.new) == {"Their"}
    tried.right = lambda found: found.items() <= tried.new.items()
    tried.kill_everywhere(sizes=[])


def test_an_exported_split_replaces_another(trial: Callable[..., Trial]) -> None:
    export = ["compare", "--export-split=split", "--datasets=tiny", "--data_path=data", "--state=ERROR"]
    tried = trial(export, files_of, [*export, "--MAX_ITEM_LIST_LENGTH=3"])
    assert tried.old["split/split.json"] != tried.new["split/split.json"]
    tried.kill_everywhere()
    tried.fill_everywhere()


def test_a_search_goes_on(trial: Callable[..., Trial]) -> None:
    def look(root: Path) -> Any:
        found = {}
        for folder in root.glob("out/trials/*"):
            ended = folder / "end.json"
            if ended.is_file():
                epochs = [{name: epoch[name] for name in epoch if name != "seconds"} for epoch in read_epochs(folder)]
                found[folder.name] = json.loads(ended.read_text()), epochs
        best = root / "out" / "best.yaml"
        assert not best.is_file() or best.read_text().endswith("\n")
        return found

    tried = trial(["out", "tiny"], look, work="tests.kills.scenarios:search_without_ray")
    assert tried.old == {} and len(tried.new) == 2 and "out/best.pth" in files_of(tried.root)
    tried.right = lambda found: found.items() <= tried.new.items()
    tried.kill_everywhere(sizes=[])
