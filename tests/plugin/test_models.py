"""The list of models: each has its class, its yaml files and a name that RecBole has not."""

import re
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import recbole
from recbole.config import Config
from recbole.utils import get_model

from recbole_longinterest.common.resources import resource
from recbole_longinterest.data.lookup import dataset_class
from recbole_longinterest.experiments.tuning.space import read_space
from recbole_longinterest.plugin import models
from recbole_longinterest.plugin.known_keys import known_keys
from recbole_longinterest.plugin.longinterest import LongInterest
from recbole_longinterest.plugin.models import BASELINES, GROUP, KnownModel, find_model, known_models
from recbole_longinterest.training.settings import make_config
from tests.plugin.baselines.conftest import NEURAL


def test_every_baseline_is_found_by_recboles_own_lookup_and_has_its_files() -> None:
    for name in BASELINES:
        model = get_model(name)
        assert model.__name__ == name and models.is_baseline(model)
        for file in (f"{name}.yaml", f"search/{name}.yaml"):
            assert known_models()[name].file(file) == resource("properties", file), file
        with pytest.raises(ValueError, match=f"There is no model '{name.upper()}x', .*Did you mean {name}"):
            get_model(f"{name.upper()}x")


@pytest.mark.parametrize("name", [*BASELINES, "SASRec"])
def test_a_search_space_holds_known_settings_and_the_defaults(name: str) -> None:
    config = make_config(name, "ml-100k")
    space = read_space(resource("properties", f"search/{name}.yaml"))
    known = known_keys(config)
    names = [parameter.name for parameter in space.parameters]
    assert all(parameter in known for parameter in names)
    assert space.own(config, {}) is not None
    if name in NEURAL:
        assert {"learning_rate", "hidden_dropout_prob", "hidden_size", "MAX_ITEM_LIST_LENGTH", "n_layers"} <= {*names}


@pytest.mark.parametrize("name", BASELINES)
def test_its_yaml_names_every_option_with_type_and_meaning(name: str) -> None:
    model = get_model(name)
    lines = resource("properties", f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    said = {
        line.partition(":")[0] for line in lines if re.fullmatch(r"\w+: .+?  # \((int|float|str|bool)\) .+\.", line)
    }
    options = {*getattr(model, "rules", ())}
    if not issubclass(model, LongInterest):  # whose own yaml is read before
        options |= {"loss_type", "one_pass", "exact_order", "valid_metric"}
    assert options <= said and len(said) == sum(bool(line) and not line.startswith("#") for line in lines)


def test_no_name_is_one_of_recboles() -> None:
    theirs = {file.stem.lower() for file in Path(recbole.__file__).parent.glob("model/*_recommender/*.py")}
    assert not theirs & {name.lower() for name in known_models()}


def test_a_wrong_case_is_told_the_right_one() -> None:
    with pytest.raises(ValueError, match=r"There is no model 'longinterest', .*Did you mean LongInterest"):
        get_model("longinterest")


def test_a_model_of_an_installed_package_is_found_with_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "shop_models"
    (package / "nets").mkdir(parents=True)
    (package / "properties" / "search").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "nets" / "__init__.py").touch()
    code = "from recbole.model.sequential_recommender.gru4rec import GRU4Rec\n\n\nclass ShopRec(GRU4Rec):\n    pass\n"
    (package / "nets" / "shop.py").write_text(code)
    (package / "properties" / "ShopRec.yaml").write_text("dropout_prob: 0.25\n")
    (package / "properties" / "search" / "ShopRec.yaml").write_text("dropout_prob: {choice: [0.1]}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    points = EntryPoints([EntryPoint("ShopRec", "shop_models.nets.shop:ShopRec", GROUP)])
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: points)
    monkeypatch.setattr(models, "_known", dict(models._known))
    model = get_model("ShopRec")
    found = find_model("shoprec")
    assert model.__module__ == "shop_models.nets.shop" and found is not None and found.own
    assert found.file("ShopRec.yaml") == package / "properties" / "ShopRec.yaml"
    assert found.file("search/ShopRec.yaml") == package / "properties" / "search" / "ShopRec.yaml"
    assert found.file("tuned/ShopRec/ml-100k.yaml") is None


@pytest.mark.parametrize(("value", "why"), [("no_such:Net", "No module named 'no_such'"), ("json:Net", "'Net'")])
def test_a_model_of_a_broken_package_is_said(value: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints([EntryPoint("Broken", value, GROUP)])
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: points)
    monkeypatch.setattr(models, "_known", dict(models._known))
    with pytest.raises(ValueError, match=rf"The model Broken \({value}\) cannot be loaded: .*{why}.* If an inst"):
        get_model("Broken")


def test_a_class_that_derives_from_a_baseline_has_its_defaults_below_its_own() -> None:
    class Mine(get_model("HSTU")):  # type: ignore[misc]
        """A user's model."""

    config = Config(Mine, "ml-100k", config_dict={"n_layers": 3})
    assert config["temperature"] == 0.05 and config["n_layers"] == 3
    assert dataset_class(config).__name__ == "HSTUDataset"
    assert models.defaults_of(Mine, "Mine") == [resource("properties", "HSTU.yaml")]
    assert models.defaults_of(type("HSTU", (), {}), "GRU4Rec") == []


def test_a_model_from_outside_has_the_defaults_of_recboles_model_that_it_derives_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(models, "_known", {**models._known, "Mine": KnownModel("Mine", __name__, "Mine", own=True)})
    mine = type("Mine", (get_model("GRU4Rec"),), {"__module__": __name__})
    (file,) = models.defaults_of(mine, "Mine")
    assert file.name == "GRU4Rec.yaml" and "loss_type" in file.read_text()
    assert models.defaults_of(get_model("GRU4Rec"), "GRU4Rec") == []  # RecBole reads its own


def test_a_class_typed_into_a_prompt_has_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("typed_in")
    monkeypatch.setitem(sys.modules, "typed_in", module)
    assert models.KnownModel("Typed", "typed_in", "Typed", own=True).file("Typed.yaml") is None
