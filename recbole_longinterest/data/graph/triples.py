"""Read a knowledge graph from RecBole's ``.kg`` file (triples) and ``.link`` file (the entity of each item)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.atomic_files import item_rows
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings

TRIPLE_KEYS = ("HEAD_ENTITY_ID_FIELD", "RELATION_ID_FIELD", "TAIL_ENTITY_ID_FIELD")
ENTITY_KEY = "ENTITY_ID_FIELD"
COLUMNS = dict(zip((*TRIPLE_KEYS, ENTITY_KEY), ("head_id", "relation_id", "tail_id", "entity_id"), strict=True))


@dataclass(frozen=True)
class KnowledgeGraph:
    """Triples (head, relation, tail), and the entity of each linked item.

    Attributes:
        entities: tokens of the ``E`` entities that occur in a triple, ascending.
        relations: tokens of the ``R`` relations, ascending.
        triples: indices of head, relation and tail, int64 [T, 3]; sorted, without duplicates.
        links: entity token by item token; may contain entities without a triple.
    """

    entities: Sequence[str]
    relations: Sequence[str]
    triples: NDArray[np.int64]
    links: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Hash of entities, relations and triples, not of the links."""
        names = "\n".join(("\t".join(self.entities), "\t".join(self.relations)))
        return sha256(names.encode("utf-8", "surrogatepass") + self.triples.tobytes()).hexdigest()

    def rows_of(self, tokens: Sequence[str]) -> tuple[list[int], list[int]]:
        """Find the items whose entity is in a triple.

        Args:
            tokens: item tokens by internal id; the first one is the padding.

        Returns:
            Internal ids of these items, and the indices of their entities in :attr:`entities`.
        """
        place = {entity: row for row, entity in enumerate(self.entities)}
        found = [(i, place.get(self.links.get(token, ""), -1)) for i, token in enumerate(tokens) if i]
        return [i for i, row in found if row >= 0], [row for _, row in found if row >= 0]


def graph_files(config: Settings, kg: object = None, link: object = None) -> tuple[Path, Path]:
    """Return the paths of the triples and the links.

    Args:
        config: RecBole's config.
        kg: file of triples; None for the data set's ``.kg`` file.
        link: file of links; None for the data set's ``.link`` file.
    """
    own = [Path(config["data_path"]) / f"{config['dataset']}.{suffix}" for suffix in ("kg", "link")]
    given = [Path(str(named)).expanduser() if named else file for named, file in zip((kg, link), own, strict=True)]
    return given[0], given[1]


def read_graph(config: Settings, kg: Path, link: Path) -> KnowledgeGraph:
    """Read both files. Interactions are not read and do not become part of the graph.

    Args:
        config: RecBole's config, for column names, separator and encoding.
        kg: file of triples.
        link: file of links; if an item has two rows, the first one counts.

    Raises:
        LongInterestError: if a file is missing, has no rows, or lacks a column or a value.
    """
    heads, kinds, tails = zip(*_rows(config, kg, [_column(config, key) for key in TRIPLE_KEYS]), strict=True)
    entities, ends = np.unique(np.array([*heads, *tails], dtype=object), return_inverse=True)
    relations, relation = np.unique(np.array(kinds, dtype=object), return_inverse=True)
    triples = np.unique(np.stack([ends[: len(heads)], relation, ends[len(heads) :]], axis=1), axis=0)
    links: dict[str, str] = {}
    for item, entity in _rows(config, link, [config["ITEM_ID_FIELD"], _column(config, ENTITY_KEY)]):
        links.setdefault(item, entity)
    return KnowledgeGraph(entities.tolist(), relations.tolist(), triples.astype(np.int64), links)


def _column(config: Settings, key: str) -> str:
    return config[key] or COLUMNS[key]


def _rows(config: Settings, path: Path, columns: Sequence[str]) -> list[Sequence[str]]:
    """Read the cells of the given columns, row by row."""
    if not path.is_file():
        raise LongInterestError(
            f"There is no file {path}, which the knowledge graph needs. Add RecBole's .kg and .link files to the "
            "data set, or name other files with kg and link."
        )
    rows = list(_cells(config, path, columns))
    if not rows:
        raise LongInterestError(f"{path} has no row. Add rows, or leave the source of the knowledge graph out.")
    return rows


def _cells(config: Settings, path: Path, columns: Sequence[str]) -> Iterator[Sequence[str]]:
    rows = item_rows(path, config["field_separator"], config["encoding"] or "utf-8")
    names = [cell.strip().rpartition(":")[0] for cell in next(rows, (1, []))[1]]
    missing = [column for column in columns if column not in names]
    if missing:
        raise LongInterestError(
            f"{path} has no column {', '.join(missing)}; its columns are: {', '.join(names) or 'none'}. Name them as "
            f"{', '.join(f'{column}:token' for column in columns)}, or set {', '.join((*TRIPLE_KEYS, ENTITY_KEY))}."
        )
    places = [names.index(column) for column in columns]
    for number, cells in rows:
        if len(cells) != len(names) or not all(cells[place] for place in places):
            raise LongInterestError(
                f"{path}, line {number}: a row must have {len(names)} columns, and tokens in {', '.join(columns)}. "
                "Correct or remove the line."
            )
        yield [cells[place] for place in places]
