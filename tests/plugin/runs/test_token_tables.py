"""A checkpoint with other data than it was trained on, though the numbers of rows agree."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recbole.data import create_dataset, data_preparation
from recbole.trainer import Trainer
from recbole.utils import get_model

from recbole_longinterest.plugin.fixes.load_model import load_data_and_model
from recbole_longinterest.plugin.runs.checkpoints import CheckpointError, load_checkpoint, save_checkpoint
from recbole_longinterest.plugin.runs.token_tables import STATE, check_vocabulary, vocabulary
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.export import export_checkpoint
from recbole_longinterest.training.update.update import update_checkpoint

OTHER_ORDER = r"values of item_id are 20 as before, but others or reordered\. Give the right data with --data_path"


@pytest.fixture
def run(small_config: Callable[..., Any]) -> pipeline.Run:
    return pipeline.run(small_config(epochs=1, resume=True))


def turn(config: Any) -> Path:
    """The same events, the last line first: tokens get other ids."""
    inter = Path(config["data_path"], "tiny.inter")
    header, *lines = inter.read_text().splitlines()
    inter.write_text("\n".join([header, *reversed(lines)]) + "\n")
    return inter


def test_data_whose_ids_are_others_are_refused(run: pipeline.Run, small_config: Callable[..., Any]) -> None:
    checkpoint = Path(run.checkpoint or "")
    load_data_and_model(checkpoint)
    longer = small_config(epochs=2, resume=True)  # which writes the data anew
    inter = turn(longer)
    with pytest.raises(CheckpointError, match=OTHER_ORDER):
        load_data_and_model(checkpoint)
    with pytest.raises(CheckpointError, match=OTHER_ORDER):
        export_checkpoint(checkpoint, "model")
    with pytest.raises(CheckpointError, match=OTHER_ORDER):
        update_checkpoint(checkpoint, inter)
    with pytest.raises(CheckpointError, match=r"are not those that .* was trained on"):
        pipeline.run(longer)
    turn(longer)
    assert export_checkpoint(checkpoint, "model").items.tokens[1:]


def test_a_model_served_does_not_mind_other_users(run: pipeline.Run, small_config: Callable[..., Any]) -> None:
    inter = Path(small_config()["data_path"], "tiny.inter")
    inter.write_text(inter.read_text().replace("u1\t", "someone\t"))
    export_checkpoint(Path(run.checkpoint or ""), "model")
    with pytest.raises(CheckpointError, match=r"values of user_id are .* others or reordered"):
        load_data_and_model(run.checkpoint)


def test_a_number_that_changed_is_said_and_earlier_files_pass(run: pipeline.Run) -> None:
    state = load_checkpoint(run.checkpoint)
    _, _, dataset, *_ = load_data_and_model(run.checkpoint)
    assert state[STATE] == vocabulary(dataset)
    dataset.field2id_token = {**dataset.field2id_token, "item_id": dataset.field2id_token["item_id"][:-2]}
    with pytest.raises(CheckpointError, match="values of item_id are 20 and now 18"):
        check_vocabulary(state, dataset, "a.pth")
    check_vocabulary(state, dataset, "a.pth", ["user_id"])
    del state[STATE]
    check_vocabulary({}, dataset, "a.pth.last")  # the run's part of an earlier file
    save_checkpoint(state, "earlier.pth")
    with pytest.raises(CheckpointError, match="values of item_id are 20 and now 18"):  # as its tables say
        check_vocabulary(load_checkpoint("earlier.pth"), dataset, "earlier.pth")
    load_data_and_model("earlier.pth")


def test_recboles_own_way_to_resume_is_refused_too(run: pipeline.Run, small_config: Callable[..., Any]) -> None:
    longer = small_config(epochs=3)
    turn(longer)
    train, valid, _ = data_preparation(longer, create_dataset(longer))
    trainer = Trainer(longer, get_model("LongInterest")(longer, train._dataset))
    trainer.resume_checkpoint(f"{run.checkpoint}.last")
    with pytest.raises(CheckpointError, match=OTHER_ORDER):
        trainer.fit(train, valid, verbose=False)
