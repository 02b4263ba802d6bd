"""Files of events: any format, own names of columns, numbers or dates; the same events give the same table."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recbole_longinterest.serving.event_files import read_events
from recbole_longinterest.serving.event_times import EventTimes
from recbole_longinterest.serving.events import Event
from recbole_longinterest.serving.model_folder import Served
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.training_times import TrainingTimes
from tests.served import random_served

FIELDS = {"user": "user_id", "item": "item_id", "rating": "rating", "behavior": "behavior", "time": "timestamp"}
TIMES = EventTimes(TrainingTimes(1.5e9, 1.5005e9, 1.501e9))
OWN = {"user": "who", "item": "what", "rating": "stars", "behavior": "how", "time": "when"}
TABLE = pd.DataFrame(
    {"who": ["a", "b"], "what": ["10", "007"], "stars": [4.5, None], "how": ["buy", None], "when": [1.5e9, 1.5e9 + 1]}
)


def write(table: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    elif path.suffix in (".jsonl", ".ndjson"):
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_csv(path, sep="\t" if path.suffix == ".tsv" else path.stem[-1:], index=False)
    return path


@pytest.mark.parametrize("name", ["h.parquet", "h.jsonl", "h.ndjson", "h.tsv", "h,.csv", "h;.csv", "h|.CSV"])
@pytest.mark.parametrize("form", ["numbers", "iso", "dates"])
def test_every_format_gives_the_same_table(tmp_path: Path, name: str, form: str) -> None:
    table = TABLE.copy()
    if form != "numbers":
        table["when"] = pd.to_datetime(table["when"], unit="s")
    if form == "iso" or (form == "dates" and not name.endswith("parquet")):
        table["when"] = table["when"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    found = read_events(write(table, tmp_path / name), FIELDS, columns=OWN, times=TIMES)
    assert list(found) == list(FIELDS.values())
    assert found["item_id"].tolist() == ["10", "007"] and found["user_id"].tolist() == ["a", "b"]
    assert found["timestamp"].tolist() == [1.5e9, 1.5e9 + 1] and found["timestamp"].dtype == np.float64
    assert found["rating"].tolist()[0] == 4.5 and found["rating"].isna().tolist() == [False, True]
    assert found["behavior"].tolist()[0] == "buy" and found["behavior"].isna().tolist() == [False, True]


def test_a_parquet_file_of_any_types(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "user_id": pd.Categorical(["a", "b"]),
            "item_id": pd.array([2**53 + 1, 2], dtype="int64"),
            "tags": [["x", "y"], []],
            "timestamp": pd.to_datetime(["2017-07-14T04:40:00+02:00", None], utc=True).tz_convert("Asia/Tokyo"),
        }
    )
    table.to_parquet(tmp_path / "h.parquet")
    found = read_events(tmp_path / "h.parquet", FIELDS, features=["tags"], times=TIMES)
    assert found["item_id"].tolist() == [str(2**53 + 1), "2"] and found["tags"].tolist() == [["x", "y"], []]
    assert found["timestamp"].tolist()[0] == 1.5e9 and np.isnan(found["timestamp"].tolist()[1])
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ValueError, match=r"broken\.parquet cannot be read"):
        read_events(tmp_path / "broken.parquet", FIELDS)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (["1500000000000"], {}, r"may be milliseconds, and the training's are seconds.*Divide by 1000\."),
        (["20200731"], {}, "may be dates written as YYYYMMDD"),
        (["soon"], {}, "when must be a finite number or an ISO date; row 1 has 'soon'"),
        (["inf"], {}, "when must be a finite number; row 1 has 'inf'"),
        (["31.12.2019"], {}, "when must be a finite number or an ISO date; row 1 has '31.12.2019'"),
        (["2019-12-31"], {"time_format": "%d.%m.%Y"}, "when must be a date in the format %d.%m.%Y; row 1 has '2019"),
        (["1"], {"time_format": "%Q"}, "The time format must be valid for datetime.strptime; got '%Q'"),
    ],
)
def test_times_that_are_none_are_one_sentence(
    tmp_path: Path, values: list[str], options: dict[str, Any], message: str
) -> None:
    path = write(pd.DataFrame({"what": ["1"] * len(values), "when": values}), tmp_path / "h,.csv")
    with pytest.raises(ValueError, match=message):
        read_events(path, FIELDS, columns={"item": "what", "time": "when"}, times=TIMES, **options)


def test_dates_of_another_form_are_read_by_it(tmp_path: Path) -> None:
    path = write(pd.DataFrame({"item_id": ["1", "2"], "timestamp": ["14.07.2017", ""]}), tmp_path / "h,.csv")
    found = read_events(path, FIELDS, times=TIMES, time_format="%d.%m.%Y")["timestamp"].tolist()
    assert found[0] == 1_499_990_400 and np.isnan(found[1])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item": "sku"}, r"has no column sku \(for item\); its columns are who, what"),
        ({"item": "what", "user": "what"}, "one column cannot be two of item, user"),
        ({"thing": "what"}, "The keys of columns must be among user, item, rating, behavior, time; got 'thing'"),
    ],
)
def test_names_that_do_not_fit_are_one_sentence(tmp_path: Path, columns: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_events(write(TABLE, tmp_path / "h.tsv"), FIELDS, columns=columns)


def test_a_name_of_the_training_may_stand_for_another_column(tmp_path: Path) -> None:
    table = pd.DataFrame({"item_id": ["shop", "shop"], "sku": ["1", "2"], "user_id": ["a", "a"]})
    found = read_events(write(table, tmp_path / "h.tsv"), FIELDS, columns={"item": "sku", "user": "item_id"})
    assert found["item_id"].tolist() == ["1", "2"] and found["user_id"].tolist() == ["shop", "shop"]


def served(**about: Any) -> Served:
    served = random_served()
    served.about.update(about)
    return served


SECONDS = {"first": 1.5e9, "median": 1.5005e9, "last": 1.501e9}
MS = "may be milliseconds, and the training's are seconds from 1500000000 to 1501000000. Divide by 1000"


def test_no_way_into_a_model_takes_milliseconds_for_seconds() -> None:
    model = Recommender(served(times=SECONDS))
    event = Event("i1", time=1_500_000_000_000)
    table = pd.DataFrame({"user_id": ["a", "b"], "item_id": ["i1", "i2"], "timestamp": [1.5e12, 1.5e12]})
    state = model.start()
    assert state.update(Event("i2", time=1.5e9))
    for call in (
        lambda: model.recommend([event]),
        lambda: model.recommend_many({"a": ["i1"], "b": [event]}),
        lambda: model.recommend_batch(table),
        lambda: model.recommend_batch(table.assign(timestamp=table["timestamp"].astype("Int64"))),
        lambda: model.read_table(table),
        lambda: model.start().update(event),
        lambda: state.update(event),
    ):
        with pytest.raises(ValueError, match=MS):
            call()
    assert state.events == 1 and state.last_time == 1.5e9


def test_dates_and_own_names_give_what_numbers_give() -> None:
    model = Recommender(served(times=SECONDS))
    numbers = pd.DataFrame(
        {"user_id": ["a", "a"], "item_id": ["i1", "i2"], "rating": [1, 5], "timestamp": [1.5e9, 1.5e9 + 60]}
    )
    expected = model.recommend_batch(numbers, 3)
    stamps = pd.to_datetime(numbers["timestamp"], unit="s")
    for dates in (stamps, stamps.dt.tz_localize("UTC"), stamps.dt.strftime("%Y-%m-%d %H:%M:%S"), stamps.astype(object)):
        table = numbers.assign(timestamp=dates)
        pd.testing.assert_frame_equal(model.recommend_batch(table, 3), expected)
    own = {"user": "who", "item": "what", "rating": "stars", "time": "when"}
    named = numbers.rename(columns={"user_id": "who", "item_id": "what", "rating": "stars", "timestamp": "when"})
    pd.testing.assert_frame_equal(model.recommend_batch(named, 3, columns=own), expected)
    events = [Event("i1", 1, None, "2017-07-14T02:40:00"), Event("i2", 5, None, stamps[1].to_pydatetime())]
    assert [item.item for item in model.recommend(events, 3).items] == expected["item_id"].tolist()
    state = model.start()
    for event in events:
        state.update(event)
    assert [item.item for item in state.recommend(3).items] == expected["item_id"].tolist()


def test_dates_for_a_model_of_other_times_are_refused_and_old_exports_say_so(caplog: pytest.LogCaptureFixture) -> None:
    model = Recommender(served(times={"first": 0, "median": 50, "last": 100}))
    with pytest.raises(
        ValueError, match="has dates, but the training's times are numbers from 0 to 100, which are not"
    ):
        model.recommend([Event("i1", time="2020-01-01")])
    old = Recommender(served())
    found = [old.recommend([Event("i1"), Event("i2", time=time)], 3).items for time in ("2020-01-01", 1_577_836_800)]
    assert found[0] == found[1] and caplog.text.count("does not have the unit of the training's times") == 1
