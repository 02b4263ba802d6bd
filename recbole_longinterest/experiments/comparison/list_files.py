"""Read files of top-k lists or scores (CSV, TSV, Parquet, JSON lines), and check them against a split."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from recbole.data.dataset import Dataset

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.tokens import token_of
from recbole_longinterest.serving.event_files import read_file

COLUMNS = ("user", "item", "rank", "score")
PADDING = "[PAD]"  # RecBole's token for padding, not a user or item


@dataclass(frozen=True)
class UserLists:
    """Lists of the test users, by user.

    Attributes:
        first: index of each user's first entry, int64 [U + 1].
        item: item of each entry, int64 [E].
        order: position of the entry in its user's list, 1 for the worst, equal for equal scores, int64 [E].
        complete: whether all test users have all items, so that ranks are exact.
    """

    first: NDArray[np.int64]
    item: NDArray[np.int64]
    order: NDArray[np.int64]
    complete: bool


def read_lists(file: Path, test: Dataset, most: int, columns: Mapping[str, str] | None = None) -> UserLists:
    """Read the lists for a test part.

    Args:
        file: file with a column of users, of items, and of ranks (smallest is best) or scores (largest is best). If it
            has both, the ranks are used. Users that are not tested are ignored.
        test: the test part.
        most: minimum length of every list, unless the catalogue is smaller.
        columns: names of ``user``, ``item``, ``rank``, ``score`` in the file. By default these names, or the data set's
            field names for users and items.

    Raises:
        LongInterestError: if the file cannot be read; has unknown users or items, duplicate pairs or ranks, or values
            that are not finite; or if a test user's list is missing or too short.
    """
    table = read_file(file, what="file of lists")
    names = _names(file, list(table.columns), test, columns or {})
    by_rank = "rank" in names
    user = _ids(file, table[names["user"]], test, test.uid_field, "users")
    item = _ids(file, table[names["item"]], test, test.iid_field, "items")
    value = _numbers(file, table[names["rank" if by_rank else "score"]])
    tested = np.unique(test.inter_feat[test.uid_field].numpy())
    kept = np.isin(user, tested)
    user, item, value = user[kept], item[kept], -value[kept] if by_rank else value[kept]
    order = np.lexsort([value, user])
    user, item, value = user[order], item[order], value[order]
    _check_twice(file, test, user, item)
    new_user = np.concatenate([[True], user[1:] != user[:-1]]) if len(user) else np.zeros(0, dtype=bool)
    other = new_user.copy()
    other[1:] |= value[1:] != value[:-1]
    if by_rank and not other.all():
        place = int(np.flatnonzero(~other)[0])
        raise LongInterestError(
            f"{file} has a rank twice for the same user, first for user {_token(test, test.uid_field, user[place])}, "
            f"rank {-value[place]:g}. Give every item of a user a different rank, or give scores."
        )
    number = np.bincount(user, minlength=test.user_num)
    _check_coverage(file, test, number, tested, min(most, test.item_num - 1))
    first = np.concatenate([[0], np.cumsum(number)])
    dense = np.cumsum(other)
    before = np.zeros(test.user_num, dtype=np.int64)
    before[user[new_user]] = dense[new_user] - 1
    complete = bool((number[tested] == test.item_num - 1).all())
    return UserLists(first, item, dense - before[user], complete)


def _names(file: Path, there: list[str], test: Dataset, columns: Mapping[str, str]) -> dict[str, str]:
    """Find the columns ``user``, ``item``, ``rank`` and ``score`` of the file."""
    other = [kind for kind in columns if kind not in COLUMNS]
    if other:
        raise LongInterestError(f"The columns of lists are {', '.join(COLUMNS)}; got {other[0]!r}.")
    absent = [f"{name} (for {kind})" for kind, name in columns.items() if name not in there]
    names = {kind: name for kind, name in columns.items() if name in there}
    for kind, own in zip(COLUMNS, (test.uid_field, test.iid_field, "rank", "score"), strict=True):
        found = [name for name in dict.fromkeys((kind, own)) if name in there and name not in names.values()]
        if kind not in names and found:
            names[kind] = found[0]
    absent += [f"{kind}" for kind in ("user", "item") if kind not in names and kind not in columns]
    if "rank" not in names and "score" not in names and not absent:
        absent = ["rank or score"]
    if absent:
        raise LongInterestError(
            f"{file} has no column {', '.join(absent)}; its columns are {', '.join(map(str, there)) or 'none'}. "
            "Lists need user, item, and rank or score; --lists-columns gives other names."
        )
    return names


def _ids(file: Path, column: pd.Series, test: Dataset, field: str, what: str) -> NDArray[np.int64]:
    """Convert a column of tokens to RecBole's ids."""
    if column.isna().any():
        raise LongInterestError(f"{file}: {int(column.isna().sum())} rows have no value for {what}. Remove them.")
    codes, tokens = pd.factorize(column.astype(str))
    known = test.field2token_id[field]
    found = [token_of(token, known) for token in tokens]
    unknown = [token for token in found if token not in known or token == PADDING]
    if unknown:
        raise LongInterestError(
            f"{file}: {len(unknown)} of its {len(found)} {what} are not in the data set {test.dataset_name}, first "
            f"{unknown[0]!r}. Make the lists from this split (compare --export-split), or remove them."
        )
    return np.array([known[token] for token in found], dtype=np.int64)[codes]


def _numbers(file: Path, column: pd.Series) -> NDArray[np.float64]:
    """Convert a column to finite numbers."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        raise LongInterestError(
            f"{file}: {len(wrong)} values of {column.name} are not finite numbers, first "
            f"{str(column.iloc[wrong[0]])!r} in row {wrong[0] + 1}. Write numbers, or leave such items out."
        )
    return values


def _check_twice(file: Path, test: Dataset, user: NDArray[np.int64], item: NDArray[np.int64]) -> None:
    pairs, times = np.unique(user * test.item_num + item, return_counts=True)
    twice = pairs[times > 1]
    if len(twice):
        raise LongInterestError(
            f"{file}: {len(twice)} pairs of user and item occur twice, first user "
            f"{_token(test, test.uid_field, twice[0] // test.item_num)}, item "
            f"{_token(test, test.iid_field, twice[0] % test.item_num)}. List each item once per user."
        )


def _check_coverage(file: Path, test: Dataset, number: NDArray[np.int64], tested: NDArray[np.int64], most: int) -> None:
    absent = tested[number[tested] == 0]
    if len(absent):
        raise LongInterestError(
            f"{file} has lists for {len(tested) - len(absent)} of the {len(tested)} test users; the first without one "
            f"is {_token(test, test.uid_field, absent[0])}. Every test user needs a list."
        )
    short = tested[number[tested] < most]
    if len(short):
        raise LongInterestError(
            f"{file}: the lists of {len(short)} of {len(tested)} test users have fewer than {most} items, first "
            f"{_token(test, test.uid_field, short[0])} with {number[short[0]]}. Make longer lists, or give a smaller "
            "topk."
        )


def _token(test: Dataset, field: str, number: int) -> str:
    return repr(str(test.id2token(field, int(number))))
