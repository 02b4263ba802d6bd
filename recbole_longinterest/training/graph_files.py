"""Write a data set with vectors of its knowledge graph, in the files that RecBole's models GRU4RecKG and KSR read."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from recbole.config import Config

from recbole_longinterest.common.atomic_files import item_rows, read_header
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.file_lock import lock_files
from recbole_longinterest.common.files import atomic_folder
from recbole_longinterest.common.parquet_events import refuse_parquet
from recbole_longinterest.common.resources import PREPARED_SETTINGS, prepared_settings, resource
from recbole_longinterest.common.yaml import read_yaml
from recbole_longinterest.data.graph.fit import graph_vectors
from recbole_longinterest.data.graph.settings import GraphSettings
from recbole_longinterest.data.graph.triples import COLUMNS, ENTITY_KEY, TRIPLE_KEYS, graph_files, read_graph

MARK = "# Written by recbole-li graph."
NOTE = f"{MARK} The vectors are learned from the graph only, not from interactions.\n"
FIELD_KEYS = ("USER_ID_FIELD", "ITEM_ID_FIELD", "RATING_FIELD", "TIME_FIELD", "field_separator", "seq_separator")


@dataclass(frozen=True)
class GraphFiles:
    """Outcome of :func:`write_graph_files`.

    Attributes:
        folder: folder of the new data set.
        items: number of items in the log.
        linked: number of these items that have a vector.
    """

    folder: Path
    items: int
    linked: int


def write_graph_files(config: Config, output: Path, name: str, settings: GraphSettings) -> GraphFiles:
    """Copy a data set and add ``.ent`` and ``.rel`` files with vectors, and the settings that load them.

    The ``.ent`` file has a vector for every item that is an entity of the graph, under the item's token. The ``.rel``
    file has a vector for every relation. The settings are for ``recbole-li run --model KSR --dataset NAME`` and for
    GRU4RecKG. Run other models on the original data set; its log is the same. RecBole counts the rows of ``.link``, so
    the new ``.link`` has only rows whose item is in the log and whose entity is in the graph, one row per entity.

    Args:
        config: config of the data set with the graph, from
            :func:`~recbole_longinterest.training.settings.make_config`.
        output: folder in which the new data set's folder is made.
        name: name of the new data set.
        settings: settings of the vectors. KSR adds relations to entities, as TransE does.

    Raises:
        LongInterestError: if a file is missing or cannot be read, no item is linked, or the new folder holds something
            else.
    """
    source, dataset = Path(config["data_path"]), str(config["dataset"])
    refuse_parquet(source, dataset, "A data set with a graph")
    kg, link = graph_files(config)
    graph = read_graph(config, kg, link)
    items = _items(config, source / f"{dataset}.inter")
    ids, entities = graph.rows_of(["", *items])
    if not ids:
        raise LongInterestError(
            f"{link} links none of the {len(items)} items of {dataset}.inter to an entity of the graph. Check that its "
            "item tokens are those of the .inter file."
        )
    folder = output / name
    if folder.exists() and not _is_ours(folder):
        raise LongInterestError(
            f"{folder} already exists and was not written by this command. Give another --output or --name."
        )
    vectors = graph_vectors(graph, settings, config["device"], bool(config["show_progress"]))
    with lock_files(folder, "writing a data set in", "give another --output or --name"), atomic_folder(folder) as draft:
        for suffix in ("inter", "item", "user"):
            if (source / f"{dataset}.{suffix}").is_file():
                shutil.copyfile(source / f"{dataset}.{suffix}", draft / f"{name}.{suffix}")
        shutil.copyfile(kg, draft / f"{name}.kg")
        linked = [items[i - 1] for i in ids]
        first = dict(zip(reversed(entities), reversed(linked), strict=True))  # RecBole links an entity to one item only
        rows = [f"{item}\t{graph.entities[entity]}" for entity, item in sorted(first.items())]
        fields = [config["ITEM_ID_FIELD"], *(config[key] or COLUMNS[key] for key in (ENTITY_KEY, *TRIPLE_KEYS))]
        separator = config["field_separator"]
        write = _Writer(separator, config["seq_separator"])
        write.lines(draft / f"{name}.link", fields[:2], (row.split("\t") for row in rows))
        write.vectors(draft / f"{name}.ent", ["ent_id", "ent_emb"], linked, vectors.entities[entities])
        write.vectors(draft / f"{name}.rel", ["rel_id", "rel_emb"], graph.relations, vectors.relations)
        (draft / PREPARED_SETTINGS).write_text(NOTE + _settings(config, source, dataset, fields), encoding="utf-8")
    return GraphFiles(folder, len(items), len(ids))


class _Writer:
    """Write atomic files with the separators of a config."""

    def __init__(self, separator: str, between: str) -> None:
        self.separator, self.between = separator, between

    def lines(self, path: Path, columns: Sequence[str], rows: Iterator[Sequence[str]], kind: str = "token") -> None:
        head = self.separator.join((f"{columns[0]}:token", f"{columns[1]}:{kind}"))
        path.write_text("\n".join((head, *map(self.separator.join, rows))) + "\n", encoding="utf-8")

    def vectors(self, path: Path, columns: Sequence[str], tokens: Sequence[str], vectors: NDArray[np.float32]) -> None:
        numbers = (self.between.join(f"{number:.7g}" for number in row) for row in vectors.tolist())
        self.lines(path, columns, zip(tokens, numbers, strict=True), "float_seq")


def _items(config: Config, inter: Path) -> list[str]:
    """Item tokens of the log, in order of first occurrence."""
    if not inter.is_file():
        raise LongInterestError(f"There is no file {inter}. Give the folder above the data set's as --data_path DIR.")
    rows = item_rows(inter, config["field_separator"], config["encoding"] or "utf-8")
    names = [cell.strip().rpartition(":")[0] for cell in next(rows, (1, []))[1]]
    if config["ITEM_ID_FIELD"] not in names:
        raise LongInterestError(
            f"{inter} has no column {config['ITEM_ID_FIELD']}. Set ITEM_ID_FIELD to the column of items."
        )
    place = names.index(config["ITEM_ID_FIELD"])
    return list(dict.fromkeys(cells[place] for _, cells in rows if len(cells) == len(names)))


def _settings(config: Config, source: Path, dataset: str, fields: Sequence[str]) -> str:
    """The data set's own settings and those that load the graph and the vectors, as yaml."""
    beside = prepared_settings(source.parent, dataset) or resource("dataset_configs", f"{dataset}.yaml")
    own = read_yaml(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
    inter = read_header(str(source / f"{dataset}.inter"), config["field_separator"], config["encoding"])
    wanted = config["load_col"]["inter"] if config["load_col"] else [column for column, _ in inter]
    keys = dict(zip((ENTITY_KEY, *TRIPLE_KEYS), fields[1:], strict=True))
    settings = {
        **own,
        **{key: config[key] for key in FIELD_KEYS},
        **keys,
        "load_col": {
            "inter": [column for column, _ in inter if column in wanted],
            "kg": [keys[key] for key in TRIPLE_KEYS],
            "link": list(fields[:2]),
            "ent": ["ent_id", "ent_emb"],
            "rel": ["rel_id", "rel_emb"],
        },
        "additional_feat_suffix": ["ent", "rel"],
        "alias_of_item_id": ["ent_id"],
        "alias_of_relation_id": ["rel_id"],
        "preload_weight": {"ent_id": "ent_emb", "rel_id": "rel_emb"},
        "normalize_all": False,  # True would also scale the vectors
    }
    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)


def _is_ours(folder: Path) -> bool:
    file = folder / PREPARED_SETTINGS
    return file.is_file() and file.read_text(encoding="utf-8", errors="replace").startswith(MARK)
