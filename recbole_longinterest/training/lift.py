"""Find the lift of new items (:mod:`recbole_longinterest.serving.lift`) on the validation part.

A tenth of the trained items is treated as new: without ID embedding, and with transitions borrowed from items with near
texts. The validation targets that are other items then show what a lift costs: the largest lift is taken whose loss
of NDCG@10 on them is at most ``COST``.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from recbole_longinterest.data.log_rows import LogRows
from recbole_longinterest.nn.memory import last_items, lend_to_new_items
from recbole_longinterest.nn.network import InterestNetwork
from recbole_longinterest.nn.state_keys import MEMORY, TRAINED
from recbole_longinterest.serving.lift import items_with_vector
from recbole_longinterest.serving.served import Served

if TYPE_CHECKING:
    from recbole_longinterest.data.longinterest_dataset import LongInterestDataset

COST = 0.01  # largest relative loss of NDCG@10 on other items
SHARE, MOST = 0.1, 2000  # items treated as new: this share of the trained ones, and at most so many
EVENTS, LEAST = 5000, 100  # validation rows read; with fewer than LEAST, no lift is found
STEP, HIGHEST = 0.25, 6.0  # lifts that are tried
TOP = 10
SCORES = 2**23  # computed at once


def calibrate_lift(served: Served, valid: "LongInterestDataset", seed: int = 0) -> dict[str, Any] | None:
    """Find the lift of a model.

    Args:
        served: the model.
        valid: its validation part.
        seed: seed of the items treated as new, and of the rows if there are more than ``EVENTS``.

    Returns:
        ``lift``, its ``cost`` (relative loss of NDCG@10), and the numbers of ``events`` and ``items`` it was found
        with; None for a model without text or other vectors, or too few events.
    """
    rng = np.random.default_rng(seed)
    new = _treated_as_new(served.weights, rng)
    if not len(new) or not isinstance(valid.inter_feat, LogRows) or len(valid) < LEAST:
        return None
    network = replace(served, weights=_without(served.weights, new)).network()
    rows = np.sort(rng.permutation(len(valid))[:EVENTS])
    lifts = torch.arange(0, HIGHEST + STEP, STEP)
    gains = torch.zeros(len(lifts), dtype=torch.float64)
    events = 0
    items = network.item_vectors()
    for begin in range(0, len(rows), step := max(1, SCORES // len(items))):
        found = _gains(network, items, valid, rows[begin : begin + step], new, lifts)
        gains += found.sum(dim=0)
        events += len(found)
    if events < LEAST or not gains[0]:
        return None
    loss = (1 - gains / gains[0]).cummax(dim=0).values
    best = int((loss <= COST).sum()) - 1
    return {"lift": float(lifts[best]), "cost": float(loss[best]), "events": events, "items": len(new)}


def _treated_as_new(weights: dict[str, Tensor], rng: np.random.Generator) -> Tensor:
    """Draw trained items with a vector, int64 [n], ascending; empty for a model without vectors."""
    known = items_with_vector(weights, trained=True).numpy()
    return torch.from_numpy(np.sort(rng.permutation(known)[: min(MOST, int(SHARE * len(known)))]))


def _without(weights: dict[str, Tensor], new: Tensor) -> dict[str, Tensor]:
    """Weights of the model if these items had never had an event."""
    out = {**weights, TRAINED: weights[TRAINED].index_fill(0, new, value=False)}
    followers = weights.get(f"{MEMORY}followers")
    if followers is None:
        return out
    gone = torch.isin(followers, new.to(followers.dtype))
    gone[new] = True
    for key in (f"{MEMORY}followers", f"{MEMORY}counts", f"{MEMORY}occurrences"):
        if key in weights:  # older checkpoints have no occurrences
            out[key] = weights[key].masked_fill(gone, 0)
    out[f"{MEMORY}support"] = weights[f"{MEMORY}support"].index_fill(0, new, 0.0)
    lend_to_new_items(out)
    return out


@torch.no_grad()
def _gains(
    network: InterestNetwork,
    items: Tensor,
    valid: "LongInterestDataset",
    rows: np.ndarray,
    new: Tensor,
    lifts: Tensor,
) -> Tensor:
    """Compute NDCG@10 for each lift, of the rows whose target is a trained item, float64 [n, number of lifts].

    Args:
        network: the network of :func:`_without`.
        items: its item vectors, [N, D].
        valid: the validation part.
        rows: rows of it.
        new: ids of the items treated as new.
        lifts: the lifts.
    """
    batch = valid[torch.from_numpy(rows)]
    item_seq, length, target = batch[valid.item_seq_field], batch[valid.item_list_length_field], batch[valid.iid_field]
    levels = network.levels_of({name: batch[valid.side_fields[name]] for name in network.fusion.levels})
    interest = network.interest_after(item_seq, length, levels, items)
    interest = network.at_request(interest, torch.full((len(rows),), torch.nan))
    query, table = network.comparable(interest, items)
    scores = network.add_repeats(query @ table.T, item_seq)
    if network.memory is not None:
        network.memory.add_to(scores, last_items(item_seq, length))
    kept = network.trained[target]
    scores, wanted = scores[kept], scores[kept].gather(1, target[kept].unsqueeze(1))  # [n, N], [n, 1]
    of_new = scores[:, new]
    above = (scores[:, 1:] > wanted).sum(dim=1) - (of_new > wanted).sum(dim=1)
    raised = torch.stack([(of_new + lift > wanted).sum(dim=1) for lift in lifts], dim=1)
    rank = (1 + above.unsqueeze(1) + raised).double()
    return torch.where(rank <= TOP, 1 / torch.log2(rank + 1), 0.0)
