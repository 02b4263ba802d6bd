"""Parts by name, from code and from installed packages."""

import importlib.metadata
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.registry import Registry

GROUP = "recbole_longinterest.toys"


@pytest.fixture
def toys() -> Registry[object]:
    return Registry("toy", "register_toy", GROUP)


def test_a_name_belongs_to_one_part(toys: Registry[object]) -> None:
    toys.add("list", list)
    toys.add("list", list)  # again, as a module that is imported twice does
    with pytest.raises(LongInterestError, match="register_toy: the name 'list' is taken"):
        toys.add("list", dict)
    assert toys.get("list") is list and "list" in toys and list(toys) == ["list"]
    toys.remove("list")
    assert "list" not in toys


def test_an_unknown_name_lists_the_known_ones(toys: Registry[object]) -> None:
    with pytest.raises(LongInterestError, match=r"toy must be one of \(none registered\); got 'ball'"):
        toys.get("ball")
    toys.add("list", list)
    for name in ("ball", None, 3):
        with pytest.raises(LongInterestError, match=r"toy must be one of list; got .*\. To use your own"):
            toys.get(name)


def test_an_installed_package_brings_a_part(toys: Registry[object], monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints([EntryPoint("ordered", "collections:OrderedDict", GROUP), EntryPoint("x", "y:z", "others")])
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **chosen: points.select(**chosen))
    assert "ordered" in toys and list(toys) == ["ordered"] and "x" not in toys
    from collections import OrderedDict

    assert toys.get("ordered") is OrderedDict


def test_an_installed_package_that_cannot_be_loaded(toys: Registry[object], monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints([EntryPoint("gone", "no_such_package:Part", GROUP)])
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **chosen: points.select(**chosen))
    with pytest.raises(LongInterestError, match=r"gone, .* as no_such_package:Part .*: No module named 'no_such_pack"):
        toys.get("gone")
