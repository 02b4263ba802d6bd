"""Columns of kinds and settings that few data sets have: they run, switch a feature off, or are one sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recbole.data.utils import create_dataset

from recbole_longinterest.nn.levels import rating_levels_of
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.settings import make_config
from tests.conftest import SMALL, synthetic_inter

HEADER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
TRAIN = {"epochs": 1, "show_progress": False}


def with_column(name: str, values: Callable[[int], str]) -> str:
    lines = synthetic_inter().splitlines()
    return "\n".join([f"{lines[0]}\t{name}", *(f"{line}\t{values(n)}" for n, line in enumerate(lines[1:]))]) + "\n"


@pytest.mark.parametrize("keep", ["first", "last"])
def test_duplicates_are_removed_in_the_order_of_the_file(small_config: Callable[..., Any], keep: str) -> None:
    """Days as times, so that most are equal; each event stands twice, with the ratings 1 and 5."""
    rng = np.random.default_rng(0)
    rows = [
        f"u{user}\ti{item}\t{rating}\t{86_400 * (place // 12)}\n"
        for user in range(12)
        for place, item in enumerate(rng.permutation(36))
        for rating in (1, 5)
    ]
    data = create_dataset(small_config(HEADER + "".join(rows), rm_dup_inter=keep, exact_order=True))
    data.build()
    items = data.id2token("item_id", data.event_log["item_id_list"].numpy()).tolist()
    users = [row.split("\t")[0] for row in rows[::2]]
    expected = [row.split("\t")[1] for row, user in zip(rows[::2], users, strict=True) if user == "u0"]
    assert items[:36] == expected and len(items) == len(rows) // 2
    assert set(data.event_log["rating_list"].tolist()) == {1.0 if keep == "first" else 5.0}


def test_levels_of_ratings_in_any_order(small_config: Callable[..., Any]) -> None:
    train = create_dataset(small_config(rating_levels=[5, 4, 3, 2, 1])).build()[0]
    values = train.training_rating_values()
    assert rating_levels_of(torch.tensor([1.0, 3.0, 5.0]), values).tolist() == [1, 3, 5]
    with pytest.raises(ValueError, match="rating_levels must be a list of numbers"):
        create_dataset(small_config(rating_levels=[])).build()[0].training_rating_values()
    for wrong in (5, ["a"], [1, float("nan")]):
        train.config["rating_levels"] = wrong
        with pytest.raises(ValueError, match="rating_levels must be a list of numbers"):
            train.training_rating_values()


def test_ratings_that_training_never_shows_are_missing_ones(small_config: Callable[..., Any]) -> None:
    lines = [line.split("\t") for line in synthetic_inter().splitlines()[1:]]
    last: dict[str, list[float]] = {}
    for user, _, _, time in lines:
        last.setdefault(user, []).append(float(time))
    rows = [
        "\t".join([user, item, rating if float(time) in sorted(last[user])[-2:] else "", time])
        for user, item, rating, time in lines
    ]
    run = pipeline.run(small_config(HEADER + "\n".join(rows) + "\n", **TRAIN))
    assert 0 <= run.test_result["ndcg@10"] <= 1


def test_a_metric_without_its_k_is_refused_before_training(small_config: Callable[..., Any]) -> None:
    for metric in ("NDCG", "itemcoverage", "AUC"):
        with pytest.raises(ValueError, match=rf"valid_metric must be one of .*NDCG@10.*; got {metric}"):
            pipeline.run(small_config(valid_metric=metric))


@pytest.mark.parametrize(
    ("inter", "settings"),
    [
        (with_column("behavior:float", lambda n: str(n % 2)), {}),
        (with_column("behavior:token", lambda n: "ab"[n % 2]), {"unused_col": {"inter": ["behavior"]}}),
        (None, {"unused_col": {"inter": ["rating_list"]}}),
        (None, {"numerical_features": ["rating"]}),
        (None, {"threshold": {"rating": 3}}),
    ],
)
def test_a_column_that_cannot_be_read_switches_its_feature_off(
    small_config: Callable[..., Any], inter: str | None, settings: dict[str, Any]
) -> None:
    config = small_config(inter, **settings, **TRAIN)
    feature = "behavior" if inter and "behavior" in inter else "rating"
    assert feature not in create_dataset(config).features
    assert pipeline.run(config).checkpoint


def test_a_threshold_with_missing_ratings(small_config: Callable[..., Any]) -> None:
    lines = synthetic_inter().splitlines()
    user, item, _, time = lines[5].split("\t")
    lines[5] = f"{user}\t{item}\t\t{time}"
    assert pipeline.run(small_config("\n".join(lines) + "\n", threshold={"rating": 3}, **TRAIN)).checkpoint


@pytest.mark.parametrize(
    ("inter", "settings", "message"),
    [
        (
            synthetic_inter().replace("timestamp:float", "timestamp:token"),
            {},
            "timestamp of tiny holds tokens, but histories are ordered by numbers. Write it as timestamp:float",
        ),
        (None, {"BEHAVIOR_FIELD": None}, "BEHAVIOR_FIELD must name a column"),
        (None, {"load_col": {"item": ["item_id"]}}, "load_col names no columns of the events. Add them, as inter: "),
    ],
)
def test_what_orders_nothing_is_one_sentence(
    small_config: Callable[..., Any], inter: str | None, settings: dict[str, Any], message: str
) -> None:
    config = small_config(inter)
    config.final_config_dict.update(settings)
    with pytest.raises(ValueError, match=message):
        create_dataset(config).build()


@pytest.mark.parametrize("beside", [False, True])
def test_behaviours_of_benchmark_files(tmp_path: Path, fake_encoder: Any, beside: bool) -> None:
    """Their ids are those of the histories' column, whatever another column calls its own."""
    names = ["user_id:token", "item_id_list:token_seq", "behavior_list:token_seq", "item_id:token"]
    rng, folder = np.random.default_rng(1), tmp_path / "data" / "made"
    folder.mkdir(parents=True)
    for part in ("train", "valid", "test"):
        lines = ["\t".join([*names, *(["behavior:token"] if beside else [])])]
        for user in range(20):
            length = int(rng.integers(2, 6))
            items = " ".join(f"i{item}" for item in rng.integers(0, 9, length))
            kinds = " ".join(["view", "cart", "buy"][k] for k in rng.integers(0, 3, length))
            lines.append("\t".join([f"u{user}", items, kinds, f"i{rng.integers(9)}", *(["buy"] if beside else [])]))
        (folder / f"made.{part}.inter").write_text("\n".join(lines) + "\n")
    settings = {**SMALL, **TRAIN, "data_path": str(folder.parent), "benchmark_filename": ["train", "valid", "test"]}
    settings |= {"alias_of_item_id": ["item_id_list"], "load_col": None, "text_features": "off", "text_fields": None}
    config = make_config("LongInterest", "made", config_dict=settings)
    assert "behavior" in create_dataset(config).features
    run = pipeline.run(config)
    assert 0 <= run.test_result["ndcg@10"] <= 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"benchmark_filename": ["train", "valid", "test"]}, "item_id_list is not among the columns read"),
        ({"eval_args": {"split": {"RS": [0.8, 0.2]}, "order": "TO", "mode": "full"}}, "needs three parts, .* give 2"),
        ({"ITEM_ID_FIELD": "thing"}, "has no column thing, or load_col leaves it out"),
    ],
)
def test_data_that_do_not_do_are_one_sentence(
    small_config: Callable[..., Any], settings: dict[str, Any], message: str
) -> None:
    config = small_config(**settings)
    folder = Path(config["data_path"])
    for part in ("train", "valid", "test"):
        (folder / f"tiny.{part}.inter").write_text((folder / "tiny.inter").read_text())
    with pytest.raises(ValueError, match=message):
        create_dataset(config).build()


def test_missing_ratings_in_numerical_features(small_config: Callable[..., Any]) -> None:
    rows = synthetic_inter().splitlines()
    inter = "\n".join(
        [rows[0], *("\t".join([*row.split("\t")[:2], "", row.split("\t")[3]]) for row in rows[1:3]), *rows[3:]]
    )
    data = create_dataset(small_config(inter, numerical_features=["rating"]))
    assert "rating" not in data.features and len(data.build()) == 3


def test_ids_that_are_numbers_are_refused(small_config: Callable[..., Any]) -> None:
    numbered = "\n".join(line.replace("u", "", 1) for line in synthetic_inter().splitlines())
    with pytest.raises(ValueError, match=r"user_id of tiny\.inter holds floats\. Write it as user_id:token"):
        create_dataset(small_config(numbered.replace("ser_id:token", "user_id:float", 1)))
