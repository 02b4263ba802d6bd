"""What an update trains on: the events that training has not shown yet, and a seeded sample of old ones.

Replaying some of the past while learning the new is experience replay (Rolnick et al. 2019, "Experience Replay for
Continual Learning"; of exemplars in recommendation: Mi et al. 2020, "ADER"). Here what is replayed are windows.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.data.longinterest_dataset import LongInterestDataset

Keys = NDArray[np.uint64]
LEAST = 2048  # old targets beside a few new ones, lest a step see these alone
FACTORS = tuple(
    np.uint64(factor) for factor in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5)
)


def event_keys(users: Keys, items: Keys, times: NDArray[np.floating], behaviors: Keys | None = None) -> Keys:
    """A number for every event by which it is known in any file: from user, item, time and behaviour.

    Args:
        users: :func:`token_keys` of each event's user, [n].
        items: likewise of its item, [n].
        times: in full precision, [n].
        behaviors: :func:`token_keys` of each event's behaviour, [n]; None where there are none.

    Returns:
        uint64 [n]; two events that differ in any of these share one by chance in 2^64.
    """
    mixed = users * FACTORS[0] + items * FACTORS[1] + pd.util.hash_array(times + 0.0) * FACTORS[2]  # -0.0 is 0.0
    if behaviors is not None:
        mixed += behaviors * FACTORS[3]
    return pd.util.hash_array(mixed)


def token_keys(tokens: Sequence[str] | NDArray[np.object_]) -> Keys:
    """A number for every token, uint64 [n]."""
    return pd.util.hash_array(np.asarray(tokens, dtype=object), categorize=False)


class KeyedDataset(LongInterestDataset):
    """LongInterest's data set that knows its events' keys.

    Attributes:
        log_keys: :func:`event_keys` of the log, [n_events]; there once the log is.
    """

    log_keys: Keys

    def data_augmentation(self) -> None:
        """Make the log; see :meth:`FlatSequentialDataset.data_augmentation`."""
        super().data_augmentation()
        log, behavior = self.inter_feat.interaction.log, self.config["BEHAVIOR_FIELD"]
        users, items, *behaviors = (
            token_keys(self.field2id_token[field])[log[field].long()]
            for field in (self.uid_field, self.iid_field, behavior)
            if field in log and field in self.field2id_token
        )
        self.log_keys = event_keys(users, items, self._exact_time, *behaviors)

    def trained_keys(self) -> Keys:
        """Keys of the events that are targets of this part."""
        return self.log_keys[self.inter_feat.position.long().numpy()]


class ReplayDataset(KeyedDataset):
    """Whose training part has the targets that are new, and a sample of the old ones.

    Attributes:
        known: keys of the events that trainings had as targets before; set before :meth:`build`.
        shown: those, and the ones that this training has, there once it is built.
        replay: old targets for each new one; but see ``LEAST``.
        full_rows: training rows before any was left out, there once it is built.
        new_targets: training rows that are new, likewise.
        old_targets: training rows that are replayed, likewise.
        training_count: events of each item in the whole training part, likewise.
    """

    known: Keys
    shown: Keys
    replay: float = 0.0
    full_rows: int = 0
    new_targets: int = 0
    old_targets: int = 0
    training_count: Any = None

    def build(self) -> list[Any]:
        """Split as ever; then leave out training rows that are neither new nor drawn, and held-out rows seen before."""
        train, *held_out = super().build()
        new = ~np.isin(train.trained_keys(), self.known)
        history, position = train.inter_feat.history_start().numpy(), train.inter_feat.position.numpy()
        window, seed = self.config["MAX_ITEM_LIST_LENGTH"], self.config["seed"]
        kept = choose_rows(new, history, position, window, self.replay, seed)
        self.full_rows, self.new_targets = len(new), int(new.sum())
        self.old_targets = len(kept) - self.new_targets
        self.training_count = train.training_events()
        if not len(kept):
            raise LongInterestError(
                "There is nothing to train on: no new event is a training target (they are first ones, or held out) "
                "and replay is 0. Give --replay 1."
            )
        self.shown = np.union1d(self.known, train.trained_keys())
        train.inter_feat = train.inter_feat[kept]
        for part in held_out:  # in a split by ratios earlier new events push old targets there
            shown = np.isin(part.trained_keys(), self.known)
            if shown.any():
                part.inter_feat = part.inter_feat[np.flatnonzero(~shown)]
        if self.config["eval_step"] and not len(held_out[0]):
            raise LongInterestError(
                "There is nothing to choose an epoch by: no validation row is left that the training has not seen. "
                "Leave eval_step out."
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
    """All new rows, and old windows drawn until they hold enough targets.

    A window is what of a user's old targets falls into one of the stretches of ``window`` events of the history: they
    are encoded together, so drawing them one by one would cost a window each.

    Args:
        new: which rows have a target that is new, [n].
        history: start of each row's history in the log, [n].
        position: place of each row's event in the log, [n].
        window: events a window.
        replay: old targets for each new one, and ``least`` in all; the last window drawn may exceed it.
        seed: of the draw.
        least: old targets that are replayed at least, unless ``replay`` is 0; where no target is new (new events are
            first ones, or held out for validation and test), they are all that is trained on.

    Returns:
        Row numbers in their order.

    Raises:
        ValueError: for a ``replay`` below 0.
    """
    if not replay >= 0:
        raise LongInterestError(
            f"replay must be a number of at least 0 (old targets for each new one); got {replay!r}."
        )
    old = np.flatnonzero(~new)
    stretch = (position[old] - history[old]) // window
    # A history holds more events than stretches, so that the sum names a window.
    windows, which, size = np.unique(history[old].astype(np.int64) + stretch, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(windows))
    before = np.cumsum(size[order]) - size[order]
    drawn = np.zeros(len(windows), dtype=bool)
    drawn[order[before < (max(replay * new.sum(), least) if replay else 0)]] = True
    kept = new.copy()
    kept[old[drawn[which.reshape(-1)]]] = True
    return np.flatnonzero(kept)
