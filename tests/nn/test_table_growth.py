"""Tables grown by token, and what of them is trained."""

import pytest
import torch

from recbole_longinterest.nn.network import InterestNetwork, Sources
from recbole_longinterest.nn.state_keys import ID, MEMORY, TEXT, TRAINED, item_key
from recbole_longinterest.nn.table_growth import (
    TextRows,
    grow_state,
    old_ids,
    part_of_the_way,
    train_only,
)
from tests.served import OPTIONS, SPECS


def network(n_items: int, text: bool = True, seed: int = 0) -> InterestNetwork:
    net = InterestNetwork()
    trained = torch.arange(n_items) > 1 if text else None  # item 1 was never trained on
    texts = {TEXT: OPTIONS.text_dim} if text else {}
    net.build(OPTIONS, Sources(n_items, items=texts, events=SPECS, trained=trained))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(std=0.3, generator=generator)
    if net.item_sources:
        net.item_sources["text"].vectors = torch.randn(n_items, OPTIONS.text_dim, generator=generator)
        net.item_sources["text"].present = torch.arange(n_items) > 0
    return net.eval()


def grown(text: bool = True) -> tuple[InterestNetwork, InterestNetwork, torch.Tensor]:
    small, large = network(4, text), network(6, text, seed=1)
    place = old_ids(["[PAD]", "a", "b", "c"], ["[PAD]", "x", "c", "a", "y", "b"])
    texts = TextRows(torch.tensor([1]), torch.full((1, OPTIONS.text_dim), 0.5)) if text else None
    large.load_state_dict(grow_state(small.state_dict(), place, texts, filling=large.state_dict()[ID]))
    return small, large, place


def test_every_old_item_is_scored_as_before_wherever_its_row_is_now() -> None:
    small, large, place = grown()
    assert place.tolist() == [0, -1, 3, 1, -1, 2]
    before, after = small.item_vectors(), large.item_vectors()
    assert torch.equal(after[place >= 0], before[place[place >= 0]])
    levels = {name: torch.ones(1, 3, dtype=torch.int64) for name in ("rating", "behavior", "time")}
    was = small(torch.tensor([[1, 2, 3]]), levels, before)
    now = large(torch.tensor([[3, 5, 2]]), levels, after)
    assert torch.equal(was, now)


def test_a_new_item_is_its_text_and_one_without_text_the_learned_vector() -> None:
    _, large, _ = grown()
    source = large.sources[TEXT]
    assert torch.allclose(large.item_vectors()[1], source.project(torch.full((OPTIONS.text_dim,), 0.5)))
    assert torch.equal(large.item_vectors()[4], source.absent)
    assert large.trained.tolist() == [False, False, True, False, False, True]
    assert (large.state_dict()[ID][3] == 0).all()  # item a's row was noise of the start: it never counted


def test_without_texts_a_new_item_starts_as_any_item_does() -> None:
    small, large, _ = grown(text=False)
    assert item_key(TEXT, "vectors") not in large.state_dict()
    assert torch.equal(large.state_dict()[ID][1], network(6, False, seed=1).state_dict()[ID][1])
    assert torch.equal(large.state_dict()[ID][3], small.state_dict()[ID][1])


@pytest.mark.parametrize("scope", ["items", "head", "all"])
def test_only_the_scope_moves(scope: str) -> None:
    _, large, _ = grown()
    large.trained |= torch.arange(6) > 0
    new = torch.tensor([False, True, False, False, True, False])
    names = train_only(large, scope, new)
    before = {name: value.clone() for name, value in large.state_dict().items()}
    optimizer = torch.optim.Adam(large.parameters(), lr=0.1)
    levels = {name: torch.ones(1, 3, dtype=torch.int64) for name in ("rating", "behavior", "time")}
    for _ in range(3):
        items = large.item_vectors()
        item_seq = torch.tensor([[1, 2, 4]])
        scores = large.add_repeats(large(item_seq, levels, items)[:, -1] @ items.T, item_seq)
        loss = -scores.log_softmax(dim=1)[0, 1]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    moved = {name for name, value in large.state_dict().items() if not torch.equal(value, before[name])}
    rows = (large.state_dict()[ID] != before[ID]).any(dim=1)
    if scope == "all":
        assert len(moved) > 8 and rows[2] and rows[5]
    else:
        head = {"interest_encoder.query.weight", "interest_encoder.query.bias", "repeat_bias"}
        assert moved == {ID} | (head if scope == "head" else set()) == set(names)
        assert rows.tolist() == new.tolist()


def test_a_scope_that_is_none_or_trains_nothing_is_refused() -> None:
    _, large, _ = grown()
    with pytest.raises(ValueError, match="scope must be one of items, head, all; got 'body'"):
        train_only(large, "body", large.trained)
    with pytest.raises(ValueError, match="scope items leaves nothing to train"):
        train_only(large, "items", torch.zeros(6, dtype=torch.bool))


def test_the_state_that_is_grown_is_left_as_it_was() -> None:
    state = network(4).state_dict()
    before = {name: value.clone() for name, value in state.items()}
    grow_state(state, torch.tensor([0, 2, -1]), TextRows(torch.tensor([1]), torch.ones(1, OPTIONS.text_dim)))
    assert all(torch.equal(state[name], before[name]) for name in before) and TRAINED in before


def test_part_of_the_way_but_for_new_items() -> None:
    start, trained = dict(network(5).named_parameters()), dict(network(5, seed=1).named_parameters())
    start, trained = ({name: value.detach() for name, value in one.items()} for one in (start, trained))
    new = torch.tensor([False, False, False, True, False])
    made = part_of_the_way(start, trained, 0.25, new)
    assert made.keys() == start.keys()
    for name, weight in made.items():
        expected = 0.75 * start[name] + 0.25 * trained[name]
        if name == ID:
            assert torch.equal(weight[3], trained[ID][3])
            weight, expected = weight[~new], expected[~new]
        torch.testing.assert_close(weight, expected)
    whole = part_of_the_way(start, trained, 1.0, new)
    assert all(torch.allclose(whole[name], trained[name], atol=1e-6) for name in whole)


def test_the_memory_follows_its_items_and_forgets_those_that_are_gone() -> None:
    """Old items 1, 2, 3 become 3, -, 1 of the new catalogue, whose item 2 is new."""
    state = {
        TRAINED: torch.tensor([False, True, True, True]),
        f"{MEMORY}followers": torch.tensor([[0, 0], [2, 3], [1, 3], [1, 0]], dtype=torch.int32),
        f"{MEMORY}counts": torch.tensor([[0.0, 0.0], [5.0, 4.0], [3.0, 2.0], [1.0, 0.0]]),
        f"{MEMORY}support": torch.tensor([0.0, 9.0, 5.0, 1.0]),
    }
    grown = grow_state(state, torch.tensor([0, 3, -1, 1]))
    assert grown[f"{MEMORY}followers"].tolist() == [[0, 0], [3, 0], [0, 0], [0, 1]]
    assert grown[f"{MEMORY}followers"].dtype == torch.int32
    assert grown[f"{MEMORY}counts"].tolist() == [[0, 0], [1, 0], [0, 0], [0, 4]]
    assert grown[f"{MEMORY}support"].tolist() == [0, 1, 0, 9]
