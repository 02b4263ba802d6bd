"""The loss, against its formula, and its gradient in parts, against that of the whole batch."""

import torch
from torch import nn

from recbole_longinterest.text.adapting.info_nce import backward_in_parts, info_nce


def example() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    weights = torch.zeros(6, 6)
    weights[0, 1], weights[0, 2], weights[1, 0] = 0.75, 0.25, 1.0
    negative = ~(weights > 0)
    negative.fill_diagonal_(False)
    negative[0, 5] = False  # a false negative
    return torch.randn(6, 4), weights, negative


def test_the_formula() -> None:
    vectors, weights, negative = example()
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    e = (unit @ unit.T / 0.5).exp()
    first = (
        -0.75 * (e[0, 1] / (e[0, 1] + e[0, 3] + e[0, 4])).log()
        - 0.25 * (e[0, 2] / (e[0, 2] + e[0, [3, 4]].sum())).log()
    )
    second = -(e[1, 0] / e[1, [0, 2, 3, 4, 5]].sum()).log()
    torch.testing.assert_close(info_nce(vectors, weights, negative, 0.5), (first + second) / 2)
    changed = vectors.clone()
    changed[5] = 100 * changed[0]
    again = info_nce(changed, weights * torch.tensor([1, 0, 0, 0, 0, 0])[:, None], negative, 0.5)
    torch.testing.assert_close(again, first)  # what is masked does not count
    assert info_nce(vectors, torch.zeros(6, 6), negative, 0.5) == 0


def test_gradients_of_parts_are_those_of_the_whole_with_dropout() -> None:
    inputs, weights, negative = example()
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
    torch.manual_seed(2)
    masks = torch.cat([nn.functional.dropout(torch.ones(2, 4), 0.5) for _ in range(3)])

    def in_parts(rows: slice) -> torch.Tensor:
        return network(inputs[rows])

    def whole(rows: slice) -> torch.Tensor:  # with the dropout that the parts draw
        return network[0](inputs[rows]) * masks

    found = []
    for parts, encode in (([slice(0, 2), slice(2, 4), slice(4, 6)], in_parts), ([slice(0, 6)], whole)):
        network.zero_grad()
        torch.manual_seed(2)
        loss = backward_in_parts(encode, parts, lambda vectors: info_nce(vectors, weights, negative, 0.5))
        found.append((loss, network[0].weight.grad.clone()))
    assert found[0][0] == found[1][0]
    torch.testing.assert_close(found[0][1], found[1][1])
    assert found[0][1].abs().sum() > 0
