"""The network: definition, stability, causality, padding, gradients."""

import pytest
import torch
from torch import Tensor, nn

from recbole_longinterest.nn.attention import RunningAttention
from recbole_longinterest.nn.layers import EventFusion, InterestEncoder, ItemEncoder


def network(heads: int = 2, rnn_type: str = "LSTM", gated: bool = True) -> tuple[EventFusion, InterestEncoder]:
    torch.manual_seed(1)
    return (
        EventFusion(6, {"rating": 4, "time": 5}, gated),
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
    item_encoder = ItemEncoder(10, 6, text_dim=3)
    vectors = sum(item_encoder(torch.randn(10, 3), torch.arange(10) % 2 == 0).values())
    _, levels = random_history()
    interest = encoder(fusion(vectors[torch.randint(1, 10, (3, 70))], levels))
    (interest @ vectors.T).square().mean().backward()
    for module in (fusion, encoder, item_encoder):
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_item_without_text_gets_the_learned_vector() -> None:
    encoder = ItemEncoder(4, 6, text_dim=3)
    nn.init.normal_(encoder.no_text)
    has_text = torch.tensor([False, True, False, True])
    vectors = sum(encoder(torch.randn(4, 3), has_text).values())
    assert encoder.id_embedding is not None
    torch.testing.assert_close(vectors[2] - encoder.id_embedding.weight[2], encoder.no_text)
    assert not torch.allclose(vectors[1] - encoder.id_embedding.weight[1], encoder.no_text)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one of id_features and text_features"):
        ItemEncoder(4, 6, text_dim=0, use_id=False)
    with pytest.raises(ValueError, match=r"attention_heads must divide hidden_size \(8\); got 3"):
        RunningAttention(6, 8, heads=3)
    with pytest.raises(ValueError, match="text_vectors"):
        ItemEncoder(4, 6, text_dim=3)()
