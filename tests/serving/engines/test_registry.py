"""The contract of serving engines, for the built-in ones and for one that this file defines and registers."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.nn.levels import TIME_GAP_EDGES, rating_edges
from recbole_longinterest.nn.network import InterestNetwork
from recbole_longinterest.serving.engines import (
    Array,
    Engine,
    TorchEngine,
    engine_names,
    engine_of,
    engines_in,
    register_engine,
    writer_of,
)
from recbole_longinterest.serving.model_folder import Served, read_folder, write_folder
from recbole_longinterest.serving.new_items import with_items
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.state import InterestState, recommend_states, update_states
from recbole_longinterest.training import pipeline
from recbole_longinterest.training.export import export_checkpoint
from tests.served import N_ITEMS, random_events, random_served
from tests.serving.test_recommender import assert_scores_of_the_checkpoint

# --- an engine in one file -------------------------------------------------------------------------------------------


def sigmoid(x: NDArray[Any]) -> NDArray[Any]:
    return 1 / (1 + np.exp(-x))


class NumpyEngine(Engine):
    """One LSTM layer with attention in numpy, from a file of its own."""

    can_grow = False
    files = ("numpy_step.npz",)

    def __init__(self, file: Path) -> None:
        self.has = dict(np.load(file))

    @classmethod
    def write(cls, network: InterestNetwork, folder: Path, int8: bool = False) -> None:
        encoder, fusion = network.interest_encoder, network.fusion
        rnn, attention = encoder.rnn, encoder.attention
        one_lstm = isinstance(rnn, torch.nn.LSTM) and rnn.num_layers == 1
        further = (fusion.gate, encoder.block, network.log_scale)
        if not one_lstm or attention is None or any(part is not None for part in further):
            raise LongInterestError("The numpy engine computes one LSTM layer with attention and dot products only.")
        items = network.item_vectors()
        has = {"items": items, "fused": fusion.item(items), "heads": torch.tensor(attention.heads)}
        has |= {f"level {name}": fusion.context(table.weight) for name, table in fusion.levels.items()}
        for name, module in (
            ("norm", fusion.norm),
            ("score", attention.score),
            ("query", encoder.query),
        ):
            has |= {f"{name} weight": module.weight, f"{name} bias": module.bias}
        ours, theirs, our_bias, their_bias = rnn.all_weights[0]
        has |= {
            "gates": torch.cat([ours, theirs], dim=1),
            "gates bias": our_bias + their_bias,
            "edges time": TIME_GAP_EDGES,
        }
        if "rating" in fusion.levels:
            has["edges rating"] = rating_edges(fusion.sources["rating"].values)
        arrays = {name: value.detach().numpy() for name, value in has.items()}
        np.savez(folder / cls.files[0], **arrays)

    @classmethod
    def load(cls, served: Served, network: InterestNetwork, items: Tensor) -> "NumpyEngine":
        if served.folder is None or not (served.folder / cls.files[0]).is_file():
            raise LongInterestError(f"{served.folder} was not exported for the numpy engine.")
        return cls(served.folder / cls.files[0])

    def linear(self, name: str, x: NDArray[Any]) -> NDArray[Any]:
        return x @ self.has[f"{name} weight"].T + self.has[f"{name} bias"]

    def step(
        self, items: NDArray[np.int64], values: Mapping[str, NDArray[Any]], state: Sequence[Array]
    ) -> tuple[Array, Sequence[Array]]:
        recurrent, sums = (np.asarray(part) for part in state)
        fused = self.has["fused"][items]
        for name, value in values.items():
            if name == "behavior":
                level = value
            else:
                with np.errstate(invalid="ignore"):
                    reached = np.greater if name == "rating" else np.greater_equal
                    level = reached(value[:, None], self.has[f"edges {name}"]).sum(axis=1)
            fused = fused + self.has[f"level {name}"][level]
        fused = fused - fused.mean(axis=1, keepdims=True)
        fused = fused / np.sqrt((fused**2).mean(axis=1, keepdims=True) + 1e-5)
        fused = fused * self.has["norm weight"] + self.has["norm bias"]
        gates = np.concatenate([fused, recurrent[:, 0]], axis=1) @ self.has["gates"].T + self.has["gates bias"]
        put, keep, new, show = np.split(gates, 4, axis=1)
        cell = sigmoid(keep) * recurrent[:, 1] + sigmoid(put) * np.tanh(new)
        hidden = sigmoid(show) * np.tanh(cell)
        score = self.linear("score", np.concatenate([fused, hidden], axis=1)).astype(np.float64)[..., None]  # [B, K, 1]
        value = hidden.reshape(len(items), int(self.has["heads"]), -1).astype(np.float64)
        top = np.maximum(sums[..., :1], score)
        kept, weight = np.exp(sums[..., :1] - top), np.exp(score - top)
        denominator, numerator = sums[..., 1:2] * kept + weight, sums[..., 2:] * kept + value * weight
        attended = (numerator / denominator).reshape(len(items), -1).astype(np.float32)
        interest = self.linear("query", np.concatenate([attended, hidden], axis=1)).astype(np.float32)
        after = np.stack([hidden, cell], axis=1).astype(np.float32)
        return interest, (after, np.concatenate([top, denominator, numerator], axis=-1))

    def scores_of(self, interest: Tensor) -> Tensor:
        return torch.from_numpy(interest.numpy() @ self.has["items"].T)


register_engine("numpy", NumpyEngine)

# --- the contract ----------------------------------------------------------------------------------------------------

ENGINES = engine_names()


def needed(name: str) -> None:
    if name == "onnx":
        pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    needed(request.param)
    return request.param


def exported(folder: Path, engine: str, precision: str = "fp32") -> Path:
    served = random_served()
    served.precision = precision
    write_folder(served, folder, writer_of([engine_of(engine)], served))
    return folder


def test_the_registry_has_the_built_in_engines_and_the_one_of_this_file() -> None:
    assert {"numpy", "onnx", "torch"} <= set(ENGINES)


def test_a_stream_equals_the_batch_at_every_step(tmp_path: Path, engine: str) -> None:
    model = Recommender.load(exported(tmp_path / "m", engine), engine)
    streams = [random_events(30, seed) for seed in range(3)]
    states = [model.start() for _ in streams]
    for step in range(30):
        chosen = list(range(1 + step % 3))  # the number of users is free
        update_states([states[i] for i in chosen], [streams[i][states[i].events] for i in chosen])
        batch = model.interest([model.read(streams[i][: states[i].events]) for i in chosen])
        torch.testing.assert_close(torch.cat([states[i].interest for i in chosen]), batch, rtol=0, atol=1e-5)
    state = model.start()  # one by one, the engine gets its own arrays back
    for event in streams[1]:
        state.update(event)
    torch.testing.assert_close(state.interest, model.interest([model.read(streams[1])]), rtol=0, atol=1e-5)


def test_scores_are_new_tensors_and_those_of_the_network(tmp_path: Path, engine: str) -> None:
    model = Recommender.load(exported(tmp_path / "m", engine), engine)
    interest = model.interest([model.read(random_events(9, seed)) for seed in range(4)])
    compared, items = model.network.comparable(interest, model.items)
    scores = model.engine.scores_of(interest)
    torch.testing.assert_close(scores, compared @ items.T, rtol=0, atol=1e-4)
    scores.zero_()
    torch.testing.assert_close(model.engine.scores_of(interest), compared @ items.T, rtol=0, atol=1e-4)


def test_a_state_moves_between_engines(tmp_path: Path, engine: str) -> None:
    folder = exported(tmp_path / "m", engine)
    ours, theirs = Recommender.load(folder), Recommender.load(folder, engine)
    events = random_events(40)
    state, other = ours.start(), theirs.start()
    for event in events[:20]:
        state.update(event)
        other.update(event)
    there, back = InterestState.from_bytes(theirs, state.to_bytes()), InterestState.from_bytes(ours, other.to_bytes())
    for event in events[20:]:
        for each in (state, other, there, back):
            each.update(event)
    for each in (other, there, back):
        torch.testing.assert_close(each.interest, state.interest, rtol=0, atol=1e-5)
        best = [item.item for item in recommend_states([each], 7)[0].items]
        assert best == [item.item for item in state.recommend(7).items]


def test_an_export_has_the_engines_files_and_can_be_read_by_torch(tmp_path: Path, engine: str) -> None:
    folder = exported(tmp_path / "m", engine)
    common = {"README.md", "items.json", "manifest.json", "model.safetensors", "settings.json"}
    assert {file.name for file in folder.iterdir()} == common | set(engine_of(engine).files)
    assert (engine_of(engine) in engines_in(folder)) == bool(engine_of(engine).files)
    again, batch = Recommender.load(folder, engine), Recommender.load(folder)
    events = random_events(12)
    assert [item.item for item in again.recommend(events).items] == [
        item.item for item in batch.recommend(events).items
    ]


def test_an_int8_export_is_close(tmp_path: Path, engine: str) -> None:
    small, full = Recommender.load(exported(tmp_path / "s", engine, "int8"), engine), Recommender(random_served())
    ours, theirs = full.start(), small.start()
    for event in random_events(20):
        ours.update(event)
        theirs.update(event)
    assert torch.cosine_similarity(ours.interest, theirs.interest).item() > 0.98
    assert small.scores_of(ours.interest).shape == (1, N_ITEMS + 1)


def test_a_training_is_exported_for_all_engines_and_scored_as_by_the_checkpoint(
    small_config: Callable[..., Any], tmp_path: Path
) -> None:
    for name in ENGINES:
        needed(name)
    run = pipeline.run(small_config())
    export_checkpoint(run.checkpoint, tmp_path / "m", engines=ENGINES)
    for name in ENGINES:
        model = Recommender.load(tmp_path / "m", name)
        assert assert_scores_of_the_checkpoint(Path(run.checkpoint), model) > 20
        _check_growth(model, tmp_path / "m", tmp_path / f"grown {name}")


def _check_growth(model: Recommender, folder: Path, other: Path) -> None:
    """Items are added if the engine can grow; an export with the items serves them by every engine."""
    engine, frame, vectors = type(model.engine), pd.DataFrame({"item_id": ["new"]}), np.ones((1, 16), np.float32)
    events = ["i1", "i2", "i3"]
    before = {item.item: item.score for item in model.recommend(events, 100).items}
    if engine.can_grow:
        assert model.add_items(frame, vectors).new == ["new"]
    else:
        with pytest.raises(LongInterestError, match=rf"{engine.__name__} has a fixed item table.*add-items"):
            model.add_items(frame, vectors)
        assert model.item_id("new") == 0
        served = with_items(read_folder(folder), frame, vectors).served
        write_folder(served, other, writer_of(engines_in(folder), served))
        model = Recommender.load(other, engine)
    after = {item.item: item.score for item in model.recommend(events, 100).items}
    assert after.keys() == before.keys() | {"new"}
    assert {name: after[name] for name in before} == pytest.approx(before, abs=1e-5)
    state, grown = model.start(), model.recommend([*events, "new"], 5)
    for event in [*events, "new"]:
        state.update(event)
    assert [item.item for item in state.recommend(5).items] == [item.item for item in grown.items]


# --- names -----------------------------------------------------------------------------------------------------------


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(LongInterestError, match=r"engine must be one of torch, onnx, numpy; got 'jax'"):
        Recommender.load(exported(tmp_path / "m", "torch"), engine="jax")


def test_a_name_belongs_to_one_engine_and_an_engine_is_a_class_of_engines() -> None:
    register_engine("numpy", NumpyEngine)  # again, as a module that is imported twice does
    with pytest.raises(LongInterestError, match="register_engine: the name 'numpy' is taken"):
        register_engine("numpy", TorchEngine)
    for wrong in (NumpyEngine.load, object, None):
        with pytest.raises(LongInterestError, match="The engine wrong must be a subclass of Engine; got"):
            register_engine("wrong", wrong)  # type: ignore[arg-type]
    assert "wrong" not in engine_names()


def test_an_engine_of_files_needs_a_folder_that_was_exported_for_it(tmp_path: Path, engine: str) -> None:
    if not engine_of(engine).files:
        assert Recommender(random_served(), engine).n_items == N_ITEMS
        return
    with pytest.raises(LongInterestError, match=r"only in memory|was not exported"):
        Recommender(random_served(), engine)
    with pytest.raises(LongInterestError, match=r"has no step\.onnx|was not exported"):
        Recommender.load(exported(tmp_path / "m", "torch"), engine)
