"""Grow a network's tables to a larger catalogue, and choose the parameters that an update trains.

Works on state dicts and modules, without RecBole or a data set. Shapes: ``N`` items with the padding, ``D`` item
dimension, ``T`` columns of the text matrix.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.nn.network import InterestNetwork
from recbole_longinterest.nn.state_keys import (
    HEAD,
    ID,
    MEMORY,
    MEMORY_TABLES,
    TEXT,
    TRAINED,
    item_key,
    item_sources_in,
    table_key,
)

SCOPES = ("items", "head", "all")


@dataclass(frozen=True)
class TextRows:
    """Text vectors of several items, whitened like the network's own text vectors.

    Attributes:
        ids: internal ids, int64 [n].
        vectors: float32 [n, T].
    """

    ids: Tensor
    vectors: Tensor


def old_ids(old_tokens: Sequence[str], new_tokens: Sequence[str]) -> Tensor:
    """Position of each new token in the old list, -1 if it is not there; int64 [len(new_tokens)]."""
    place = {token: number for number, token in enumerate(old_tokens)}
    return torch.tensor([place.get(token, -1) for token in new_tokens], dtype=torch.int64)


def grow_rows(table: Tensor, place: Tensor, filling: Tensor) -> Tensor:
    """Reorder the rows of a table and insert new ones.

    Args:
        table: [n_old, ...].
        place: row of ``table`` for each new row, -1 for a row to insert, int64 [n_new].
        filling: value of inserted rows, [...] or [n_new, ...].

    Returns:
        [n_new, ...].
    """
    known = (place >= 0).view(-1, *[1] * (table.dim() - 1))
    return torch.where(known, table[place.clamp(min=0)], filling.to(table.dtype)).contiguous()


def grow_state(
    state: Mapping[str, Tensor],
    items: Tensor,
    texts: TextRows | None = None,
    tokens: Mapping[str, Tensor] | None = None,
    filling: Tensor | None = None,
) -> dict[str, Tensor]:
    """Grow a network's state to a larger catalogue. The scores of known items do not change.

    A new item starts with a zero ID embedding, so its score depends on its text only, like that of any item without
    training events. A new behaviour or other new event token starts as a copy of the "missing" row.

    Args:
        state: state dict of a network.
        items: old id of each item of the new catalogue, -1 for a new item, the padding first, int64 [N].
        texts: text vectors of new items, and of items whose text changed.
        tokens: for each event source, the old id of each token, -1 for a new one; None keeps the tokens.
        filling: ID embeddings of new items for a network without texts, [N, D].

    Returns:
        The new state; ``state`` is not modified.
    """
    grown = {name: value.clone() for name, value in state.items()}
    sources = item_sources_in(grown)
    grown[TRAINED] = grow_rows(grown[TRAINED], items, torch.tensor(False))
    if ID in grown:
        table = grown[ID]
        if sources:  # untrained rows hold random initial values, which are never used
            table = table * grow_trained(state[TRAINED], len(table))
        zero = torch.zeros(table.shape[1])
        grown[ID] = grow_rows(table, items, zero if sources or filling is None else filling)
    for source in sources:
        vectors, present = item_key(source, "vectors"), item_key(source, "present")
        grown[vectors] = grow_rows(grown[vectors], items, torch.zeros(()))
        grown[present] = grow_rows(grown[present], items, torch.tensor(False))
    if texts is not None and TEXT in sources:
        vectors = item_key(TEXT, "vectors")
        grown[vectors][texts.ids] = texts.vectors.to(grown[vectors].dtype)
        grown[item_key(TEXT, "present")][texts.ids] = True
    if f"{MEMORY}followers" in grown:
        _grow_memory(grown, items)
    for name, place in (tokens or {}).items():
        table = grown[table_key(name)]
        grown[table_key(name)] = grow_rows(table, place, table[0])
    return grown


def _grow_memory(state: dict[str, Tensor], items: Tensor) -> None:
    """Reorder the rows of the memory of transitions and map follower ids; drop followers that no longer exist."""
    tables = [f"{MEMORY}{name}" for name in MEMORY_TABLES if f"{MEMORY}{name}" in state]
    followers, counts, support, *occurrences = tables  # older checkpoints have no occurrences
    now = torch.zeros(len(state[support]), dtype=torch.int32)  # new id of each old item
    now[items.clamp(min=0)] = torch.arange(len(items), dtype=torch.int32)
    now[0] = 0
    for name in tables:
        state[name] = grow_rows(state[name], items, torch.zeros((), dtype=state[name].dtype))
    state[followers] = now[state[followers].long()]
    for name in (counts, *occurrences):
        state[name] = state[name] * (state[followers] > 0)


def grow_trained(trained: Tensor, rows: int) -> Tensor:
    """Mask of the trained rows of the ID table: 1 for trained, 0 for others, [N, 1]."""
    return trained[:rows].unsqueeze(1).float()


def part_of_the_way(
    start: Mapping[str, Tensor], trained: Mapping[str, Tensor], share: float, new_items: Tensor
) -> dict[str, Tensor]:
    """Interpolate between the weights before and after a training.

    A few new events are weak evidence, so the step is only part of the way. New items keep their trained weights,
    because they had no weights before.

    Args:
        start: weights of some parameters before the training.
        trained: weights after it, of at least these parameters.
        share: 0 for ``start``, 1 for ``trained``.
        new_items: bool [N].

    Returns:
        Weights of the parameters in ``start``.
    """
    weights = {name: torch.lerp(weight, trained[name].to(weight), share) for name, weight in start.items()}
    if ID in weights:
        weights[ID][new_items] = trained[ID][new_items].to(weights[ID])
    return weights


def train_only(network: InterestNetwork, scope: str, new_items: Tensor) -> list[str]:
    """Restrict gradients to the parameters that an update trains.

    Args:
        network: the network; its other parameters do not change, if the optimizer has no weight decay.
        scope: ``"items"``: ID embeddings of new items; ``"head"``: those, and the projection from encoder states to
            interest with the layers after it; ``"all"``: everything.
        new_items: items without training events before, bool [N].

    Returns:
        Names of the trained parameters.

    Raises:
        ValueError: if the scope is unknown, or leaves nothing to train.
    """
    if scope not in SCOPES:
        raise LongInterestError(f"scope must be one of {', '.join(SCOPES)}; got {scope!r}.")
    trained = []
    for name, parameter in network.named_parameters():
        rows = name == ID and scope != "all"
        wanted = scope == "all" or (rows and bool(new_items.any())) or (scope == "head" and name.startswith(HEAD))
        parameter.requires_grad_(wanted)
        if wanted:
            trained.append(name)
        if wanted and rows:
            _only_rows(parameter, new_items)
    if not trained:
        raise LongInterestError(
            f"scope {scope} leaves nothing to train: no item is new to the training, or id_features is off. "
            "Use scope head or all."
        )
    return trained


def _only_rows(table: nn.Parameter, rows: Tensor) -> None:
    kept = rows.unsqueeze(1).to(table.device, table.dtype)
    table.register_hook(lambda gradient: gradient * kept)
