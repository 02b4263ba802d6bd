"""The time of a request: tables by bucket, with a stated answer for gaps that training does not show."""

import math

import torch

from recbole_longinterest.nn.levels import TIME_GAP_LEVELS
from recbole_longinterest.nn.request import RequestTime, request_gaps


def test_a_gap_scales_and_shifts_the_interest_as_the_equation_says() -> None:
    counts = torch.zeros(TIME_GAP_LEVELS)
    counts[[1, 4, 7]] = torch.tensor([6.0, 3.0, 1.0])  # gaps of 0, of 7 to 14, of 63 to 126
    layer, interest = RequestTime(3, counts), torch.randn(2, 7, 3)
    gap = torch.tensor([[0.0, 10.0, 100.0, 20.0, 1e9, math.nan, -1.0]] * 2)
    assert torch.equal(layer(interest, gap), interest)  # at first nothing
    torch.nn.init.normal_(layer.factor)
    torch.nn.init.normal_(layer.shift)
    found = layer(interest, gap)
    for place, level in enumerate([1, 4, 7, 4, 7]):  # 20 is in bucket 5, which counts as the nearest that is known
        expected = interest[:, place] * (1 + layer.factor[level]) + layer.shift[level]
        torch.testing.assert_close(found[:, place], expected)
    scale, shift = (0.6 * table[1] + 0.3 * table[4] + 0.1 * table[7] for table in (layer.factor, layer.shift))
    for place in (5, 6):
        torch.testing.assert_close(found[:, place], interest[:, place] * (1 + scale) + shift)


def test_a_request_before_the_last_event_counts_as_one_at_its_time() -> None:
    last = torch.tensor([10.0, 10.0, math.nan, 10.0], dtype=torch.float64)
    asked = torch.tensor([25.0, 3.0, 5.0, math.nan], dtype=torch.float64)
    gaps = request_gaps(last, asked)
    assert gaps[:2].tolist() == [15.0, 0.0] and gaps[2:].isnan().all()
