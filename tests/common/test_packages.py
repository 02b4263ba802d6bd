"""What is missing is named, with what to install."""

import importlib.metadata
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import recbole.utils
from packaging.requirements import Requirement

import recbole_longinterest  # noqa: F401 - registers
from recbole_longinterest.common import packages
from tests.conftest import PROJECT


@pytest.mark.parametrize("version", ["1.2.0", "1.3.0", None])
def test_another_recbole(version: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "recbole", SimpleNamespace(**({"__version__": version} if version else {})))
    with pytest.raises(
        ImportError, match=r"works with RecBole 1\.2\.1 only, and RecBole .* is installed: pip install --no-deps "
    ):
        packages.check_recbole()


def test_no_recbole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "recbole", None)
    with pytest.raises(ImportError, match=r"needs RecBole 1\.2\.1 for this, and it is not installed: pip install --no"):
        packages.check_recbole()


@pytest.mark.parametrize("version", ["2.6.3", "2.54.1"])
def test_an_old_ray(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
    with pytest.raises(ValueError, match=rf"^X needs ray 2\.55 or later, and ray {version} is installed: pip install "):
        packages.require_ray("X")


def test_packages_that_do_not_meet_the_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = ["absent-package>=2", "pytest<1", "pytest>=1", "absent ; python_version < '3'", "x>=1 ; extra == 'x'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: needs)
    assert packages.unmet() == [
        ("The package absent-package is not installed.", "pip install 'absent-package>=2'"),
        (
            f"pytest {pytest.__version__} is installed; recbole-longinterest needs pytest<1.",
            "pip install 'pytest<1'",
        ),
    ]


def test_the_copies_of_packages_that_ray_brings_do_not_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    copies = tmp_path / "ray" / "thirdparty_files"
    (copies / "pytest-0.1.dist-info").mkdir(parents=True)
    (copies / "pytest-0.1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: pytest\nVersion: 0.1\n")
    monkeypatch.syspath_prepend(str(copies))
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: ["pytest>=1"])
    assert importlib.metadata.version("pytest") == "0.1" and packages.unmet() == []


def test_what_recbole_needs_is_what_this_package_needs() -> None:
    """RecBole is installed without its dependencies, so all of them but its Ray must be ours, and within its limits."""
    if not (PROJECT / "pyproject.toml").is_file():
        pytest.skip("not a checkout")
    tomllib = pytest.importorskip("tomllib")
    stated = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
    ours = {need.name: need for need in map(Requirement, stated)}
    assert "recbole" not in ours and ours["ray"].specifier == f">={'.'.join(map(str, packages.RAY))}"
    for need in map(Requirement, importlib.metadata.requires("recbole") or []):
        if need.name != "ray" and not (need.marker and "extra" in str(need.marker)):
            least = next(iter(ours[need.name].specifier), None)
            assert least is None or need.specifier.contains(least.version), need
            assert "==" not in str(need.specifier) or need.specifier == ours[need.name].specifier, need


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
    with pytest.raises(
        ValueError,
        match=rf"^{model} needs the package \w+, which is not installed: pip install \S+ \(recbole-li doctor",
    ):
        recbole.utils.get_model(model)
    with pytest.raises(
        ImportError, match=rf"^X needs the package {package}, .*: pip install {install} \(recbole-li doctor checks"
    ):
        packages.require(package, "X")


def test_a_model_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", SimpleNamespace())
    assert recbole.utils.get_model("NCL").__name__ == "NCL"
