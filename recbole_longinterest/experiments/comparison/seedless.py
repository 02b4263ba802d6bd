"""Find deterministic rows, whose results do not depend on the seed, and run them only once."""

from collections.abc import Mapping, Sequence
from typing import Any

from recbole.utils import get_model

from recbole_longinterest.experiments.comparison import general, models
from recbole_longinterest.experiments.comparison.variants import Variant, settings_of
from recbole_longinterest.plugin.baselines.computed.base import ComputedRecommender
from recbole_longinterest.plugin.own_models import model_name


def is_computed(model: str) -> bool:
    """Whether a model is computed from the training data without random numbers.

    Args:
        model: RecBole's name of the model, or ``module:Class``. Unknown models, which raise an error elsewhere, give
            False.
    """
    if model in general.WITHOUT_DRAW:
        return True
    models.register()
    try:
        return issubclass(get_model(model_name(model)), ComputedRecommender)
    except (ValueError, ImportError):
        return False


def seeds_to_run(
    variant: Variant, seeds: Sequence[int], datasets: Sequence[str], given: Mapping[str, Any]
) -> dict[str, Sequence[int]]:
    """The seeds to run for a row on each data set: only the first if all would give the same result.

    Args:
        variant: the row.
        seeds: seeds of the row in the plan.
        datasets: names of data sets.
        given: settings of every run; sampled candidates depend on the seed.
    """
    if not is_computed(variant.model):
        return dict.fromkeys(datasets, seeds)
    sampled = {dataset: _samples(settings_of(variant, dataset, dict(given))[0]) for dataset in datasets}
    return {dataset: seeds if sampled[dataset] else seeds[:1] for dataset in datasets}


def _samples(settings: Mapping[str, Any]) -> bool:
    mode = (settings.get("eval_args") or {}).get("mode") or "full"
    return any(each != "full" for each in (mode.values() if isinstance(mode, Mapping) else [mode]))
