"""What an update says of its new events, which of them the caps take out, and what the gate refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from recbole_longinterest.cli.main import main
from recbole_longinterest.plugin.runs.checkpoints import load_checkpoint
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.update import review
from recbole_longinterest.training.update.alike import find_alike
from recbole_longinterest.training.update.caps import Caps, day_length
from recbole_longinterest.training.update.gate import Gate, judge
from recbole_longinterest.training.update.panel import PanelRanks
from recbole_longinterest.training.update.update import update_checkpoint
from tests.training.update.made import HEADER, LATER, new_events

DAY = 86_400


def fakes(number: int, target: str = "i7", filler: tuple[str, ...] = ("i1", "i2", "i3")) -> str:
    """Events of users that all end with the same item, three times."""
    rows = []
    for user in range(number):
        for place, item in enumerate((*filler, target, target, target)):
            rows.append(f"fake{user}\t{item}\t5\t{LATER + 100 * user + place}\n")
    return HEADER + "".join(rows)


def ranks(mean: list[float], lists: list[list[int]], finite: bool = True) -> PanelRanks:
    return PanelRanks(np.array([np.nan, *mean]), np.zeros(len(mean) + 1, dtype=np.int64), np.array(lists), finite)


# --- the report ------------------------------------------------------------------------------------------------------


def test_fake_users_stand_in_the_report(
    parent: Path, write: Callable[[str, str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    attack = write("attack.inter", fakes(300))
    output = parent.with_name("up.pth")
    words = ["update", str(parent), "--inter", str(attack), "-o", str(output), "--scope", "all", "--learning_rate=0.05"]
    assert main([*words, "--epochs=4"]) == 0
    said = capsys.readouterr().out
    assert "intake: 1,800 events of 300 users (300 new) on 4 items (0 new)" in said
    assert "events per user: median 6, 99 % have up to 6, most 6" in said
    assert "users that look alike: 300 in 1 groups; the largest has 300 users (300 new), items in common: i" in said
    assert "rank for 30 old users: i" in said and "popularity: i" in said
    report = json.loads(Path(f"{output}.intake.json").read_text())
    (group,) = report["alike"]["largest"]
    assert set(group["shared_items"]) == {"i1", "i2", "i3", "i7"} and group["size"] == 300
    first = next(row for row in report["moves"]["rank_rises"] if row["item"] == "i7")
    assert first["events_of_new_users"] == 900 and first["rank_rise"] > 1
    table = pd.read_csv(f"{output}.intake.csv", index_col="item")
    assert len(table) == 20 and table.loc["i7", "popularity_after"] == 1 and table["events_new"].sum() == 1800
    assert table.loc["i7", "rank_after"] == first["rank_after"] < first["rank_before"]
    assert main([*words, "--epochs=4"]) == 0 and "intake: 1,800 events" in capsys.readouterr().out  # done before


def test_an_ordinary_update_has_no_alarming_report(parent: Path, inter: Path) -> None:
    done = update_checkpoint(parent, inter)
    assert done.report is not None and done.report_file is not None and done.quarantine is None
    assert done.report["gate"] is None
    assert done.report["items"]["new"] == 5 and done.report["users"]["new"] == 10
    assert done.report["moves"]["panel_users"] == 30
    moved = [row["item"] for row in done.report["moves"]["rank_rises"]]
    assert not set(moved) & {"i20", "i21", "i22", "i23", "i24"}  # the parent has no rank for new items


def test_groups_of_users_that_look_alike() -> None:
    rng = np.random.default_rng(0)
    rows = [(f"u{user}", f"i{item}") for user in range(200) for item in rng.choice(300, 8, replace=False)]
    assert find_alike(*map(pd.Series, zip(*rows, strict=True))) == []
    rows += [(f"a{user}", f"i{item}") for user in range(50) for item in (1, 2, 3, 4, 5, 6, 7, 8 + user % 3)]
    rows += [(f"b{user}", f"i{item}") for user in range(10) for item in (100, 101, 102)]
    rows += [(f"c{user}", "i5") for user in range(50)]  # one popular item says nothing
    groups = find_alike(*map(pd.Series, zip(*rows, strict=True)))
    assert [len(group) for group in groups] == [50, 10] and set(groups[1]) == {f"b{user}" for user in range(10)}
    assert find_alike(pd.Series([], dtype=object), pd.Series([], dtype=object)) == []


# --- caps ------------------------------------------------------------------------------------------------------------


def test_events_beyond_a_cap_go_to_the_quarantine(parent: Path, write: Callable[[str, str], Path]) -> None:
    start = LATER - LATER % DAY
    rows = [("u1", "i1", start + place) for place in range(5)] + [("u1", "i1", start + DAY), ("u2", "i1", start)]
    lines = [f"{user}\t{item}\t4\t{time}\n" for user, item, time in rows]
    new = write("n.inter", HEADER + "".join(reversed(lines)))
    done = update_checkpoint(parent, new, caps=Caps(max_events_per_user_item_day=2))
    assert (done.merged.events, done.merged.quarantined) == (4, {"max_events_per_user_item_day": 3})
    assert done.quarantine is not None and done.quarantine.name == f"{done.checkpoint.name}.quarantine.inter"
    assert done.quarantine.read_text() == HEADER + "".join(reversed(lines[2:5]))  # the earliest two stay
    (entry,) = load_checkpoint(done.checkpoint)["config"]["lineage"]
    assert entry["settings"]["max_events_per_user_item_day"] == 2 and entry["merged"]["quarantined"]

    # Those of a day that the data have already count, and the quarantine can be given again.
    again = update_checkpoint(done.checkpoint, done.quarantine)
    assert again.merged.events == 3 and again.quarantine is None
    with pytest.raises(ValueError, match=r"The caps leave no new event of .*_user_item_day 2\. All are in"):
        update_checkpoint(done.checkpoint, done.quarantine, caps=Caps(max_events_per_user_item_day=2))
    assert "max_events_per_user_item_day" not in (again.report or {})["quarantined"]


def test_caps_of_a_day_and_of_users_that_look_alike(parent: Path, write: Callable[[str, str], Path]) -> None:
    many = write("many.inter", new_events(range(5), range(20), each=10, at=LATER - LATER % DAY))
    assert update_checkpoint(parent, many, caps=Caps(max_events_per_user_day=4)).merged.events == 20
    attack = write(
        "attack.inter",
        fakes(40, filler=("i11", "i13", "i15")) + new_events(range(0, 20, 5), range(20)).removeprefix(HEADER),
    )
    done = update_checkpoint(parent, attack, caps=Caps(max_alike_users=2))
    assert done.merged.quarantined == {"max_alike_users": 38 * 6} and done.merged.events == 2 * 6 + 16
    merged = (done.checkpoint.with_name(f"{done.checkpoint.name}.data") / "tiny" / "tiny.inter").read_text()
    assert "fake0\t" in merged and "fake1\t" in merged and "fake2\t" not in merged
    with pytest.raises(ValueError, match="max_alike_users must be a whole number of at least 1; got 0"):
        Caps(max_alike_users=0)
    assert day_length(np.array([1.6e9])) == DAY and day_length(np.array([1.6e12])) == DAY * 1000


# --- the gate --------------------------------------------------------------------------------------------------------


def test_a_gate_puts_a_good_checkpoint_in_place(parent: Path, inter: Path) -> None:
    plain = update_checkpoint(parent, inter)
    content = plain.checkpoint.read_bytes()
    output = parent.with_name("gated.pth")
    done = update_checkpoint(parent, inter, output=output, gate=Gate(0.5))
    assert done.refused is None and done.checkpoint == output and done.report is not None
    assert done.report["gate"]["passed"] and done.report["gate"]["canaries"] == 12
    assert done.report["gate"]["metric"]["name"] == "NDCG@10"
    assert len(output.read_bytes()) == pytest.approx(len(content), abs=100)
    with pytest.raises(ValueError, match=r"gated\.pth is this update, published without this gate"):
        update_checkpoint(parent, inter, output=output, gate=Gate(0.6))


def test_a_refused_checkpoint_is_kept_under_another_name(
    parent: Path, write: Callable[[str, str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    attack = write("attack.inter", fakes(300))
    output = parent.with_name("up.pth")
    words = ["update", str(parent), "--inter", str(attack), "-o", str(output), "--scope", "all", "--learning_rate=0.05"]
    gated = [*words, "--epochs=4", "--max-events-per-user-item-day", "2", "--max-rank-rise=1", "--gate=0"]
    assert main(gated) == 1
    said = capsys.readouterr().out
    assert "refused: up.pth is not put in place: item 'i" in said and "' rises from rank" in said
    assert "The checkpoint is kept as up.refused.pth." in said and not output.exists()
    refused = parent.with_name("up.refused.pth")
    beside = {file.name.removeprefix("up.refused.pth") for file in parent.parent.glob("up.*")}
    assert beside == {"", ".data", ".last", ".intake.json", ".intake.csv", ".quarantine.inter"}
    from recbole.quick_start import load_data_and_model

    load_data_and_model(refused)
    content = refused.read_bytes()
    assert main(gated) == 1 and "refused: up.pth" in capsys.readouterr().out and refused.read_bytes() == content
    assert main(words) == 0 and output.is_file() and refused.read_bytes() == content  # without the gate it goes ahead


def test_a_refusal_that_was_killed_goes_on(
    parent: Path, write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    attack, output = write("attack.inter", fakes(50)), parent.with_name("up.pth")
    settings = {"epochs": 2, "learning_rate": 0.05}

    def update() -> Any:
        return update_checkpoint(parent, attack, None, output, scope="all", settings=settings, gate=Gate(0, 0.0))

    rename = Path.rename

    def killed(self: Path, target: Any) -> Any:
        if self.name == "up.pth.data" and "refused" in str(target):
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            update()
    assert parent.with_name("up.refused.pth").is_file() and parent.with_name("up.pth.data").is_dir()
    done = update()
    assert done.refused and not parent.with_name("up.pth.data").exists()
    assert not (parent.with_name("up.refused.pth.data") / "training").exists()


def test_what_the_gate_refuses() -> None:
    good = {"w": torch.ones(3)}
    two = [[1, 2], [2, 3]]
    same = ranks([1, 2, 3], two), ranks([1, 2, 3], two)
    tokens = ["[PAD]", "a", "b", "c"]

    def reasons(gate: Gate, weights: Any = good, both: Any = same, metric: Any = None, bigger: bool = True) -> str:
        return "; ".join(judge(gate, weights, both, metric, bigger, tokens).reasons)

    assert reasons(Gate()) == ""
    assert "w (1 of 3 values)" in reasons(Gate(), {"w": torch.tensor([1.0, float("nan"), 0.0])})
    assert "scores of the canaries are NaN" in reasons(Gate(), both=(same[0], ranks([1, 2, 3], two, finite=False)))
    assert "get the same items" in reasons(Gate(), both=(same[0], ranks([1, 2, 3], [[1, 2], [1, 2]])))
    assert reasons(Gate(), both=(ranks([1, 2, 3], [[1, 2], [1, 2]]),) * 2) == ""
    assert reasons(Gate(0.9), metric=("MRR@10", 0.2, 0.18)) == ""
    wanted = "MRR@10 of old users is 0.1700 on the validation rows, but must reach 0.9 of the parent's 0.2000"
    assert reasons(Gate(0.9), metric=("MRR@10", 0.2, 0.17)) == wanted
    assert reasons(Gate(0.9), metric=("MRR@10", 0.2, float("nan"))) != ""
    assert reasons(Gate(0.5), metric=("RMSE", 0.2, 0.39), bigger=False) == ""
    assert reasons(Gate(0.5), metric=("RMSE", 0.2, 0.41), bigger=False) != ""
    risen = same[0], ranks([2, 1, 3], two)
    assert reasons(Gate(max_rank_rise=1), both=risen) == ""
    assert "item 'b' rises from rank 2 to 1" in reasons(Gate(max_rank_rise=0.5), both=risen)
    with pytest.raises(ValueError, match=r"gate must be a share .* from 0 to 1; got 95"):
        Gate(95)
    with pytest.raises(ValueError, match=r"max_rank_rise must be a number .*of at least 0; got -1"):
        Gate(0.9, -1)


def test_weights_that_are_not_finite_are_not_written(
    parent: Path, inter: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = review.check_finite
    monkeypatch.setattr(review, "check_finite", lambda weights, where: real({"w": torch.tensor([np.inf])}, where))
    output = parent.with_name("inf.pth")
    assert main(["update", str(parent), "--inter", str(inter), "-o", str(output)]) == 2
    assert "NaN or infinite" in capsys.readouterr().err and not output.exists()


def test_a_gate_without_validation_rows_says_so(
    small_config: Callable[..., Any], inter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split = {"split": {"RS": [1.0, 0.0, 0.0]}, "order": "TO", "group_by": "user", "mode": "full"}
    run = pipeline.run(small_config(eval_args=split, eval_step=0))
    words = ["update", str(run.checkpoint), "--inter", str(inter)]
    assert main([*words, "--gate"]) == 2
    assert "Give --gate 0 to check only the weights" in capsys.readouterr().err
    assert main([*words, "--gate=0"]) == 0
    assert main([*words, "--max-rank-rise=3"]) == 2 and "Give --gate, too" in capsys.readouterr().err
