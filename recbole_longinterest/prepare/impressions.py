"""Columns that hold lists of items instead of one: impressions of MIND and others, histories."""

import re
from collections.abc import Sequence

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.prepare.item_lists import MARK

SAMPLE = 1_000  # different values that are looked at
SHARE = 0.5  # of them that must be lists
SHOWN = 60  # characters of an example
ID = r"[^\s,;|:]*\d[^\s,;|:]*"  # a part of a list of ids has a digit, a name of several words often has none
CLICKS = re.compile(r"\S+[-:_=/]([01])(?:[\s,;|]+\S+[-:_=/][01])+")  # N55689-1 N35729-0
CLICK = re.compile(r"\S*\d\S*-[01]")  # MIND's list of one
CODE = r"[A-Za-z]{0,3}\d+"  # N55189
IDS = re.compile(rf"{CODE}(?:\s+{CODE})+|{ID}(?:\s+{ID}){{2,}}|{ID}(?:,\s*{ID})+|{ID}(?:\|{ID})+|{ID}(?:;\s*{ID})+")
BRACKETS = re.compile(r"\s*[\[({].*[\])}]\s*", re.DOTALL)


def check_single_items(values: Sequence[str], column: str, source: str) -> None:
    """Refuse a column of items whose values are lists.

    Args:
        values: different values of the column, not missing.
        column: its name.
        source: the file.

    Raises:
        LongInterestError: with a sentence that says what the values are.
    """
    values = values[:SAMPLE]
    if not values:
        return
    clicks = [value for value in values if CLICKS.fullmatch(value)]
    if clicks and len(clicks) + sum(CLICK.fullmatch(value) is not None for value in values) > SHARE * len(values):
        raise LongInterestError(
            f"{source}: the column {column} holds impressions, a list of the items that were shown and whether each "
            f"was clicked, as MIND's behaviors.tsv has them: {_shown(clicks[0])!r}. Write a row for each clicked item "
            "first: its user, item and time."
        )
    lists = [value for value in values if value.startswith(MARK) or IDS.fullmatch(value) or BRACKETS.fullmatch(value)]
    if len(lists) > SHARE * len(values):
        raise LongInterestError(
            f"{source}: the column {column} holds lists of items, such as impressions or a history: "
            f"{_shown(lists[0])!r}. Write a row for each event first: its user, item and time."
        )


def _shown(value: str) -> str:
    value = value.removeprefix(MARK).replace(MARK, ", ")
    return value if len(value) <= SHOWN else f"{value[:SHOWN]}..."
