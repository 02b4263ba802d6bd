"""Updates with all kinds of new data: texts, ratings, behaviours, users, early and repeated events."""

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
from recbole_longinterest.training.update import new_texts
from recbole_longinterest.training.update.update import update_checkpoint
from tests.conftest import FakeEncoder, synthetic_inter, synthetic_item
from tests.training.update.made import HEADER, LATER, exported, items_to, new_events, rows_of


def test_no_new_item_needs_no_encoder(
    parent: Path, write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("the encoder was asked for")

    monkeypatch.setattr(new_texts, "make_encoder", missing)
    done = update_checkpoint(parent, write("n.inter", new_events(range(5), range(10))))
    assert (done.merged.items, done.merged.users, done.items) == (0, 0, 20) and done.new_targets > 0


def test_only_new_items(parent: Path, write: Callable[[str, str], Path]) -> None:
    done = update_checkpoint(
        parent, write("n.inter", new_events(range(50, 60), range(20, 26))), write("n.item", items_to(26))
    )
    assert (done.merged.items, done.items) == (6, 26)
    assert done.checkpoint.is_file() and "i25" in rows_of(done.checkpoint)
    with pytest.raises(ValueError, match=r"has no events, only a header.*recbole-li add-items"):
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
    early = write("e.inter", new_events(range(3), range(10), at=900_000_000))
    assert main.main(["update", str(parent), "--inter", str(early), "--output", str(parent.with_name("e.pth"))]) == 0
    assert "events earlier than their user's last event: 12, inserted in time order" in capsys.readouterr().out
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
    with pytest.raises(ValueError, match=r"normalised by the range \[1.0, 5.0\], but .* \[1.0, 10.0\]"):
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


def test_items_without_a_row_in_the_item_file_are_counted(parent: Path, inter: Path) -> None:
    done = update_checkpoint(parent, inter)
    assert done.merged.without_text == 5 and item_texts is not None


def test_a_training_whose_ratings_are_all_empty_is_updated(
    small_config: Callable[..., Any], write: Callable[[str, str], Path]
) -> None:
    head, *lines = synthetic_inter().splitlines()
    empty = ["\t".join([*line.split("\t")[:2], "", line.split("\t")[3]]) for line in lines]
    run = pipeline.run(small_config(inter="\n".join([head, *empty]) + "\n"))
    assert run.checkpoint is not None
    done = update_checkpoint(run.checkpoint, write("r.inter", new_events(range(5), range(10))))
    again = update_checkpoint(done.checkpoint, write("s.inter", new_events(range(5), range(10), at=2 * LATER)))
    for file in (done.checkpoint, again.checkpoint):
        state = load_checkpoint(file)
        assert state["config"]["rating_levels"] == [] and len(state["state_dict"]["fusion.levels.rating.weight"]) == 1
    assert Recommender.load(exported(again.checkpoint)).recommend(["i1"], 3).items


def test_rows_of_new_users(
    small_config: Callable[..., Any], write: Callable[[str, str], Path], write_dataset: Callable[..., Path]
) -> None:
    folder = write_dataset("tiny", synthetic_inter(), synthetic_item())
    rows = [f"u{user}\t{'young' if user % 2 else 'old'}" for user in range(30)]
    (folder / "tiny" / "tiny.user").write_text("\n".join(["user_id:token\tage:token", *rows]) + "\n")
    run = pipeline.run(small_config(user_features=["age"]))
    assert run.checkpoint is not None
    inter = write("new.inter", new_events(range(28, 40), range(10)))
    users = write("new.user", "age:token\tuser_id:token\n" + "".join(f"middle\tu{user}\n" for user in range(29, 40)))
    done = update_checkpoint(run.checkpoint, inter, user=users)
    assert done.merged.new_users == 10 and set(done.merged.sha256) == {"inter", "item", "user"}
    kept = (done.checkpoint.with_name(f"{done.checkpoint.name}.data") / "tiny" / "tiny.user").read_text().splitlines()
    assert kept == [
        "user_id:token\tage:token",
        *rows[:29],
        "u29\tmiddle",
        *(f"u{user}\tmiddle" for user in range(30, 40)),
    ]
    before, after = (load_checkpoint(file)["state_dict"] for file in (run.checkpoint, done.checkpoint))
    table = "fusion.levels.user_age.weight"
    assert (len(before[table]), len(after[table])) == (3, 4)
    later = write("later.inter", new_events(range(28, 40), range(10), at=2 * LATER))
    assert update_checkpoint(done.checkpoint, later).items == 20
    with pytest.raises(ValueError, match=r"new\.user has no column age; tiny\.user has user_id, age"):
        update_checkpoint(run.checkpoint, inter, user=write("new.user", "user_id:token\nu30\n"))


def test_a_file_of_users_for_a_model_without_one_is_refused(
    parent: Path, inter: Path, write: Callable[[str, str], Path]
) -> None:
    with pytest.raises(ValueError, match=r"had no file .*tiny\.user\. Its model reads no columns of users: leave --us"):
        update_checkpoint(parent, inter, user=write("new.user", "user_id:token\nu30\n"))
