"""ID dropout: in training, some items have only their other vectors, as new items do."""

from dataclasses import replace

import pytest
import torch

from recbole_longinterest.nn.network import InterestNetwork, Sources
from tests.nn.test_table_growth import OPTIONS

N = 2001


def network(rate: float, texts: bool = True) -> InterestNetwork:
    net = InterestNetwork()
    trained = torch.arange(N) > 100
    net.build(replace(OPTIONS, id_dropout=rate), Sources(N, items={"text": 3} if texts else {}, trained=trained))
    torch.nn.init.ones_(net.id_embedding.weight)
    return net


def test_training_drops_this_share_of_the_ids_anew_each_step() -> None:
    net = network(0.3)
    torch.manual_seed(0)
    first, second = (net.item_parts()["id"].bool().any(dim=1) for _ in range(2))
    assert first[101:].float().mean() == pytest.approx(0.7, abs=0.04)
    assert not first[:101].any()  # these are not trained, so they never have an ID
    assert (first[101:] != second[101:]).float().mean() == pytest.approx(0.42, abs=0.04)


def test_a_dropped_id_is_what_a_new_item_has() -> None:
    net = network(0.3)
    torch.manual_seed(0)
    parts = net.item_parts()
    dropped = ~parts["id"].bool().any(dim=1)
    assert torch.equal((parts["id"] + parts["text"])[dropped], net.item_parts()["text"][dropped])


@pytest.mark.parametrize(("rate", "texts"), [(0.0, True), (0.3, False)], ids=["off", "IDs alone"])
def test_nothing_is_dropped_or_drawn(rate: float, texts: bool) -> None:
    net = network(rate, texts)
    before = torch.get_rng_state()
    assert net.item_parts()["id"][101:].bool().all()
    assert torch.equal(torch.get_rng_state(), before)


def test_evaluation_reads_every_id() -> None:
    assert network(0.3).eval().item_parts()["id"][101:].bool().all()
