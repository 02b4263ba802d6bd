"""Patches of RecBole's ``HyperTuning``: current hyperopt, safe parsing of choices, and an error if it is missing."""

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

from recbole_longinterest.common import packages
from recbole_longinterest.common.written_values import read_choices
from recbole_longinterest.plugin.fixes.registry import patch
from recbole_longinterest.plugin.same_code import with_globals

if TYPE_CHECKING:
    from recbole.trainer.hyper_tuning import HyperTuning


@patch(
    "recbole.trainer.hyper_tuning:exhaustive_search",
    kind="fix",
    issue=1868,
    why="HyperTuning's default search gives hyperopt a RandomState; hyperopt 0.2.7 needs a Generator and fails.",
    wraps=True,
)
def exhaustive_search(search: Callable[..., object]) -> Callable[..., object]:
    """Run RecBole's code with an ``np`` whose ``RandomState`` creates a ``Generator``."""
    return with_globals(search, np=SimpleNamespace(random=SimpleNamespace(RandomState=np.random.default_rng)))


patch(
    "recbole.trainer.hyper_tuning:eval",
    name="plain_choices",
    kind="safety",
    source_of="recbole.trainer.hyper_tuning:HyperTuning._build_space_from_file",
    why="RecBole passes the choices in a params_file to eval, so the file can run code.",
)(read_choices)


@patch(
    "recbole.trainer.hyper_tuning:HyperTuning.__init__",
    kind="fix",
    why="HyperTuning fails with \"No module named 'hyperopt'\": RecBole's wheel does not require this package.",
    wraps=True,
)
def tuning_packages(original: Callable[..., None]) -> Callable[..., None]:
    """Raise an error that names the missing package."""

    @functools.wraps(original)
    def __init__(self: "HyperTuning", *args: object, **kwargs: object) -> None:
        packages.require("hyperopt", "HyperTuning")
        original(self, *args, **kwargs)

    return __init__
