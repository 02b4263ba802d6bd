"""Export a checkpoint to a model folder: the only step towards serving that reads RecBole's data set."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import recbole.data.utils
import torch
from recbole.utils import init_logger
from torch import Tensor

from recbole_longinterest.common.atomic_files import read_header
from recbole_longinterest.common.files import file_hash
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.common.version import __version__
from recbole_longinterest.data.behaviors import behavior_field, read_behavior_map, read_target_behaviors
from recbole_longinterest.nn.finite import check_finite
from recbole_longinterest.nn.options import ModelOptions
from recbole_longinterest.nn.sources import SourceSpec
from recbole_longinterest.nn.state_keys import table_key, values_key
from recbole_longinterest.plugin.runs.checkpoints import load_checkpoint
from recbole_longinterest.plugin.runs.places import use_places
from recbole_longinterest.plugin.runs.token_tables import check_vocabulary
from recbole_longinterest.serving.canaries import write_checked
from recbole_longinterest.serving.engines import engine_of
from recbole_longinterest.serving.index import chosen_kind
from recbole_longinterest.serving.model_card import check_metrics
from recbole_longinterest.serving.model_folder import ExportError, Items, Served, held_place
from recbole_longinterest.serving.training_times import times_in_about
from recbole_longinterest.text.encoder import own_precision
from recbole_longinterest.training.popularity import recent_counts
from recbole_longinterest.training.shown_items import read_shown_items

if TYPE_CHECKING:
    from recbole.data.dataset import SequentialDataset

# Settings from which the text of a new item is made and encoded.
TEXT_SETTINGS = (
    *("text_fields", "text_template", "text_encoder", "text_vectors", "text_pooling", "text_max_length"),
    *("text_prompt", "text_precision", "text_chunks", "field_separator", "seq_separator", "encoding"),
)
FIELDS = {
    "user": "USER_ID_FIELD",
    "item": "ITEM_ID_FIELD",
    "rating": "RATING_FIELD",
    "behavior": "BEHAVIOR_FIELD",
    "time": "TIME_FIELD",
}


def export_checkpoint(
    checkpoint: str | Path,
    folder: str | Path,
    *,
    data_path: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    title_field: str | None = None,
    category_field: str | None = None,
    int8: bool = False,
    onnx: bool = False,
    engines: Sequence[str] = (),
    sign: str | Path | None = None,
    index: str = "exact",
    metrics: Mapping[str, Mapping[str, float]] | None = None,
) -> Served:
    """Write the folder that :meth:`recbole_longinterest.serving.recommender.Recommender.load` reads.

    Args:
        checkpoint: of a LongInterest training.
        folder: to make; an earlier export there is replaced.
        data_path: folder above the data set's, if it is no longer where it was in training, or was never named here.
        settings: other places that the checkpoint names and this user never has, as ``text_vectors``.
        title_field: column of the ``.item`` file with the titles; the first of the text's columns if None.
        category_field: column with the categories; if None that of the data's settings, else the text's first column
            of lists (``token_seq``) after the title, else its first ``token`` column whose values repeat.
        int8: keep matrices as int8 with a scale a row.
        onnx: short for ``engines=["onnx"]``.
        engines: names of engines whose files are added, in int8 too if ``int8`` is set.
        sign: PEM file of an Ed25519 private key that signs the export's manifest.
        index: ``"exact"`` scores every item; ``"ivf"`` and ``"hnsw"`` build an index of the items, for catalogues of
            hundreds of thousands; ``"auto"`` builds one if there are so many.
        metrics: test figures for the model's card by protocol, ``{"native": {"ndcg@10": 0.14}, "seen-masked": {...}}``;
            the validation figure is the checkpoint's.

    Returns:
        The model that was written.

    Raises:
        LongInterestError: for a checkpoint, data set, column, engine, index, key or folder that cannot be used, and
            for a model that cannot rank items.
    """
    chosen = [engine_of(name) for name in dict.fromkeys([*engines, *(["onnx"] if onnx else [])])]
    chosen_kind(index, 0)  # an unknown one is an error at once
    state = load_checkpoint(checkpoint)
    config = state["config"]
    if config["model"] != "LongInterest":
        raise ExportError(
            f"{checkpoint} is a checkpoint of {config['model']}; only LongInterest can be exported. "
            "Train one: recbole-li run --model LongInterest"
        )
    use_places(config, {**(settings or {}), "data_path": data_path})
    check_finite(state["state_dict"], f"The checkpoint {checkpoint}")
    folder = Path(folder).absolute()
    figures = {**_validation(state), **{name: dict(known) for name, known in check_metrics(metrics or {}).items()}}
    with held_place(folder):
        served = _served_of(state, checkpoint, title_field, category_field, "int8" if int8 else "fp32")
        served = replace(served, about={**served.about, "metrics": figures})
        write_checked(served, folder, chosen, sign, index)
    return served


def _validation(state: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The validation figure of a checkpoint; none if its epoch was not chosen by one."""
    value = state.get("best_valid_score")
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return {}
    return {"validation": {str(state["config"]["valid_metric"]).lower(): float(value)}}


def _served_of(
    state: dict[str, Any],
    checkpoint: str | Path,
    title_field: str | None,
    category_field: str | None,
    precision: str,
) -> Served:
    """The model of a checkpoint, with the catalogue of its data set."""
    config = state["config"]
    config["state"] = "ERROR"  # the data set logs errors only; the command reports what it did
    init_logger(config)
    dataset = recbole.data.utils.create_dataset(config)
    dataset.keeps_times = True
    train = dataset.build()[0]  # which reads the users' columns, too
    times = dataset.event_times()
    check_vocabulary(state, dataset, checkpoint, (dataset.iid_field, *dataset.token_fields()))
    weights = {name: value.detach().cpu() for name, value in state["state_dict"].items()}
    sources = [_with_weights(spec, weights) for spec in train.event_sources()]
    tokens = [str(token) for token in dataset.field2id_token[dataset.iid_field]]
    titles, categories, shown = read_shown_items(config, tokens, title_field, category_field)
    return Served(
        options=ModelOptions.from_config(config),
        weights=weights,
        items=Items(tokens, titles, categories, recent_counts(dataset, train, times)),
        sources=sources,
        history_limit=config["eval_history_length"],
        fields={name: config[key] for name, key in FIELDS.items()},
        about={
            "dataset": config["dataset"],
            "made_by": f"recbole-longinterest {__version__}",
            "torch": str(torch.__version__),
            "text": {
                **{name: config[name] for name in TEXT_SETTINGS},
                "text_precision": config["text_precision"] or own_precision(),  # as the training's, on this machine
                "kinds": _text_kinds(config),
            },
            "shown": shown,
            "times": times_in_about(times),
            "behaviors": _behaviors(config, dataset),
            "lineage": config["lineage"] or [],
            "erasures": config["erasures"] or [],
        },
        precision=precision,
        parent={"checkpoint": Path(checkpoint).name, "sha256": file_hash(Path(checkpoint))},
    )


def _with_weights(spec: SourceSpec, weights: dict[str, Tensor]) -> SourceSpec:
    """A source as the checkpoint has it; in ``weights``, tokens that training never showed become "missing"."""
    values, table = weights.get(values_key(spec.name)), table_key(spec.name)
    if spec.settings.get("unseen"):
        level = weights[table].clone()
        level[list(spec.settings["unseen"])] = level[0].clone()
        weights[table] = level
    return spec if values is None else replace(spec, settings={**spec.settings, "values": values.tolist()})


def _behaviors(config: Settings, dataset: "SequentialDataset") -> dict[str, Any] | None:
    """The behaviours of the data, by which items of the past are left out; None for data without them."""
    field = behavior_field(config)
    if field not in dataset.field2id_token:
        return None
    names = [str(name) for name in dataset.field2id_token[field][1:]]
    return {"targets": read_target_behaviors(config), "names": names, "map": dict(read_behavior_map(config))}


def _text_kinds(config: Settings) -> dict[str, str]:
    """Types of the item file's columns, for the texts of new items."""
    file = Path(config["data_path"]) / f"{config['dataset']}.item"
    return dict(read_header(str(file), config["field_separator"], config["encoding"])) if file.is_file() else {}
