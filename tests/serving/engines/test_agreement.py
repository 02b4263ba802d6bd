"""ONNX files of another model than the weights beside them are not served, and a served file may change."""

import shutil
from pathlib import Path

import pytest

from recbole_longinterest.serving.engines import engine_of, writer_of
from recbole_longinterest.serving.engines.onnx import SCORES, STEP
from recbole_longinterest.serving.manifest import ExportError
from recbole_longinterest.serving.model_folder import write_folder
from recbole_longinterest.serving.recommender import Recommender
from tests.served import DEFAULTS, random_events, random_served, signed_again

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def exported(folder: Path, seed: int = 0, precision: str = "fp32", n_items: int = 300) -> Path:
    served = random_served(n_items=n_items, seed=seed)
    served.precision = precision
    write_folder(served, folder, writer_of([engine_of("onnx")], served))
    return folder


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_files_of_another_model_are_refused(tmp_path: Path, precision: str) -> None:
    ours = exported(tmp_path / "ours", precision=precision)
    theirs = exported(tmp_path / "theirs", seed=1, precision=precision)
    fewer = exported(tmp_path / "fewer", precision=precision, n_items=200)
    Recommender.load(ours, "onnx")
    for other in (theirs, fewer):
        for name in (STEP, SCORES):
            mixed = tmp_path / "mixed"
            shutil.rmtree(mixed, ignore_errors=True)
            shutil.copytree(ours, mixed)
            shutil.copy(other / name, mixed / name)
            with pytest.raises(ExportError, match=r"was changed after it was written|was cut short or changed"):
                Recommender.load(mixed, "onnx")
            signed_again(mixed)
            with pytest.raises(
                ExportError, match=r"belong to another model than the weights|cannot compute this model"
            ):
                Recommender.load(mixed, "onnx")


def test_negated_scores_are_refused(tmp_path: Path) -> None:
    folder = exported(tmp_path / "m")
    graph = onnx.load(str(folder / SCORES))
    last = graph.graph.node[-1]
    given = last.output[0]
    last.output[0] = "before"
    graph.graph.node.append(onnx.helper.make_node("Neg", ["before"], [given]))
    onnx.save(graph, str(folder / SCORES))
    signed_again(folder)
    with pytest.raises(ExportError, match="belong to another model than the weights beside them: the scores"):
        Recommender.load(folder, "onnx")


def test_a_served_engine_does_not_follow_its_files(tmp_path: Path) -> None:
    folder = exported(tmp_path / "m")
    model, events = Recommender.load(folder, "onnx"), random_events(9)

    def best() -> list[str]:
        state = model.start()
        for event in events:
            state.update(event)
        return [item.item for item in state.recommend(10).items]

    before = best()
    for name in (STEP, SCORES):
        size = (folder / name).stat().st_size
        with (folder / name).open("r+b") as file:
            file.write(bytes(size))
            file.truncate(10)
    assert best() == before


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_models_of_many_kinds_agree(tmp_path: Path, precision: str) -> None:
    for seed, spread in enumerate((0.02, 0.3, 1.0)):
        served = random_served(DEFAULTS, 400, seed, spread)
        served.precision = precision
        write_folder(served, tmp_path / "m", writer_of([engine_of("onnx")], served))
        Recommender.load(tmp_path / "m", "onnx")
