"""Choose the training rows of an update: all new targets and a seeded sample of old ones.

Training on a sample of old data together with new data is experience replay (Rolnick et al. 2019, "Experience Replay
for Continual Learning"; in recommendation: Mi et al. 2020, "ADER"). The sample is made of windows of histories.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.data.event_keys import Keys, event_keys, token_keys
from recbole_longinterest.data.log_rows import LogRows
from recbole_longinterest.data.longinterest_dataset import LongInterestDataset
from recbole_longinterest.data.transitions import transitions_of
from recbole_longinterest.nn.transitions import Transitions

LEAST = 2048  # minimum number of old targets, so that no step trains on only a few new ones


class KeyedDataset(LongInterestDataset):
    """LongInterest's data set with a key for every event.

    Attributes:
        log_keys: :func:`event_keys` of the log, [n_events]; set by :meth:`data_augmentation`.
    """

    log_keys: Keys

    def data_augmentation(self) -> None:
        """Build the log and its keys; see :meth:`FlatSequentialDataset.data_augmentation`."""
        super().data_augmentation()
        log, behavior = self.inter_feat.interaction.log, self.config["BEHAVIOR_FIELD"]
        users, items, *behaviors = (
            token_keys(self.field2id_token[field])[log[field].long()]
            for field in (self.uid_field, self.iid_field, behavior)
            if field in log and field in self.field2id_token
        )
        self.log_keys = event_keys(users, items, self._exact_time, *behaviors)

    def trained_keys(self) -> Keys:
        """Return the keys of the targets of this part of the split."""
        return self.log_keys[self.inter_feat.position.long().numpy()]


class ReplayDataset(KeyedDataset):
    """A data set whose training part holds the new targets and a sample of the old ones.

    Attributes:
        known: keys of the targets of earlier trainings; set by the caller before :meth:`build`.
        replay: old targets for each new one, at least ``LEAST`` in total; 0 for no replay. Set by the caller.
        shown: keys of the targets of this training and earlier ones; this and the rest is set by :meth:`build`.
        full_rows: number of training rows before sampling.
        new_targets: sampled training rows whose target is new.
        old_targets: sampled training rows whose target is old.
        training_count: events of each item in the whole training part, [N].
        training_part: the training part.
        validation_part: the validation part.
        all_rows: rows of the training part before sampling (set on the training part itself).
    """

    known: Keys
    shown: Keys
    replay: float = 0.0
    full_rows: int = 0
    new_targets: int = 0
    old_targets: int = 0
    training_count: Any = None
    training_part: Any = None
    validation_part: Any = None
    all_rows: LogRows | None = None

    def transitions(self, size: int) -> Transitions:
        """Return the item transitions of the whole training part, not only of the sampled rows."""
        return transitions_of(self, size, self.all_rows)

    def build(self) -> list[Any]:
        """Split the data, sample training rows, and drop held-out rows that were targets of an earlier training.

        Raises:
            LongInterestError: if no training row remains, or no validation row although validation chooses the epoch.
        """
        train, *held_out = super().build()
        self.training_part, self.validation_part = train, held_out[0]
        new = ~np.isin(train.trained_keys(), self.known)
        history, position = train.inter_feat.history_start().numpy(), train.inter_feat.position.numpy()
        window, seed = self.config["MAX_ITEM_LIST_LENGTH"], self.config["seed"]
        kept = choose_rows(new, history, position, window, self.replay, seed)
        self.full_rows, self.new_targets = len(new), int(new.sum())
        self.old_targets = len(kept) - self.new_targets
        self.training_count = train.training_events()
        if not len(kept):
            raise LongInterestError(
                "There is nothing to train on: every new event is its user's first event or is held out, and replay is "
                "0. Give --replay 1."
            )
        self.shown = np.union1d(self.known, train.trained_keys())
        train.all_rows, train.inter_feat = train.inter_feat, train.inter_feat[kept]
        for part in held_out:  # in a split by ratios, early new events push old targets into these parts
            shown = np.isin(part.trained_keys(), self.known)
            if shown.any():
                part.inter_feat = part.inter_feat[np.flatnonzero(~shown)]
        if self.config["eval_step"] and not len(held_out[0]):
            raise LongInterestError(
                "Validation cannot choose the epoch: training has seen every validation row. Leave eval_step out."
            )
        return [train, *held_out]


def choose_rows(
    new: NDArray[np.bool_],
    history: NDArray[np.integer],
    position: NDArray[np.integer],
    window: int,
    replay: float,
    seed: int,
    least: int = LEAST,
) -> NDArray[np.int64]:
    """Choose all rows with new targets, and sample old windows until they hold enough old targets.

    Each history is cut into stretches of ``window`` events. The old targets of a stretch are sampled together, because
    they are encoded in one pass; sampled one by one, each would need its own pass.

    Args:
        new: mask of the rows with a new target, [n].
        history: start of each row's history in the log, [n].
        position: position of each row's event in the log, [n].
        window: events per stretch.
        replay: old targets for each new one. The last sampled stretch may exceed it.
        seed: random seed.
        least: minimum number of old targets, unless ``replay`` is 0. If no target is new, only old ones are chosen.

    Returns:
        Row numbers in ascending order.

    Raises:
        ValueError: for a ``replay`` below 0.
    """
    if not replay >= 0:
        raise LongInterestError(
            f"replay must be a number of at least 0 (old targets for each new one); got {replay!r}."
        )
    old = np.flatnonzero(~new)
    stretch = (position[old] - history[old]) // window
    # A history has more events than stretches, so this sum is unique to a stretch.
    windows, which, size = np.unique(history[old].astype(np.int64) + stretch, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(windows))
    before = np.cumsum(size[order]) - size[order]
    drawn = np.zeros(len(windows), dtype=bool)
    drawn[order[before < (max(replay * new.sum(), least) if replay else 0)]] = True
    kept = new.copy()
    kept[old[drawn[which.reshape(-1)]]] = True
    return np.flatnonzero(kept)
