"""New events as CSV, Parquet and JSON lines, with columns and dates of their own, in the training's unit of time."""

import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from recbole_longinterest.cli.main import main
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.update.event_table import write_inter
from recbole_longinterest.training.update.update import update_checkpoint
from tests.conftest import synthetic_inter
from tests.training.update.made import HEADER, LATER, new_events

COLUMNS = {"user": "who", "item": "what", "time": "when", "rating": "stars"}


def table() -> pd.DataFrame:
    """The events of the fixture ``inter`` with names of their own and ISO dates."""
    rows = [line.split("\t") for line in new_events(range(20, 40), range(15, 25)).splitlines()[1:]]
    dates = [datetime.fromtimestamp(int(row[3]), timezone.utc).isoformat() for row in rows]
    return pd.DataFrame(
        {
            "who": [row[0] for row in rows],
            "what": [row[1] for row in rows],
            "stars": [float(row[2]) for row in rows],
            "when": dates,
        }
    )


def config_of(folder: Path, inter: str = synthetic_inter(), **settings: Any) -> dict[str, Any]:
    """What a training's config says of its files."""
    (folder / "d").mkdir()
    (folder / "d" / "d.inter").write_text(inter)
    return {
        **{"dataset": "d", "data_path": str(folder / "d"), "field_separator": "\t", "seq_separator": " "},
        **{"encoding": None, "USER_ID_FIELD": "user_id", "ITEM_ID_FIELD": "item_id", "TIME_FIELD": "timestamp"},
        **{"RATING_FIELD": "rating", "BEHAVIOR_FIELD": "behavior", "load_col": None, "unload_col": None, **settings},
    }


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "jsonl"])
def test_any_format_gives_the_events_of_the_inter_file(tmp_path: Path, kind: str) -> None:
    source = tmp_path / f"new.{kind}"
    events = table()
    if kind == "parquet":
        events["when"] = pd.to_datetime(events["when"])
        events.to_parquet(source)
    elif kind == "jsonl":
        source.write_text("".join(json.dumps(row) + "\n" for row in events.to_dict("records")))
    else:
        events.to_csv(source, index=False, sep="," if kind == "csv" else "\t")
    write_inter(config_of(tmp_path), source, tmp_path / "out.inter", COLUMNS)
    assert (tmp_path / "out.inter").read_text() == new_events(range(20, 40), range(15, 25))


def test_a_csv_file_with_columns_of_its_own_updates_a_model(
    parent: Path, inter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table().to_csv(tmp_path / "new.csv", index=False)
    output = parent.with_name("csv.pth")
    words = ["update", str(parent), "--inter", str(tmp_path / "new.csv"), "-o", str(output)]
    assert main([*words, "--user", "who", "--item", "what", "--time=when", "--rating=stars"]) == 0
    assert "new: 80 events, 10 users, 5 items" in capsys.readouterr().out
    wanted = update_checkpoint(parent, inter)
    one, other = (Path(f"{file}.data") / "tiny" / "tiny.inter" for file in (output, wanted.checkpoint))
    assert one.read_bytes() == other.read_bytes()
    assert sorted(file.name for file in one.parent.parent.iterdir()) == ["merged.json", "shown.npy", "tiny"]

    words = words[:4]
    assert main([*words, "--user-column", "who", "--item", "nothing"]) == 2
    assert "has no column nothing (for item)" in capsys.readouterr().err
    assert main([*words, "--user", "who", "--user-column", "what"]) == 2
    assert "--user takes one file of users and at most one column name" in capsys.readouterr().err
    assert main([*words, "--user", "who"]) == 2 and not list(parent.parent.glob("*update*.data/new.inter"))


def test_events_of_another_unit_are_refused_with_the_factor(
    parent: Path, write: Callable[[str, str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    milli = new_events(range(5), range(10), at=LATER * 1000)
    for file in (write("ms.inter", milli), write("ms.csv", "user_id,item_id,rating,timestamp\n" + csv_rows(milli))):
        assert main(["update", str(parent), "--inter", str(file)]) == 2
        error = capsys.readouterr().err
        assert "may be milliseconds" in error and "Divide by 1000." in error
    assert not list(parent.parent.glob("*.data"))


def test_dates_become_milliseconds_for_a_model_of_milliseconds(tmp_path: Path) -> None:
    lines = [line.split("\t") for line in synthetic_inter().splitlines()]
    old = "\n".join("\t".join([*row[:3], row[3] if n == 0 else row[3] + "000"]) for n, row in enumerate(lines)) + "\n"
    (tmp_path / "n.csv").write_text("user_id,item_id,timestamp\nu1,i1,2010-01-02T03:04:05.250Z\nu1,i2,2010-01-03\n")
    write_inter(config_of(tmp_path, old), tmp_path / "n.csv", tmp_path / "out.inter")
    assert (tmp_path / "out.inter").read_text().splitlines()[1:] == ["u1\ti1\t1262401445250", "u1\ti2\t1262476800000"]


def test_what_an_atomic_file_cannot_hold_is_refused(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    (tmp_path / "n.csv").write_text(f'user_id,item_id,timestamp\nu1,"i\t1",{LATER}\n')
    with pytest.raises(ValueError, match=r"n\.csv, row 1: item_id has a line end, a quote at its start or '\\t'"):
        write_inter(config, tmp_path / "n.csv", tmp_path / "out.inter")
    (tmp_path / "n.csv").write_text("user_id,item_id\nu1,i1\n")
    with pytest.raises(ValueError, match="has no column timestamp, which an update needs"):
        write_inter(config, tmp_path / "n.csv", tmp_path / "out.inter")
    assert not (tmp_path / "out.inter").exists()


def test_further_columns_that_the_model_reads_are_kept(small_config: Callable[..., Any], tmp_path: Path) -> None:
    head, *lines = synthetic_inter().splitlines()
    old = "\n".join([f"{head}\tdevice:token", *(f"{line}\t{'ab'[n % 2]}" for n, line in enumerate(lines))]) + "\n"
    run = pipeline.run(small_config(inter=old, event_features=["device"]))
    rows = csv_rows(new_events(range(20, 30), range(10))).replace("\n", ",b\n")
    (tmp_path / "n.csv").write_text("user_id,item_id,rating,timestamp,device\n" + rows)
    done = update_checkpoint(run.checkpoint or "", tmp_path / "n.csv")
    merged = (done.checkpoint.with_name(f"{done.checkpoint.name}.data") / "tiny" / "tiny.inter").read_text()
    assert merged.startswith(old) and merged.removeprefix(old).count("\tb\n") == 40


def csv_rows(inter: str) -> str:
    return inter.removeprefix(HEADER).replace("\t", ",")
