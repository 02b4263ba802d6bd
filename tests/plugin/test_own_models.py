"""Models of a user's own: named on the command line, found beside it, and never chosen by a file."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from recbole.config import Config
from recbole.quick_start import load_data_and_model

from recbole_longinterest import make_config
from recbole_longinterest.cli import main
from recbole_longinterest.plugin import models
from recbole_longinterest.plugin.own_models import model_name, search_folder
from recbole_longinterest.plugin.runs.checkpoints import load_checkpoint, save_checkpoint
from tests.conftest import synthetic_inter

CODE = """
from pathlib import Path

from recbole.model.sequential_recommender.gru4rec import GRU4Rec

Path("imported").touch()


class MyModel(GRU4Rec):
    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.own = config["own_setting"]


class SASRec(GRU4Rec):
    pass


class Other:
    pass


number = 3
"""
SMALL = ("--state=ERROR", "--train_batch_size=64")


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The next test knows nothing of this one's models and modules."""
    monkeypatch.setattr(models, "_known", dict(models._known))
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.endswith((".mymodel", "own_nets", "broken", ".deep")) or name == "shop":
            del sys.modules[name]


@pytest.fixture
def folder(tmp_path: Path, write_dataset: Callable[..., Path]) -> Path:
    """The working folder, with a module, its yaml, a search space, and data."""
    write_dataset("tiny", synthetic_inter())
    (tmp_path / "own_nets.py").write_text(CODE)
    (tmp_path / "MyModel.yaml").write_text(
        "embedding_size: 8\nhidden_size: 8\nnum_layers: 1\ndropout_prob: 0.0\nloss_type: CE\nown_setting: 7\n"
    )
    (tmp_path / "properties" / "search").mkdir(parents=True)
    (tmp_path / "properties" / "search" / "MyModel.yaml").write_text("learning_rate: {choice: [0.001, 0.01]}\n")
    return tmp_path


def run(folder: Path, *more: str, epochs: int = 1) -> int:
    own = ["--dataset=tiny", f"--data_path={folder / 'data'}", "--show_progress=False", f"--epochs={epochs}"]
    return main.main(["run", *own, *SMALL, *more])


def checkpoint_of(out: str) -> str:
    return out.split("checkpoint: ")[1].strip()


def test_it_is_run_with_its_settings_and_goes_on_when_it_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(folder, "--model=own_nets:MyModel") == 0
    out = capsys.readouterr().out
    assert "MyModel on tiny" in out
    path = checkpoint_of(out)
    config = load_checkpoint(path)["config"]
    assert config["own_setting"] == 7 and config["model"] == "MyModel" and config["model_module"] == "own_nets"

    del sys.modules["own_nets"], sys.modules["recbole.model.sequential_recommender.mymodel"]
    models._known.pop("MyModel")
    (folder / "imported").unlink()
    expected = f"{path}.last was trained with MyModel from the module own_nets, .* with --model own_nets:MyModel"
    assert run(folder, f"--resume={path}", epochs=2) == 2
    assert " ".join(expected.split(".*")[0].split()) in capsys.readouterr().err
    with pytest.raises(ValueError, match=expected.replace(".last", "")):
        load_data_and_model(path, data_path=str(folder / "data"))
    assert not (folder / "imported").exists() and "own_nets" not in sys.modules

    assert run(folder, f"--resume={path}", "--model=own_nets:MyModel", epochs=2) == 0
    assert (folder / "imported").exists() and load_data_and_model(path)[1].own == 7


@pytest.mark.parametrize("where", ["config file", "dict", "data", "name"])
def test_no_file_names_the_code_that_is_run(folder: Path, where: str) -> None:
    sys.path.append(str(folder))
    given: dict[str, Any] = {"data_path": str(folder / "data")}
    file = folder / "given.yaml"
    file.write_text("model: own_nets:MyModel\n" if where == "config file" else "seed: 1\n")
    if where == "data":
        (folder / "data" / "tiny" / "prepare.yaml").write_text("model: own_nets:MyModel\nmodel_module: own_nets\n")
        assert make_config("GRU4Rec", "tiny", [file], given)["model"] == "GRU4Rec"
    elif where == "name":
        with pytest.raises(ValueError, match="There is no model 'MyModel'"):
            make_config("MyModel", "tiny", [file], given)
    else:
        if where == "dict":
            given["model"] = "own_nets:MyModel"
        with pytest.raises(ValueError, match=r"A file cannot name .* you start the run: --model own_nets:My"):
            make_config(None, "tiny", [file], given)
        with pytest.raises(ValueError, match="A file cannot name a model of your own"):
            Config("own_nets:MyModel", "tiny", config_dict=given)
    assert not (folder / "imported").exists()


@pytest.mark.parametrize("module", ["os", "../own_nets", "own_nets; import os", None, ["own_nets"]])
def test_what_a_checkpoint_says_of_its_module_is_a_text(folder: Path, module: object) -> None:
    config = make_config("GRU4Rec", "tiny", config_dict={"data_path": str(folder / "data")})
    config["model"] = config.model = "MyModel"
    config["model_module"] = module
    save_checkpoint({"config": config, "state_dict": {}}, folder / "made.pth")
    match = "with --model os:MyModel" if module == "os" else "There is no model 'MyModel', neither in RecBole nor"
    with pytest.raises(ValueError, match=match):
        load_data_and_model(folder / "made.pth", data_path=str(folder / "data"))
    assert not (folder / "imported").exists()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("own_nets:", "Name a model of your own as module:Class, such as my_module:MyModel; got 'own_nets:'"),
        ("own nets:MyModel", "Name a model of your own as module:Class"),
        (
            "no_nets:MyModel",
            r"There is no module no_nets for the model no_nets:MyModel\. It must be installed, or",
        ),
        ("shop.no_nets:MyModel", r"There is no module shop\.no_nets for the model"),
        ("broken:MyModel", r"The module broken cannot be imported: ModuleNotFoundError: No module named 'not_there'"),
        ("own_nets:MyModle", r"own_nets\.py has no class MyModle\. Give MyModel\."),
        ("own_nets:number", r"own_nets\.py has no class number\. Give the name of a class in it\."),
        ("own_nets:Other", "own_nets:Other is not a RecBole model. Derive it from SequentialRecommender"),
        ("own_nets:SASRec", "own_nets:SASRec has the same name as a model of RecBole. Rename the class."),
        ("own_nets:HSTU", r"own_nets\.py has no class HSTU"),
    ],
)
def test_errors_are_one_sentence(folder: Path, model: str, message: str) -> None:
    (folder / "broken.py").write_text("import not_there\n")
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").touch()
    search_folder(folder)
    with pytest.raises(ValueError, match=message):
        model_name(model)


def test_two_models_of_one_name_are_refused(folder: Path) -> None:
    (folder / "broken.py").write_text(CODE)
    search_folder(folder)
    assert model_name("own_nets:MyModel") == "MyModel" == model_name("own_nets:MyModel")
    with pytest.raises(ValueError, match=r"broken:MyModel has the same name as own_nets:MyModel. Rename the class."):
        model_name("broken:MyModel")


def test_the_working_folder_hides_no_installed_module(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "tabulate.py").write_text("raise RuntimeError('hidden')\n")
    sys.modules.pop("tabulate", None)
    assert run(folder, "--model=own_nets:MyModel") == 0
    import tabulate

    assert str(folder) not in tabulate.__file__ and sys.path[-1] == str(folder)


@pytest.mark.slow
@pytest.mark.usefixtures("one_ray")
def test_a_search_runs_it_in_rays_workers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*SMALL, "--epochs=1", f"--data_path={folder / 'data'}", "--trials=2", "--quiet"]
    model = ["--model=own_nets:MyModel", "--dataset=tiny", f"--output={folder / 'out'}"]
    assert main.main(["tune", *model, *arguments]) == 0
    out = capsys.readouterr().out
    assert "2 trials" in out and "--model own_nets:MyModel --config_files" in out
    assert len(list((folder / "out").rglob("*.pth"))) > 0
    assert json.loads((folder / "out" / "search.json").read_text())["model"] == "own_nets:MyModel"
    assert "model: own_nets:MyModel" in (folder / "out" / "best.yaml").read_text()


@pytest.mark.slow
def test_a_comparison_has_it_as_a_row_with_and_without_a_window(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*SMALL, "--epochs=1", f"--data_path={folder / 'data'}", "--seeds=1", "--quiet"]
    rows = ["--models=own_nets:MyModel,own_nets:MyModel@5", "--datasets=tiny", f"--output={folder / 'out'}"]
    assert main.main(["compare", *rows, *arguments]) == 0
    results = [json.loads(file.read_text()) for file in (folder / "out").rglob("result.json")]
    assert {result["name"] for result in results} == {"MyModel", "MyModel@5"}
    assert all(result["status"] == "finished" for result in results)
    assert {result["manifest"]["config"]["own_setting"] for result in results} == {7}


def test_a_model_that_derives_from_longinterest_has_both_yaml_files(folder: Path) -> None:
    (folder / "own_nets.py").write_text(
        "from recbole_longinterest.plugin.longinterest import LongInterest\n\nclass MyModel(LongInterest):\n    pass\n"
    )
    (folder / "MyModel.yaml").write_text("embedding_size: 24\n")
    search_folder(folder)
    config = make_config("own_nets:MyModel", "tiny", config_dict={"data_path": str(folder / "data")})
    assert config["embedding_size"] == 24 and config["hidden_size"] == 128
    assert isinstance(torch.device(config["device"]), torch.device)
