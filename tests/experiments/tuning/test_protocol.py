"""By which protocol the trials of a search are compared."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recbole_longinterest.experiments.tuning.protocol import both_choices, check_protocol, line_of, metric_name
from recbole_longinterest.plugin.fixes.command_line import command_line
from recbole_longinterest.training.settings import make_config
from tests.conftest import synthetic_inter


@pytest.fixture
def config(write_dataset: Callable[..., Path]) -> Callable[..., Any]:
    root = write_dataset("tiny", synthetic_inter())

    def make(model: str = "GRU4Rec", **more: Any) -> Any:
        settings = {"data_path": str(root), "valid_metric": "NDCG@10", "exact_order": True, "strict_keys": False}
        with command_line([]):
            return make_config(model, "tiny", config_dict={**settings, **more})

    return make


def test_both_are_recorded_where_both_exist(config: Callable[..., Any]) -> None:
    assert both_choices(config()) == {"best_by": ["seen-masked"]}
    assert both_choices(config(best_by=["MRR@10", "seen-masked"])) == {"best_by": ["seen-masked", "MRR@10"]}
    assert both_choices(config("BPR")) == both_choices(config(exact_order=None)) == {}
    gauc = config(metrics=["GAUC", "NDCG"], valid_metric="GAUC")
    assert both_choices(gauc) == {}


def test_the_score_is_of_the_protocol(config: Callable[..., Any]) -> None:
    line = {"ndcg@10": 0.2, "seen-masked": 0.3, "valid_score": 0.2}
    assert line_of("native", line) == line and line_of("masked", line)["valid_score"] == 0.3
    assert metric_name("native", config()) == "NDCG@10" and metric_name("masked", config()) == "seen-masked NDCG@10"


@pytest.mark.parametrize(
    ("protocol", "model", "message"),
    [
        ("both", "GRU4Rec", "protocol must be one of native, masked; got 'both'"),
        ("masked", "BPR", "--protocol masked needs a sequential model on the flat log .* got BPR with NDCG@10"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    config: Callable[..., Any], protocol: str, model: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_protocol(protocol, config(model))
