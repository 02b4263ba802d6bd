"""Users without a history get what is popular of late, and every output says so."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recbole_longinterest.cli import main
from recbole_longinterest.serving.model_folder import Served, read_folder, write_folder
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.results import frame_of
from recbole_longinterest.serving.state import recommend_states
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.export import export_checkpoint
from recbole_longinterest.training.popularity import recent_counts
from tests.served import random_served


def counted() -> Served:
    served = random_served()
    served.items.recent = [0] * len(served.items.tokens)
    for item, number in (("i7", 30), ("i3", 20), ("i5", 20), ("i1", 2)):
        served.items.recent[served.items.tokens.index(item)] = number
    return served


def test_an_empty_history_gets_what_is_popular() -> None:
    model = Recommender(counted())
    found = model.recommend([], 4)
    assert [item.item for item in found.items] == ["i7", "i3", "i5", "i1"] and found.basis == "popularity"
    assert [item.score for item in found.items] == [30, 20, 20, 2] and found.items[0].title == "Title <7>"
    assert (found.events, found.unknown, found.problem) == (0, [], None)
    assert found == model.start().recommend(4) == model.recommend_many({"a": []}, 4)["a"]
    assert model.recommend(["i9"], 4).basis == "interest"
    assert model.recommend(["zz"], 4).unknown == ["zz"] and model.recommend(["zz"], 4).items == found.items
    assert len(model.recommend([], 10**6).items) == model.n_items
    assert [item.item for item in model.recommend([], 2, exclude=["i7"]).items] == ["i3", "i5"]
    assert [item.item for item in model.recommend([], 9, candidates=["i1", "i5"]).items] == ["i5", "i1"]
    states = [model.start(), model.start()]
    states[1].update("i9")
    assert [part.basis for part in recommend_states(states, 3)] == ["popularity", "interest"]


def test_every_output_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    write_folder(counted(), tmp_path / "m")
    model = Recommender.load(tmp_path / "m")
    (tmp_path / "h.csv").write_text("user_id,item_id\na,i1\nb,zz\n")
    common = ["-m", str(tmp_path / "m"), "--history", str(tmp_path / "h.csv")]
    assert main.main(["recommend", *common, "-k", "2"]) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert table["basis"].tolist() == ["interest"] * 2 + ["popularity"] * 2
    assert table["item_id"].tolist()[2:] == ["i7", "i3"]
    assert "user b gets popular items: the model knows none of its items" in caplog.text
    assert main.main(["recommend", *common, "-k", "2", "--format", "jsonl"]) == 0
    assert [json.loads(line)["basis"] for line in capsys.readouterr().out.splitlines()] == ["interest", "popularity"]
    assert main.main(["explain", *common, "--user", "b"]) == 2
    assert "There is nothing to explain: the model knows none of its items" in capsys.readouterr().err
    found = model.recommend([], 2)
    assert found.to_frame().to_dict("list") == {
        "rank": [1, 2],
        "item": ["i7", "i3"],
        "title": ["Title <7>", "Title <3>"],
        "score": [30.0, 20.0],
        "basis": ["popularity"] * 2,
    }
    assert "by popularity, 0 events read" in found._repr_html_()
    both = model.recommend_many([["i1"], []], 2)
    assert frame_of(both)["basis"].tolist() == ["interest"] * 2 + ["popularity"] * 2
    assert frame_of({"x": found}, "who", "what").columns.tolist() == ["who", "rank", "what", "title", "score", "basis"]


def test_exports_without_counts_say_so() -> None:
    model = Recommender(random_served())
    with pytest.raises(
        ValueError, match=r"its history is empty, and this export has no counts of recent events.*again"
    ):
        model.recommend([])
    found = model.recommend_many([[], ["zz"]])
    assert [part.items for part in found] == [[], []] and all(
        "export it again" in (part.problem or "") for part in found
    )


def test_counts_that_are_none_are_refused(tmp_path: Path) -> None:
    for wrong in ([1, 2], ["x"] * 301, [-1] * 301, [1.5] * 301):
        served = random_served()
        served.items.recent = wrong  # type: ignore[assignment]
        write_folder(served, tmp_path / "m")
        with pytest.raises(ValueError, match=r"items\.json must be (lists of one length|numbers of events)"):
            read_folder(tmp_path / "m")


@pytest.mark.parametrize("step", [1, -1], ids=["as in the log", "backwards"])
def test_an_export_keeps_counts_times_and_behaviours_of_the_training(
    small_config: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    lines = ["user_id:token\titem_id:token\tbehavior:token\ttimestamp:float"]
    for user in range(20):  # i0 to i4 early on, i5 to i9 later; the last two events of a user are held out
        for item in range(10):
            kind = "buy" if item % 2 else "look"
            lines.append(f"u{user}\ti{item}\t{kind}\t{1_500_000_000 + 100_000 * item + user}")
    lines[1:] = lines[1:][::step]  # which events are the latest does not follow from the order of the file
    settings = {"target_behavior": "purchase", "behavior_map": {"buy": "purchase"}}
    checkpoint = pipeline.run(small_config("\n".join(lines) + "\n", **settings)).checkpoint
    monkeypatch.setattr("recbole_longinterest.training.popularity.FEWEST", 30)
    served = export_checkpoint(checkpoint, tmp_path / "m")
    model = Recommender.load(tmp_path / "m")
    assert served.about["times"] == {"first": 1_500_000_000.0, "median": 1_500_450_009.5, "last": 1_500_900_019.0}
    assert served.about["behaviors"]["targets"] == ["purchase"]
    assert sorted(served.about["behaviors"]["names"]) == ["look", "purchase"]
    found = model.recommend([], 3).items
    assert [item.score for item in found if item.score] == [20.0, 10.0]  # purchases: i1, i3 and i5 of the training
    assert [item.item for item in found[:2]] == ["i5", "i3"]
    seen = [{"item": "i1", "behavior": "look"}, {"item": "i3", "behavior": "buy"}]
    items = {item.item for item in model.recommend(seen, 20).items}
    assert "i1" in items and "i3" not in items


def test_counts_of_benchmark_files_are_of_all_their_events() -> None:
    class Part:
        inter_feat = None

        def training_events(self) -> Any:
            return np.array([0, 3, 1])

    assert recent_counts(None, Part(), np.zeros(0)) == [0, 3, 1]
