"""Files of results, and vectors of texts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from recbole_longinterest.serving.model_folder import write_folder
from recbole_longinterest.text.cache import _shards
from tests.conftest import synthetic_inter, synthetic_item
from tests.kills.conftest import Trial, files_of
from tests.served import random_served, write_histories

READ = ["--model", "model", "--history", "histories.csv"]

pytestmark = [pytest.mark.slow, pytest.mark.exhaustive]


@pytest.mark.parametrize(
    "command",
    [
        ["recommend", *READ, "--output", "out"],
        ["explain", *READ, "--user", "u1", "--topk", "1", "--output", "out"],
        ["profile", *READ, "--output", "out"],
        ["strategies", *READ, "--output", "out"],
    ],
)
def test_a_result_replaces_another(trial: Callable[..., Trial], tmp_path: Path, command: list[str]) -> None:
    start = tmp_path / "start"
    write_folder(random_served(n_items=20), start / "model")
    write_histories(start / "histories.csv", number=4)
    lines = (start / "histories.csv").read_text().splitlines()
    known = {f"i{n}" for n in range(20)}
    kept = [line for line in lines[1:] if line.split(",")[1] in known]
    more = [f"u{user},i{item},3.0,,{item}" for user in range(3) for item in range(4)]
    (start / "histories.csv").write_text("\n".join([lines[0], *kept, *more]) + "\n")
    (start / "out").write_text("old")
    tried = trial(command, files_of)
    assert tried.old["out"] == b"old" != tried.new["out"]
    tried.kill_everywhere()
    tried.fill_everywhere()


@pytest.mark.parametrize("command", ["recommend", "export-vectors"])
def test_results_of_partitions_are_whole_or_not_there(
    trial: Callable[..., Trial], tmp_path: Path, command: str
) -> None:
    start = tmp_path / "start"
    write_folder(random_served(n_items=20), start / "model")
    (start / "in").mkdir()
    for part in range(2):
        rows = [(f"u{part}{user}", f"i{item}", float(item)) for user in range(2) for item in range(4)]
        pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]).to_parquet(start / "in" / f"{part}.parquet")

    def look(root: Path) -> Any:
        files = sorted((root / "out").rglob("[!.]*.parquet"))
        return {file.name: pq.ParquetFile(file).read().to_pylist() for file in files}

    tried = trial([command, "--model", "model", "--input", "in", "--output", "out"], look)
    assert tried.old == {} and len(tried.new) == (2 if command == "recommend" else 3)
    tried.right = lambda found: found.items() <= tried.new.items()
    tried.kill_everywhere()
    tried.fill_everywhere()


def test_vectors_that_are_made_stay(trial: Callable[..., Trial], tmp_path: Path) -> None:
    data = tmp_path / "start" / "data" / "tiny"
    data.mkdir(parents=True)
    (data / "tiny.inter").write_text(synthetic_inter(items=60))
    (data / "tiny.item").write_text(synthetic_item(60))

    def look(root: Path) -> Any:
        found = {}
        for folder in (root / "cache").glob("*"):
            for path, keys, vectors in _shards(folder):
                assert path.is_file()
                found.update({key: vector.tobytes() for key, vector in zip(keys, vectors, strict=True)})
        return found

    encode = ["encode", "--dataset", "tiny", "--data_path=data", "--text_fields=['title']", "--state=ERROR"]
    tried = trial(encode, look, work="tests.kills.scenarios:small_shards")
    assert tried.old == {} and len(tried.new) == 60
    tried.right = lambda found: found.items() <= tried.new.items()
    tried.kill_everywhere()
    tried.fill_everywhere()
