"""What every computed model keeps to: its column, the target, the training part, a checkpoint, a run."""

from pathlib import Path
from typing import Any

import pytest
import torch
from recbole.data.interaction import Interaction

from recbole_longinterest.training import pipeline
from recbole_longinterest.training.settings import make_config
from tests.conftest import synthetic_inter
from tests.plugin.baselines.computed.conftest import Make

NAMES = ["SeqEASE", "TALE", "VSKNN", "STAN"]


@pytest.mark.parametrize("name", NAMES)
def test_predict_is_its_column_of_all_scores(made: Make, name: str) -> None:
    tried = made(name)
    scores = tried.model.full_sort_predict(tried.batch)
    assert scores.shape == (len(tried.test), tried.train.item_num) and scores.isfinite().all()
    column = scores.gather(1, tried.batch["item_id"].unsqueeze(1))[:, 0]
    assert torch.equal(tried.model.predict(tried.batch), column.float())  # as RecBole's table of sampled candidates


@pytest.mark.parametrize("name", NAMES)
def test_more_padding_and_other_rows_change_nothing(made: Make, name: str) -> None:
    tried = made(name)
    scores = tried.model.full_sort_predict(tried.batch)
    wide = dict(tried.batch.interaction)
    for field in ("item_id_list", "timestamp_list"):
        wide[field] = torch.nn.functional.pad(wide[field], (0, 5))
    assert torch.allclose(tried.model.full_sort_predict(Interaction(wide)), scores, rtol=0, atol=1e-12)
    assert torch.allclose(tried.model.full_sort_predict(tried.test[3:5]), scores[3:5], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_target_is_never_read(made: Make, name: str) -> None:
    tried = made(name)
    changed = dict(tried.batch.interaction)
    changed["item_id"] = changed["item_id"] % (tried.train.item_num - 1) + 1
    for field in ("rating", "timestamp"):
        if field in changed:
            changed[field] = changed[field] + 1000
    assert torch.equal(tried.model.full_sort_predict(Interaction(changed)), tried.model.full_sort_predict(tried.batch))


@pytest.mark.parametrize("name", NAMES)
def test_it_learns_from_the_training_part_alone(made: Make, name: str) -> None:
    inter = synthetic_inter()
    head, *lines = inter.splitlines()
    last: dict[str, list[int]] = {}
    for place, line in enumerate(lines):
        last.setdefault(line.split("\t")[0], []).append(place)
    shortened = list(lines)
    for places in last.values():
        if len(places) > 3:
            for place in places[-2:]:  # validation and test event of a user with training rows
                parts = shortened[place].split("\t")
                shortened[place] = "\t".join([parts[0], "i3", *parts[2:]])
    one, other = made(name, inter), made(name, "\n".join([head, *shortened]) + "\n")
    # Ids are given by the order of the first events, so compare by tokens.
    tokens = one.train.field2id_token["item_id"]
    places = [other.train.field2token_id["item_id"][token] for token in tokens]
    history = tokens[1:4]
    scores = []
    for each in (one, other):
        items = torch.tensor([[each.train.field2token_id["item_id"][token] for token in history]])
        batch = Interaction(
            {
                "item_id_list": items,
                "item_length": torch.tensor([3]),
                "timestamp_list": torch.full((1, 3), 1e9),
                "user_id": torch.tensor([0]),
                "item_id": torch.tensor([1]),
            }
        )
        scores.append(each.model.full_sort_predict(batch))
    assert len(tokens) == other.train.item_num
    assert torch.allclose(scores[0], scores[1][:, places], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_ends_after_one_epoch_with_a_checkpoint(made: Make, name: str, tmp_path: Path) -> None:
    root = made(name).config["data_path"].rpartition("/")[0]
    given: dict[str, Any] = {
        "data_path": root,
        "state": "ERROR",
        "show_progress": False,
        "checkpoint_dir": str(tmp_path),
    }
    done = pipeline.run(make_config(name, "tiny", config_dict=given))
    assert done.checkpoint is not None and done.checkpoint.is_file()
    assert done.test_result is not None and 0 <= done.test_result["ndcg@10"] <= 1


@pytest.mark.parametrize("name", NAMES)
def test_a_data_set_without_a_flat_log_is_refused(made: Make, name: str) -> None:
    with pytest.raises(
        ValueError,
        match=rf"{name} counts the events of one log, and this data set has none\. Set one_pass: True, and leave "
        "benchmark_filename out",
    ):
        made(name, one_pass=False, exact_order=None)


def test_days_are_counted_in_normalised_times_too(made: Make) -> None:
    plain, scaled = (made("STAN", normalize_all=whether) for whether in (False, True))
    assert scaled.model.days_in_unit != pytest.approx(plain.model.days_in_unit)
    expected = plain.model.full_sort_predict(plain.batch)
    assert torch.allclose(scaled.model.full_sort_predict(scaled.batch), expected, rtol=1e-3, atol=1e-6)
    with pytest.raises(ValueError, match="STAN reads intervals in days, and timestamp is normalised with exact_order"):
        made("STAN", normalize_all=True, exact_order=False)


def test_times_that_are_dropped_are_missed(made: Make) -> None:
    with pytest.raises(ValueError, match="TALE reads timestamp_list, which unused_col drops"):
        made("TALE", unused_col={"inter": ["timestamp_list"]})
