"""What a data set is to the models of a comparison: the order of its ties, and its split. Each is a table of its own.

A run in random order has a seed of the order besides its own: runs 0, 1 and 2 have the tie seeds 0, 1 and 2, run 3 has
0 again. So a mean over runs is one over orders, too, at the cost of one order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.ties import Ties
from recbole_longinterest.data.ties import FILE, RANDOM

LEAVE_ONE_OUT, TIME = "leave-one-out", "time"
ORDERS, SPLITS = (FILE, RANDOM), (LEAVE_ONE_OUT, TIME)
TIE_SEEDS = 3
SHARES = [0.8, 0.9]  # of the events, where a split by time has its ends unless they are given
MATTERS = 0.1  # share of the test targets with a neighbour at their time, above which the random order is the headline
ENDS = ("split_by_time", "split_targets")  # settings of a split by time


@dataclass(frozen=True)
class View:
    """An order of ties, and a split.

    Attributes:
        ties: ``file`` or ``random``.
        split: ``leave-one-out``, which is RecBole's split by ``eval_args`` and leave-one-out by default, or ``time``.
    """

    ties: str = FILE
    split: str = LEAVE_ONE_OUT

    @property
    def name(self) -> str:
        """What it is called; "" for what is usual."""
        return ", ".join(["ties in random order"] * (self.ties == RANDOM) + ["split by time"] * (self.split == TIME))

    def table(self, dataset: str) -> str:
        """Name of a data set's table."""
        return f"{dataset}, {self.name}" if self.name else dataset

    def key(self, dataset: str) -> str:
        """The same for names of files."""
        return "-".join([dataset] + ["random-ties"] * (self.ties == RANDOM) + ["by-time"] * (self.split == TIME))

    def settings(self, given: Mapping[str, Any], tie_seed: int) -> dict[str, Any]:
        """The settings of every run, ``given``, in this view. Those of the usual view are as they were before."""
        settings = {name: value for name, value in given.items() if name not in ENDS}
        if self.split == TIME:
            settings |= {"split_by_time": SHARES, **{name: given[name] for name in ENDS if name in given}}
        if self.ties == RANDOM:
            settings |= {"tie_order": RANDOM, "tie_seed": tie_seed}
        return settings

    def runs(self, seeds: Sequence[int]) -> list[tuple[int, int]]:
        """Seed and tie seed of every run of a row.

        In random order there are three runs at least: a row with fewer seeds repeats them with other orders.
        """
        if self.ties != RANDOM:
            return [(seed, 0) for seed in seeds]
        number = max(TIE_SEEDS, len(seeds)) if len(seeds) else 0
        return [(seeds[run % len(seeds)], run % TIE_SEEDS) for run in range(number)]


@dataclass(frozen=True)
class About:
    """What is known of a data set in a view, before anything is trained.

    Attributes:
        ties: its ties, in the order of the view.
        split: what the split by time does, in a sentence; "" for another split.
    """

    ties: Ties
    split: str = ""

    @property
    def matters(self) -> bool:
        """Whether the figures depend on the order of ties so much that the random one is the headline."""
        return self.ties.test_share > MATTERS


@dataclass(frozen=True)
class Place:
    """A run's place among the tables of a comparison.

    Attributes:
        view: order of ties and split.
        tie_seed: seed of the order of ties; 0 in the order of the file.
        run: number of the run among those of its row; runs of one number have the same data, whatever the row. None for
            a cell of no plan, whose seed stands for it.
    """

    view: View = field(default_factory=View)
    tie_seed: int = 0
    run: int | None = None


USUAL = Place()


def place_of(given: Mapping[str, Any]) -> Place:
    """Where a cell outside a plan stands by its settings: a split by time is one if they say its ends."""
    return Place(View(split=TIME if "split_by_time" in given else LEAVE_ONE_OUT))


def read_views(ties: Sequence[str], splits: Sequence[str], given: Mapping[str, Any]) -> list[View]:
    """The views of a comparison, those of a split together.

    Args:
        ties: any of ``ORDERS``.
        splits: any of ``SPLITS``.
        given: settings of every run.

    Raises:
        LongInterestError: for another name, and for settings that a view sets.
    """
    for names, known, option in ((ties, ORDERS, "ties"), (splits, SPLITS, "split")):
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise LongInterestError(f"--{option} takes {' and '.join(known)}; got {unknown[0] if unknown else 'none'}.")
    own = [name for name in ("tie_order", "tie_seed") if name in given]
    if own:
        raise LongInterestError(f"{own[0]} is compare's own to set; leave it out, and say --ties {FILE},{RANDOM}.")
    unused = [name for name in ENDS if name in given and TIME not in splits]
    if unused:
        raise LongInterestError(f"{unused[0]} is of a split by time; say --split {TIME}, or leave it out.")
    return [View(order, split) for split in dict.fromkeys(splits) for order in dict.fromkeys(ties)]


def headline(views: Sequence[View], view: View, about: Mapping[View, About]) -> bool:
    """Whether a view is the one of its split whose figures count for a data set.

    Args:
        views: of the comparison.
        view: one of them.
        about: what is known of the data set in each of them.
    """
    beside = [each for each in views if each.split == view.split]
    if len(beside) == 1:
        return True
    shares = [about[each].matters for each in beside if each in about]
    return view.ties == (RANDOM if any(shares) else FILE)
