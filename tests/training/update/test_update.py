"""From a checkpoint and new events to a new checkpoint."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from recbole_longinterest.cli import main
from recbole_longinterest.data import item_texts
from recbole_longinterest.plugin.runs.checkpoints import load_checkpoint
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.text.folder import EncoderError
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.export import export_checkpoint
from recbole_longinterest.training.settings import make_config
from recbole_longinterest.training.update import update
from recbole_longinterest.training.update.replay import KeyedDataset
from recbole_longinterest.training.update.update import PARENT_EVENTS, update_checkpoint
from tests.conftest import FakeEncoder, synthetic_inter, synthetic_item

HEADER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
LATER = 1_100_000_000  # after every event of synthetic_inter


def new_events(users: range, items: range, each: int = 4, at: int = LATER, rating: str = "4") -> str:
    rows = [
        f"u{user}\ti{items[(user + place) % len(items)]}\t{rating}\t{at + 1000 * user + place}\n"
        for user in users
        for place in range(each)
    ]
    return HEADER + "".join(rows)


def items_to(number: int, **changed: str) -> str:
    lines = synthetic_item(number).splitlines()
    return "\n".join(changed.get(line.split("\t")[0], line) for line in lines) + "\n"


@pytest.fixture
def parent(small_config: Callable[..., Any]) -> Path:
    run = pipeline.run(small_config(epochs=2))
    assert run.checkpoint is not None
    return run.checkpoint.resolve()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    def write(name: str, content: str) -> Path:
        (tmp_path / name).write_text(content)
        return tmp_path / name

    return write


@pytest.fixture
def inter(write: Callable[[str, str], Path]) -> Path:
    return write("new.inter", new_events(range(20, 40), range(15, 25)))


@pytest.fixture
def item(write: Callable[[str, str], Path]) -> Path:
    return write("new.item", items_to(26))


def rows_of(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Item vectors of a checkpoint by token."""
    model = Recommender.load(exported(checkpoint))
    return dict(zip(model.served.items.tokens, model.items, strict=True))


def exported(checkpoint: Path) -> Path:
    folder = checkpoint.with_name(f"{checkpoint.stem}-model")
    if not folder.is_dir():
        export_checkpoint(checkpoint, folder)
    return folder


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
def test_what_is_not_in_the_scope_stays_bit_for_bit(parent: Path, inter: Path, item: Path, scope: str) -> None:
    done = update_checkpoint(parent, inter, item, scope=scope, settings={"learning_rate": 0.05})
    before, after = (load_checkpoint(file)["state_dict"] for file in (parent, done.checkpoint))
    moved = {name for name in before if before[name].shape == after[name].shape and not before[name].equal(after[name])}
    head = {"interest_encoder.query.weight", "interest_encoder.query.bias", "repeat_bias"}
    assert moved == (head if scope == "head" else set())
    old, new = rows_of(parent), rows_of(done.checkpoint)
    known = [token for token in old if token != "[PAD]"]
    assert all(torch.allclose(old[token], new[token], atol=1e-6) for token in known)
    text_alone = rows_of(
        update_checkpoint(parent, inter, item, scope=scope, settings={"epochs": 1, "learning_rate": 0.0}).checkpoint
    )
    assert not torch.allclose(text_alone["i20"], new["i20"], atol=1e-3)  # new items are trained


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


# --- edge cases ------------------------------------------------------------------------------------------------------


def test_no_new_item_needs_no_encoder(
    parent: Path, write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("the encoder was asked for")

    monkeypatch.setattr(update, "make_encoder", missing)
    done = update_checkpoint(parent, write("n.inter", new_events(range(5), range(10))))
    assert (done.merged.items, done.merged.users, done.items) == (0, 0, 20) and done.new_targets > 0


def test_only_new_items(parent: Path, write: Callable[[str, str], Path]) -> None:
    done = update_checkpoint(
        parent, write("n.inter", new_events(range(50, 60), range(20, 26))), write("n.item", items_to(26))
    )
    assert (done.merged.items, done.items) == (6, 26)
    assert done.checkpoint.is_file() and "i25" in rows_of(done.checkpoint)
    with pytest.raises(ValueError, match=r"holds no event, only a header.*recbole-li add-items"):
        update_checkpoint(parent, write("none.inter", HEADER))


def test_a_text_that_changed_is_encoded_again(
    parent: Path, inter: Path, write: Callable[[str, str], Path], fake_encoder: FakeEncoder
) -> None:
    fake_encoder.encoded.clear()
    changed = items_to(25, i3="i3\tQuite another\tKind 9")
    done = update_checkpoint(parent, inter, write("c.item", changed), scope="items", settings={"learning_rate": 0.0})
    assert done.changed_texts == 1 and "Quite another. Kind 9" in fake_encoder.encoded
    assert "Title number 4. Kind 0" not in fake_encoder.encoded
    old, new = rows_of(parent), rows_of(done.checkpoint)
    assert not torch.allclose(old["i3"], new["i3"], atol=1e-4) and torch.allclose(old["i4"], new["i4"], atol=1e-6)
    assert done.merged.changed_rows == 1


def test_earlier_events_of_known_users_take_their_place_in_time(
    parent: Path, write: Callable[[str, str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    early = write("e.inter", new_events(range(3), range(10), at=10**6))
    assert main.main(["update", str(parent), "--inter", str(early), "--output", str(parent.with_name("e.pth"))]) == 0
    assert "events earlier than their user's last: 12, put in their place in time" in capsys.readouterr().out
    from recbole.quick_start import load_data_and_model

    _, _, dataset, train, *_ = load_data_and_model(parent.with_name("e.pth"))
    user = dataset.field2token_id["user_id"]["u0"]
    log = train._dataset.inter_feat
    start = int(log.history_start()[(log["user_id"] == user).nonzero()[0]])
    first = dataset.field2id_token["item_id"][train._dataset.event_log["item_id_list"][start].item()]
    assert first == "i0"


def test_events_that_were_trained_on_count_once(
    parent: Path, write: Callable[[str, str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    old = synthetic_inter().splitlines()
    fresh = new_events(range(3), range(10)).splitlines()[1:]
    mixed = write("m.inter", "\n".join([HEADER.strip(), *old[1:11], *fresh, *fresh]) + "\n")
    assert main.main(["update", str(parent), "--inter", str(mixed)]) == 0
    out = capsys.readouterr().out
    assert "new: 12 events" in out and "repeated events, counted once: 22" in out
    merged = next(parent.parent.glob("*.data/tiny/tiny.inter")).read_text().splitlines()
    assert merged == [*old, *fresh]
    with pytest.raises(ValueError, match=r"holds no new event: all 10 are in .* already and would count twice"):
        update_checkpoint(parent, write("o.inter", "\n".join([HEADER.strip(), *old[1:11]])))


def test_what_training_has_shown_is_not_held_out_after_an_update(
    small_config: Callable[..., Any], write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    split = {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "TO", "group_by": "user", "mode": "full"}
    run = pipeline.run(small_config(epochs=1, eval_args=split))
    assert run.checkpoint is not None
    made: list[tuple[Any, ...]] = []

    class Kept(update.ReplayDataset):
        def build(self) -> list[Any]:
            parts = super().build()
            made.append(
                (self.known, *(part.trained_keys() for part in parts[1:]), len(KeyedDataset(self.config).build()[1]))
            )
            return parts

    monkeypatch.setattr(update, "ReplayDataset", Kept)
    earlier = write("early.inter", new_events(range(1, 20), range(15, 25), each=12, at=1000))
    done = update_checkpoint(run.checkpoint, earlier, settings={"eval_step": 1, "epochs": 1})
    known, valid, test, all_valid = made[0]
    assert 0 < len(valid) < all_valid and not set(known.tolist()) & {*valid.tolist(), *test.tolist()}

    # Nor after the next one, though the split has moved and the parent of the parent has shown it.
    more = write("more.inter", new_events(range(1, 20), range(10, 20), each=3, at=900))
    update_checkpoint(done.checkpoint, more, settings={"eval_step": 1, "epochs": 1})
    again = made[1][0]
    assert set(known.tolist()) < set(again.tolist()) and not set(known.tolist()) & set(made[1][1].tolist())


def test_without_the_text_encoder(
    parent: Path,
    inter: Path,
    item: Path,
    fake_encoder: FakeEncoder,
    write: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone(texts: Any) -> Any:
        raise EncoderError("There is no model folder /gone.")

    at_hand = fake_encoder.encode
    monkeypatch.setattr(fake_encoder, "encode", gone)
    with pytest.raises(ValueError, match=r"5 new or changed texts need the text encoder .*/gone.*--without_text"):
        update_checkpoint(parent, inter, item)
    done = update_checkpoint(parent, inter, item, without_text=True)
    state = load_checkpoint(done.checkpoint)["state_dict"]
    assert int(state["item_sources.text.present"].sum()) == 20 and done.items == 25

    monkeypatch.setattr(fake_encoder, "encode", at_hand)  # once it is back, an update makes up for it
    later = update_checkpoint(done.checkpoint, write("later.inter", new_events(range(3), range(5), at=2 * LATER)))
    state = load_checkpoint(later.checkpoint)["state_dict"]
    assert int(state["item_sources.text.present"].sum()) == 25 and later.changed_texts == 5


def test_ten_times_the_old_catalogue(parent: Path, write: Callable[[str, str], Path]) -> None:
    many = write("t.inter", new_events(range(100, 300), range(20, 220), each=6))
    done = update_checkpoint(parent, many, write("t.item", items_to(220)))
    assert done.items == 220 and done.merged.items == 200
    old, new = rows_of(parent), rows_of(done.checkpoint)
    assert all(torch.allclose(old[token], new[token], atol=1e-6) for token in old if token != "[PAD]")


def test_a_wider_rating_scale_keeps_the_levels_of_training(parent: Path, write: Callable[[str, str], Path]) -> None:
    done = update_checkpoint(parent, write("r.inter", new_events(range(5), range(10), rating="3.5")))
    assert load_checkpoint(done.checkpoint)["state_dict"]["fusion.levels.rating.values"].tolist() == [1, 2, 3, 4, 5]
    from recbole.quick_start import load_data_and_model

    load_data_and_model(done.checkpoint)


def test_ratings_that_change_what_normalised_ones_mean_are_refused(
    small_config: Callable[..., Any], write: Callable[[str, str], Path]
) -> None:
    run = pipeline.run(small_config(normalize_field=["rating"]))
    assert run.checkpoint is not None
    with pytest.raises(ValueError, match=r"normalised by their range \[1.0, 5.0\], and .* \[1.0, 10.0\]"):
        update_checkpoint(run.checkpoint, write("r.inter", new_events(range(5), range(10), rating="10")))


def test_a_model_without_texts_and_one_with_behaviours(
    small_config: Callable[..., Any], write: Callable[[str, str], Path]
) -> None:
    lines = synthetic_inter().splitlines()
    old = "\n".join([f"{lines[0]}\tbehavior:token", *(f"{line}\t{'ab'[n % 2]}" for n, line in enumerate(lines[1:]))])
    run = pipeline.run(small_config(inter=old + "\n", text_features="off"))
    assert run.checkpoint is not None
    lines = new_events(range(20, 40), range(15, 25)).splitlines()
    new = "\n".join([f"{lines[0]}\tbehavior:token", *(f"{line}\t{'bc'[n % 2]}" for n, line in enumerate(lines[1:]))])
    done = update_checkpoint(run.checkpoint, write("b.inter", new))
    before, after = (load_checkpoint(file)["state_dict"] for file in (run.checkpoint, done.checkpoint))
    table = "fusion.levels.behavior.weight"
    assert len(before[table]) == 3 and len(after[table]) == 4
    assert "item_sources.text.vectors" not in after and bool(after["trained"][1:].all())

    # At one time a user may view an item and buy it: two events, of which one is known.
    known = old.splitlines()[1:7]
    twice = "".join(f"{line[:-1]}{kind}\n" for line in known for kind in "ab")
    again = update_checkpoint(run.checkpoint, write("c.inter", f"{lines[0]}\tbehavior:token\n{twice}"))
    assert (again.merged.events, again.merged.repeated) == (6, 6) and again.new_targets == 6


def test_behaviours_are_compared_by_the_names_of_the_training(
    small_config: Callable[..., Any], write: Callable[[str, str], Path]
) -> None:
    lines = synthetic_inter().splitlines()
    old = "\n".join([f"{lines[0]}\tbehavior:token", *(f"{line}\tdetail" for line in lines[1:])])
    run = pipeline.run(small_config(inter=old + "\n", epochs=1, behavior_map={"detail": "view"}))
    assert run.checkpoint is not None
    new = old.replace("detail", "view") + "\n" + new_events(range(3), range(10)).splitlines()[1] + "\tview\n"
    done = update_checkpoint(run.checkpoint, write("v.inter", new))
    assert (done.merged.events, done.merged.repeated) == (1, len(lines) - 1)


def test_a_column_of_behaviours_that_are_no_tokens_tells_no_events_apart(
    small_config: Callable[..., Any], inter: Path, write: Callable[[str, str], Path]
) -> None:
    lines = synthetic_inter().splitlines()
    old = "\n".join([f"{lines[0]}\tbehavior:float", *(f"{line}\t1" for line in lines[1:])]) + "\n"
    run = pipeline.run(small_config(inter=old, epochs=1, behavior_features="off"))
    new = inter.read_text().splitlines()
    more = "\n".join([f"{new[0]}\tbehavior:float", *(f"{line}\t2" for line in new[1:])]) + "\n"
    assert update_checkpoint(run.checkpoint or "", write("f.inter", more)).merged.events == len(new) - 1


def test_what_is_wrong_is_said(
    parent: Path,
    inter: Path,
    small_config: Callable[..., Any],
    write: Callable[[str, str], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refused(*words: Any) -> str:
        assert main.main(["update", *map(str, words)]) == 2
        return capsys.readouterr().err

    assert "There is no checkpoint file" in refused("none.pth", "--inter", inter)
    assert "There is no file none.inter" in refused(parent, "--inter", "none.inter")
    assert "scope must be one of items, head, all; got 'x'" in refused(parent, "--inter", inter, "--scope", "x")
    assert "replay must be a number of at least 0" in refused(parent, "--inter", inter, "--replay=-1")
    assert "An update has no setting hidden_size" in refused(parent, "--inter", inter, "--hidden_size=8")
    assert "epochs must be a whole number" in refused(parent, "--inter", inter, "--epochs=x")
    assert "is not a setting" in refused(parent, "--inter", inter, "more")
    assert "does not write over its parent" in refused(parent, "--inter", inter, "-o", parent)
    no_time = write("t.inter", "user_id:token\titem_id:token\trating:float\nu1\ti1\t3\n")
    assert "has no column timestamp; the training read user_id:token" in refused(parent, "--inter", no_time)
    other = write("k.inter", HEADER.replace("rating:float", "rating:token") + "u1\ti1\t3\t1\n")
    assert "has rating:token; the training read" in refused(parent, "--inter", other)
    few = write("f.item", "item_id:token\ttitle:token_seq\ni99\tA\n")
    assert "f.item has no column class" in refused(parent, "--inter", inter, "--item", few)
    occupied = parent.with_name("x.pth")
    shutil.copyfile(parent, occupied)
    assert "x.pth is there already and is not this update" in refused(parent, "--inter", inter, "-o", occupied)


def test_another_model_and_moved_or_changed_data(
    parent: Path, inter: Path, small_config: Callable[..., Any], tmp_path: Path
) -> None:
    done = update_checkpoint(parent, inter)
    merged = done.checkpoint.with_name(done.checkpoint.name + ".data") / "tiny" / "tiny.inter"
    merged.write_text(merged.read_text() + "u1\ti1\t3\t1\n")
    with pytest.raises(ValueError, match=r"are not those that .* was made with"):
        update_checkpoint(done.checkpoint, inter)
    (tmp_path / "data").rename(tmp_path / "moved")
    assert update_checkpoint(parent, inter, settings={"seed": 1}, data_path=tmp_path / "moved").items == 25
    (tmp_path / "moved").rename(tmp_path / "data")
    config = small_config()
    other = pipeline.run(
        make_config(
            "GRU4Rec",
            "tiny",
            config_dict={
                "data_path": str(Path(config["data_path"]).parent),
                "epochs": 1,
                "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
            },
        )
    )
    assert other.checkpoint is not None
    with pytest.raises(ValueError, match="is a checkpoint of GRU4Rec; LongInterest alone can be updated"):
        update_checkpoint(other.checkpoint, inter)


def test_the_data_of_another_checkpoint_are_not_removed(
    parent: Path, inter: Path, write: Callable[[str, str], Path], tmp_path: Path
) -> None:
    """A checkpoint that was renamed has its data where it was made: the name is not free."""
    update_checkpoint(parent, inter, output=tmp_path / "current.pth")
    (tmp_path / "current.pth").rename(tmp_path / "model.pth")
    more = write("more.inter", new_events(range(3), range(5), at=2 * LATER))
    with pytest.raises(ValueError, match=r"current\.pth\.data holds the data of another checkpoint"):
        update_checkpoint(tmp_path / "model.pth", more, output=tmp_path / "current.pth")
    assert update_checkpoint(tmp_path / "model.pth", more, output=tmp_path / "next.pth").items == 25


def test_a_wrong_setting_is_said_before_anything_is_merged(
    parent: Path, inter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["update", str(parent), "--inter", str(inter), "--epochs=-1"]) == 2
    assert "epochs must be a whole number" in capsys.readouterr().err and not list(parent.parent.glob("*.data"))
    assert main.main(["update", str(parent), "--inter", str(inter), "--learning_rate=1e-4", "--epochs=1"]) == 0


def test_items_without_a_row_in_the_item_file_are_counted(parent: Path, inter: Path) -> None:
    done = update_checkpoint(parent, inter)
    assert done.merged.without_text == 5 and item_texts is not None
