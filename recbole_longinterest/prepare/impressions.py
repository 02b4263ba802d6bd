"""Detect item columns that hold lists instead of single items, such as impressions (MIND) or histories."""

import re
from collections.abc import Sequence

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.prepare.item_lists import MARK

SAMPLE = 1_000  # distinct values to check
SHARE = 0.5  # minimum share of lists among them
SHOWN = 60  # characters of an example in the message
ID = r"[^\s,;|:]*\d[^\s,;|:]*"  # ids in a list contain a digit; names of several words often do not
CLICKS = re.compile(r"\S+[-:_=/]([01])(?:[\s,;|]+\S+[-:_=/][01])+")  # N55689-1 N35729-0
CLICK = re.compile(r"\S*\d\S*-[01]")  # MIND's list with one item
CODE = r"[A-Za-z]{0,3}\d+"  # N55189
IDS = re.compile(rf"{CODE}(?:\s+{CODE})+|{ID}(?:\s+{ID}){{2,}}|{ID}(?:,\s*{ID})+|{ID}(?:\|{ID})+|{ID}(?:;\s*{ID})+")
BRACKETS = re.compile(r"\s*[\[({].*[\])}]\s*", re.DOTALL)


def check_single_items(values: Sequence[str], column: str, source: str) -> None:
    """Raise an error for an item column whose values are lists.

    Args:
        values: distinct non-missing values of the column.
        column: name of the column.
        source: the file.

    Raises:
        LongInterestError: if the values are lists; the message describes them.
    """
    values = values[:SAMPLE]
    if not values:
        return
    clicks = [value for value in values if CLICKS.fullmatch(value)]
    if clicks and len(clicks) + sum(CLICK.fullmatch(value) is not None for value in values) > SHARE * len(values):
        raise LongInterestError(
            f"{source}: the column {column} holds impressions, a list of the items that were shown and whether each "
            f"was clicked, as in MIND's behaviors.tsv: {_shown(clicks[0])!r}. Convert it first to one row per clicked "
            "item: its user, item and time."
        )
    lists = [value for value in values if value.startswith(MARK) or IDS.fullmatch(value) or BRACKETS.fullmatch(value)]
    if len(lists) > SHARE * len(values):
        raise LongInterestError(
            f"{source}: the column {column} holds lists of items, such as impressions or a history: "
            f"{_shown(lists[0])!r}. Convert it first to one row per event: its user, item and time."
        )


def _shown(value: str) -> str:
    value = value.removeprefix(MARK).replace(MARK, ", ")
    return value if len(value) <= SHOWN else f"{value[:SHOWN]}..."
