"""The card of an exported model."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.model_card import CARD, check_metrics, model_card, read_metrics
from recbole_longinterest.serving.model_folder import read_folder, write_folder
from tests.served import random_served

FIGURES = {"validation": {"ndcg@10": 0.16}, "native": {"ndcg@10": 0.1431, "recall@10": float("nan")}}


def test_a_card_says_what_the_model_holds(tmp_path: Path) -> None:
    served = random_served()
    served = replace(served, about={**served.about, "dataset": "ml-100k", "metrics": FIGURES})
    write_folder(served, tmp_path / "m")
    card = (tmp_path / "m" / CARD).read_text()
    assert card.startswith("---\nlibrary_name: recbole-longinterest\n") and "# LongInterest on `ml-100k`" in card
    assert "| items | 300, 300 with a title |" in card and "`rating`, `behavior`, `time`" in card
    assert "- Validation, the metric that chose the epoch: ndcg@10 0.1600." in card
    assert "all items are ranked: ndcg@10 0.1431.\n" in card  # without the figure that is not a number
    assert "items that the user has already seen: not measured." in card and '"hidden_size": 32' in card
    (tmp_path / "m" / CARD).write_text("by hand")  # a person may change it: no file that is served
    assert read_folder(tmp_path / "m").about["metrics"]["native"]["ndcg@10"] == 0.1431
    write_folder(served, tmp_path / "m")
    assert (tmp_path / "m" / CARD).read_text() == card


def test_names_of_the_data_are_no_markup() -> None:
    served = random_served()
    card = model_card(replace(served, about={"dataset": "a`|<b>\n# x", "text": {"text_encoder": "b|c"}}))
    assert "\n# x" not in card and "| data set | `a'/<b>" in card and "| text encoder | `b/c` |" in card


def test_figures_of_a_comparison_are_read(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    file.write_text(json.dumps({"row": "LongInterest", "metrics": {"native": {"mrr@10": 1}, "seen-masked": {}}}))
    assert read_metrics(file) == {"native": {"mrr@10": 1.0}, "seen-masked": {}}


@pytest.mark.parametrize(
    "bad", [[], {"test": {"ndcg@10": 1.0}}, {"native": 0.1}, {"native": {"a": "b"}}, {"native": {"a": True}}]
)
def test_other_figures_are_refused(bad: Any) -> None:
    with pytest.raises(LongInterestError, match=r"must be numbers by protocol \(validation, native"):
        check_metrics(bad)


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    for name in ("a.json", "absent.json"):
        with pytest.raises(LongInterestError, match=rf"{name} cannot be read as metrics of a model"):
            read_metrics(tmp_path / name)
