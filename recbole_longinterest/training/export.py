"""Export a checkpoint to a model folder. Serving reads only this folder, not RecBole's data set."""

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
from recbole_longinterest.serving.lift import FOUND
from recbole_longinterest.serving.model_card import check_metrics
from recbole_longinterest.serving.model_folder import ExportError, Items, Served, held_place
from recbole_longinterest.serving.training_times import times_in_about
from recbole_longinterest.text.encoder import own_precision
from recbole_longinterest.training.lift import calibrate_lift
from recbole_longinterest.training.popularity import recent_counts
from recbole_longinterest.training.shown_items import read_shown_items

if TYPE_CHECKING:
    from recbole.data.dataset import SequentialDataset

# Settings needed to make the text of a new item and to encode it.
TEXT_SETTINGS = (
    *("text_fields", "text_template", "text_numbers", "text_encoder", "text_vectors"),
    *("text_pooling", "text_max_length", "text_prompt", "text_precision", "text_chunks"),
    *("field_separator", "seq_separator", "encoding"),
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
        checkpoint: checkpoint file of a LongInterest training.
        folder: folder to write; an earlier export there is replaced.
        data_path: folder that contains the data set's folder. Needed if the data set has moved since the training, or
            this user has never used it on this machine: a checkpoint cannot choose what is read.
        settings: other paths that the checkpoint reads from, such as ``text_vectors``, for the same two cases.
        title_field: column of the ``.item`` file with the titles; if None, the first column of the item's text.
        category_field: column with the categories; if None, the config's ``category_field``, else the first
            ``token_seq`` column of the item's text other than the title, else its first ``token`` column with repeated
            values.
        int8: store matrices as int8 with one scale per row.
        onnx: same as ``engines=["onnx"]``.
        engines: names of further engines to write files for, in int8 as well if ``int8`` is set.
        sign: PEM file of an Ed25519 private key that signs the export's manifest.
        index: ``"exact"`` scores every item; ``"ivf"`` and ``"hnsw"`` build an approximate index, for catalogues of
            hundreds of thousands of items; ``"auto"`` builds one for catalogues of this size.
        metrics: test metrics for the model card by protocol: ``{"native": {"ndcg@10": 0.14}, "seen-masked": {...}}``.
            The validation metric comes from the checkpoint.

    Returns:
        The model that was written.

    Raises:
        LongInterestError: if the checkpoint, data set, column, engine, index, key or folder cannot be used, or the
            model cannot rank items.
    """
    chosen = [engine_of(name) for name in dict.fromkeys([*engines, *(["onnx"] if onnx else [])])]
    chosen_kind(index, 0)  # raises early for an unknown index
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
    """Validation metric of a checkpoint; empty if the checkpoint has no finite value."""
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
    """Combine the model of a checkpoint with the items of its data set."""
    config = state["config"]
    config["state"] = "ERROR"  # the data set logs errors only; the command reports what it did
    init_logger(config)
    dataset = recbole.data.utils.create_dataset(config)
    dataset.keeps_times = True
    train, valid, _ = dataset.build()  # this also reads the user columns
    times = dataset.event_times()
    check_vocabulary(state, dataset, checkpoint, (dataset.iid_field, *dataset.token_fields()))
    weights = {name: value.detach().cpu() for name, value in state["state_dict"].items()}
    sources = [_with_weights(spec, weights) for spec in train.event_sources()]
    tokens = [str(token) for token in dataset.field2id_token[dataset.iid_field]]
    titles, categories, shown = read_shown_items(config, tokens, title_field, category_field)
    served = Served(
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
                # The training's default on this machine; onnxruntime encodes on the CPU.
                "text_precision": config["text_precision"]
                or own_precision("cpu" if config["text_backend"] == "onnx" else None),
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
    found = calibrate_lift(served, valid)
    return served if found is None else replace(served, about={**served.about, FOUND: found})


def _with_weights(spec: SourceSpec, weights: dict[str, Tensor]) -> SourceSpec:
    """Source with the checkpoint's values. Changes ``weights``: tokens unseen in training get the "missing" row."""
    values, table = weights.get(values_key(spec.name)), table_key(spec.name)
    if spec.settings.get("unseen"):
        level = weights[table].clone()
        level[list(spec.settings["unseen"])] = level[0].clone()
        weights[table] = level
    return spec if values is None else replace(spec, settings={**spec.settings, "values": values.tolist()})


def _behaviors(config: Settings, dataset: "SequentialDataset") -> dict[str, Any] | None:
    """Behaviours of the data, used to exclude items that a user already had; None for data without behaviours."""
    field = behavior_field(config)
    if field not in dataset.field2id_token:
        return None
    names = [str(name) for name in dataset.field2id_token[field][1:]]
    return {"targets": read_target_behaviors(config), "names": names, "map": dict(read_behavior_map(config))}


def _text_kinds(config: Settings) -> dict[str, str]:
    """Type of each column of the ``.item`` file, to make the texts of new items."""
    file = Path(config["data_path"]) / f"{config['dataset']}.item"
    return dict(read_header(str(file), config["field_separator"], config["encoding"])) if file.is_file() else {}
