"""The network: definition, stability, causality, padding, gradients."""

import pytest
import torch
from torch import Tensor, nn

from recbole_longinterest.model.layers import (
    EventFusion,
    InterestEncoder,
    ItemEncoder,
    RunningAttention,
    running_softmax_mean,
)


def by_definition(scores: Tensor, values: Tensor) -> Tensor:
    """The O(L^2) definition in float64."""
    scores, values = scores.double(), values.double()
    rows = []
    for t in range(scores.shape[1]):
        weights = torch.softmax(scores[:, : t + 1], dim=1).unsqueeze(-1)  # [B, t, K, 1]
        rows.append((weights * values[:, : t + 1]).sum(dim=1))
    return torch.stack(rows, dim=1)


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 64, 65, 200])
@pytest.mark.parametrize("block", [1, 8, 64])
def test_scan_equals_the_definition(length: int, block: int) -> None:
    torch.manual_seed(length)
    scores = 3 * torch.randn(2, length, 2, dtype=torch.float64, requires_grad=True)
    values = torch.randn(2, length, 2, 3, dtype=torch.float64, requires_grad=True)
    out, expected = running_softmax_mean(scores, values, block), by_definition(scores, values)
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-10)
    probe = torch.randn_like(out)
    got = torch.autograd.grad((out * probe).sum(), (scores, values))
    want = torch.autograd.grad((expected * probe).sum(), (scores, values))
    torch.testing.assert_close(got, want, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("direction", ["rising", "falling", "alternating"])
def test_scores_from_minus_to_plus_ten_thousand_are_stable(direction: str) -> None:
    scores = torch.linspace(-1e4, 1e4, 500)
    if direction == "falling":
        scores = scores.flip(0)
    if direction == "alternating":
        scores = scores * torch.tensor([1.0, -1.0]).repeat(250)
    scores = scores.view(1, -1, 1).requires_grad_()
    values = torch.randn(1, 500, 1, 4, requires_grad=True)
    out = running_softmax_mean(scores, values)
    torch.testing.assert_close(out.double(), by_definition(scores, values), rtol=1e-4, atol=1e-4)
    out.sum().backward()
    assert scores.grad is not None and scores.grad.isfinite().all()
    assert values.grad is not None and values.grad.isfinite().all()


def test_sums_are_float32_under_autocast() -> None:
    torch.manual_seed(0)
    scores, values = torch.randn(1, 300, 1), torch.ones(1, 300, 1, 2, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = running_softmax_mean(scores, values)
    assert out.dtype == torch.bfloat16
    assert torch.equal(out, torch.ones_like(out))  # a mean of ones; sums in bfloat16 would drift


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
    vectors = item_encoder(torch.randn(10, 3), torch.arange(10) % 2 == 0)
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
    vectors = encoder(torch.randn(4, 3), has_text)
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
