"""A source of raw data is one file: registered by code or by an entry point, it is a word of `recbole-li prepare`."""

import argparse
import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recbole_longinterest.cli import main
from recbole_longinterest.common.atomic_files import read_header
from recbole_longinterest.data.log_reader import read_columns
from recbole_longinterest.prepare.catalogue import TEXT, Catalogue
from recbole_longinterest.prepare.readers.chunks import Chunk, Tally, string_array
from recbole_longinterest.prepare.readers.files import RawFile, gather, plain_name
from recbole_longinterest.prepare.sources.base import Advance, RawData, RawSource, Roles
from recbole_longinterest.prepare.sources.registry import known_sources, register_source, unregister_source
from recbole_longinterest.text.reader import read_item_text

# --- the toy: lines of user;item;seconds;title, and an argument of its own ------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path)
    parser.add_argument("--year", type=int, default=1970, help="added to the seconds")


def open_log(args: argparse.Namespace) -> RawData:
    def chunks(file: RawFile, advance: Advance) -> Iterator[Chunk]:
        rows = [line.split(";") for line in file.path.read_text().splitlines()]
        users, items, times, _ = zip(*rows, strict=True)
        times = tuple(str(int(time) + (args.year - 1970) * 31_556_952) for time in times)
        columns = {"user": string_array(users), "item": string_array(items), "time": string_array(times)}
        yield Chunk(str(file), columns, len(rows), line_of=lambda row: row + 1)
        advance(file.size())

    def describe(catalogue: Catalogue, tally: Tally, advance: Advance) -> None:
        for line in args.path.read_text().splitlines():
            _, raw, _, title = line.split(";")
            item = catalogue.wants(raw)
            if item is not None:
                catalogue.describe(item, {"title": title})

    files = gather([args.path])
    return RawData(
        label="toy log",
        name=plain_name(args.path),
        roles=Roles("user", "item", "time"),
        files=files,
        chunks=chunks,
        duplicates="exact",
        kinds={"title": TEXT},
        item_files=files,
        describe=describe,
        text_fields=("title",),
    )


TOY = RawSource("toy", "toy logs of user;item;seconds;title", add_arguments, open_log)


@pytest.fixture
def toy() -> Iterator[RawSource]:
    register_source(TOY)
    yield TOY
    unregister_source("toy")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "my log.txt"
    file.write_text("u1;i1;100;Heat\nu1;i2;200;Casino\nu2;i1;300;Heat\nu2;i1;300;Heat\n")
    return file


def test_a_toy_source_writes_atomic_files_that_load(toy: RawSource, log: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    code = main.main(["prepare", "toy", str(log), "--year", "2000", "--output", str(output), "--quiet"])
    assert code == 0
    inter = str(output / "my-log" / "my-log.inter")
    columns = read_header(inter, "\t", None)
    assert columns == [("user_id", "token"), ("item_id", "token"), ("timestamp", "float")]
    table = read_columns(inter, columns, "\t", "utf-8")
    assert table["user_id"].tolist() == ["u1", "u1", "u2"]  # the duplicate is gone, by the source's own rule
    assert table["timestamp"].tolist() == [946708660.0, 946708760.0, 946708860.0]
    texts = read_item_text(output / "my-log" / "my-log.item", "item_id", ["title"])
    assert texts == {"i1": "Heat", "i2": "Casino"}


def test_a_prepared_toy_trains(toy: RawSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recbole.data import create_dataset

    from recbole_longinterest.training.settings import make_config

    monkeypatch.chdir(tmp_path)
    log = tmp_path / "log.txt"
    log.write_text("".join(f"u{user};i{item};{item};T{item}\n" for user in range(4) for item in range(6)))
    assert main.main(["prepare", "toy", str(log), "--name", "toys", "--quiet"]) == 0
    config = make_config("LongInterest", "toys", [], {"data_path": "dataset", "text_features": "off"})
    dataset = create_dataset(config)
    assert (dataset.user_num, dataset.item_num, dataset.inter_num) == (5, 7, 24)


def test_help_lists_it_with_its_arguments(toy: RawSource, capsys: pytest.CaptureFixture[str]) -> None:
    for words, says in ((["--help"], "toy        toy logs of user;item"), (["toy", "--help"], "--year YEAR")):
        with pytest.raises(SystemExit, match="0"):
            main.main(["prepare", *words])
        assert says in capsys.readouterr().out


def test_a_name_of_another_source_is_refused() -> None:
    with pytest.raises(ValueError, match=r"A source named movielens already exists\. Give another name"):
        register_source(RawSource("movielens", "mine", add_arguments, open_log))
    with pytest.raises(ValueError, match="must have only lower-case letters, digits and dashes; got 'My Log'"):
        register_source(RawSource("My Log", "mine", add_arguments, open_log))
    assert list(known_sources()) == ["movielens", "amazon", "steam", "csv"]


def test_an_unknown_source_is_refused_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["prepare", "netflix", "x"]) == 2
    assert "one of movielens, amazon, steam, csv; got 'netflix'" in capsys.readouterr().err


class Entry:
    """An entry point of an installed package."""

    name, value = "toy", "toys:TOY"

    def __init__(self, found: Any) -> None:
        self.found = found

    def load(self) -> Any:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def test_a_package_adds_a_source_by_its_entry_point(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def entry_points(group: str) -> list[Entry]:
        assert group == "recbole_longinterest.sources"
        return [Entry(ImportError("No module named 'toys'")), Entry(TOY)]

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    try:
        assert main.main(["prepare", "toy", str(log), "--output", str(tmp_path / "out"), "--quiet"]) == 0
    finally:
        unregister_source("toy")
    assert "The source toy of toys:TOY cannot be used: No module named 'toys'" in caplog.text


def test_arguments_of_all_sources_need_no_heavy_package() -> None:
    code = """
import argparse, sys
from recbole_longinterest.prepare.sources.registry import known_sources
for source in known_sources().values():
    source.add_arguments(argparse.ArgumentParser())
heavy = {"numpy", "pandas", "pyarrow", "torch", "recbole", "tqdm", "yaml"} & set(sys.modules)
sys.exit(f"imported: {heavy}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
