"""The public names: each is there, documented and typed, and imports nothing before it is used."""

import inspect
import subprocess
import sys

import pytest

import recbole_longinterest

FUNCTIONS = [
    *("make_config", "run", "train", "export_checkpoint", "update_checkpoint", "encode_items", "tune"),
    *("prepare_data", "compare", "register", "forget_users", "export_split", "push_to_hub"),
]
CLASSES = ["Recommender", "Event", "InterestState", "Recommendation", "Explanation", "LongInterestError"]

USE = """
import sys
from recbole_longinterest import LongInterestError
assert issubclass(LongInterestError, ValueError)
from recbole_longinterest import Event
assert "recbole_longinterest.serving.events" in sys.modules
assert "recbole_longinterest.experiments" not in sys.modules
"""


def test_all_names_are_listed_and_there() -> None:
    assert sorted(recbole_longinterest.__all__) == sorted([*FUNCTIONS, *CLASSES, "__version__"])
    assert set(recbole_longinterest.__all__) <= set(dir(recbole_longinterest))
    for name in recbole_longinterest.__all__:
        assert getattr(recbole_longinterest, name) is not None


def test_names_for_editors_are_the_names_at_run_time() -> None:
    """The imports under TYPE_CHECKING and the table say the same."""
    source = inspect.getsource(recbole_longinterest)
    for name, module in recbole_longinterest._MODULES.items():
        start = source.index(f"from recbole_longinterest.{module} import ")
        assert name in source[start : source.index("\n", start)].partition(" import ")[2].split(", ")


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Recommendr'"):
        recbole_longinterest.Recommendr  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'tuna'"):
        exec("from recbole_longinterest import tuna")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_documented_and_typed(name: str) -> None:
    function = getattr(recbole_longinterest, name)
    assert inspect.isfunction(function) and function.__doc__
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    for parameter in signature.parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty, parameter.name
        assert f"    {parameter.name}: " in inspect.getdoc(function), parameter.name  # Python 3.13 dedents docstrings


@pytest.mark.parametrize("name", CLASSES)
def test_classes_are_documented_and_typed(name: str) -> None:
    kind = getattr(recbole_longinterest, name)
    assert inspect.isclass(kind) and kind.__doc__ and kind.__module__.startswith("recbole_longinterest.")
    for attribute, value in vars(kind).items():
        method = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
        if attribute.startswith("_") or not inspect.isfunction(method):
            continue
        signature = inspect.signature(method)
        assert method.__doc__ and signature.return_annotation is not inspect.Signature.empty, attribute
        untyped = [each.name for each in list(signature.parameters.values())[1:] if each.annotation is each.empty]
        assert not untyped or isinstance(value, staticmethod), (attribute, untyped)


def test_only_what_is_used_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", USE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
