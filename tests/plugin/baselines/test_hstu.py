"""HSTU: the layer against loops, exact times of the history, and never the target's."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from recbole.data.interaction import Interaction

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.data.timed_dataset import HSTUDataset
from recbole_longinterest.plugin.baselines.hstu import HSTULayer, time_buckets
from tests.conftest import synthetic_inter

Build = Callable[..., Any]


def silu(value: torch.Tensor) -> torch.Tensor:
    return value / (1 + (-value).exp())


def test_a_layer_is_its_equations() -> None:
    layer = HSTULayer(6, 2, 9, timed=True, dropout=0.0).double()
    x, times = torch.randn(1, 4, 6, dtype=torch.float64), torch.tensor([[0.0, 3.0, 3.0, 5000.0]], dtype=torch.float64)
    u, v, q, k = silu(layer.parts(layer.norm(x[0]))).split(6, dim=1)
    rows = []
    for i in range(4):
        heads = []
        for head in range(2):
            part = slice(3 * head, 3 * head + 3)
            mixed = torch.zeros(3, dtype=torch.float64)
            for j in range(i + 1):
                bucket = int(math.log(max(1.0, abs(float(times[0, i] - times[0, j])))) / 0.301)
                bias = layer.position_bias[i - j] + layer.time_bias[bucket]  # type: ignore[index]
                mixed = mixed + silu(q[i, part] @ k[j, part] + bias) / 9 * v[j, part]
            heads.append(mixed)
        rows.append(torch.cat(heads))
    expected = x[0] + layer.out(layer.mixed_norm(torch.stack(rows)) * u)
    distance = torch.arange(4).unsqueeze(1) - torch.arange(4)
    torch.testing.assert_close(layer(x, distance, time_buckets(times))[0], expected)


def test_buckets_of_the_time_between_events() -> None:
    found = time_buckets(torch.tensor([[0.0, 1.0, 2.0, 1e9, 1e300]], dtype=torch.float64))
    assert found[0, 0].tolist() == [0, 0, 2, 68, 128] and torch.equal(found, found.transpose(1, 2))


def test_times_are_the_files_in_full_precision_even_if_recbole_scales_them(build: Build) -> None:
    inter = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + "".join(
        f"u{user}\ti{(user + step) % 5}\t3\t{1234567890 + 10 * user + step}\n" for user in range(4) for step in range(5)
    )
    made = build("HSTU", inter, normalize_all=True)
    assert type(made.train._dataset) is HSTUDataset and made.model.timed
    (window,) = list(made.train)
    gaps = window["event_time_list"].diff(dim=1)
    assert window["event_time_list"].dtype == torch.float64 and set(gaps[gaps > 0].tolist()) == {1.0}
    assert (window["event_time_list"][window["item_id_list"] > 0] >= 1234567890).all()


def test_the_time_between_events_is_read_and_the_targets_own_is_not(build: Build) -> None:
    lines = synthetic_inter().strip().split("\n")
    last: dict[str, int] = {}
    for place, line in enumerate(lines[1:], 1):
        last[line.split("\t")[0]] = place
    later = list(lines)
    for place in last.values():  # of every test target
        *cells, time = lines[place].split("\t")
        later[place] = "\t".join([*cells, str(int(time) + 10**7)])
    scores = []
    for inter in (lines, later):
        made = build("HSTU", "\n".join([*inter, ""]))
        made.model.eval()
        scores.append(torch.cat([made.model.full_sort_predict(batch) for batch, *_ in made.test]))
    assert torch.equal(*scores)
    batch = next(iter(made.test))[0]
    before = made.model.full_sort_predict(batch)
    times = batch["event_time_list"].clone()
    times[:, 0] -= 10**7
    after = made.model.full_sort_predict(Interaction({**batch.interaction, "event_time_list": times}))
    assert (before - after).abs().max() > 1e-6


def test_the_time_of_the_request_is_that_of_the_next_event_and_nothing_else_of_it(build: Build) -> None:
    losses = []
    for one_pass in (True, False):
        made = build("HSTU", request_time=True, one_pass=one_pass, loss_type="CE")
        losses.append(made.model.calculate_loss(next(iter(made.train))).item())
    assert made.model.reads_request_time and losses[0] == pytest.approx(losses[1], abs=1e-5)
    made.model.eval()
    batch = next(iter(made.test))[0]
    before = made.model.full_sort_predict(batch)
    history = {made.model.ITEM_SEQ, made.model.ITEM_SEQ_LEN, "event_time_list", "request_time"}
    changed = {name: torch.ones_like(value) for name, value in batch.interaction.items() if name not in history}
    assert "item_id" in changed
    assert torch.equal(before, made.model.full_sort_predict(Interaction({**batch.interaction, **changed})))
    later = {"request_time": batch["request_time"] + 10**7}
    assert (before - made.model.full_sort_predict(Interaction({**batch.interaction, **later}))).abs().max() > 1e-6


def test_the_time_of_the_request_needs_the_time_bias(build: Build) -> None:
    with pytest.raises(LongInterestError, match="request_time: True needs time_bias: on"):
        build("HSTU", request_time=True, time_bias=False)


@pytest.mark.parametrize("settings", [{"time_bias": False}, {"time_bias": "off"}])
def test_without_the_time_bias_positions_alone_are_read(build: Build, settings: dict[str, Any]) -> None:
    made = build("HSTU", **settings)
    assert not made.model.timed and all(layer.time_bias is None for layer in made.model.layers)
    batch = next(iter(made.test))[0]
    without = {field: value for field, value in batch.interaction.items() if field != "event_time_list"}
    made.model.eval()
    torch.testing.assert_close(made.model.full_sort_predict(Interaction(without)), made.model.full_sort_predict(batch))


def test_scores_are_cosines_over_the_temperature(build: Build) -> None:
    made = build("HSTU", temperature=0.1)
    made.model.eval()
    scores = made.model.full_sort_predict(next(iter(made.test))[0])
    assert scores[:, 1:].abs().max() <= 10 + 1e-4 and scores[:, 1:].abs().max() > 5
