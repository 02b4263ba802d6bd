"""`prepare` makes a data set or none, and replaces one by another or not at all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kills.conftest import Trial, files_of

pytestmark = [pytest.mark.slow, pytest.mark.exhaustive]

ARGUMENTS = ["prepare", "csv", "raw/log.csv", "--user", "u", "--item", "i", "--time", "t", "--text", "title", "--quiet"]
ARGUMENTS += ["--name", "shop", "--output", "data"]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "start" / "raw"
    folder.mkdir(parents=True)
    rows = [f"u{n % 7},i{n % 5},{10**9 + n},Title {n % 5}" for n in range(40)]
    (folder / "log.csv").write_text("u,i,t,title\n" + "\n".join(rows) + "\n")
    (folder / "less.csv").write_text("u,i,t\n" + "\n".join(f"u{n % 3},i{n % 2},{n}" for n in range(9)) + "\n")
    return folder


def data_of(root: Path) -> Any:
    return {name: content for name, content in files_of(root).items() if name.startswith("data/")}


LESS = [word.replace("log.csv", "less.csv") for word in ARGUMENTS if word not in ("--text", "title")]


def test_a_new_data_set(trial: Callable[..., Trial], raw: Path) -> None:
    tried = trial(ARGUMENTS, data_of)
    assert tried.old == {} and len(tried.new) == 5
    tried.kill_everywhere()
    tried.fill_everywhere()


def test_a_data_set_that_is_replaced_and_other_files_beside_it(trial: Callable[..., Trial], raw: Path) -> None:
    own = raw.parent / "data" / "shop"
    (own / "notes").mkdir(parents=True)
    (own / "shop.user").write_text("user_id:token\n")
    (own / "notes" / "a.txt").write_text("mine")
    tried = trial([*LESS, "--overwrite"], data_of, [*ARGUMENTS, "--plots"])
    assert {"data/shop/shop.user", "data/shop/notes/a.txt", "data/shop/shop.item"} <= tried.old.keys()
    assert tried.old.keys() - tried.new.keys() >= {"data/shop/shop.item"} and "data/shop/shop.user" in tried.new
    tried.kill_everywhere()
    tried.fill_everywhere()


def test_parquet_replaces_text(trial: Callable[..., Trial], raw: Path) -> None:
    tried = trial([*ARGUMENTS, "--overwrite", "--format", "parquet"], data_of, ARGUMENTS)
    assert any(name.endswith(".parquet") for name in tried.new) and "data/shop/shop.inter" not in tried.new
    tried.kill_everywhere()
    tried.fill_everywhere()


def test_a_data_set_of_an_earlier_version_that_is_replaced(trial: Callable[..., Trial], raw: Path) -> None:
    """Its settings were a file of their own."""
    own = raw.parent / "data" / "shop"
    own.mkdir(parents=True)
    (own.parent / "dataset_configs").mkdir()
    (own / "shop.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\na\tb\t1\n")
    (own.parent / "dataset_configs" / "shop.yaml").write_text("text_fields: [old]\n")

    def look(root: Path) -> Any:
        found = data_of(root)
        if b"old" in found["data/dataset_configs/shop.yaml"]:  # a copy of the old ones makes no difference
            found.pop("data/shop/prepare.yaml", None)
        return found

    tried = trial([*ARGUMENTS, "--overwrite"], look)
    tried.kill_everywhere()
    tried.fill_everywhere()
