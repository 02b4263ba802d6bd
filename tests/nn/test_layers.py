"""The network: definition, stability, causality, padding, gradients."""

import pytest
import torch
from torch import Tensor, nn

from recbole_longinterest.nn.attention import RunningAttention
from recbole_longinterest.nn.layers import EventFusion, InterestEncoder
from recbole_longinterest.nn.network import InterestNetwork, Sources
from recbole_longinterest.nn.sources import ItemMatrix, ItemSource, SourceSpec
from tests.served import OPTIONS

SPECS = [
    SourceSpec("rating", "rating", "rating", settings={"values": [1.0, 2.0, 3.0]}),
    SourceSpec("time", "time", "timestamp"),
]


class Matrix:
    """Random vectors for every second item."""

    width = 3

    def __init__(self, n_items: int) -> None:
        present = torch.arange(n_items) % 2 == 1
        self.made = ItemMatrix(torch.randn(n_items, 3), present, torch.zeros(5), torch.zeros(5, 3))

    def matrix(self) -> ItemMatrix:
        return self.made


def network(heads: int = 2, rnn_type: str = "LSTM", gated: bool = True) -> tuple[EventFusion, InterestEncoder]:
    torch.manual_seed(1)
    return (
        EventFusion(6, SPECS, gated),
        InterestEncoder(6, 8, 2, rnn_type, heads, dropout=0.0, residual=heads == 2),
    )


def random_history(batch: int = 3, length: int = 70) -> tuple[Tensor, dict[str, Tensor]]:
    items = torch.randn(batch, length, 6)
    return items, {"rating": torch.randint(4, (batch, length)), "time": torch.randint(5, (batch, length))}


@pytest.mark.parametrize("heads", [0, 1, 2])
@pytest.mark.parametrize("rnn_type", ["LSTM", "GRU"])
@pytest.mark.parametrize("changed", ["item", "rating", "time"])
def test_outputs_before_a_changed_event_are_bit_equal(heads: int, rnn_type: str, changed: str) -> None:
    fusion, encoder = network(heads, rnn_type)
    items, levels = random_history()
    with torch.no_grad():
        before = encoder(fusion(items, levels))
        for position in range(0, 70, 9):
            other_items, other_levels = items.clone(), {name: value.clone() for name, value in levels.items()}
            if changed == "item":
                other_items[:, position] += 1
            else:
                other_levels[changed][:, position] = (levels[changed][:, position] + 1) % 4
            after = encoder(fusion(other_items, other_levels))
            assert torch.equal(before[:, :position], after[:, :position])
            assert not torch.allclose(before[:, position:], after[:, position:])


def test_extra_padding_changes_nothing() -> None:
    fusion, encoder = network()
    items, levels = random_history()
    padded = torch.cat([items, torch.zeros(3, 100, 6)], dim=1)
    padded_levels = {name: nn.functional.pad(value, (0, 100)) for name, value in levels.items()}
    with torch.no_grad():
        torch.testing.assert_close(encoder(fusion(padded, padded_levels))[:, :70], encoder(fusion(items, levels)))


@pytest.mark.parametrize("gated", [False, True])
def test_every_parameter_gets_a_gradient(gated: bool) -> None:
    fusion, encoder = network(gated=gated)
    ids, source = nn.Embedding(10, 6, padding_idx=0), ItemSource(10, 3, 6, Matrix(10))
    vectors = ids.weight + source()
    _, levels = random_history()
    interest = encoder(fusion(vectors[torch.randint(1, 10, (3, 70))], levels))
    (interest @ vectors.T).square().mean().backward()
    for module in (fusion, encoder, ids, source):
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_an_item_without_a_vector_gets_the_learned_one() -> None:
    source = ItemSource(4, 3, 6, Matrix(4))
    nn.init.normal_(source.absent)
    vectors = source()
    torch.testing.assert_close(vectors[2], source.absent)
    assert not torch.allclose(vectors[1], source.absent)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one of id_features and text_features"):
        InterestNetwork().build(OPTIONS, Sources(4, id=False))
    with pytest.raises(ValueError, match=r"attention_heads must divide hidden_size \(8\); got 3"):
        RunningAttention(6, 8, heads=3)
    with pytest.raises(ValueError, match=r"must have shape \(4, 2\) \(items, columns\); got \(4, 3\)"):
        ItemSource(4, 2, 6, Matrix(4)).fill()
