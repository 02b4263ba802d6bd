"""Record the ranks of all test targets during RecBole's own evaluation."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from recbole.data.dataset import Dataset
from recbole.trainer import Trainer

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.data.windows import gather_windows
from recbole_longinterest.experiments.comparison.protocol import MASKED, NATIVE, Ranks, rank_targets
from recbole_longinterest.plugin.runs.seen_masked import Evaluated, TargetRows, watching_batches


class Recorder:
    """Intercepts the scores of RecBole's evaluation and ranks the target of every row.

    Args:
        loader: RecBole's loader over the flat log, for full ranking or sampled candidates.
        train: the training part.
        most: K, number of best items to keep.

    Attributes:
        target_count: number of training rows with the item as target, int64 [N].
        candidates: SHA-256 of the sampled candidates; None for full ranking.
    """

    def __init__(self, loader: AbstractDataLoader, train: Dataset, most: int) -> None:
        self.targets = TargetRows(loader)
        self.test = self.targets.part
        self.most = most
        self.items = self.test.event_log[self.test.item_seq_field].long()
        self.cold = train.training_events() == 0
        self.target_count = torch.bincount(train.inter_feat[train.iid_field], minlength=train.item_num).numpy()
        self.candidates: str | None = None
        self._digest = sha256()
        self._ranks: list[Ranks] = []

    @contextmanager
    def watching(self, trainer: Trainer) -> Iterator[None]:
        """Record the trainer's evaluation inside this context."""
        with watching_batches(trainer, self._add):
            yield
        if self.targets.done != len(self.targets.rows):
            raise LongInterestError(f"{self.targets.done} of {len(self.targets.rows)} test rows were evaluated.")
        if self._digest.digest() != sha256().digest():
            self.candidates = self._digest.hexdigest()

    def _add(self, batch: Sequence[Any], evaluated: Evaluated, sampled: bool) -> None:
        _, scores, positive_u, positive_i = evaluated
        candidates = None
        if sampled:
            candidates = torch.zeros_like(scores, dtype=torch.bool)
            candidates[batch[1], batch[0][self.test.iid_field].to(scores.device)] = True
            drawn = candidates.nonzero()[:, 1].cpu().numpy()
            self._digest.update(
                "".join(f"{token}\t" for token in self.test.id2token(self.test.iid_field, drawn)).encode()
            )
        rows = self.targets.following(len(scores), positive_u, positive_i)
        target, start, device = rows[self.test.iid_field], rows.history_start(), scores.device
        history = gather_windows(self.items, start, rows.position.long() - start)
        ranks = rank_targets(scores, target.to(device), history.to(device), self.cold.to(device), self.most, candidates)
        self._ranks.append(ranks)

    def top(self, protocol: str) -> NDArray[np.int64]:
        """The best items of every row, [B, K]."""
        return np.concatenate([ranks.native_top if protocol == NATIVE else ranks.masked_top for ranks in self._ranks])

    def users(self) -> NDArray[np.int64]:
        """User of every row of :meth:`top`, [B]."""
        users: NDArray[np.int64] = self.targets.rows[self.test.uid_field].numpy()
        return users

    def table(self) -> pd.DataFrame:
        """A line per test row: user, history (events before), item, rank in both protocols, among_cold, tied."""
        rows, test = self.targets.rows, self.test
        lines = pd.DataFrame(
            {
                "user": test.id2token(test.uid_field, rows[test.uid_field].numpy()),
                "history": (rows.position.long() - rows.history_start()).numpy(),
                "item": test.id2token(test.iid_field, rows[test.iid_field].numpy()),
                NATIVE: np.concatenate([ranks.native for ranks in self._ranks]),
                MASKED: np.concatenate([ranks.masked for ranks in self._ranks]),
                "among_cold": np.concatenate([ranks.among_cold for ranks in self._ranks]),
                "tied": np.concatenate([ranks.tied for ranks in self._ranks]),
            }
        )
        return lines.iloc[torch.argsort(self.targets.order).numpy()].reset_index(drop=True)
