"""Draws and losses over negatives, against loops and against what the papers prove."""

import math

import pytest
import torch

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.plugin.baselines import sampled
from recbole_longinterest.plugin.baselines.sampled import (
    beta_of,
    draw_uniform,
    generalised_bce,
    log_correction,
    sampled_softmax,
    scores_of,
)

ITEMS = 7  # with the padding


@pytest.mark.parametrize("shared", [False, True])
def test_a_single_item_has_no_negatives(shared: bool) -> None:
    with pytest.raises(LongInterestError, match="the data set has one item"):
        draw_uniform(torch.tensor([1]), 5, 2, shared)


def test_draws_are_uniform_over_all_items_but_the_target() -> None:
    torch.manual_seed(0)
    target = torch.tensor([1, 4, 6])
    drawn = draw_uniform(target, 60_000, ITEMS)
    for row, item in zip(drawn, target.tolist(), strict=True):
        share = torch.bincount(row, minlength=ITEMS) / len(row)
        assert share[0] == share[item] == 0 and len(share) == ITEMS
        others = [other for other in range(1, ITEMS) if other != item]
        assert share[others].tolist() == pytest.approx([1 / 5] * 5, abs=0.01)
    shared = draw_uniform(target, 60_000, ITEMS, shared=True)
    assert (torch.bincount(shared, minlength=ITEMS) / len(shared)).tolist() == pytest.approx(
        [0, *[1 / 6] * 6], abs=0.01
    )


def test_scores_are_the_same_by_every_way(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs, items = torch.randn(3, 4), torch.randn(ITEMS, 4)
    chosen = torch.tensor([[1, 5], [2, 2], [6, 1]])
    expected = [[float(outputs[row] @ items[item]) for item in chosen[row]] for row in range(3)]
    for most in (0, 10**6):
        monkeypatch.setattr(sampled, "WHOLE_ROWS", most)
        assert scores_of(outputs, items, chosen).tolist() == [pytest.approx(row, rel=1e-5) for row in expected]
    same = scores_of(outputs, items, chosen[0])
    torch.testing.assert_close(same, scores_of(outputs, items, chosen[0].expand(3, 2)))


def test_losses_against_loops() -> None:
    positive, negative = torch.randn(3), torch.randn(3, 4)
    hit = torch.zeros(3, 4, dtype=torch.bool)
    hit[1, 2] = True
    bce = softmax = 0.0
    for row in range(3):
        left = [float(score) for score, out in zip(negative[row], hit[row], strict=True) if not out]
        sigmoid = [1 / (1 + math.exp(-score)) for score in left]
        up = 1 / (1 + math.exp(-float(positive[row])))
        bce -= (math.log(up**0.3) + sum(math.log(1 - value) for value in sigmoid)) / 5 / 3
        whole = math.exp(positive[row]) + sum(math.exp(score) for score in left)
        softmax -= math.log(math.exp(positive[row]) / whole) / 3
    assert generalised_bce(positive, negative, 0.3, hit).item() == pytest.approx(bce, rel=1e-5)
    assert sampled_softmax(positive, negative, hit).item() == pytest.approx(softmax, rel=1e-5)
    assert torch.equal(generalised_bce(positive, negative, 0.3), generalised_bce(positive, negative, 0.3, hit & False))


def test_beta_goes_from_one_to_the_sampling_rate() -> None:
    alpha = 3 / 5  # of 6 items, without the target
    assert beta_of(3, ITEMS, 0.0) == pytest.approx(1)
    assert beta_of(3, ITEMS, 1.0) == pytest.approx(alpha)
    assert beta_of(3, ITEMS, 0.75) == pytest.approx(alpha * (0.75 * (1 - 1 / alpha) + 1 / alpha))


@pytest.mark.parametrize("calibration", [0.0, 0.75, 1.0])
def test_the_scores_that_gbce_prefers_are_calibrated_at_one_and_too_high_at_zero(calibration: float) -> None:
    """The loss is lowest at sigmoid(s) = beta p / (beta p + alpha (1 - p)): at t = 1 that is p, at t = 0 it is more."""
    torch.manual_seed(0)
    chance = torch.tensor([0, 0.4, 0.25, 0.15, 0.1, 0.06, 0.04])
    number, alpha = 2, 2 / 5
    beta = beta_of(number, ITEMS, calibration)
    best = beta * chance / (beta * chance + alpha * (1 - chance))
    scores = torch.logit(best[1:], eps=1e-9).requires_grad_()
    of_all = torch.cat([torch.zeros(1), scores])
    target = torch.multinomial(chance, 200_000, replacement=True)
    drawn = draw_uniform(target, number, ITEMS)
    generalised_bce(of_all[target], of_all[drawn], beta).backward()
    assert scores.grad is not None and scores.grad.abs().max() < 2e-3
    assert torch.allclose(best, chance, atol=1e-6) == (calibration == 1)
    assert (best[1:] > chance[1:]).all() == (calibration < 1)


def test_corrected_negatives_estimate_the_sum_over_the_catalogue() -> None:
    torch.manual_seed(0)
    scores = torch.randn(ITEMS)
    probability = torch.tensor([0, 0.3, 0.3, 0.1, 0.1, 0.1, 0.1])
    drawn = torch.multinomial(probability, 8 * 50_000, replacement=True).view(-1, 8)
    estimate = (scores[drawn] + log_correction(drawn, probability, 8)).exp().sum(dim=1)
    assert estimate.mean().item() == pytest.approx(scores[1:].exp().sum().item(), rel=0.01)
