"""What every part of the network has to hold, whoever wrote it.

:func:`check_contracts` trains, exports and serves a small model with the part in it.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from recbole.config import Config
from recbole.data.utils import create_dataset, data_preparation
from recbole.utils import get_model, init_seed

from recbole_longinterest import InterestState, Recommender, export_checkpoint, run
from recbole_longinterest.plugin.longinterest import LongInterest
from recbole_longinterest.serving.state import recommend_states, states_of
from tests.serving.test_recommender import assert_scores_of_the_checkpoint

STILL = {"dropout_prob": 0.0, "hidden_dropout_prob": 0.0}
MakeConfig = Callable[..., Config]


def build(config: Config) -> tuple[LongInterest, Any]:
    """A model before training, with levels that differ, and its training loader."""
    init_seed(config["seed"], True)
    train, _, _ = data_preparation(config, create_dataset(config))
    init_seed(config["seed"], True)
    model = get_model(config["model"])(config, train._dataset)
    for source in model.fusion.sources.values():  # levels start alike, so that a change of one would not show
        torch.nn.init.normal_(source.weight, std=0.1)
    return model, train


def check_one_pass(make_config: MakeConfig, **settings: Any) -> None:
    """Windows and RecBole's prefix rows give one loss and the same gradients."""
    results = []
    for one_pass in (True, False):
        model, train = build(make_config(one_pass=one_pass, train_batch_size=10**6, **{**STILL, **settings}))
        (batch,) = list(train)
        loss = model.calculate_loss(batch)
        loss.backward()
        results.append((loss.item(), {name: value.grad for name, value in model.named_parameters()}))
    (windows, ours), (prefixes, theirs) = results
    assert windows == pytest.approx(prefixes, abs=1e-5)
    for name, gradient in ours.items():
        assert gradient is not None, name
        torch.testing.assert_close(gradient, theirs[name], rtol=1e-4, atol=1e-5, msg=name)


def check_causality(make_config: MakeConfig, **settings: Any) -> None:
    """An event changes no output before it, and the outputs from it on; so does each of its sources."""
    model, train = build(make_config(**settings))
    model.eval()
    batch = next(iter(train))
    length = batch["item_id_list"].shape[1]
    fields = {"item_id_list": 3, **{field: None for name, field in model.fields.items() if name in model.fusion.levels}}
    with torch.no_grad():
        items = model.item_vectors()
        before = model(batch["item_id_list"], model.side_levels(batch), items)
        for field in fields:
            changed = batch[field].clone()
            changed[:, length // 2] = changed[:, length // 2].roll(1, 0)
            different = (changed != batch[field]).flatten(1).any(dim=1)
            other = batch.interaction | {field: changed}
            levels = model.levels_of({name: other[model.fields[name]] for name in model.fusion.levels})
            after = model(other["item_id_list"], levels, items)
            assert torch.equal(before[:, : length // 2], after[:, : length // 2]), field
            moved = (before[:, length // 2] - after[:, length // 2]).abs().amax(dim=1)
            assert bool((moved[different] > 0).any()) == bool(different.any()), field


def check_served(
    make_config: MakeConfig,
    folder: Path,
    engines: Sequence[str] = ("torch", "onnx"),
    users: pd.DataFrame | None = None,
    **settings: Any,
) -> Recommender:
    """A trained model scores, from raw tokens, as the checkpoint does; and streams to what the batch gives.

    Args:
        make_config: makes the config of the run.
        folder: for the export.
        engines: that are tried.
        users: columns of the users by user token, for models with ``user_features``.
        settings: of the run.

    Returns:
        The model by the last engine.
    """
    config = make_config(**settings)
    done = run(config)
    assert done.checkpoint is not None
    export_checkpoint(done.checkpoint, folder, onnx="onnx" in engines)
    model = Recommender.load(folder)
    for engine in engines:
        model = Recommender.load(folder, engine)
        assert assert_scores_of_the_checkpoint(Path(done.checkpoint), model, users) > 10
        raw = pd.read_csv(Path(config["data_path"]) / f"{config['dataset']}.inter", sep="\t", dtype=str)
        raw.columns = [name.partition(":")[0] for name in raw.columns]
        if users is not None:
            raw = raw.join(users, on="user_id")
        histories = list(model.read_table(raw).values())[:8]
        batch = model.interest(histories)
        for state, expected in zip(states_of(model, histories), batch, strict=True):
            torch.testing.assert_close(state.interest[0], expected, rtol=1e-4, atol=1e-5)
            again = InterestState.from_bytes(model, state.to_bytes())
            assert again.recommend(3).items == state.recommend(3).items
        found = recommend_states(states_of(model, histories), 3)
        for one, other in zip(found, model._recommend(histories, 3, True, None, False, ()), strict=True):
            assert [item.score for item in one.items] == pytest.approx([item.score for item in other.items], rel=1e-4)
    return model


def check_contracts(make_config: MakeConfig, folder: Path, **settings: Any) -> Recommender:
    """All of them."""
    check_one_pass(make_config, **settings)
    check_causality(make_config, **settings)
    return check_served(make_config, folder, **settings)


def random_columns(inter: str, columns: dict[str, Callable[[np.random.Generator], str]], seed: int = 0) -> str:
    """An .inter file with further columns, each cell drawn by a function."""
    rng = np.random.default_rng(seed)
    head, *lines = inter.strip().split("\n")
    made = ["\t".join([line, *(draw(rng) for draw in columns.values())]) for line in lines]
    return "\n".join(["\t".join([head, *columns]), *made]) + "\n"
