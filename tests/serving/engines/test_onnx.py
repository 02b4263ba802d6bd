"""The ONNX engine gives what torch gives, under the same states."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from recbole_longinterest.nn.options import ModelOptions
from recbole_longinterest.serving.engines.onnx import SCORES, STEP, OnnxEngine
from recbole_longinterest.serving.model_folder import write_folder
from recbole_longinterest.serving.recommender import Recommender
from recbole_longinterest.serving.state import InterestState, recommend_states, update_states
from tests.served import OPTIONS, random_events, random_served, signed_again

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def exported(folder: Path, int8: bool = False, **changes: Any) -> Path:
    served = random_served(ModelOptions(**{**vars(OPTIONS), **changes}))
    write_folder(served, folder, lambda draft: OnnxEngine.write(served.network(), draft, int8))
    return folder


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rnn_type": "GRU", "attention_heads": 4, "fusion": "gated", "residual": True},
        {"attention": False, "num_layers": 2},
        {"logits": "cosine"},
    ],
)
def test_a_stream_by_onnxruntime_equals_torch(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = exported(tmp_path / "m", **changes)
    ours, theirs = Recommender.load(folder), Recommender.load(folder, engine="onnx")
    states, others = [ours.start() for _ in range(3)], [theirs.start() for _ in range(3)]
    streams = [random_events(40, seed) for seed in range(3)]
    for gap in range(40):  # the edges of the buckets of time
        streams[0][gap] = replace(streams[0][gap], time=float(sum(2**k - 1 for k in range(gap + 1))))
    for step in range(40):
        count = 1 + step % 3  # the number of users is free
        update_states(states[:count], [events[step] for events in streams[:count]])
        update_states(others[:count], [events[step] for events in streams[:count]])
    for state, other in zip(states, others, strict=True):
        torch.testing.assert_close(other.interest, state.interest, rtol=0, atol=1e-5)
        moved = InterestState.from_bytes(theirs, state.to_bytes())  # a state is the model's, whatever the engine
        assert [item.item for item in moved.recommend(5).items] == [item.item for item in state.recommend(5).items]
    assert [len(found.items) for found in recommend_states(others, 7)] == [7, 7, 7]


def test_int8_is_smaller_and_close(tmp_path: Path) -> None:
    full, small = exported(tmp_path / "full"), exported(tmp_path / "small", int8=True)
    for name in (STEP, SCORES):
        assert (small / name).stat().st_size < 0.75 * (full / name).stat().st_size
    ours, theirs = Recommender.load(full).start(), Recommender.load(small, engine="onnx").start()
    for event in random_events(20):
        ours.update(event)
        theirs.update(event)
    assert torch.cosine_similarity(ours.interest, theirs.interest).item() > 0.98


def test_a_folder_without_onnx_and_another_engine_are_one_sentence(tmp_path: Path) -> None:
    write_folder(random_served(), tmp_path / "plain")
    with pytest.raises(ValueError, match=r"has no step.onnx and no scores.onnx.*--onnx"):
        Recommender.load(tmp_path / "plain", engine="onnx")
    with pytest.raises(ValueError, match=r"engine must be one of torch, onnx.*; got 'jax'"):
        Recommender.load(tmp_path / "plain", engine="jax")
    folder = exported(tmp_path / "m")
    (folder / STEP).write_bytes(b"x" * (folder / STEP).stat().st_size)
    for engine in ("torch", "onnx"):  # an export is whole, or not read
        with pytest.raises(ValueError, match=r"step\.onnx was changed after it was written"):
            Recommender.load(folder, engine)
    signed_again(folder)
    with pytest.raises(ValueError, match=r"step.onnx is broken or was cut short"):
        Recommender.load(folder, engine="onnx")
