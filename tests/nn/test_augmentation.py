"""Changed training windows: what is moved stays together, targets stay right, nothing changes in evaluation."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from recbole.data.utils import create_dataset, data_preparation
from recbole.utils import get_model, init_seed

from recbole_longinterest.nn.augmentation import Augmentation, Windows, cropped, nearest_items, reordered

ALL = {"augment_crop": 1.0, "augment_reorder": 1.0, "augment_mask": 0.3, "augment_substitute": 0.3}


class Options:
    """Probabilities, 0 unless given."""

    def __init__(self, **given: float) -> None:
        for name in ("crop", "reorder", "mask", "substitute"):
            setattr(self, f"augment_{name}", given.get(name, 0.0))


def windows(rows: int = 400, length: int = 12) -> Windows:
    """Random histories of distinct items with 1 to ``length`` events; every third event is no target."""
    torch.manual_seed(1)
    items = torch.stack([torch.randperm(90)[: length + 1] + 1 for _ in range(rows)])
    number = torch.randint(1, length + 1, (rows, 1))
    inside = torch.arange(length) < number
    read = items[:, :length] * inside
    target = items[:, 1:] * inside * (items[:, 1:] % 3 > 0)
    return Windows(read, read, target, {"level": read * 2, "list": torch.stack([read, -read], dim=-1)})


def check_together(changed: Windows) -> None:
    assert torch.equal(changed.events["level"], changed.inputs * 2)
    assert torch.equal(changed.events["list"], torch.stack([changed.inputs, -changed.inputs], dim=-1))
    following = torch.nn.functional.pad(changed.inputs[:, 1:], (0, 1))
    inner = (changed.target > 0) & (following > 0)
    assert torch.equal(changed.target[inner], following[inner])
    wanted = (following > 0) & (following % 3 > 0)
    assert torch.equal(inner, wanted)


def test_a_cropped_window_is_the_end_of_the_window() -> None:
    before = windows()
    after = cropped(before, 1.0)
    check_together(after)
    shorter = 0
    for old, new, aims, wanted in zip(before.inputs, after.inputs, before.target, after.target, strict=True):
        number, kept = int((old > 0).sum()), int((new > 0).sum())
        assert number // 2 <= kept <= number and (new[kept:] == 0).all() and (wanted[kept:] == 0).all()
        assert torch.equal(new[:kept], old[number - kept : number])
        assert torch.equal(wanted[:kept], aims[number - kept : number])
        shorter += kept < number
    assert shorter > 200
    assert torch.equal(cropped(before, 0.0).inputs, before.inputs)


def test_reordered_events_keep_what_belongs_to_them_and_all_targets() -> None:
    before = windows()
    after = reordered(before, 1.0)
    check_together(after)
    assert torch.equal(after.inputs[:, 0], before.inputs[:, 0])
    assert torch.equal(after.inputs.sort(dim=1).values, before.inputs.sort(dim=1).values)
    assert torch.equal((after.target > 0).sum(dim=1), (before.target > 0).sum(dim=1))
    moved = after.inputs != before.inputs
    assert (moved.sum(dim=1) <= 4).all() and (moved.any(dim=1).float().mean() > 0.5)
    last = (before.inputs > 0).sum(dim=1, keepdim=True) - 1
    assert torch.equal(after.target.gather(1, last), before.target.gather(1, last))


def test_masked_and_substituted_items_are_targets_as_before() -> None:
    before = windows()
    near = torch.zeros(91, 2, dtype=torch.int64)
    near[1:60] = torch.tensor([61, 62])  # the others have no neighbours
    shown = before.inputs > 0
    masked = Augmentation(Options(mask=0.3))(before, lambda: near)
    assert 0.25 < (masked.inputs[shown] == 0).float().mean() < 0.35
    replaced = Augmentation(Options(substitute=0.3))(before, lambda: near)
    changed = replaced.inputs != before.inputs
    assert torch.isin(replaced.inputs[changed], torch.tensor([61, 62])).all() and (before.inputs[changed] < 60).all()
    assert 0.25 < changed[shown & (before.inputs < 60)].float().mean() < 0.35
    for after in (masked, replaced):
        assert torch.equal(after.history, before.history) and torch.equal(after.target, before.target)


def test_nearest_items() -> None:
    vectors = torch.tensor([[9.0, 9], [1, 0], [2, 0.1], [0, 1], [0.1, 3], [1, 0]])
    present = torch.tensor([False, True, True, True, True, False])
    near = nearest_items(vectors, present)
    assert near.shape == (6, 5)
    assert near[1].tolist() == [2, 4, 3, 0, 0] and near[3, 0] == 4 and near[4, 0] == 3
    assert (near[0] == 0).all() and (near[5] == 0).all()


@pytest.mark.parametrize("by", ["text", "counts"])
def test_only_training_is_changed(small_config: Callable[..., Any], by: str) -> None:
    settings = {**ALL, "augment_neighbours": by, "dropout_prob": 0.0, "hidden_dropout_prob": 0.0, "request_time": True}
    config = small_config(**settings)
    train, valid, _ = data_preparation(config, create_dataset(config))
    init_seed(config["seed"], True)
    model = get_model(config["model"])(config, train._dataset)
    model.prepare()
    batch, evaluated = next(iter(train)), next(iter(valid))[0]
    torch.manual_seed(3)
    first, again = model.calculate_loss(batch), model.calculate_loss(batch)
    torch.manual_seed(3)
    assert model.calculate_loss(batch) == first != again
    model.eval()
    assert torch.equal(model.calculate_loss(batch), model.calculate_loss(batch))
    assert torch.equal(model.full_sort_predict(evaluated), model.full_sort_predict(evaluated))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"augment_mask": 1}, r"augment_mask must be a number from 0 to 0\.99; got 1"),
        ({"augment_neighbours": "all"}, r"augment_neighbours must be one of text, counts; got 'all'"),
        (
            {"augment_substitute": 0.1, "text_features": "off"},
            r"another item source\. Switch one on",
        ),
        ({"augment_substitute": 0.1, "augment_neighbours": "counts", "memory": "off"}, r"counts needs memory: on"),
        ({"augment_crop": 0.5, "one_pass": False}, r"this training uses RecBole's prefix rows .* Set augment_\* to 0"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    small_config: Callable[..., Any], settings: dict[str, Any], message: str
) -> None:
    config = small_config(**settings)
    train, _, _ = data_preparation(config, create_dataset(config))
    with pytest.raises(ValueError, match=message):
        get_model(config["model"])(config, train._dataset).calculate_loss(next(iter(train)))
