"""From a checkpoint and new events to a new checkpoint."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from recbole_longinterest.nn.memory import tables_of
from recbole_longinterest.plugin.runs.checkpoints import load_checkpoint
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.settings import make_config
from recbole_longinterest.training.update import job
from recbole_longinterest.training.update.job import PARENT_EVENTS
from recbole_longinterest.training.update.replay import KeyedDataset
from recbole_longinterest.training.update.update import update_checkpoint
from tests.training.update.made import HEADER, LATER, exported, items_to, new_events, rows_of


def test_the_old_checkpoint_and_data_are_not_touched_and_the_new_one_has_its_lineage(
    parent: Path, inter: Path, item: Path, tmp_path: Path
) -> None:
    files = {file: file.read_bytes() for file in [parent, *(tmp_path / "data").rglob("*.i*")]}
    done = update_checkpoint(parent, inter, item)
    assert all(file.read_bytes() == content for file, content in files.items())
    assert (done.merged.events, done.merged.users, done.merged.items, done.items) == (80, 10, 5, 25)
    (entry,) = load_checkpoint(done.checkpoint)["config"]["lineage"]
    assert entry["parent"] == parent.name and entry["settings"]["scope"] == "head"
    assert {len(entry["parent_sha256"]), *map(len, entry["new_sha256"].values())} == {64}
    assert not (done.checkpoint.with_name(done.checkpoint.name + ".data") / "training").exists()


def test_the_updated_checkpoint_works_wherever_a_trained_one_does(
    parent: Path, inter: Path, item: Path, write: Callable[[str, str], Path]
) -> None:
    done = update_checkpoint(parent, inter, item)
    from recbole.quick_start import load_data_and_model
    from recbole.utils import get_trainer

    config, model, dataset, _, _, test_data = load_data_and_model(done.checkpoint)
    result = get_trainer(config["MODEL_TYPE"], config["model"])(config, model).evaluate(test_data, False)
    assert 0 <= result["ndcg@10"] <= 1 and dataset.item_num == 26
    served = Recommender.load(exported(done.checkpoint))
    assert "i24" in {found.item for found in served.recommend(["i1", "i2"], 100).items}
    assert served.served.about["lineage"][0]["parent"] == parent.name

    later = write("later.inter", new_events(range(35, 50), range(20, 30), at=LATER + 10**6))
    again = update_checkpoint(done.checkpoint, later, write("later.item", items_to(30)))
    assert [entry["parent"] for entry in load_checkpoint(again.checkpoint)["config"]["lineage"]] == [
        parent.name,
        done.checkpoint.name,
    ]
    assert again.items == 30
    resumed = pipeline.run(
        make_config(config_dict={"resume": str(again.checkpoint), "epochs": 7, "show_progress": False})
    )
    assert resumed.checkpoint == again.checkpoint
    assert len(load_checkpoint(f"{again.checkpoint}.last")["config"]["lineage"]) == 2
    assert load_checkpoint(f"{again.checkpoint}.last")["epoch"] == 6


def test_the_same_update_gives_the_same_file(parent: Path, inter: Path, item: Path) -> None:
    done = update_checkpoint(parent, inter, item)
    last = done.checkpoint.with_name(done.checkpoint.name + ".last")
    first = done.checkpoint.read_bytes(), last.read_bytes()
    there = update_checkpoint(parent, inter, item)
    assert there.trained == [] and (there.new_targets, there.merged) == (done.new_targets, done.merged)
    for file in (done.checkpoint, last):
        file.unlink()
    shutil.rmtree(done.checkpoint.with_name(done.checkpoint.name + ".data"))
    again = update_checkpoint(parent, inter, item)
    assert again.trained and (again.checkpoint.read_bytes(), last.read_bytes()) == first
    other = update_checkpoint(parent, inter, item, settings={"seed": 7})
    assert other.checkpoint != done.checkpoint and other.checkpoint.read_bytes() != first[0]


@pytest.mark.parametrize("killed_after", [0, 2])
def test_an_update_that_was_stopped_goes_on(
    parent: Path, inter: Path, item: Path, monkeypatch: pytest.MonkeyPatch, killed_after: int
) -> None:
    from recbole_longinterest.plugin.trainer import LongInterestTrainer

    whole = update_checkpoint(parent, inter, item, settings={"epochs": 4})
    wanted = whole.checkpoint.read_bytes()
    whole.checkpoint.unlink()
    shutil.rmtree(whole.checkpoint.with_name(whole.checkpoint.name + ".data"))
    begun: list[int] = []
    train_epoch = LongInterestTrainer._train_epoch

    def watched(self: Any, train_data: Any, epoch: int, *args: Any, **kwargs: Any) -> Any:
        begun.append(epoch)
        if len(begun) == killed_after + 1:
            raise KeyboardInterrupt
        return train_epoch(self, train_data, epoch, *args, **kwargs)

    monkeypatch.setattr(LongInterestTrainer, "_train_epoch", watched)
    with pytest.raises(KeyboardInterrupt):
        update_checkpoint(parent, inter, item, settings={"epochs": 4})
    assert not whole.checkpoint.exists()
    update_checkpoint(parent, inter, item, settings={"epochs": 4})
    assert begun == [*range(killed_after + 1), *range(killed_after, 4)]
    assert whole.checkpoint.read_bytes() == wanted


@pytest.mark.parametrize("scope", ["items", "head"])
def test_what_is_not_in_the_scope_stays_bit_for_bit(
    small_config: Callable[..., Any], inter: Path, item: Path, scope: str
) -> None:
    made = pipeline.run(small_config(epochs=2, request_time=True)).checkpoint
    assert made is not None
    parent = made.resolve()
    done = update_checkpoint(parent, inter, item, scope=scope, settings={"learning_rate": 0.05})
    before, after = (load_checkpoint(file)["state_dict"] for file in (parent, done.checkpoint))
    moved = {name for name in before if before[name].shape == after[name].shape and not before[name].equal(after[name])}
    head = {"interest_encoder.query.weight", "interest_encoder.query.bias", "repeat_bias"}
    head |= {"request.factor", "request.shift"}
    assert moved == (head if scope == "head" else set())
    old, new = rows_of(parent), rows_of(done.checkpoint)
    known = [token for token in old if token != "[PAD]"]
    assert all(torch.allclose(old[token], new[token], atol=1e-6) for token in known)
    text_alone = rows_of(
        update_checkpoint(parent, inter, item, scope=scope, settings={"epochs": 1, "learning_rate": 0.0}).checkpoint
    )
    assert not torch.allclose(text_alone["i20"], new["i20"], atol=1e-3)  # new items are trained


def test_transitions_are_counted_in_all_events_not_in_the_chosen_ones(parent: Path, inter: Path, item: Path) -> None:
    from recbole.quick_start import load_data_and_model

    done = update_checkpoint(parent, inter, item, replay=0.0)
    assert done.old_targets == 0
    _, model, _, train, _, _ = load_data_and_model(done.checkpoint)
    kept = load_checkpoint(done.checkpoint)["state_dict"]
    for name, table in tables_of(model.with_lent(train._dataset.transitions(model.memory.size))).items():
        torch.testing.assert_close(kept[f"memory.{name}"], table, msg=name)
    before = load_checkpoint(parent)["state_dict"]["memory.support"]
    assert kept["memory.support"].sum() > before.sum()


def test_all_and_replay(parent: Path, inter: Path, item: Path) -> None:
    alone = update_checkpoint(parent, inter, item, scope="all", replay=0.0)
    with_old = update_checkpoint(parent, inter, item, scope="all", replay=2.0)
    assert alone.old_targets == 0 and with_old.old_targets >= 2 * with_old.new_targets > 0
    assert alone.new_targets == with_old.new_targets
    before, after = (load_checkpoint(file)["state_dict"] for file in (parent, alone.checkpoint))
    assert not before["fusion.item.weight"].equal(after["fusion.item.weight"])


def test_a_few_events_move_the_model_a_little(parent: Path, write: Callable[[str, str], Path]) -> None:
    events = write("few.inter", new_events([0], range(2)))
    few = update_checkpoint(parent, events, scope="all", settings={"epochs": 1})
    chosen = update_checkpoint(parent, events, scope="all", settings={"epochs": 1, "eval_step": 1})
    assert few.old_targets > 10 * few.new_targets > 0  # they are not all that a step sees
    before, after, free = (load_checkpoint(file)["state_dict"] for file in (parent, few.checkpoint, chosen.checkpoint))
    name, share = "interest_encoder.query.weight", few.new_targets / (few.new_targets + PARENT_EVENTS)
    assert 0 < (after[name] - before[name]).norm() < 0.01 * (free[name] - before[name]).norm()  # chosen by validation
    torch.testing.assert_close(after[name], torch.lerp(before[name], free[name], share))


def test_where_no_event_is_a_new_target_the_weights_stay(parent: Path, write: Callable[[str, str], Path]) -> None:
    one = write("one.inter", new_events(range(900, 901), range(5), each=1))  # a first event, which nobody can predict
    done = update_checkpoint(parent, one)
    before, after = (load_checkpoint(file)["state_dict"] for file in (parent, done.checkpoint))
    assert done.new_targets == 0 < done.old_targets
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("interest_encoder"))


@pytest.mark.parametrize("interval", ["[3,inf)", None], ids=["three events", "any"])
def test_filters_of_the_training_apply_to_new_users(
    small_config: Callable[..., Any],
    write: Callable[[str, str], Path],
    caplog: pytest.LogCaptureFixture,
    interval: str | None,
) -> None:
    run = pipeline.run(small_config(epochs=1, user_inter_num_interval=interval))
    assert run.checkpoint is not None
    done = update_checkpoint(run.checkpoint, write("few.inter", new_events(range(900, 902), range(5), each=2)))
    said = [text for text in caplog.messages if "left out until" in text]
    assert len(said) == (interval is not None) and done.merged.users == 2
    assert all("user_inter_num_interval: [3,inf) applies to the new users, too." in text for text in said)


def test_what_training_has_shown_is_not_held_out_after_an_update(
    small_config: Callable[..., Any], write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    split = {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "TO", "group_by": "user", "mode": "full"}
    run = pipeline.run(small_config(epochs=1, eval_args=split))
    assert run.checkpoint is not None
    made: list[tuple[Any, ...]] = []

    class Kept(job.ReplayDataset):
        def build(self) -> list[Any]:
            parts = super().build()
            made.append(
                (self.known, *(part.trained_keys() for part in parts[1:]), len(KeyedDataset(self.config).build()[1]))
            )
            return parts

    monkeypatch.setattr(job, "ReplayDataset", Kept)
    earlier = write("early.inter", new_events(range(1, 20), range(15, 25), each=12, at=900_000_000))
    done = update_checkpoint(run.checkpoint, earlier, settings={"eval_step": 1, "epochs": 1})
    known, valid, test, all_valid = made[0]
    assert 0 < len(valid) < all_valid and not set(known.tolist()) & {*valid.tolist(), *test.tolist()}

    # Nor after the next one, though the split has moved and the parent of the parent has shown it.
    more = write("more.inter", new_events(range(1, 20), range(10, 20), each=3, at=800_000_000))
    update_checkpoint(done.checkpoint, more, settings={"eval_step": 1, "epochs": 1})
    again = made[1][0]
    assert set(known.tolist()) < set(again.tolist()) and not set(known.tolist()) & set(made[1][1].tolist())


def test_ties_of_a_parent_keep_their_random_order(
    small_config: Callable[..., Any], write: Callable[[str, str], Path]
) -> None:
    """A tie's place follows from the tied events, so that old ones keep their order beside new ones at their time."""
    days = HEADER + "".join(
        f"u{user}\ti{(user + step) % 20}\t3\t{LATER - 86_400 * (2 - step // 6)}\n"
        for user in range(20)
        for step in range(12)
    )
    parent = pipeline.run(small_config(days, tie_order="random", tie_seed=4)).checkpoint
    assert parent is not None
    lines = (f"u{user}\ti{(user + 15) % 20}\t3\t{LATER - 86_400}\n" for user in range(20))
    more = write("more.inter", HEADER + "".join(lines))
    done = update_checkpoint(parent, more)
    old, new = (log_of(file) for file in (parent, done.checkpoint))
    assert (len(new), done.merged.events, done.merged.earlier) == (len(old) + 20, 20, 0)
    added = [(f"u{user}", f"i{(user + 15) % 20}") for user in range(20)]
    assert [event for event in new if event not in added] == old
    last = [place for place, event in enumerate(new) if place + 1 == len(new) or new[place + 1][0] != event[0]]
    assert 0 < len(set(added) & {new[place] for place in last}) < 20  # among the old ones, not after all of them


def log_of(checkpoint: Path) -> list[tuple[str, str]]:
    """Users and items of the log that a checkpoint was trained on, in order, users by name."""
    data = KeyedDataset(load_checkpoint(checkpoint)["config"])
    log = data.build()[0].inter_feat.interaction.log
    users, items = (data.id2token(field, log[field].long().numpy()).tolist() for field in ("user_id", "item_id"))
    return sorted(zip(users, items, strict=True), key=lambda event: event[0])
