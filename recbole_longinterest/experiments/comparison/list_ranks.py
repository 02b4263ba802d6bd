"""Rank the test targets in lists of another system."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from recbole.data.dataset import Dataset

from recbole_longinterest.data.windows import gather_windows
from recbole_longinterest.experiments.comparison.list_files import UserLists
from recbole_longinterest.experiments.comparison.protocol import MASKED, NATIVE, Ranks, rank_targets

SCORES = 2**24  # scores in memory at once
FEW = 0.05  # with fewer lists that have a seen item, the system seems to leave seen items out


@dataclass(frozen=True)
class ListRanks:
    """Ranks of the test targets in lists, with the interface of :class:`~.recorder.Recorder`.

    Attributes:
        lines: a line per test row, as in :meth:`Recorder.table`.
        user: RecBole's user id of each test row, int64 [B].
        tops: best items by protocol, filled up with 0, int64 [B, K].
        target_count: number of training rows with the item as target, int64 [N].
        notes: notes on the lists for the report.
        candidates: None, because all items are ranked.
    """

    lines: pd.DataFrame
    user: NDArray[np.int64]
    tops: dict[str, NDArray[np.int64]]
    target_count: NDArray[np.int64]
    notes: Sequence[str]
    candidates: str | None = None

    def top(self, protocol: str) -> NDArray[np.int64]:
        """The best items of every row, [B, K]."""
        return self.tops[protocol]

    def users(self) -> NDArray[np.int64]:
        """User of every row of :meth:`top`, [B]."""
        return self.user

    def table(self) -> pd.DataFrame:
        """A line per test row; see :meth:`Recorder.table`."""
        return self.lines


def rank_lists(lists: UserLists, parts: Sequence[Dataset], most: int, name: str) -> ListRanks:
    """Rank every test row's target in its user's list.

    A target that is not in its list has rank infinity, because the system did not find it. This also holds if few items
    remain after the user's seen items are removed.

    Args:
        lists: lists of all test users.
        parts: training, validation and test part.
        most: K, the largest list length to evaluate.
        name: name of the row, for the notes.
    """
    train, test = parts[0], parts[2]
    rows = test.inter_feat
    log = test.event_log[test.item_seq_field].long()
    cold = train.training_events() == 0
    user, target = rows[test.uid_field], rows[test.iid_field]
    start, length = rows.history_start(), rows.whole_length()
    ranks: list[Ranks] = []
    left: list[NDArray[np.int64]] = []
    with_seen = 0
    step = max(1, SCORES // test.item_num)
    for begin in range(0, len(rows), step):
        part = slice(begin, begin + step)
        scores = _scores(lists, user[part].numpy(), test.item_num)
        history = gather_windows(log, start[part], length[part])
        found = rank_targets(scores, target[part], history, cold, most)
        seen = torch.zeros_like(scores, dtype=torch.bool).scatter_(1, history, True)
        seen.scatter_(1, target[part].unsqueeze(1), False)
        unseen = scores.masked_fill(seen, 0.0)
        with_seen += int((scores.masked_fill(~seen, 0.0) > 0).any(dim=1).sum())
        left.append((unseen > 0).sum(dim=1).numpy())
        ranks.append(_unlisted(found, scores, unseen, target[part]))
    kept = np.concatenate(left)
    lines = pd.DataFrame(
        {
            "user": test.id2token(test.uid_field, user.numpy()),
            "history": length.numpy(),
            "item": test.id2token(test.iid_field, target.numpy()),
            NATIVE: np.concatenate([each.native for each in ranks]),
            MASKED: np.concatenate([each.masked for each in ranks]),
            "among_cold": np.concatenate([each.among_cold for each in ranks]),
            "tied": np.concatenate([each.tied for each in ranks]),
        }
    )
    tops = {NATIVE: np.concatenate([each.native_top for each in ranks])}
    tops[MASKED] = np.concatenate([each.masked_top for each in ranks])
    counts = torch.bincount(train.inter_feat[train.iid_field], minlength=train.item_num).numpy()
    return ListRanks(lines, user.numpy(), tops, counts, _notes(lists, kept, most, with_seen))


def _scores(lists: UserLists, user: NDArray[np.int64], n_items: int) -> torch.Tensor:
    """Use positions in the lists as scores, 0 for unlisted items, float64 [B, N]."""
    number = lists.first[user + 1] - lists.first[user]
    row = np.repeat(np.arange(len(user)), number)
    place = np.arange(len(row)) - (np.cumsum(number) - number)[row] + lists.first[user][row]
    scores = torch.zeros(len(user), n_items, dtype=torch.float64)
    scores[torch.from_numpy(row), torch.from_numpy(lists.item[place])] = torch.from_numpy(lists.order[place]).double()
    return scores


def _unlisted(found: Ranks, scores: torch.Tensor, unseen: torch.Tensor, target: torch.Tensor) -> Ranks:
    """Correct ranks for unlisted items: an unlisted target gets rank infinity, other unlisted items become 0."""
    absent = (scores.gather(1, target.unsqueeze(1)).squeeze(1) == 0).numpy()
    native_top, masked_top = torch.from_numpy(found.native_top), torch.from_numpy(found.masked_top)
    return replace(
        found,
        native=np.where(absent, np.inf, found.native),
        masked=np.where(absent, np.inf, found.masked),
        among_cold=np.where(absent & ~np.isnan(found.among_cold), np.inf, found.among_cold),
        tied=found.tied & ~absent,
        native_top=np.where(scores.gather(1, native_top).numpy() > 0, found.native_top, 0),
        masked_top=np.where(unseen.gather(1, masked_top).numpy() > 0, found.masked_top, 0),
    )


def _notes(lists: UserLists, kept: NDArray[np.int64], most: int, with_seen: int) -> list[str]:
    if lists.complete:
        return ["all items are listed, so ranks are exact."]
    notes = ["an item that is not in a list counts as not found."]
    short = kept[kept < most]
    if len(short):
        notes.append(
            f"without seen items {len(short)} of {len(kept)} lists have fewer than {most} items, the shortest "
            f"{int(short.min())}; the seen-masked metrics use these shorter lists."
        )
    if with_seen < len(kept) * FEW:
        notes.append(
            f"{len(kept) - with_seen} of {len(kept)} lists leave out all items that the user has had, which most "
            "models rank natively. So compare this row with them seen-masked."
        )
    return notes
