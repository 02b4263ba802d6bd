"""What is missing is named, with what to install."""

import sys
from types import SimpleNamespace

import pytest
import recbole.utils

import recbole_longinterest  # noqa: F401 - registers
from recbole_longinterest.common import packages


@pytest.mark.parametrize("version", ["1.2.0", "1.3.0", None])
def test_another_recbole(version: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "recbole", SimpleNamespace(**({"__version__": version} if version else {})))
    with pytest.raises(ImportError, match=r"works with RecBole 1\.2\.1 only, and RecBole .* is installed: pip install"):
        packages.check_recbole()


def test_no_recbole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "recbole", None)
    with pytest.raises(ImportError, match=r"needs RecBole 1\.2\.1, which is not installed: pip install"):
        packages.check_recbole()


@pytest.mark.parametrize(
    ("model", "package", "install"),
    [
        ("KGAT", "dgl", "dgl"),
        ("KGIN", "torch_scatter", "torch-scatter"),
        ("MCCLK", "torch_scatter", "torch-scatter"),
        ("NCL", "faiss", "faiss-cpu"),
        ("LightGBM", "lightgbm", "lightgbm"),
        ("XGBoost", "xgboost", "xgboost"),
    ],
)
def test_a_model_without_its_package(model: str, package: str, install: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"recbole.model.exlib_recommender.{model.lower()}", raising=False)
    monkeypatch.delitem(sys.modules, "recbole.model.exlib_recommender", raising=False)
    with pytest.raises(ValueError, match=rf"^{model} needs the package \w+, which is not installed: pip install \S+$"):
        recbole.utils.get_model(model)
    with pytest.raises(ImportError, match=rf"^X needs the package {package}, .*: pip install {install}$"):
        packages.require(package, "X")


def test_a_model_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", SimpleNamespace())
    assert recbole.utils.get_model("NCL").__name__ == "NCL"
