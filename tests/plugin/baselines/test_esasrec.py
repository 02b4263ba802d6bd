"""eSASRec: LiGR layers against loops, negatives from the batch, the logQ correction."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from recbole_longinterest.plugin.baselines import esasrec
from recbole_longinterest.plugin.baselines.esasrec import LiGRBlock
from recbole_longinterest.plugin.baselines.sampled import sampled_softmax

Build = Callable[..., Any]


def literal_attention(block: LiGRBlock, x: torch.Tensor) -> torch.Tensor:
    """Softmax attention of each position over those up to it, head by head."""
    length, size = x.shape
    width = size // block.heads
    query, key, value = block.qkv(x).split(size, dim=1)
    rows = []
    for t in range(length):
        heads = []
        for head in range(block.heads):
            part = slice(head * width, (head + 1) * width)
            scores = torch.stack([query[t, part] @ key[s, part] for s in range(t + 1)]) / math.sqrt(width)
            heads.append(scores.softmax(dim=0) @ value[: t + 1, part])
        rows.append(torch.cat(heads))
    return block.attention_out(torch.stack(rows))


def test_a_layer_is_its_equations() -> None:
    block = LiGRBlock(8, 2, 12, 0.0, 0.0).double().eval()
    x = torch.randn(1, 5, 8, dtype=torch.float64)
    row = x[0]
    row = row + torch.sigmoid(block.attention_gate(row)) * literal_attention(block, block.attention_norm(row))
    normed = block.inner_norm(row)
    switch = block.switch(normed)
    swiglu = block.inner_out(switch * torch.sigmoid(switch) * block.value(normed))
    expected = row + torch.sigmoid(block.inner_gate(row)) * swiglu
    torch.testing.assert_close(block(x)[0], expected)


def test_closed_gates_leave_the_input() -> None:
    block = LiGRBlock(8, 2, 12, 0.0, 0.0)
    for gate in (block.attention_gate, block.inner_gate):
        torch.nn.init.constant_(gate.bias, -1e9)
    x = torch.randn(2, 5, 8)
    assert torch.equal(block(x), x)


def test_a_share_of_the_negatives_comes_from_the_batch(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build("eSASRec", negatives=40, in_batch_share=0.25).model
    seen = []
    scores_of = esasrec.scores_of
    monkeypatch.setattr(esasrec, "scores_of", lambda *given: (seen.append(given[2]), scores_of(*given))[1])
    target = torch.tensor([3, 3, 3, 5])
    model.loss(torch.randn(4, 8), model.item_embedding.weight, target)
    (drawn,) = seen
    assert drawn.shape == (4, 40) and set(drawn[:, 30:].flatten().tolist()) == {3, 5}
    assert not (drawn[:, :30] == target.unsqueeze(1)).any()


def test_the_correction_is_by_the_mixture_that_the_negatives_are_drawn_from(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = build("eSASRec", negatives=3, in_batch_share=0.5, logq=True)
    model, rows = made.model, made.train._dataset.inter_feat["item_id"]
    target, drawn = torch.tensor([1, 2]), torch.tensor([[4, 5], [6, 7]])
    monkeypatch.setattr(esasrec, "draw_uniform", lambda *_: drawn[:, :1])
    monkeypatch.setattr(torch, "randint", lambda *_, **__: torch.tensor([[1, 1], [1, 0]]))
    outputs, items = torch.randn(2, 8), model.item_embedding.weight
    chosen = torch.tensor([[4, 2, 2], [6, 2, 1]])
    probability = 0.5 / (model.n_items - 2) + 0.5 * torch.bincount(rows, minlength=model.n_items) / len(rows)
    negative = torch.stack([outputs[row] @ items[chosen[row]].T for row in range(2)])
    negative = negative - (3 * probability[chosen]).log()
    expected = sampled_softmax((outputs * items[target]).sum(dim=1), negative, chosen == target.unsqueeze(1))
    torch.testing.assert_close(model.loss(outputs, items, target), expected)


def test_corrected_uniform_negatives_estimate_full_cross_entropy(build: Build) -> None:
    torch.manual_seed(0)
    full = build("eSASRec", loss_type="CE").model
    drawn = build("eSASRec", negatives=4096, logq=True).model
    outputs, target = torch.randn(50, 8), torch.randint(1, full.n_items, (50,))
    items = full.item_embedding.weight
    assert drawn.loss(outputs, items, target).item() == pytest.approx(
        full.loss(outputs, items, target).item(), rel=0.01
    )
