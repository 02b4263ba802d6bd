"""Export a checkpoint to a model folder: the only step towards serving that reads RecBole's data set."""

from collections.abc import Sequence
from dataclasses import replace
from logging import getLogger
from pathlib import Path
from typing import Any

import recbole.data.utils
import torch
from recbole.utils import init_logger
from torch import Tensor

from recbole_longinterest.common.atomic_files import read_header
from recbole_longinterest.common.printable import printable
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.common.version import __version__
from recbole_longinterest.data.behaviors import behavior_field, read_behavior_map, read_target_behaviors
from recbole_longinterest.nn.options import ModelOptions
from recbole_longinterest.nn.sources import SourceSpec
from recbole_longinterest.nn.state_keys import table_key, values_key
from recbole_longinterest.plugin.runs.checkpoints import load_checkpoint
from recbole_longinterest.plugin.runs.token_tables import check_vocabulary
from recbole_longinterest.serving.engines import engine_of, writer_of
from recbole_longinterest.serving.model_folder import ExportError, Items, Served, check_place, write_folder
from recbole_longinterest.serving.training_times import times_in_about
from recbole_longinterest.text.encoder import own_precision
from recbole_longinterest.text.reader import read_item_text
from recbole_longinterest.text.template import columns_of
from recbole_longinterest.training.popularity import recent_counts

# Settings from which the text of a new item is made and encoded.
TEXT_SETTINGS = (
    *("text_fields", "text_template", "text_encoder", "text_vectors", "text_pooling", "text_max_length"),
    *("text_prompt", "text_precision", "field_separator", "seq_separator", "encoding"),
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
    title_field: str | None = None,
    category_field: str | None = None,
    int8: bool = False,
    onnx: bool = False,
    engines: Sequence[str] = (),
) -> Served:
    """Write the folder that :meth:`recbole_longinterest.serving.recommender.Recommender.load` reads.

    Args:
        checkpoint: of a LongInterest training.
        folder: to make; an earlier export there is replaced.
        data_path: folder above the data set's, if it is no longer where it was in training.
        title_field: column of the ``.item`` file with the titles; the first of the text's columns if None.
        category_field: column with the categories; the text's first ``token_seq`` column after the title if None.
        int8: keep matrices as int8 with a scale a row.
        onnx: short for ``engines=["onnx"]``.
        engines: names of engines whose files are added, in int8 too if ``int8`` is set.

    Returns:
        The model that was written.

    Raises:
        LongInterestError: for a checkpoint, data set, column, engine or folder that cannot be used.
    """
    chosen = [engine_of(name) for name in dict.fromkeys([*engines, *(["onnx"] if onnx else [])])]
    state = load_checkpoint(checkpoint)
    config = state["config"]
    if config["model"] != "LongInterest":
        raise ExportError(
            f"{checkpoint} is a checkpoint of {config['model']}; only LongInterest can be exported. "
            "Train one: recbole-li run --model LongInterest"
        )
    if data_path is not None:
        config["data_path"] = str(Path(data_path) / config["dataset"])
    folder = Path(folder).absolute()
    check_place(folder)
    config["state"] = "ERROR"  # the data set logs errors only; the command reports what it did
    init_logger(config)
    dataset = recbole.data.utils.create_dataset(config)
    times = dataset.event_times()
    train = dataset.build()[0]  # which reads the users' columns, too
    check_vocabulary(state, dataset, checkpoint, (dataset.iid_field, *dataset.token_fields()))
    weights = {name: value.detach().cpu() for name, value in state["state_dict"].items()}
    sources = [_with_weights(spec, weights) for spec in train.event_sources()]
    tokens = [str(token) for token in dataset.field2id_token[dataset.iid_field]]
    titles, categories, shown = _read_items(config, tokens, title_field, category_field)
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
                "text_precision": config["text_precision"] or own_precision(),  # as the training's, on this machine
                "kinds": _text_kinds(config),
            },
            "shown": shown,
            "times": times_in_about(times),
            "behaviors": _behaviors(config, dataset),
            "lineage": config["lineage"] or [],
        },
        precision="int8" if int8 else "fp32",
    )
    write_folder(served, folder, writer_of(chosen, served))
    return served


def _with_weights(spec: SourceSpec, weights: dict[str, Tensor]) -> SourceSpec:
    """A source as the checkpoint has it; in ``weights``, tokens that training never showed become "missing"."""
    values, table = weights.get(values_key(spec.name)), table_key(spec.name)
    if spec.settings.get("unseen"):
        level = weights[table].clone()
        level[list(spec.settings["unseen"])] = level[0].clone()
        weights[table] = level
    return spec if values is None else replace(spec, settings={**spec.settings, "values": values.tolist()})


def _behaviors(config: Settings, dataset: Any) -> dict[str, Any] | None:  # noqa: ANN401 - RecBole has no types
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


def _read_items(
    config: Settings,
    tokens: Sequence[str],
    title_field: str | None,
    category_field: str | None,
) -> tuple[list[str], list[list[str]], dict[str, str | None]]:
    """Titles and categories by internal id, empty if missing, and the names of their columns."""
    file = Path(config["data_path"]) / f"{config['dataset']}.item"
    separator, encoding = config["field_separator"], config["encoding"] or "utf-8"
    named, _ = columns_of(config["text_fields"], config["text_template"])
    if not file.is_file():
        if title_field or category_field:
            raise ExportError(f"There is no item file {file} to read {title_field or category_field} from.")
        getLogger().warning(f"There is no item file {printable(file)}: the items have no titles.")
        return [""] * len(tokens), [[] for _ in tokens], {}
    kinds = dict(read_header(str(file), separator, encoding))
    named = [name for name in named if name in kinds]
    title_field = title_field or (named[0] if named else None)
    if category_field is None:
        category_field = next((name for name in named if name != title_field and kinds[name] == "token_seq"), None)

    def column(name: str | None) -> list[str]:
        if name is None:
            return [""] * len(tokens)
        by_token = read_item_text(
            file,
            config["ITEM_ID_FIELD"],
            [name],
            field_separator=separator,
            seq_separator=config["seq_separator"],
            encoding=encoding,
            join="".join,
        )
        return ["", *(by_token.get(token, "") for token in tokens[1:])]

    between = ", " if config["seq_separator"].strip() else None  # None splits at white space
    categories = [value.split(between) if value else [] for value in column(category_field)]
    return column(title_field), categories, {"title": title_field, "category": category_field}
