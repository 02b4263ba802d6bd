"""Values that are no numbers: file, row, column and value, whichever reader reads them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recbole.data import create_dataset

from recbole_longinterest.training.settings import make_config
from tests.conftest import synthetic_inter

FILES = {
    "inter": "user_id:token\titem_id:token\tprice:float\ttimestamp:float",
    "item": "item_id:token\tprice:float\tsizes:float_seq",
    "user": "user_id:token\tage:float",
}


def config(root: Path, kind: str, model: str, **settings: Any) -> Any:
    columns = [name.split(":")[0] for name in FILES[kind].split("\t")]
    load: dict[str, list[str]] = {"inter": ["user_id", "item_id", "timestamp"], kind: columns}
    return make_config(
        model, "tiny", config_dict={"data_path": str(root), "load_col": load, "state": "ERROR", **settings}
    )


@pytest.mark.parametrize("value", ["cheap", "1,5", "inf", "-Infinity", "0x1F"])
@pytest.mark.parametrize(
    ("kind", "model", "cells", "column"),
    [
        ("inter", "BPR", "u1\ti1\t{}\t9", "price:float"),
        ("inter", "SASRec", "u1\ti1\t2\t{}", "timestamp:float"),
        ("item", "BPR", "i1\t{}\t1 2", "price:float"),
        ("item", "SASRec", "i1\t3\t1 {} 2", "sizes:float_seq"),
        ("user", "BPR", "u1\t{}", "age:float"),
    ],
)
def test_the_first_value_is_named(
    write_dataset: Callable[..., Path], kind: str, model: str, cells: str, column: str, value: str
) -> None:
    root = write_dataset("tiny", synthetic_inter(rating=False))
    good = [cells.format(number).replace("1\t", f"{number}\t", 1) for number in (3, 4)]
    lines = [FILES[kind], *good, cells.format(value), cells.format("later")]
    (root / "tiny" / f"tiny.{kind}").write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=rf"tiny\.{kind} cannot be read: row 3 has '{value}' as {column}"):
        create_dataset(config(root, kind, model))


def test_a_column_that_is_not_loaded_may_hold_anything(write_dataset: Callable[..., Path]) -> None:
    root = write_dataset("tiny", synthetic_inter(rating=False))
    (root / "tiny" / "tiny.item").write_text(f"{FILES['item']}\ni1\tcheap\t1\n")
    assert create_dataset(config(root, "inter", "BPR", load_col={"inter": ["user_id", "item_id"]})).item_feat is None


def test_numbers_of_users_have_their_line(write_dataset: Callable[..., Path]) -> None:
    root = write_dataset("tiny", synthetic_inter(rating=False))
    (root / "tiny" / "tiny.user").write_text(f"{FILES['user']}\nu1\t30\nu2\told\n")
    with pytest.raises(ValueError, match=r"tiny\.user, line 3: age must be a finite number; got 'old'"):
        settings = {"user_features": ["age"], "text_features": "off"}
        create_dataset(config(root, "inter", "LongInterest", **settings)).build()


LABELED = {"split": {"RS": [8, 1, 1]}, "order": "RO", "mode": "labeled"}
FULL = {**LABELED, "mode": "full"}


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        (
            "FM",
            {"metrics": ["AUC", "LogLoss"], "valid_metric": "AUC"},
            "FM and AUC and LogLoss need labels, but tiny has",
        ),
        ("BPR", {"metrics": ["RMSE"], "valid_metric": "RMSE"}, r"RMSE needs labels, .* Set threshold, as {rating: 4}"),
        ("DeepFM", {"eval_args": FULL, "metrics": ["NDCG"], "valid_metric": "NDCG@10"}, "DeepFM needs labels"),
    ],
)
def test_labels_that_nothing_makes(
    write_dataset: Callable[..., Path], model: str, settings: dict[str, Any], message: str
) -> None:
    given = {"eval_args": LABELED, **settings}
    if model != "BPR":
        given["train_neg_sample_args"] = None
    load = {"inter": ["user_id", "item_id", "rating"]}
    base = {"data_path": str(write_dataset("tiny", synthetic_inter())), "load_col": load, "state": "ERROR"}
    with pytest.raises(ValueError, match=message):
        create_dataset(make_config(model, "tiny", config_dict={**base, **given}))
    threshold = {**base, **given, "threshold": {"rating": 3}}
    assert "label" in create_dataset(make_config(model, "tiny", config_dict=threshold)).inter_feat
