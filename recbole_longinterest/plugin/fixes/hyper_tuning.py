"""RecBole's ``HyperTuning`` with today's hyperopt, and a sentence where it is not installed."""

import functools
from types import SimpleNamespace
from typing import Any

import numpy as np
import recbole.trainer.hyper_tuning
from recbole.trainer.hyper_tuning import HyperTuning

from recbole_longinterest.common import packages
from recbole_longinterest.plugin.fixes.hooks import with_globals


def exhaustive_search() -> None:
    """``HyperTuning``'s default search draws with RandomState, hyperopt >= 0.2.7 needs a Generator (#1868)."""
    generators = SimpleNamespace(random=SimpleNamespace(RandomState=np.random.default_rng))
    search = recbole.trainer.hyper_tuning.exhaustive_search
    recbole.trainer.hyper_tuning.exhaustive_search = with_globals(search, np=generators)


def tuning_packages() -> None:
    """``HyperTuning`` ends in "No module named 'hyperopt'", an extra of RecBole that its wheel does not ask for."""
    original = HyperTuning.__init__

    @functools.wraps(original)
    def __init__(self: HyperTuning, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        packages.require("hyperopt", "HyperTuning")
        original(self, *args, **kwargs)

    HyperTuning.__init__ = __init__
