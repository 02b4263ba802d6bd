"""From raw files to a run: real data comes out as it went in, and every model reads the yaml file beside it."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import recbole
import yaml

from recbole_longinterest.cli import main
from recbole_longinterest.common.resources import resource
from recbole_longinterest.experiments.comparison.variants import settings_of, variant_of
from recbole_longinterest.prepare.sources.movielens import YEAR
from recbole_longinterest.text.reader import read_item_text
from recbole_longinterest.training.settings import make_config
from tests.conftest import real_data
from tests.prepare import layouts
from tests.prepare.sources.test_steam import GAMES, REVIEWS

LOG = ("--user", "u", "--item", "i", "--time", "t", "--behavior", "b", "--text", "name")


def atomic(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]


def ml_100k_of_recbole() -> Path:
    return Path(recbole.__file__).parent / "dataset_example" / "ml-100k"


def test_ml_100k_as_published_is_recboles_ml_100k(prepare: Callable, tmp_path: Path) -> None:
    source, folder = ml_100k_of_recbole(), tmp_path / "ml-100k"
    folder.mkdir()
    log = atomic(source / "ml-100k.inter")
    (folder / "u.data").write_text(layouts.lines(log, "\t"))
    items = []
    for item, title, year, genres in atomic(source / "ml-100k.item"):
        flags = [int(name in genres.split()) for name in layouts.GENRES]
        items.append(
            (item, f"{title} ({year})" if year else title, f"01-Jan-{year}" if year else "", "", "url", *flags)
        )
    (folder / "u.item").write_text(layouts.lines(items, "|"), encoding="latin-1")
    done = prepare("movielens", folder)
    assert [list(row.values()) for row in done.rows()] == log
    ours = read_item_text(done.folder / "raw.item", "item_id", ["title", "genres"])
    theirs = read_item_text(source / "ml-100k.item", "item_id", ["movie_title", "class"])
    odd = {row[0] for row in atomic(source / "ml-100k.item") if not row[2].isdigit()}  # their titles were cut elsewhere
    assert {item: text for item, text in ours.items() if item not in odd} == {
        item: text for item, text in theirs.items() if item not in odd
    }
    assert len(ours) == 1682 and len(odd) == 2
    report = done.report()
    assert report["rows"]["dropped"] == {} and report["statistics"]["users"] == 943


def test_ml_latest_small_as_published(prepare: Callable, tmp_path: Path) -> None:
    source = real_data("ml-latest-small") / "ml-latest-small"
    folder = tmp_path / "ml-latest-small"
    folder.mkdir()
    log = atomic(source / "ml-latest-small.inter")
    with (folder / "ratings.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["userId", "movieId", "rating", "timestamp"], *log])
    with (folder / "movies.csv").open("w", newline="", encoding="utf-8") as file:
        movies = [
            (item, f"{title} ({year})" if year else title, "|".join(genres.split()))
            for item, title, genres, year in atomic(source / "ml-latest-small.item")
        ]
        csv.writer(file).writerows([["movieId", "title", "genres"], *movies])
    done = prepare("movielens", layouts.zipped(folder))
    assert [[user, item, float(rating), time] for user, item, rating, time in log] == [
        [row["user_id"], row["item_id"], float(row["rating"]), row["timestamp"]] for row in done.rows()
    ]
    catalogue = {row[1] for row in log}
    theirs = read_item_text(source / "ml-latest-small.item", "item_id", ["title"])
    ours = read_item_text(done.folder / "raw.item", "item_id", ["title"])
    # one title of these still ends in its years, as (2006-2007), which we take off
    assert ours == {item: YEAR.sub("", text) for item, text in theirs.items() if item in catalogue}


def test_amazon_beauty_as_published_in_2014(prepare: Callable, tmp_path: Path) -> None:
    source = real_data("amazon-beauty-5core-norating") / "amazon-beauty-5core-norating"
    log = atomic(source / "amazon-beauty-5core-norating.inter")[:20_000]
    reviews = [{"reviewerID": user, "asin": item, "unixReviewTime": int(time)} for user, item, time in log]
    meta = []
    for item, title, categories, brand, price, _ in atomic(source / "amazon-beauty-5core-norating.item"):
        known = {"title": title, "brand": brand, "price": float(price) if price else None}
        meta.append({"asin": item, "categories": [categories.split(" ")], **{k: v for k, v in known.items() if v}})
    layouts.gzipped(tmp_path / "reviews_Beauty_5.json.gz", layouts.json_lines(reviews))
    layouts.gzipped(tmp_path / "meta_Beauty.json.gz", layouts.dict_lines(meta))
    done = prepare(
        *("amazon", "--reviews", tmp_path / "reviews_Beauty_5.json.gz", "--meta", tmp_path / "meta_Beauty.json.gz"),
    )
    assert [list(row.values()) for row in done.rows()] == log  # no column of ratings, and no review is there twice
    theirs = read_item_text(source / "amazon-beauty-5core-norating.item", "item_id", ["brand"])
    ours = read_item_text(done.folder / "raw.item", "item_id", ["brand"])
    catalogue = {row[1] for row in log}
    assert ours == {item: text for item, text in theirs.items() if item in catalogue}
    assert done.report()["changed"] == {
        "events without a rating; no event has one, so there is no rating column": len(log)
    }


@pytest.fixture
def shop(prepare: Callable, tmp_path: Path) -> Any:
    """A small log with behaviours, prepared with purchases as targets."""
    rows = [
        {"u": f"u{at % 12}", "i": f"i{at * 7 % 11}", "t": 1_600_000_000 + at, "b": ("view", "buy")[at % 3 == 0]}
        for at in range(240)
    ]
    for row in rows:
        row["name"] = f'"{row["i"]}" thing'
    (tmp_path / "shop.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return prepare("csv", tmp_path / "shop.jsonl", *LOG, "--target-behavior", "buy", name="shop")


def test_every_model_reads_the_yaml_file_beside_the_data(shop: Any, caplog: pytest.LogCaptureFixture) -> None:
    content = yaml.safe_load((shop.output / "dataset_configs" / "shop.yaml").read_text())
    assert content == {
        "text_fields": ["name"],
        "load_col": {"inter": ["user_id", "item_id", "timestamp", "behavior"]},
        "target_behavior": "buy",
    }
    for model in ("LongInterest", "GRU4Rec", "BPR"):
        config = make_config(model, "shop", config_dict={"data_path": str(shop.output), "state": "ERROR"})
        assert {key: config[key] for key in content} == content
        assert ("ignores target_behavior and behavior_map" in caplog.text) == (model == "BPR")
    config = make_config(
        "GRU4Rec", "shop", config_dict={"data_path": str(shop.output), "target_behavior": None, "state": "ERROR"}
    )
    assert config["target_behavior"] is None


@pytest.mark.parametrize("model", ["LongInterest", "GRU4Rec"])
def test_the_command_that_prepare_prints_runs(
    shop: Any, fake_encoder: Any, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = shop.out.strip().splitlines()[-1].split()
    assert command == ["recbole-li", "run", "--dataset", "shop", "--data_path", str(shop.output)]
    settings = ["--model", model, "--epochs=1", "--train_batch_size=64", "--quiet"]
    settings += ["--text_dim=4"] * (model == "LongInterest")  # the fake encoder's vectors are short
    assert main.main([*command[1:], *settings]) == 0
    assert f"{model} on shop" in capsys.readouterr().out
    assert bool(fake_encoder.encoded) == (model == "LongInterest")


def test_settings_of_recboles_own_files_are_not_those_of_prepared_ones(prepare: Callable, tmp_path: Path) -> None:
    layouts.gzipped(tmp_path / "steam" / "steam_reviews.json.gz", layouts.dict_lines(REVIEWS))
    layouts.gzipped(tmp_path / "steam" / "steam_games.json.gz", layouts.dict_lines(GAMES))
    done = prepare("steam", tmp_path / "steam", name=None)  # RecBole's steam has its items in product_id
    assert resource("dataset_configs", "steam.yaml").is_file()
    given = {"data_path": str(done.output), "state": "ERROR"}
    for model in ("LongInterest", "GRU4Rec"):
        config = make_config(model, "steam", config_dict=given)
        assert config["ITEM_ID_FIELD"] == "item_id" and config["text_fields"][0] == "title"
    settings, _ = settings_of(variant_of("GRU4Rec"), "steam", given)
    assert "ITEM_ID_FIELD" not in settings and settings["text_fields"][0] == "title"


def test_recboles_bundled_data_keep_their_own_settings(prepare: Callable, tmp_path: Path) -> None:
    done = prepare("movielens", layouts.ml_100k(tmp_path / "ml-100k"), name="ml-100k")
    given = {"data_path": str(done.output), "state": "ERROR"}
    config = make_config("LongInterest", "ml-100k", config_dict=given)
    assert config["text_fields"] == ["movie_title", "class", "release_year"]
    assert settings_of(variant_of("GRU4Rec"), "ml-100k", given)[0]["text_fields"][0] == "movie_title"


@pytest.mark.parametrize(
    ("cats", "arguments", "expected"),
    [
        (("Home & Garden", "Toys, Games"), ("--text", "name,cat"), [["Home & Garden"], ["Toys, Games"]]),
        (
            (["Home & Garden", "Books, Movies & TV"], ["Toys"]),
            ("--text", "name", "--category", "cat"),
            [["Home & Garden", "Books, Movies & TV"], ["Toys"]],
        ),
    ],
)
def test_categories_of_several_words_reach_the_export(
    prepare: Callable, tmp_path: Path, fake_encoder: Any, cats: Any, arguments: Any, expected: Any
) -> None:
    rows = [{"u": f"u{at % 9}", "i": f"i{at * 7 % 11}", "t": 1_600_000_000 + at} for at in range(180)]
    lines = [{**row, "name": f"{row['i']} | thing", "cat": cats[int(row["i"][1:]) % 2]} for row in rows]
    (tmp_path / "shop.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = prepare("csv", tmp_path / "shop.jsonl", "--user", "u", "--item", "i", "--time", "t", *arguments, name="shop")
    run = ["run", "--dataset", "shop", "--data_path", str(done.output), "--epochs=1", "--train_batch_size=64"]
    assert main.main([*run, "--text_dim=4", "--quiet", f"--checkpoint_dir={tmp_path / 'saved'}"]) == 0
    (checkpoint,) = (tmp_path / "saved").glob("*.pth")
    assert main.main(["export", str(checkpoint), "--output", str(tmp_path / "model")]) == 0
    items = json.loads((tmp_path / "model" / "items.json").read_text())
    found = dict(zip(items["tokens"], items["categories"], strict=True))
    assert found == {"[PAD]": [], **{f"i{at}": expected[at % 2] for at in range(11)}}
    assert items["titles"][1].endswith("| thing")
