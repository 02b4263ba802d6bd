"""Count ties: neighbouring events of a user with the same time, whose order is not known.

Ties matter if their order in the file can be learned, for example because it follows the item ids. Then every metric
partly measures the order of the file.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Ties:
    """Counts of ties in a log.

    Attributes:
        neighbours: pairs of neighbouring events of a user.
        tied: pairs with the same time.
        ascending: tied pairs whose item ids ascend.
        valid: validation targets.
        valid_tied: validation targets with a neighbour at the same time.
        test: test targets.
        test_tied: test targets with a neighbour at the same time.
    """

    neighbours: int
    tied: int
    ascending: int
    valid: int
    valid_tied: int
    test: int
    test_tied: int

    @property
    def test_share(self) -> float:
        """Share of test targets with a neighbour at the same time; 0 without test targets."""
        return self.test_tied / self.test if self.test else 0.0

    @property
    def ordered(self) -> bool:
        """Whether the order of ties follows the item ids more often than chance."""
        return abs(2 * self.ascending - self.tied) > 4 * self.tied**0.5  # four standard deviations of a random order

    def sentence(self) -> str:
        """Describe the ties in two sentences."""
        if not self.tied:
            return f"None of {self.neighbours:,} neighbouring events of a user are at one time."
        targets = " and ".join(
            f"{tied:,} of {number:,} {name} targets ({_percent(tied, number)})"
            for name, tied, number in (("validation", self.valid_tied, self.valid), ("test", self.test_tied, self.test))
            if number
        )
        like = "as a random order may have"
        if self.ordered:
            like = "which a model can learn; a random order has about 50 %"
        return (
            f"{self.tied:,} of {self.neighbours:,} neighbouring events of a user are at one time "
            f"({_percent(self.tied, self.neighbours)}), and so are {targets or 'no targets'} with a neighbour. The "
            f"items' ids ascend in {self.ascending:,} of these pairs ({_percent(self.ascending, self.tied)}), {like}."
        )


def ties_of(users: NDArray[np.integer], times: NDArray[np.number]) -> Mask:
    """Mark events with the same user and time as the event before.

    Args:
        users: user of each event; the log is sorted by user and time, [n].
        times: times of the events, in full precision, [n].

    Returns:
        Mask, bool [n].
    """
    same = np.zeros(len(users), dtype=bool)
    same[1:] = (users[1:] == users[:-1]) & (times[1:] == times[:-1])
    return same


def count_ties(
    users: NDArray[np.integer],
    times: NDArray[np.number],
    rank: NDArray[np.integer],
    valid: NDArray[np.integer],
    test: NDArray[np.integer],
) -> Ties:
    """Count the ties of a log that is sorted by user and time.

    Args:
        users: user of each event, [n].
        times: times of the events, in full precision, [n].
        rank: rank of each event's item id, see :func:`ranks_of_ids`, [n].
        valid: positions of the validation targets in the log.
        test: positions of the test targets in the log.
    """
    with_before = ties_of(users, times)
    tied = with_before | np.append(with_before[1:], False)[: len(with_before)]
    return Ties(
        neighbours=int((users[1:] == users[:-1]).sum()),
        tied=int(with_before.sum()),
        ascending=int((rank[1:] > rank[:-1])[with_before[1:]].sum()),
        valid=len(valid),
        valid_tied=int(tied[valid].sum()),
        test=len(test),
        test_tied=int(tied[test].sum()),
    )


def ranks_of_ids(ids: Sequence[str]) -> NDArray[np.int64]:
    """Rank ids in sorted order: as numbers if all are whole numbers, else as texts.

    Args:
        ids: unique item ids, [N].

    Returns:
        int64 [N].
    """
    names = [str(name) for name in ids]
    if all(name.isascii() and name.isdigit() for name in names):
        keys = [(len(name.lstrip("0")), name.lstrip("0")) for name in names]  # of any length
        order = sorted(range(len(names)), key=keys.__getitem__)
    else:
        order = sorted(range(len(names)), key=names.__getitem__)
    ranks = np.empty(len(names), dtype=np.int64)
    ranks[order] = np.arange(len(names))
    return ranks


def leave_one_out(users: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Targets of the leave-one-out split: each user's last event for testing, the one before for validation.

    A user's first event is never a target, and each user keeps one training target, as in RecBole's split.

    Args:
        users: user of each event; the log is sorted by user, [n].

    Returns:
        Positions of the validation targets and of the test targets.
    """
    last = np.flatnonzero(np.append(users[1:] != users[:-1], True)[: len(users)])
    size = np.diff(last, prepend=-1)
    return last[size >= 4] - 1, last[size >= 3]


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole
    if part in (0, whole):
        return "all" if part else "none"
    return "under .1 %" if 0 < share < 0.1 else f"{share:.1f} %" if share < 1 else f"{share:.0f} %"
