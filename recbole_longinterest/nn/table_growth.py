"""A network's tables grown to a larger catalogue by token, and which of its parts an update trains.

Plain state dicts and modules: no RecBole, no data set. Shapes: ``N`` items with the padding, ``D`` item dimension,
``T`` columns of the text matrix.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.nn.network import InterestNetwork
from recbole_longinterest.nn.state_keys import HEAD, ID, TEXT, TRAINED, item_key, item_sources_in, table_key

SCOPES = ("items", "head", "all")


@dataclass(frozen=True)
class TextRows:
    """Whitened text vectors of some items, in the space of the network's own.

    Attributes:
        ids: internal ids, int64 [n].
        vectors: float32 [n, T].
    """

    ids: Tensor
    vectors: Tensor


def old_ids(old_tokens: Sequence[str], new_tokens: Sequence[str]) -> Tensor:
    """Place of each token in an older list: int64 [len(new_tokens)], -1 for a token that it has not got."""
    place = {token: number for number, token in enumerate(old_tokens)}
    return torch.tensor([place.get(token, -1) for token in new_tokens], dtype=torch.int64)


def grow_rows(table: Tensor, place: Tensor, filling: Tensor) -> Tensor:
    """Rows of a table in a new order, with others where it has none.

    Args:
        table: [n_old, ...].
        place: row of ``table`` for each new row, -1 for none, int64 [n_new].
        filling: what a new row is otherwise, [...] or [n_new, ...].

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
    """A network's state for a larger catalogue, in which every item that it knew is scored as before.

    A new item starts with the ID embedding zero, which is how an item without a training event counts: by its text
    alone. A behaviour, or another token of an event, that the network did not know starts as the unknown one.

    Args:
        state: of a network.
        items: id in ``state`` of each item of the new catalogue, -1 for a new one, the padding first, int64 [N].
        texts: text vectors of new items, and of items whose text changed.
        tokens: likewise the id of each token of a source of events, by the source's name; None leaves them.
        filling: ID embeddings that new items start with where there is no text to score them by, [N, D].

    Returns:
        The new state; nothing of ``state`` is changed.
    """
    grown = {name: value.clone() for name, value in state.items()}
    sources = item_sources_in(grown)
    grown[TRAINED] = grow_rows(grown[TRAINED], items, torch.tensor(False))
    if ID in grown:
        table = grown[ID]
        if sources:  # what stands in rows that never counted is noise of the start
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
    for name, place in (tokens or {}).items():
        table = grown[table_key(name)]
        grown[table_key(name)] = grow_rows(table, place, table[0])
    return grown


def grow_trained(trained: Tensor, rows: int) -> Tensor:
    """Which rows of the ID table say something, as a factor, [N, 1]."""
    return trained[:rows].unsqueeze(1).float()


def part_of_the_way(
    start: Mapping[str, Tensor], trained: Mapping[str, Tensor], share: float, new_items: Tensor
) -> dict[str, Tensor]:
    """Weights between those at the start of a training and those at its end.

    A few events say little, and training on them moves all that is trained. New items alone are as training made them:
    the start knows nothing of them.

    Args:
        start: of some parameters.
        trained: of these, and maybe of others.
        share: of the way, 0 to 1.
        new_items: bool [N].

    Returns:
        Of the parameters in ``start``.
    """
    weights = {name: torch.lerp(weight, trained[name].to(weight), share) for name, weight in start.items()}
    if ID in weights:
        weights[ID][new_items] = trained[ID][new_items].to(weights[ID])
    return weights


def train_only(network: InterestNetwork, scope: str, new_items: Tensor) -> list[str]:
    """Have gradients reach the parts alone that an update trains.

    Args:
        network: any; its other parts stay bit for bit as they are, if the optimizer has no weight decay.
        scope: ``"items"``: ID embeddings of items that training had not shown before; ``"head"``: those, and the
            projection from history to interest with what follows it; ``"all"``: everything.
        new_items: those items, bool [N].

    Returns:
        Names of the trained parameters.

    Raises:
        ValueError: for another scope, or one that leaves nothing to train.
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
