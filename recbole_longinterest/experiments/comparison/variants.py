"""Rows of a comparison: models with their settings, and ablations as changes of settings."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.resources import prepared_settings, resource
from recbole_longinterest.common.yaml import read_yaml
from recbole_longinterest.experiments.comparison.models import sasrec_text_settings
from recbole_longinterest.experiments.comparison.protocol import NATIVE
from recbole_longinterest.plugin.models import known_models
from recbole_longinterest.plugin.own_models import is_own, model_name

OWN, LISTS = "LongInterest", "lists"
LIKE_OWN = (OWN, "SASRecAll", "GRU4RecAll")  # models that read LongInterest's inputs
WHOLE = 100_000  # a window longer than every history
ONE_PASS = ("GRU4Rec", "GRU4RecF", "SASRec", "SASRecF", "FDSA", "SASRecText")  # one pass by default
TUNED, PUBLISHED, COUNTS = "tuned", "model's defaults", "nothing to tune"
OF_A_TABLE: dict[str, Any] = {"tie_order": "file", "tie_seed": 0, "split_by_time": None, "split_targets": None}
"""Settings of the default table, which override the data set's config; `views` has the settings of other tables."""
# Keys in files of tuned settings that describe the search, or must be equal for all models.
NOT_OF_A_MODEL = (
    *("model", "dataset", "data_path", "valid_metric", "topk", "metrics", "eval_args", "exact_order", "best_by"),
    *OF_A_TABLE,
)


@dataclass(frozen=True)
class Variant:
    """A row of the comparison.

    Attributes:
        name: name in reports.
        model: RecBole's name of the model.
        settings: changes of the model's settings; they override all others.
        change: a change of the data, see :data:`~recbole_longinterest.experiments.comparison.data.CHANGES`.
        like: model whose tuned settings it uses.
        kind: model, baseline (an unmodified RecBole model), row (another row to compare with), ablation, or lists (made
            by another system).
    """

    name: str
    model: str
    settings: dict[str, Any] = field(default_factory=dict)
    change: str = ""
    like: str = ""
    kind: str = "baseline"


def _window(events: int) -> dict[str, Any]:
    return {"MAX_ITEM_LIST_LENGTH": events, "eval_history_length": None if events == WHOLE else events}


ID_ONLY = {f"{feature}_features": False for feature in ("text", "rating", "behavior", "time")}
COUNTED = {"epochs": 1, "loss_type": "CE", "one_pass": True}  # for models that count instead of training
ABLATIONS = (
    Variant("without text", OWN, {"text_features": False}),
    Variant("random text", OWN, change="random text"),
    Variant("without rating", OWN, {"rating_features": False}),
    Variant("shuffled rating", OWN, change="shuffled rating"),
    Variant("without attention", OWN, {"attention": False}),
    Variant("without time", OWN, {"time_features": False}),
    Variant("without id", OWN, {"id_features": False}),
    Variant("without repeat bias", OWN, {"repeat_bias": False}),
    Variant("without memory", OWN, {"memory": False}),
    Variant("without averaging", OWN, {"weight_averaging": 0}),
    Variant("window 50", OWN, _window(50)),
    Variant("window 200", OWN, _window(200)),
    Variant("window whole", OWN, _window(WHOLE)),
)
ROWS = (
    Variant("LongInterest-ID", OWN, {**ID_ONLY, **_window(50)}, kind="row"),
    Variant("SASRec+all", "SASRecAll", kind="row"),
    Variant("GRU4Rec+all", "GRU4RecAll", kind="row"),
    Variant("SASRec+text", "SASRecText", like="SASRec", kind="row"),
    Variant("GRU4Rec averaged", "GRU4Rec", {"weight_averaging": 0.99}, kind="row"),
    Variant("SASRec averaged", "SASRec", {"weight_averaging": 0.99}, kind="row"),
    Variant("GRU4Rec@50", "GRU4Rec", {"MAX_ITEM_LIST_LENGTH": 50}, kind="row"),
    Variant("GRU4Rec@200", "GRU4Rec", {"MAX_ITEM_LIST_LENGTH": 200}, kind="row"),
    Variant("SASRec@50", "SASRec", {"MAX_ITEM_LIST_LENGTH": 50}, kind="row"),
    Variant("SASRec@200", "SASRec", {"MAX_ITEM_LIST_LENGTH": 200}, kind="row"),
    Variant("Pop", "PopularItems", COUNTED, kind="row"),
    Variant("Markov", "LastItemMarkov", COUNTED, kind="row"),
)

REQUESTS = (  # rows that use the target's time and are not compared with the others
    Variant("LongInterest+request", OWN, {"request_time": True}, kind="row"),
    Variant("HSTU+request", "HSTU", {"request_time": True}, kind="row"),
)


def ablation(variant: Variant) -> Variant:
    """Make a row of the comparison from an entry of ``ABLATIONS``."""
    return Variant(f"{OWN}, {variant.name}", OWN, variant.settings, variant.change, kind="ablation")


def variant_of(name: str) -> Variant:
    """Find a row: a name in ``ROWS`` or ``REQUESTS``, ``MODEL@WINDOW``, any model of RecBole, or ``module:Class``.

    Raises:
        ValueError: if the window is not a number of at least 2.
    """
    for row in (*ROWS, *REQUESTS):
        if row.name == name:
            return row
    model, at, window = name.partition("@")
    name = model_name(model) + at + window  # the class of module:Class
    if is_own(model) and any(name == row.name for row in (*ROWS, *REQUESTS)):
        raise LongInterestError(f"{model} has the same name as a row of the comparison, {name}. Rename the class.")
    if not at:
        return Variant(name, model, kind="model" if name == OWN else "baseline")
    if not window.isdecimal() or int(window) < 2:
        raise LongInterestError(f"{name} must be a model and its window, such as GRU4Rec@200, with at least 2 events.")
    settings = _window(int(window)) if model == OWN else {"MAX_ITEM_LIST_LENGTH": int(window)}
    return Variant(name, model, settings, kind="row")


def settings_of(
    variant: Variant, dataset: str, given: dict[str, Any], protocol: str = NATIVE, tuned_on: str = ""
) -> tuple[dict[str, Any], str]:
    """Merge all settings of a row on a data set.

    Later settings override earlier ones: defaults of the comparison, the data set's config, tuned settings, ``given``,
    the variant's settings.

    Args:
        variant: the row.
        dataset: name of the data set.
        given: settings of every run.
        protocol: protocol that the settings are for. ``tuned/<Model>/<dataset>.seen-masked.yaml`` has settings tuned by
            the seen-masked protocol; without that file both protocols have the same settings.
        tuned_on: data set whose tuned settings to use; "" for ``dataset``.

    Returns:
        The settings, and the origin of the model's settings.
    """
    settings: dict[str, Any] = {"exact_order": True, "valid_metric": "NDCG@10"}
    if variant.model not in LIKE_OWN:  # LongInterest loads times by default, RecBole's models do not
        settings["load_col"] = {"inter": ["user_id", "item_id", "rating", "timestamp"]}
    if variant.model in ONE_PASS:
        settings |= {"one_pass": True, "loss_type": "CE"}
    model = model_name(variant.like or variant.model)
    searched = tuned_on or dataset
    tuned = _tuned_file(model, f"{searched}.{protocol}")
    if protocol == NATIVE or not tuned.is_file():
        tuned = _tuned_file(model, searched)
    if variant.model == "SASRecText":
        settings |= sasrec_text_settings()
        settings |= {
            key: value
            for key, value in _read(resource("properties", f"tuned/{OWN}/{dataset}.yaml")).items()
            if key.startswith("text_") and key != "text_features"
        }
    beside = prepared_settings(given.get("data_path", "dataset"), dataset)
    about = _read(beside or resource("dataset_configs", f"{dataset}.yaml"))
    # The table determines order of ties and split, even if the data set's config has other values.
    settings |= {**about, **{key: value for key, value in OF_A_TABLE.items() if key in about}}
    found = {key: value for key, value in _read(tuned).items() if key not in NOT_OF_A_MODEL}
    settings |= found
    source = COUNTS if variant.settings is COUNTED else TUNED if tuned.is_file() else PUBLISHED
    other = sum(given.get(key, value) != value for key, value in found.items())
    if source == TUNED and (variant.settings or variant.like or variant.change):
        source = f"as tuned for {model}"
    if source != PUBLISHED and tuned.is_file() and tuned_on:
        source += f" on {tuned_on}"
    if source != PUBLISHED and other:
        source += f", {other} given otherwise"
    return {**settings, **given, **variant.settings}, source


def _tuned_file(model: str, name: str) -> Path:
    """Path of a model's tuned settings, which may not exist."""
    file = f"tuned/{model}/{name}.yaml"
    known = known_models().get(model)
    return (known.file(file) if known and known.own else None) or resource("properties", file)


def _read(file: Path) -> dict[str, Any]:
    return (read_yaml(file.read_text(encoding="utf-8")) or {}) if file.is_file() else {}


def check_tuned_on(dataset: str) -> None:
    """Check that a search has written settings for a data set.

    Raises:
        LongInterestError: if no model has any.
    """
    known = sorted({file.stem.partition(".")[0] for file in resource("properties", "tuned").glob("*/*.yaml")})
    if dataset not in known and not any(_tuned_file(model, dataset).is_file() for model in known_models()):
        raise LongInterestError(f"No model has tuned settings for {dataset}; there are some for {', '.join(known)}.")
