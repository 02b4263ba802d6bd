"""The commands as a user types them, and as a careless one does."""

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import recbole
import torch

from recbole_longinterest.cli import main
from recbole_longinterest.serving.engines import engine_of, writer_of
from recbole_longinterest.serving.event_files import read_events
from recbole_longinterest.serving.model_folder import write_folder
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.state import recommend_states, states_of
from tests.served import OPTIONS, random_served, write_histories
from tests.serving.test_recommender import assert_scores_of_the_checkpoint


@pytest.fixture
def model(tmp_path: Path) -> str:
    write_folder(random_served(), tmp_path / "m")
    return str(tmp_path / "m")


@pytest.fixture
def history(tmp_path: Path) -> str:
    return str(write_histories(tmp_path / "h.csv"))


def test_recommend_writes_csv_and_json_lines(
    model: str, history: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["recommend", "--model", model, "--history", history, "--topk", "4"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["user_id"] for row in rows] == ["u0"] * 4 + ["u1"] * 4 + ["u2"] * 4
    assert rows[0]["title"] == f"Title <{rows[0]['item_id'][1:]}>" and float(rows[0]["score"]) >= float(
        rows[1]["score"]
    )
    out = tmp_path / "out.jsonl"
    assert main.main(["recommend", "--model", model, "--history", history, "-k", "4", "-o", str(out)]) == 0
    users = [json.loads(line) for line in out.read_text().splitlines()]
    assert [user["user"] for user in users] == ["u0", "u1", "u2"]
    assert [item["item"] for item in users[0]["items"]] == [row["item_id"] for row in rows[:4]]


def test_the_time_of_the_request_is_an_argument(
    history: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(random_served(replace(OPTIONS, request_time=True)), tmp_path / "m")
    said = []
    for command in ("recommend", "explain"):
        for at in ("1000", "2020-01-01"):
            options = ["--user", "u0"] if command == "explain" else []
            given = [command, "--model", str(tmp_path / "m"), "--history", history, "--at", at, *options]
            assert main.main(given) == 0
            said.append(capsys.readouterr().out)
    assert len(set(said)) == 4


def test_the_same_events_in_every_kind_of_file_give_the_same(
    model: str, history: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pd.read_csv(history, dtype=str)
    kinds = {"rating": "float", "timestamp": "float"}
    named = table.rename(columns={name: f"{name}:{kinds.get(name, 'token')}" for name in table})
    named.to_csv(tmp_path / "h.inter", sep="\t", index=False)
    table.to_json(tmp_path / "h.jsonl", orient="records", lines=True)
    outputs = []
    for name in ("h.csv", "h.inter", "h.jsonl"):
        assert main.main(["recommend", "--model", model, "--history", str(tmp_path / name)]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] == outputs[2]


def test_candidates_and_seen_items(
    model: str, history: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.txt").write_text("i1\ni2\ni3\n")
    arguments = ["recommend", "--model", model, "--history", history, "--candidates", str(tmp_path / "c.txt")]
    assert main.main([*arguments, "--include_seen"]) == 0
    assert {row["item_id"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))} == {"i1", "i2", "i3"}


def test_every_command_takes_an_engine(tmp_path: Path, history: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    served = random_served()
    write_folder(served, tmp_path / "m", writer_of([engine_of("onnx")], served))
    common = ["--model", str(tmp_path / "m"), "--history", history]
    for command in (["recommend", "-k", "3"], ["explain", "--user", "u1", "-k", "1"], ["profile", "--user", "u1"]):
        said = []
        for engine in ("torch", "onnx"):
            assert main.main([*command, *common, "--engine", engine]) == 0
            said.append(re.split(r"[-+]?\d+\.\d+", capsys.readouterr().out))  # without scores, which are rounded
        assert said[0] == said[1] and len(said[0]) > 3


def test_explain_and_profile(model: str, history: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    common = ["--model", model, "--history", history, "--user", "u1"]
    assert main.main(["explain", *common, "--topk", "2", "--output", str(page)]) == 0
    out = capsys.readouterr().out
    assert "user u1, 13 events" in out and "sources: id" in out and page.read_text().endswith("</html>\n")
    assert main.main(["explain", *common, "--item", "i7"]) == 0
    assert "Title <7>" in capsys.readouterr().out
    assert main.main(["profile", *common, "--output", str(tmp_path / "p.parquet")]) == 0
    out = capsys.readouterr().out
    assert "leading categories" in out and "nearest users" in out and "3 users" in out
    assert len(pd.read_parquet(tmp_path / "p.parquet")) == 3


def test_strategies(model: str, history: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, rules = tmp_path / "page.html", tmp_path / "shop.yaml"
    assert main.main(["strategies", "--model", model, "--history", history, "--output", str(page)]) == 0
    out = capsys.readouterr().out
    assert "| together | " in out and f"written: {page}" in out and page.read_text().endswith("</html>\n")
    rules.write_text("mix: [{shares: {similar: 1}}]")
    assert main.main(["strategies", "--model", model, "--history", history, "--rules", str(rules), "--users", "2"]) == 0
    assert "1 more users were left out at random" in capsys.readouterr().out
    rules.write_text("mixed: 3")
    assert main.main(["strategies", "--model", model, "--history", history, "--rules", str(rules)]) == 2
    assert "has no key 'mixed'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["recommend", "--model", "nowhere", "--history", "h.csv"], "The model folder nowhere does not exist"),
        (["recommend", "--model", "m", "--history", "none.csv"], "The event file none.csv does not exist"),
        (["recommend", "--model", "m", "--history", "h.txt"], ".json, .inter; got h.txt"),
        (["recommend", "--model", "m", "--history", "h.csv", "--item", "x"], "h.csv has no column x (for item)"),
        (["recommend", "--model", "m", "--history", "h.csv", "--time-format", "%d.%m.%Y"], "a date in the format %d"),
        (["explain", "--model", "m", "--history", "h.csv", "--user", "u1", "--user", "u2"], "--user takes one id and"),
        (["profile", "--model", "m", "--history", "h.csv", "--user", "user_id"], "the id of a user as --user, or both"),
        (["recommend", "--model", "m", "--history", "h.csv", "--topk", "0"], "k must be a whole number"),
        (["recommend", "--model", "m", "--history", "h.csv", "--top=5"], "recommend has no argument --top=5"),
        (["recommend", "--model", "m", "--history", "h.csv", "--candidates", "c"], "c cannot be read"),
        (["recommend", "--model", "m", "--history", "other.csv"], "has no column item_id; its columns are movie"),
        (["recommend", "--model", "m", "--history", "empty.csv"], "empty.csv cannot be read"),
        (["recommend", "--model", "m", "--history", "header.csv"], "header.csv has no events"),
        (["recommend", "--model", "m", "--history", "words.csv"], "rating must be a finite number; row 2 has 'good'"),
        (["recommend", "--model", "m", "--history", "gap.csv"], "has rows without item_id"),
        (["recommend", "--model", "m", "--history", "bad.jsonl"], "bad.jsonl, line 2: not valid JSON"),
        (["recommend", "--model", "m", "--history", "wide.csv"], "more fields than its header has columns"),
        (["recommend", "--model", "m", "--history", "far.csv"], "timestamp must be a finite number; row 1 has 'inf'"),
        (["explain", "--model", "m", "--history", "h.csv"], "h.csv has 3 users. Choose one with --user"),
        (["explain", "--model", "m", "--history", "h.csv", "--user", "x"], "h.csv has no user x"),
        (
            ["explain", "--model", "m", "--history", "h.csv", "--user", "u1", "--item", "zz"],
            "none of the 1 candidates",
        ),
        (["explain", "--model", "m", "--history", "h.csv", "--user", "u1", "--method", "x"], "method must be one of"),
        (["profile", "--model", "m", "--history", "h.csv"], "Give --output FILE.parquet, --user U, or both"),
        (["export", "none.pth", "--output", "m2"], "There is no checkpoint file none.pth"),
        (["export", "none.pth", "--output", "m2", "--engine", "jax"], "engine must be one of"),
        (["export", "none.pth", "--output", "m2", "--index", "flat"], "index must be one of exact, hnsw, ivf, auto"),
        (["recommend", "--model", "m", "--history", "h.csv", "--engine", "jax"], "engine must be one of"),
        (
            ["recommend", "--model", "m", "--history", "h.csv", "--engine", "onnx"],
            "m has no step.onnx and no scores.onnx",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence(
    model: str, history: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("other.csv").write_text("movie\n1\n")
    Path("empty.csv").write_text("")
    Path("header.csv").write_text("user_id,item_id\n")
    Path("words.csv").write_text("item_id,rating\ni1,5\ni2,good\n")
    Path("wide.csv").write_text("item_id,rating\na,i1,5\na,i2,4\n")  # users without a name of their column
    Path("far.csv").write_text("item_id,timestamp\ni1,inf\n")
    Path("gap.csv").write_text("user_id,item_id\na,i1\na,\n")
    Path("bad.jsonl").write_text('{"item_id": "i1"}\n{item\n')
    assert main.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_columns_of_other_names_are_said(model: str, caplog: pytest.LogCaptureFixture) -> None:
    Path("named.csv").write_text("user,item_id,Rating\na,i1,5\nb,i2,4\n")
    assert main.main(["recommend", "--model", model, "--history", "named.csv"]) == 0
    assert [record.message for record in caplog.records] == [
        "named.csv has no column user_id, rating, behavior, timestamp, and user, Rating are not read. "
        "All events are treated as those of one user."
    ]
    caplog.clear()
    Path("plain.csv").write_text("item_id\ni1\n")
    assert main.main(["recommend", "--model", model, "--history", "plain.csv"]) == 0 and not caplog.records


def test_own_names_of_columns_work_in_every_command(
    tmp_path: Path, history: str, capsys: pytest.CaptureFixture[str]
) -> None:
    served = random_served()
    served.about["times"] = {"first": 1.5e9, "median": 1.5005e9, "last": 1.501e9}
    write_folder(served, tmp_path / "m")
    table = pd.read_csv(history)
    table["timestamp"] += 1_500_000_000
    table.to_csv("plain.csv", index=False)
    dated = table.assign(timestamp=pd.to_datetime(table["timestamp"], unit="s"))
    names = {"user_id": "who", "item_id": "what", "rating": "stars", "behavior": "how", "timestamp": "when"}
    dated.rename(columns=names).to_parquet("named.parquet")
    table.assign(timestamp=table["timestamp"] * 1000).to_csv("ms.csv", index=False)
    own = ["--user", "who", "--item", "what", "--rating", "stars", "--behavior", "how", "--time", "when"]
    for command, one in (
        ("recommend", []),
        ("explain", ["--user", "u1", "--item", "i7"]),
        ("profile", ["--user", "u1"]),
    ):
        said = []
        for file, columns in (("plain.csv", []), ("named.parquet", own), ("ms.csv", [])):
            code = main.main([command, "--model", str(tmp_path / "m"), "--history", file, *columns, *one])
            said.append((code, capsys.readouterr()))
        assert said[0] == said[1] and said[0][0] == 0 and len(said[0][1].out) > 50
        assert said[2][0] == 2 and "ms.csv: 39 of 39 times" in said[2][1].err and "Divide by 1000." in said[2][1].err


def test_files_of_the_training_and_of_python(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("quoted.inter").write_text('user_id:token\titem_id:token\nu1\t"i1\nu1\ti2"\nu1\ti3\n')
    assert main.main(["recommend", "--model", model, "--history", "quoted.inter"]) == 2
    assert "quoted.inter: 3 lines are read as 2 rows. A quote" in capsys.readouterr().err
    lines = ['{"item_id": "i1", "rating": NaN}', '{"item_id": "i2", "rating": 4}', '{"item_id": "a\\ud800"}']
    Path("own.jsonl").write_text("\n".join(lines))
    assert main.main(["recommend", "--model", model, "--history", "own.jsonl"]) == 0
    Path("deep.jsonl").write_text("[" * 100_000)
    assert main.main(["recommend", "--model", model, "--history", "deep.jsonl"]) == 2
    assert "deep.jsonl, line 1: not valid JSON" in capsys.readouterr().err


def test_an_inter_file_is_read_in_the_form_of_the_trainings(tmp_path: Path) -> None:
    (tmp_path / "x.inter").write_text("user_id:token;item_id:token\nJos\xe9;i1\n", encoding="latin-1")
    fields = {"user": "user_id", "item": "item_id", "rating": "r", "behavior": "b", "time": "t"}
    assert read_events(tmp_path / "x.inter", fields, ";", "latin-1")["user_id"].tolist() == ["Jos\xe9"]


def test_bytes_of_other_systems_and_lines_within_texts(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("h.csv").write_bytes(b'\xef\xbb\xbfuser_id,item_id\r\n"a, b",i1\r\n')
    Path("h.jsonl").write_bytes('{"user_id": "a, b", "item_id": "i1", "title": "x\u2028y\x85z"}\r\n\r\n'.encode())
    Path("c").write_bytes(b"\xef\xbb\xbfi2\r\ni3\r\nno such item\r\n")  # a token a line, which may have spaces
    said = []
    for name in ("h.csv", "h.jsonl"):
        assert main.main(["recommend", "--model", model, "--history", name, "--candidates", "c"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] and said[0].count('"a, b",') == 2


def test_users_without_a_known_item_are_told(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    Path("h.csv").write_text("user_id,item_id\na,i1\nb,zz\n")
    assert main.main(["recommend", "--model", model, "--history", "h.csv", "-k", "2"]) == 0
    assert capsys.readouterr().out.count("\n") == 3  # the header and two items for a
    assert "user b gets nothing: the model knows none of its items" in caplog.text and "zz" in caplog.text


@pytest.mark.slow
@pytest.mark.integration
def test_ml_100k_from_training_to_every_test_user(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """943 users whose scores equal `full_sort_predict`; onnxruntime gives 99 % of them the same ten."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    assert main.run_script(["--epochs=1", "--show_progress=False", "--state=ERROR"]) == 0
    checkpoint = capsys.readouterr().out.split("checkpoint: ")[1].strip()
    assert main.main(["export", checkpoint, "--output", "m", "--onnx"]) == 0
    assert "items: 1682, 1682 with a title" in capsys.readouterr().out
    model = Recommender.load("m")
    assert (
        model.served.sources[0].settings["range"] == [1, 5]
        and "Comedy" in model.served.items.categories[model.item_id("1")]
    )
    assert assert_scores_of_the_checkpoint(Path(checkpoint), model) == 943

    data = Path(recbole.__file__).parent / "dataset_example" / "ml-100k" / "ml-100k.inter"
    histories = model.read_table(read_events(data, model.served.fields))
    past = [history.keep(slice(0, len(history) - 1)) for history in histories.values()]
    states = [states_of(served, past) for served in (model, Recommender.load("m", engine="onnx"))]
    batch = model.interest(past)
    torch.testing.assert_close(torch.cat([state.interest for state in states[0]]), batch, rtol=0, atol=1e-5)
    found = [[{item.item for item in part.items} for part in recommend_states(part)] for part in states]
    same = [ours == theirs for ours, theirs in zip(*found, strict=True)]
    assert sum(same) >= 0.99 * 943
