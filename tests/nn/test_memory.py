"""The memory of transitions: its scores, and what changes them."""

import numpy as np
import pytest
import torch

from recbole_longinterest.nn import memory as memory_module
from recbole_longinterest.nn.memory import AGE_DECAY, EVENTS, PRIOR, UNIT, TransitionMemory, last_items, tables_of
from recbole_longinterest.nn.transitions import BACKWARD, Transitions, count_transitions

TABLE = Transitions(
    np.array([[0, 0], [2, 3], [3, 0], [1, 2]], np.int32),
    np.array([[0, 0], [4, 1], [2, 0], [1, 0.5]], np.float32),
    np.array([0, 5, 1, 2], np.float32),
    np.array([[0, 0], [5, 2], [2, 0], [1, 0]], np.int16),
)


@pytest.fixture
def memory() -> TransitionMemory:
    made = TransitionMemory(4, 2, 0.5)
    made.load_state_dict(tables_of(TABLE))
    return made


@pytest.mark.parametrize("cached", [1, 10**6])
def test_scores_are_those_of_the_formula(
    monkeypatch: pytest.MonkeyPatch, memory: TransitionMemory, cached: int
) -> None:
    monkeypatch.setattr(memory_module, "CACHED", cached)  # row by row, and all at once
    recent = torch.tensor([[1, 2, 0], [3, 0, 0]])
    expected = torch.zeros(2, 4)
    expected[0, 2] = 4 / (5 + PRIOR)
    expected[0, 3] = 1 / (5 + PRIOR) + AGE_DECAY * 2 / (1 + PRIOR)
    expected[1, 1], expected[1, 2] = 1 / (2 + PRIOR), 0.5 / (2 + PRIOR)
    torch.testing.assert_close(memory.shares(recent), expected)
    scores = memory.add_to(torch.ones(2, 4), recent)
    torch.testing.assert_close(scores, 1 + 0.5 * torch.log1p(expected / UNIT))
    for item in range(1, 4):
        one = memory.of_items(recent, torch.full((2,), item))
        torch.testing.assert_close(one, scores[:, item] - 1)


def test_one_user_gets_the_scores_of_many() -> None:
    generator = torch.Generator().manual_seed(1)
    memory = TransitionMemory(50, 8, 0.5)
    followers = torch.randint(0, 50, (50, 8), generator=generator, dtype=torch.int32)
    counts, support = torch.rand(50, 8, generator=generator), torch.rand(50, generator=generator)
    counts[0] = 0
    occurrences = torch.zeros(50, 8, dtype=torch.int16)
    memory.load_state_dict({"followers": followers, "counts": counts, "support": support, "occurrences": occurrences})
    recent = torch.tensor([[4, 7, 4, 9, 1, 0, 0]])  # an item twice, and the padding of a short history
    network = torch.randn(1, 50, generator=generator)
    scores = network[0].clone().numpy()
    memory.add_to_one(scores, recent[0].numpy())
    torch.testing.assert_close(torch.from_numpy(scores), memory.add_to(network.clone(), recent)[0])


def test_events_share_what_they_give(memory: TransitionMemory) -> None:
    given = memory.of_events(np.array([1, 2, 0]), 3)
    np.testing.assert_allclose(given, [1 / (5 + PRIOR), AGE_DECAY * 2 / (1 + PRIOR), 0], rtol=1e-6)


def test_how_often_the_item_followed(memory: TransitionMemory) -> None:
    assert memory.occurrences_of(np.array([1, 2, 0]), 3) == [2, 2, 0]
    assert memory.occurrences_of(np.array([3]), 2) == [0]


def test_tables_of_before_occurrences_were_counted_load(memory: TransitionMemory) -> None:
    old = {name: table for name, table in memory.state_dict().items() if name != "occurrences"}
    loaded = TransitionMemory(4, 2, 0.5)
    loaded.load_state_dict(old)
    recent = torch.tensor([[1, 2]])
    torch.testing.assert_close(loaded.shares(recent), memory.shares(recent))
    assert loaded.occurrences_of(np.array([1, 2]), 3) == [0, 0] and "occurrences" not in old


def test_last_items_come_latest_first_and_padded() -> None:
    item_seq = torch.tensor([[5, 6, 7, 0], list(range(1, 5))])
    found = last_items(item_seq, torch.tensor([3, 4]))
    assert found.shape == (2, EVENTS)
    assert found[0].tolist() == [7, 6, 5, *[0] * (EVENTS - 3)]
    assert found[1].tolist() == [4, 3, 2, 1, *[0] * (EVENTS - 4)]


def test_it_counts_when_it_is_first_asked_and_not_after_a_load() -> None:
    asked: list[int] = []

    def source(size: int) -> Transitions:
        asked.append(size)
        return TABLE

    made = TransitionMemory(4, 2, 1.0, source)
    assert asked == []
    made.shares(torch.tensor([[1]]))
    made.shares(torch.tensor([[1]]))
    assert asked == [2]
    loaded = TransitionMemory(4, 2, 1.0, source)
    loaded.load_state_dict(made.state_dict())
    assert loaded.shares(torch.tensor([[1]])).any()
    assert asked == [2]


def test_observing_counts_as_the_training_does(memory: TransitionMemory) -> None:
    histories = [[1, 2, 3, 1], [4, 4, 2], [3, 1]]
    items = np.concatenate(histories)
    first = np.repeat([0, 4, 7], [4, 3, 2])
    known = np.ones(len(items), bool)
    whole = TransitionMemory(5, 4, 1.0)
    whole.load_state_dict(tables_of(count_transitions(items, first, known, known, 5, 4)))
    one_by_one = TransitionMemory(5, 4, 1.0)
    for history in histories:
        for now in range(1, len(history) + 1):
            one_by_one.observe(history[:now], 1, [True] * now)
    recent = torch.arange(5).unsqueeze(1)
    torch.testing.assert_close(one_by_one.shares(recent), whole.shares(recent))
    for follower in range(1, 5):
        counted = [made.occurrences_of(np.arange(5), follower) for made in (one_by_one, whole)]
        assert counted[0] == counted[1] and (follower == 4 or any(counted[0]))


def test_observing_a_full_row_forgets_its_least_follower_and_leaves_the_source_alone(memory: TransitionMemory) -> None:
    before = {name: table.clone() for name, table in memory.state_dict().items()}
    mapped = memory.state_dict()["counts"]  # as of a file that others read
    memory.observe([1, 1, 1, 0 + 1], 0, [True] * 4)
    torch.testing.assert_close(memory.counts, before["counts"])
    memory.observe([3, 3], 1, [True, True])
    memory.observe([1, 2], 1, [True, False])
    assert memory.followers[2].tolist() == [3, 1]
    assert memory.counts[2].tolist() == [2, BACKWARD] and memory.occurrences[2].tolist() == [2, 0]
    torch.testing.assert_close(mapped, before["counts"])
