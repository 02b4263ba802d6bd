"""The protocol of a search: trials are compared by RecBole's ranking, or without items of the user's history."""

from typing import Any

from recbole.config import Config

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.data.flat_dataset import FlatSequentialDataset
from recbole_longinterest.data.lookup import dataset_class
from recbole_longinterest.plugin.runs.choices import SETTING, entries_of
from recbole_longinterest.plugin.runs.seen_masked import MASKED, METRICS, NATIVE

PROTOCOLS = {"native": NATIVE, "masked": MASKED}
"""``--protocol`` -> name of the protocol."""


def check_protocol(protocol: str, config: Config) -> None:
    """Check that trials of these settings can be compared by a protocol.

    Raises:
        LongInterestError: if the protocol is unknown, or the model or metric has no seen-masked values.
    """
    if protocol not in PROTOCOLS:
        raise LongInterestError(f"protocol must be one of {', '.join(PROTOCOLS)}; got {protocol!r}.")
    if protocol == "masked" and not _can_mask(config):
        raise LongInterestError(
            f"--protocol masked needs a sequential model on the flat log (--exact_order=True) and a valid_metric of "
            f"{', '.join(METRICS)}, such as NDCG@10; got {config['model']} with {config['valid_metric']}."
        )


def both_choices(config: Config) -> dict[str, Any]:
    """The setting with which a trial records both protocols and keeps the best epoch of each.

    The trial stops by the search's own protocol.

    Returns:
        The setting; empty for a model with only the native protocol.
    """
    given = entries_of(config[SETTING])
    return {SETTING: [MASKED, *(name for name in given if name != MASKED)]} if _can_mask(config) else {}


def _can_mask(config: Config) -> bool:
    name, _, k = str(config["valid_metric"]).lower().partition("@")
    return issubclass(dataset_class(config), FlatSequentialDataset) and name in METRICS and k.isdecimal()


def metric_name(protocol: str, config: Config) -> str:
    """Name of the metric that trials are compared by, for display."""
    return config["valid_metric"] if protocol == "native" else f"{PROTOCOLS[protocol]} {config['valid_metric']}"


def line_of(protocol: str, metrics: dict[str, float]) -> dict[str, float]:
    """An epoch's metrics with the protocol's score as ``valid_score``."""
    return metrics if protocol == "native" else {**metrics, "valid_score": metrics[PROTOCOLS[protocol]]}
