"""Rank every item for a fixed panel of old users, before and after an update.

The panel is the same for every update of a model: the users whose tokens have the smallest hashes. Its histories hold
only old events, so ranks change only because the weights have changed.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from recbole.data.interaction import Interaction
from torch import Tensor

from recbole_longinterest.data.event_keys import Keys, token_keys
from recbole_longinterest.data.log_rows import restore
from recbole_longinterest.data.windows import gather_windows
from recbole_longinterest.plugin.longinterest import LongInterest
from recbole_longinterest.training.update.replay import ReplayDataset

USERS = 200
TOP = 10
SCORES = 2**24  # maximum number of scores in memory at once


@dataclass(frozen=True)
class PanelRanks:
    """Item ranks for a panel of P users.

    Attributes:
        mean: mean rank of each item, 1 is the best, [N]; NaN for items that were not ranked, such as the padding.
        in_top: number of users with the item among their ``TOP`` best, [N].
        lists: the best items of each user, [P, TOP] or fewer columns in a small catalogue.
        finite: whether all scores are finite.
    """

    mean: NDArray[np.float64]
    in_top: NDArray[np.int64]
    lists: NDArray[np.int64]
    finite: bool


def panel_histories(data: ReplayDataset, old: Keys, users: int = USERS) -> Interaction:
    """Return a model batch with the old events of the panel's users, padded at the end.

    Args:
        data: the merged data, after :meth:`ReplayDataset.build`.
        old: keys of the old events.
        users: maximum size of the panel.
    """
    log, train = data.inter_feat.interaction.log, data.training_part
    place = np.flatnonzero(np.isin(data.log_keys, old))
    ids = log[data.uid_field].long().numpy()[place]
    known = np.unique(ids)
    order = np.argsort(token_keys(data.field2id_token[data.uid_field])[known], kind="stable")
    rows = np.isin(ids, known[order[:users]])
    position = torch.from_numpy(place[rows])
    _, begin, events = np.unique(ids[rows], return_index=True, return_counts=True)
    window = data.config["MAX_ITEM_LIST_LENGTH"]
    start = torch.from_numpy(begin + np.maximum(events - window, 0))
    length = torch.from_numpy(np.minimum(events, window))
    batch = {data.item_list_length_field: length}
    for field in train.history_fields:
        batch[field] = restore(gather_windows(train.event_log[field][position], start, length))
    for field in train.request_fields:
        batch[field] = torch.full((len(length),), torch.nan)  # not a real request, so its time is unknown
    return Interaction(batch)


@torch.no_grad()
def panel_ranks(model: LongInterest, panel: Interaction, ranked: Tensor) -> PanelRanks:
    """Rank the items for every user of a panel.

    Args:
        model: model with the weights to rank by; it stays in evaluation mode.
        panel: from :func:`panel_histories`.
        ranked: mask of the items to rank, bool [N].
    """
    model.eval()
    number, wanted = len(ranked), int(ranked.sum())
    total, in_top = np.zeros(number), np.zeros(number, dtype=np.int64)
    lists, finite = [], True
    step = max(1, SCORES // number)
    for begin in range(0, len(panel), step):
        scores = model.full_sort_predict(panel[begin : begin + step].to(model.device)).cpu()
        finite = finite and bool(torch.isfinite(scores[:, ranked]).all())
        order = scores.masked_fill(~ranked, -torch.inf).argsort(dim=1, descending=True, stable=True)[:, :wanted]
        ranks = torch.zeros(scores.shape, dtype=torch.int64)
        ranks.scatter_(1, order, torch.arange(1, wanted + 1).expand(len(order), -1))
        total += ranks.sum(dim=0).numpy()
        in_top += ((ranks > 0) & (ranks <= TOP)).sum(dim=0).numpy()
        lists.append(order[:, :TOP].numpy())
    mean = np.full(number, np.nan)
    mean[ranked.numpy()] = total[ranked.numpy()] / max(len(panel), 1)
    return PanelRanks(mean, in_top, np.concatenate(lists) if lists else np.zeros((0, TOP), dtype=np.int64), finite)
