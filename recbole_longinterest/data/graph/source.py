"""Sources of item vectors from a knowledge graph: ``kind: graph`` and ``kind: graph_text``."""

from collections.abc import Mapping, Sequence
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings
from recbole_longinterest.data.graph.fit import graph_vectors
from recbole_longinterest.data.graph.neighbours import neighbour_texts
from recbole_longinterest.data.graph.settings import KEYS, read_settings
from recbole_longinterest.data.graph.triples import COLUMNS, ENTITY_KEY, KnowledgeGraph, graph_files, read_graph
from recbole_longinterest.data.item_texts import make_encoder, read_texts
from recbole_longinterest.data.lazy_matrix import TEXT_KEYS, LazyMatrix, Overlay, checked_settings, text_settings
from recbole_longinterest.text.cache import encode_cached
from recbole_longinterest.text.reader import SENTENCE_ENDS, read_item_text

FILES = ("kg", "link")
LIMIT = 5  # neighbours per relation in a text


def make_graph(config: Settings, settings: Mapping[str, Any], tokens: Sequence[str]) -> LazyMatrix:
    """Make the source ``{kind: graph, model: TransE, dim: 64, epochs: 100, seed: 0, width: 64}``: vectors of entities.

    An item gets no vector if the ``.link`` file does not have it, or its entity is in no triple.
    """
    given = checked_settings(settings, (), ("width", *FILES, *KEYS), config)
    name = settings["name"]
    chosen = read_settings(given, lambda key: f"item_sources.{name}.{key}")
    width = given["width"] if settings.get("width") else min(given["width"], chosen.dim)
    if width > chosen.dim:
        raise LongInterestError(f"item_sources.{name}.width must not exceed dim, which is {chosen.dim}; got {width}.")

    def rows() -> tuple[list[int], NDArray[np.float32]]:
        graph = read_graph(config, *graph_files(config, given.get("kg"), given.get("link")))
        ids, entities = graph.rows_of(tokens)
        if not ids:
            return ids, np.zeros((0, chosen.dim), dtype=np.float32)
        return ids, graph_vectors(graph, chosen, config["device"], bool(config["show_progress"])).entities[entities]

    return LazyMatrix(name, len(tokens), width, rows)


def make_graph_texts(config: Settings, settings: Mapping[str, Any], tokens: Sequence[str]) -> LazyMatrix:
    """Make the source ``{kind: graph_text, names: FILE, relations: [...], limit: 5, encoder: ...}``.

    It encodes the neighbours of an item as text. With ``fields`` or ``template``, the item's own text comes first.
    ``names`` is an atomic file with the columns ``entity_id`` and ``name``. If an entity has no name there but is an
    item, its name is the item's first text column.
    """
    given = checked_settings(settings, (), ("width", "names", "relations", "limit", *FILES, *TEXT_KEYS), config)
    name, limit = settings["name"], given.get("limit", LIMIT)
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise LongInterestError(f"item_sources.{name}.limit must be a whole number of at least 1; got {limit!r}.")
    changed = Overlay(config, text_settings(given))
    encoder = make_encoder(changed)

    def rows() -> tuple[list[int], NDArray[np.float32]]:
        graph = read_graph(config, *graph_files(config, given.get("kg"), given.get("link")))
        item_file = Path(config["data_path"]) / f"{config['dataset']}.item"
        names = _item_names(config, item_file, graph.links)
        if given.get("names"):
            names |= _names(config, Path(str(given["names"])).expanduser())
        texts, share = neighbour_texts(graph, tokens[1:], names, _relations(name, given, graph), limit)
        _report(name, len(texts), share)
        own = read_texts(changed, item_file) if given.get("fields") or given.get("template") else {}
        whole = [_joined(own.get(token, ""), texts.get(token, "")) for token in tokens]
        ids = [i for i, text in enumerate(whole) if i and text]
        vectors = encode_cached([whole[i] for i in ids], encoder, show_progress=bool(config["show_progress"]))
        encoder.unload()
        return ids, vectors

    return LazyMatrix(name, len(tokens), given["width"], rows)


def _relations(name: str, given: Mapping[str, Any], graph: KnowledgeGraph) -> Sequence[str] | None:
    relations = given.get("relations")
    if relations is None:
        return None
    if not isinstance(relations, list) or not relations or not all(each in graph.relations for each in relations):
        raise LongInterestError(
            f"item_sources.{name}.relations must be a list of relations of the graph ({', '.join(graph.relations)}); "
            f"got {relations!r}."
        )
    return relations


def _report(name: str, items: int, share: float) -> None:
    """Log how many items have neighbours, and the share of the neighbours with a name."""
    getLogger().info(f"{name}: {items} items have neighbours in the graph; {share:.0%} of the neighbours have a name.")
    if items and share < 0.5:
        getLogger().warning(
            f"item_sources.{name}: {1 - share:.0%} of the neighbours have no name, so the texts show identifiers, "
            "which mean little to a text encoder. Give names of entities (names: FILE), or use kind: graph."
        )


def _joined(own: str, neighbours: str) -> str:
    between = "" if not own or not neighbours else " " if own.endswith(SENTENCE_ENDS) else ". "
    return own + between + neighbours


def _names(config: Settings, path: Path) -> dict[str, str]:
    """Read names of entities from an atomic file, by entity token."""
    entity = config[ENTITY_KEY] or COLUMNS[ENTITY_KEY]
    return read_item_text(
        path, entity, ["name"], field_separator=config["field_separator"], encoding=config["encoding"] or "utf-8"
    )


def _item_names(config: Settings, item_file: Path, links: Mapping[str, str]) -> dict[str, str]:
    """Names of the entities that are items, from the items' first text column."""
    fields = config["text_fields"]
    if not fields or not item_file.is_file():
        return {}
    first = fields if isinstance(fields, str) else fields[0]
    titles = read_texts(Overlay(config, {"text_fields": first, "text_template": None}), item_file)
    return {entity: titles[item] for item, entity in links.items() if item in titles}
