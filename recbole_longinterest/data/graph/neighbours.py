"""Write the neighbours of an item in a knowledge graph as text, relation by relation."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from recbole_longinterest.data.graph.triples import KnowledgeGraph


def neighbour_texts(
    graph: KnowledgeGraph,
    items: Sequence[str],
    names: Mapping[str, str],
    relations: Sequence[str] | None = None,
    limit: int = 5,
) -> tuple[dict[str, str], float]:
    """Make texts such as ``"directed by: Peter Jackson. genre: Fantasy, Adventure"``.

    A relation is written as the last part of its token, with spaces for underscores: ``film.film.directed_by`` is
    "directed by". A triple in which the item is the tail is written "is ... of". It is left out if the item is also the
    head of a triple with the same neighbour, because that triple usually states the inverse relation.

    Args:
        graph: the triples and links.
        items: item tokens.
        names: name of each entity by its token. An entity without a name is written as its token.
        relations: tokens of the relations to write, in this order; None for all, in the order of their tokens.
        limit: maximum number of neighbours per relation. Neighbours with more triples come first.

    Returns:
        Text by item token, without items that have no neighbour; and the share of the written neighbours that have a
        name.
    """
    wanted = list(graph.relations if relations is None else relations)
    place = {entity: row for row, entity in enumerate(graph.entities)}
    linked = {row: item for item in items if (row := place.get(graph.links.get(item, ""), -1)) >= 0}
    degree = np.bincount(graph.triples[:, [0, 2]].ravel(), minlength=len(graph.entities))
    out: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    back: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for head, kind, tail in graph.triples.tolist():
        if head in linked:
            out[head][kind].append(tail)
        if tail in linked:
            back[tail][kind].append(head)
    kinds = {relation: number for number, relation in enumerate(graph.relations)}
    texts, named, written = {}, 0, 0
    for item in items:
        row = place.get(graph.links.get(item, ""), -1)
        reached = {tail for tails in out[row].values() for tail in tails} if row in out else set()
        parts = []
        for relation in wanted:
            forth = out[row][kinds[relation]] if row in out else []
            inverse = [head for head in back[row][kinds[relation]] if head not in reached] if row in back else []
            for label, neighbours in ((_label(relation), forth), (f"is {_label(relation)} of", inverse)):
                best = sorted(neighbours, key=lambda entity: (-degree[entity], entity))[:limit]
                tokens = [graph.entities[entity] for entity in best]
                named += sum(token in names for token in tokens)
                written += len(tokens)
                if tokens:
                    parts.append(f"{label}: {', '.join(names.get(token, token) for token in tokens)}")
        if parts:
            texts[item] = ". ".join(parts)
    return texts, named / max(written, 1)


def _label(relation: str) -> str:
    return " ".join(relation.rpartition(".")[2].replace("_", " ").split()) or relation
