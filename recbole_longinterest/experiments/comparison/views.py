"""Views of a data set in a comparison: an order of ties, and a split. Each view has its own table.

With ties in random order, a run has a tie seed besides its training seed: runs 0, 1 and 2 have the tie seeds 0, 1 and
2, run 3 has 0 again. So a mean over runs is also a mean over orders, at no extra cost.
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
SHARES = [0.8, 0.9]  # default ends of training and validation part in a split by time, as shares of the events
MATTERS = 0.1  # share of tied test targets above which the random order is the headline
ENDS = ("split_by_time", "split_targets")  # settings of a split by time


@dataclass(frozen=True)
class View:
    """An order of ties, and a split.

    Attributes:
        ties: ``file`` or ``random``.
        split: ``leave-one-out``, which means RecBole's split by ``eval_args`` (leave-one-out by default), or ``time``.
    """

    ties: str = FILE
    split: str = LEAVE_ONE_OUT

    @property
    def name(self) -> str:
        """Name of the view; "" for the default."""
        return ", ".join(["ties in random order"] * (self.ties == RANDOM) + ["split by time"] * (self.split == TIME))

    def table(self, dataset: str) -> str:
        """Name of a data set's table."""
        return f"{dataset}, {self.name}" if self.name else dataset

    def key(self, dataset: str) -> str:
        """Name of a data set's table in file names."""
        return "-".join([dataset] + ["random-ties"] * (self.ties == RANDOM) + ["by-time"] * (self.split == TIME))

    def settings(self, given: Mapping[str, Any], tie_seed: int) -> dict[str, Any]:
        """Adapt the settings of every run, ``given``, to this view; the default view adds none."""
        settings = {name: value for name, value in given.items() if name not in ENDS}
        if self.split == TIME:
            settings |= {"split_by_time": SHARES, **{name: given[name] for name in ENDS if name in given}}
        if self.ties == RANDOM:
            settings |= {"tie_order": RANDOM, "tie_seed": tie_seed}
        return settings

    def runs(self, seeds: Sequence[int]) -> list[tuple[int, int]]:
        """Seed and tie seed of every run of a row.

        In random order there are at least three runs; a row with fewer seeds repeats them with other tie seeds.
        """
        if self.ties != RANDOM:
            return [(seed, 0) for seed in seeds]
        number = max(TIE_SEEDS, len(seeds)) if len(seeds) else 0
        return [(seeds[run % len(seeds)], run % TIE_SEEDS) for run in range(number)]


@dataclass(frozen=True)
class About:
    """Facts about a data set in a view, known before training.

    Attributes:
        ties: ties of the data, in the view's order.
        split: sentence on the split by time; "" for other splits.
    """

    ties: Ties
    split: str = ""

    @property
    def matters(self) -> bool:
        """Whether so many test targets tie that the random order is the headline."""
        return self.ties.test_share > MATTERS


@dataclass(frozen=True)
class Place:
    """A run's view, tie seed and number.

    Attributes:
        view: order of ties and split.
        tie_seed: seed of the order of ties; 0 in file order.
        run: number of the run in its row; runs with the same number have the same data in all rows. None for a cell
            outside a plan, which is identified by its seed.
    """

    view: View = field(default_factory=View)
    tie_seed: int = 0
    run: int | None = None


USUAL = Place()


def place_of(given: Mapping[str, Any]) -> Place:
    """Place of a cell outside a plan: it has a split by time if its settings have ``split_by_time``."""
    return Place(View(split=TIME if "split_by_time" in given else LEAVE_ONE_OUT))


def read_views(ties: Sequence[str], splits: Sequence[str], given: Mapping[str, Any]) -> list[View]:
    """The views of a comparison, grouped by split.

    Args:
        ties: any of ``ORDERS``.
        splits: any of ``SPLITS``.
        given: settings of every run.

    Raises:
        LongInterestError: if a name is unknown, or ``given`` has settings that views set.
    """
    for names, known, option in ((ties, ORDERS, "ties"), (splits, SPLITS, "split")):
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise LongInterestError(f"--{option} takes {' and '.join(known)}; got {unknown[0] if unknown else 'none'}.")
    own = [name for name in ("tie_order", "tie_seed") if name in given]
    if own:
        raise LongInterestError(f"compare sets {own[0]} itself; leave it out, and give --ties {FILE},{RANDOM}.")
    unused = [name for name in ENDS if name in given and TIME not in splits]
    if unused:
        raise LongInterestError(f"{unused[0]} needs a split by time; give --split {TIME}, or leave it out.")
    return [View(order, split) for split in dict.fromkeys(splits) for order in dict.fromkeys(ties)]


def headline(views: Sequence[View], view: View, about: Mapping[View, About]) -> bool:
    """Whether a view is the main view of its split for a data set.

    Args:
        views: views of the comparison.
        view: one of them.
        about: facts about the data set in each view.
    """
    beside = [each for each in views if each.split == view.split]
    if len(beside) == 1:
        return True
    shares = [about[each].matters for each in beside if each in about]
    return view.ties == (RANDOM if any(shares) else FILE)
