"""Rows that no seed changes: computed or counted models in full ranking, and lists that were made elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Any

from recbole.utils import get_model

from recbole_longinterest.experiments.comparison import general, models
from recbole_longinterest.experiments.comparison.variants import Variant, settings_of
from recbole_longinterest.plugin.baselines.computed.base import ComputedRecommender
from recbole_longinterest.plugin.own_models import model_name


def is_computed(model: str) -> bool:
    """Whether a model is computed from the training data, without a draw.

    Args:
        model: RecBole's name of it, or ``module:Class``. An unknown one, which is refused elsewhere, is not.
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
    """The seeds that a row runs with on each data set: the first alone if all would give the same result.

    Args:
        variant: the row.
        seeds: those that it is given.
        datasets: names of data sets.
        given: settings of every run. Sampled candidates are drawn with the seed.
    """
    if not is_computed(variant.model):
        return dict.fromkeys(datasets, seeds)
    sampled = {dataset: _samples(settings_of(variant, dataset, dict(given))[0]) for dataset in datasets}
    return {dataset: seeds if sampled[dataset] else seeds[:1] for dataset in datasets}


def _samples(settings: Mapping[str, Any]) -> bool:
    mode = (settings.get("eval_args") or {}).get("mode") or "full"
    return any(each != "full" for each in (mode.values() if isinstance(mode, Mapping) else [mode]))
