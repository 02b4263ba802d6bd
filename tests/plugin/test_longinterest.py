"""The model's contracts: one pass equals prefixes, predict equals full sort, causality, leakage, usefulness."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from recbole.config import Config
from recbole.data.utils import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.nn.losses.repeats import had_before, pairs_of
from recbole_longinterest.plugin.longinterest import LongInterest
from recbole_longinterest.training import pipeline
from tests.conftest import synthetic_inter

STILL = {"dropout_prob": 0.0, "hidden_dropout_prob": 0.0}


def build(config: Config) -> tuple[LongInterest, Any, Any, Any]:
    init_seed(config["seed"], True)
    train, valid, test = data_preparation(config, create_dataset(config))
    init_seed(config["seed"], True)
    model = get_model(config["model"])(config, train._dataset).to(config["device"])
    for levels in model.fusion.levels.values():  # which start alike, so that a change of one would not show
        torch.nn.init.normal_(levels.weight, std=0.1)
    if model.request is not None:
        torch.nn.init.normal_(model.request.factor, std=0.1)
        torch.nn.init.normal_(model.request.shift, std=0.1)
    return model, train, valid, test


@pytest.mark.parametrize("logits", ["dot", "cosine"])
@pytest.mark.parametrize("rnn_type", ["LSTM", "GRU"])
def test_one_pass_equals_prefix_rows(small_config: Callable[..., Config], rnn_type: str, logits: str) -> None:
    """For histories inside the window, same loss and same gradients."""
    settings = {**STILL, "rnn_type": rnn_type, "logits": logits, "fusion": "gated", "train_batch_size": 10**6}
    settings["request_time"] = rnn_type == "GRU"
    results = []
    for one_pass in (True, False):
        model, train, _, _ = build(small_config(one_pass=one_pass, **settings))
        (batch,) = list(train)
        loss = model.calculate_loss(batch)
        loss.backward()
        results.append((loss.item(), {name: p.grad for name, p in model.named_parameters()}))
    assert results[0][0] == pytest.approx(results[1][0], abs=1e-5)
    for name, gradient in results[0][1].items():
        torch.testing.assert_close(gradient, results[1][1][name], rtol=1e-4, atol=1e-5, msg=name)


def test_one_pass_counts_every_training_row_once_beyond_the_window(small_config: Callable[..., Config]) -> None:
    inter = synthetic_inter(events=60)
    rows = build(small_config(inter, one_pass=False, MAX_ITEM_LIST_LENGTH=8))[1]
    train = build(small_config(inter, MAX_ITEM_LIST_LENGTH=8))[1]
    for _ in range(2):  # a second epoch is dealt anew
        targets = torch.cat([batch["item_id_target_list"].flatten() for batch in train])
        assert sorted(targets[targets > 0].tolist()) == sorted(rows._dataset.inter_feat["item_id"].tolist())


def test_repeated_items_stand_once_for_each_target() -> None:
    item_seq = torch.tensor([[3, 4, 3, 5], [2, 2, 0, 0]])
    counted = torch.tensor([[False, True, True, True], [True, True, False, False]])
    row, item = pairs_of(*had_before(item_seq, counted))
    pairs = {(0, 3), (0, 4), (1, 3), (1, 4), (2, 3), (2, 4), (2, 5), (3, 2), (4, 2)}
    assert set(zip(row.tolist(), item.tolist(), strict=True)) == pairs and len(row) == len(pairs)
    assert row.tolist() == sorted(row.tolist())
    row, item = pairs_of(*had_before(item_seq))
    assert list(zip(row.tolist(), item.tolist(), strict=True)) == [(0, 3), (0, 4), (0, 5), (1, 2)]


def test_repeats_take_memory_with_the_length_of_a_history_and_not_its_square() -> None:
    item_seq = torch.arange(1, 3001).unsqueeze(0)
    parts = had_before(item_seq, torch.ones(1, 3000, dtype=torch.bool))
    assert sum(part.numel() for part in parts) == 9000 and int(parts[2].sum()) == 3000 * 3001 // 2


@pytest.mark.parametrize("again", [False, True])
def test_whether_users_repeat_is_learned(small_config: Callable[..., Config], again: bool) -> None:
    """A log in which every event repeats the first of three items, and one in which nobody has an item twice."""
    rng = np.random.default_rng(0)
    lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    for user in range(40):
        items = rng.permutation(20)[:3].repeat(4) if again else rng.permutation(20)[:12]
        lines += [f"u{user}\ti{item}\t3\t{10**9 + user * 100 + place}" for place, item in enumerate(items)]
    config = small_config("\n".join([*lines, ""]), epochs=30, learning_rate=0.02, valid_metric="MRR@10")
    model = pipeline.train(config, saved=False).trainer.model
    assert (model.repeat_logit() > 0.5) if again else (model.repeat_logit() < -2)


@pytest.mark.parametrize("settings", [{}, {"logits": "cosine"}, {"loss_type": "BPR"}, {"attention": "off"}])
def test_predict_equals_its_column_of_full_sort(small_config: Callable[..., Config], settings: dict[str, Any]) -> None:
    model, _, _, test = build(small_config(**settings))
    model.eval()
    batch = next(iter(test))[0]
    with torch.no_grad():
        scores = model.full_sort_predict(batch)
        for item in (1, model.n_items - 1):
            batch["item_id"] = torch.full_like(batch["item_id"], item)
            torch.testing.assert_close(model.predict(batch), scores[:, item])


def test_batch_equals_single_and_grouped_evaluation(
    small_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    from recbole_longinterest.nn import network

    model, _, _, test = build(small_config(synthetic_inter(events=40)))
    model.eval()
    batch = next(iter(test))[0]
    with torch.no_grad():
        whole = model.full_sort_predict(batch)
        single = torch.cat([model.full_sort_predict(batch[[row]]) for row in range(len(batch))])
        monkeypatch.setattr(network, "EVAL_POSITIONS", 64)
        grouped = model.full_sort_predict(batch)
    torch.testing.assert_close(single, whole)
    torch.testing.assert_close(grouped, whole)


@pytest.mark.parametrize("changed", ["item_id_list", "rating_list", "time_gap_list", "behavior_list"])
def test_events_before_a_change_keep_their_outputs_bit_for_bit(
    small_config: Callable[..., Config], changed: str
) -> None:
    rng = np.random.default_rng(0)
    lines = synthetic_inter(events=30).strip().split("\n")
    inter = "\n".join([lines[0] + "\tbehavior:token", *(f"{line}\t{'abc'[rng.integers(3)]}" for line in lines[1:])])
    model, train, _, _ = build(small_config(inter))
    model.eval()
    batch = next(iter(train))
    other = {"item_id_list": 7, "rating_list": 2.0, "time_gap_list": 1e7, "behavior_list": 3}[changed]
    with torch.no_grad():
        items = model.item_vectors()
        before = model(batch["item_id_list"], model.side_levels(batch), items)
        length = batch["item_id_list"].shape[1]
        for position in range(length):
            poked = {field: batch[field].clone() for field in batch.columns}
            poked[changed][:, position] = other
            poked_batch = type(batch)(poked)
            after = model(poked_batch["item_id_list"], model.side_levels(poked_batch), items)
            assert torch.equal(before[:, :position], after[:, :position])
            assert not torch.equal(before[:, position], after[:, position])


def test_target_rows_own_rating_and_time_are_never_read(small_config: Callable[..., Config]) -> None:
    model, train, _, test = build(small_config(one_pass=False))
    model.eval()
    batch = next(iter(test))[0]
    with torch.no_grad():
        before = model.full_sort_predict(batch)
        for field in ("rating", "timestamp"):
            batch[field] = torch.full_like(batch[field], 1e6)
        assert torch.equal(before, model.full_sort_predict(batch))
    row = next(iter(train))
    loss = model.calculate_loss(row)
    row["rating"], row["timestamp"] = torch.zeros(len(row)), torch.zeros(len(row))
    assert torch.equal(loss, model.calculate_loss(row))


def test_with_request_time_the_targets_time_is_read_and_nothing_else_of_it(small_config: Callable[..., Config]) -> None:
    model, train, _, test = build(small_config(one_pass=False, request_time=True))
    assert model.reads_request_time and not build(small_config())[0].reads_request_time
    model.eval()
    times: dict[str, list[float]] = {}
    for line in synthetic_inter().strip().split("\n")[1:]:
        user, _, _, time = line.split("\t")
        times.setdefault(user, []).append(float(time))
    batch = next(iter(test))[0]
    last_two = [sorted(times[user])[-2:] for user in test._dataset.id2token("user_id", batch["user_id"])]
    assert batch["request_gap"].tolist() == [target - before for before, target in last_two]
    for row, score in ((batch, model.full_sort_predict), (next(iter(train)), model.calculate_loss)):
        before = score(row)
        for field in ("rating", "timestamp", *(["item_id"] if row is batch else [])):
            row[field] = torch.ones_like(row[field])
        assert torch.equal(before, score(row))
        row["request_gap"] = row["request_gap"] * 64 + 64
        assert not torch.equal(before, score(row))


def test_request_time_needs_the_times_of_the_log(small_config: Callable[..., Config]) -> None:
    with pytest.raises(LongInterestError, match=r"request_time: True needs the times .*time_gap_list is in unused_col"):
        build(small_config(request_time=True, time_features=False, unused_col={"inter": ["time_gap_list"]}))


def test_scores_follow_changes_of_the_whole_history(small_config: Callable[..., Config]) -> None:
    """The opposite of the test before: what the model should read, it reads."""
    model, _, _, test = build(small_config(synthetic_inter(events=30)))
    model.eval()
    batch = next(iter(test))[0]
    with torch.no_grad():
        before = model.full_sort_predict(batch)
        for field in ("item_id_list", "rating_list", "time_gap_list"):
            poked = type(batch)({name: batch[name].clone() for name in batch.columns})
            poked[field][:, 0] = 1 + (poked[field][:, 0] == 1).to(poked[field].dtype) * 3
            assert not torch.equal(before, model.full_sort_predict(poked)), field


@pytest.mark.parametrize("key", ["id", "text", "rating", "time"])
def test_a_feature_that_is_off_is_not_in_the_model(small_config: Callable[..., Config], key: str) -> None:
    parts = {
        "id": "id_embedding",
        "text": "item_sources.text",
        "rating": "fusion.levels.rating",
        "time": "fusion.levels.time",
    }
    on = {name for name, _ in build(small_config())[0].named_modules()}
    off = {name for name, _ in build(small_config(**{f"{key}_features": "off"}))[0].named_modules()}
    assert parts[key] in on and parts[key] not in off


def test_every_parameter_gets_a_gradient(small_config: Callable[..., Config]) -> None:
    model, train, _, _ = build(small_config(fusion="gated", logits="cosine", attention_heads=2, residual=True))
    model.calculate_loss(next(iter(train))).backward()
    for name, parameter in model.named_parameters():
        if name == "item_sources.text.absent":  # every item has a text here
            continue
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_side_features_start_alike_and_items_do_not(small_config: Callable[..., Config]) -> None:
    model, _, _, _ = build(small_config())
    model._init_item_weights(0.02)
    assert all((levels.weight == 0).all() for levels in model.fusion.levels.values())
    assert model.id_embedding.weight[1:].std().item() == pytest.approx(0.02, rel=0.3)


def test_wrong_options_are_told_all_at_once(small_config: Callable[..., Config]) -> None:
    config = small_config(rnn_type="Elman", dropout_prob=1.5, hidden_size=float("inf"), attention="maybe")
    with pytest.raises(
        ValueError, match=r"hidden_size must be .*got inf.*rnn_type must be one of LSTM, GRU; got 'Elman'"
    ) as info:
        build(config)
    assert "dropout_prob must be a number from 0 to 0.99; got 1.5" in str(info.value)
    assert "attention must be on or off; got 'maybe'" in str(info.value)
    with pytest.raises(ValueError, match=r"attention_heads must divide hidden_size \(8\); got 3"):
        build(small_config(attention_heads=3))


def planted(seed: int, rated: bool = True) -> str:
    """The next item is decided by the rating of the last event: low goes to the left half, high to the right."""
    rng = np.random.default_rng(seed)
    lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    for user in range(150):
        high = rng.integers(2)
        for step in range(12):
            item = rng.integers(10) + 10 * high
            high = rng.integers(2)
            lines.append(f"u{user}\ti{item}\t{1 + 4 * high}\t{step}")
    return "\n".join(lines)


def half_accuracy(model: LongInterest, test: Any) -> float:
    """Share of test rows whose best item lies in the right half of the catalogue."""
    hits = []
    model.eval()
    with torch.no_grad():
        for batch, *_ in test:
            best = 1 + model.full_sort_predict(batch)[:, 1:].argmax(dim=1)
            names = test._dataset.id2token("item_id", torch.stack([best, batch["item_id"]]).numpy())
            hits += [(int(a[1:]) < 10) == (int(b[1:]) < 10) for a, b in zip(*names, strict=True)]
    return float(np.mean(hits))


def test_a_planted_rule_on_ratings_is_learned_only_with_ratings_on(small_config: Callable[..., Config]) -> None:
    accuracy = {}
    for switch in ("on", "off"):
        config = small_config(
            planted(0), rating_features=switch, time_features="off", epochs=15, learning_rate=0.02, embedding_size=16
        )
        model, train, valid, test = build(config)
        get_trainer(config["MODEL_TYPE"], config["model"])(config, model).fit(train, valid, verbose=False)
        accuracy[switch] = half_accuracy(model, test)
    assert accuracy["on"] > 0.9
    assert accuracy["off"] < 0.65


def test_level_tables() -> None:
    from recbole_longinterest.nn.levels import rating_levels_of, rating_values, time_gap_levels_of

    nan = float("nan")
    for scale in ([0.0, 1.0], [1.0, 2.0, 3.0, 4.0, 5.0], [0.5 * i for i in range(1, 11)], [0, 0.25, 0.5, 0.75, 1.0]):
        values = rating_values(torch.tensor([*scale, nan, *scale[::-1]]))
        assert values.tolist() == pytest.approx(scale)
        levels = rating_levels_of(torch.tensor([nan, *scale, 1e6, -1e6]), values)
        assert levels.tolist() == [0, *range(1, len(scale) + 1), len(scale), 1]
    assert len(rating_values(torch.rand(1000))) == 32
    assert rating_levels_of(torch.tensor([nan, 3.0]), rating_values(torch.tensor([nan]))).tolist() == [0, 0]
    gaps = torch.tensor([-1.0, nan, 0, 1, 2, 3, 1e30])
    assert time_gap_levels_of(gaps).tolist() == [0, 0, 1, 2, 2, 3, 49]


def cold_log() -> str:
    """Two items, new0 and new1, that are nobody's but as a last event: test targets without a training event."""
    lines = synthetic_inter().splitlines()
    return "\n".join([*lines, *(f"u{user}\tnew{user % 2}\t3\t2000000000" for user in range(8))]) + "\n"


COLD_ITEMS = "\n".join(
    ["item_id:token\ttitle:token_seq\tclass:token_seq"]
    + [f"i{item}\tTitle number {item}\tKind" for item in range(20)]
    + ["new0\tNew one\tKind", "new1\tNew two\tKind"]
)


def test_cold_items_are_scored_by_their_text_alone(small_config: Callable[..., Config]) -> None:
    model, train, _, test = build(small_config(cold_log(), COLD_ITEMS, **STILL))
    cold = torch.as_tensor([str(token).startswith("new") for token in train._dataset.field2id_token["item_id"]])
    assert cold.sum() == 2 and torch.equal(~model.trained[1:], cold[1:]) and not model.trained[0]
    items, seen = model.item_vectors(), model.trained
    texts = model.item_sources["text"].project(
        model.item_sources["text"].vectors
    )  # of all: fewer rows may differ in the last bit
    assert torch.equal(items[cold], texts[cold])
    assert torch.equal(items[seen], (model.id_embedding.weight + texts)[seen])
    batch = next(iter(test))[0]
    scores = model.full_sort_predict(batch)
    assert torch.isfinite(scores[:, 1:]).all() and (scores[:, cold] != 0).any()  # ranked, and in its own place


def test_cold_items_are_no_candidates_in_training(small_config: Callable[..., Config]) -> None:
    model, train, _, _ = build(small_config(cold_log(), COLD_ITEMS, **STILL))
    batch = next(iter(train))
    loss = model.calculate_loss(batch)
    loss.backward()
    cold = ~model.trained
    assert not model.id_embedding.weight.grad[cold].any()
    with torch.no_grad():
        model.item_sources["text"].vectors[cold] += 100  # nothing in the loss knows
        assert torch.equal(model.calculate_loss(batch), loss)

        items = model.item_vectors()  # and the loss is the cross entropy over the others
        interest = model.forward(batch["item_id_list"], model.side_levels(batch), items)
        target = batch["item_id_target_list"]
        logits = (interest[target > 0] @ items.T).masked_fill(cold, -torch.inf)
        torch.testing.assert_close(torch.nn.functional.cross_entropy(logits, target[target > 0]), loss)


def test_a_checkpoint_keeps_which_items_are_cold(small_config: Callable[..., Config]) -> None:
    model = build(small_config(cold_log(), COLD_ITEMS))[0]
    model.prepare()
    twin = build(small_config(cold_log(), COLD_ITEMS))[0]
    twin.trained[:] = True
    twin.load_state_dict(model.state_dict())
    assert torch.equal(twin.trained, model.trained) and torch.equal(twin.item_vectors(), model.item_vectors())


def test_without_texts_cold_items_are_trained_as_any_other(small_config: Callable[..., Config]) -> None:
    model = build(small_config(cold_log(), text_features="off"))[0]
    assert model.trained[1:].all() and torch.equal(model.item_vectors(), model.id_embedding.weight)
