"""Read columns of ``<dataset>.user`` for the users of the log. RecBole's reader would add all users of the file."""

from collections.abc import Sequence
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path

import torch
from torch import Tensor

from recbole_longinterest.common.atomic_files import item_rows, read_header
from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.settings import Settings


@dataclass(frozen=True)
class UserColumn:
    """Values of a user column.

    Attributes:
        values: values by internal user id. Ids of tokens, int64 [n_users] or [n_users, S], 0 if missing; or numbers,
            float32 [n_users], NaN if missing.
        tokens: tokens by id; the first one is the padding. Empty for numbers.
    """

    values: Tensor
    tokens: list[str]


def user_file(config: Settings) -> Path:
    """Path of the ``.user`` file, which may not exist."""
    return Path(config["data_path"]) / f"{config['dataset']}.user"


def user_column_types(config: Settings) -> dict[str, str]:
    """Type of each column of the file, by name; empty without a file."""
    file = user_file(config)
    if not file.is_file():
        return {}
    return dict(read_header(str(file), config["field_separator"], config["encoding"]))


def read_user_column(config: Settings, column: str, users: Sequence[str]) -> UserColumn:
    """Read a column of the ``.user`` file.

    Args:
        config: RecBole's config.
        column: name of a ``token``, ``float`` or ``token_seq`` column.
        users: raw tokens by internal user id; the first one is the padding.

    Raises:
        LongInterestError: if a value is not a number, a row is incomplete, or the file has none of the users.
    """
    file, types = user_file(config), user_column_types(config)
    separator, encoding = config["field_separator"], config["encoding"] or "utf-8"
    names, kind = list(types), types[column]
    place, at = names.index(config["USER_ID_FIELD"]), names.index(column)
    cells: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, row in item_rows(file, separator, encoding):
        if number == 1:
            continue
        if len(row) != len(names):
            raise LongInterestError(f"{file}, line {number}: {len(row)} columns where the header has {len(names)}.")
        cells.setdefault(row[place], row[at])
        lines.setdefault(row[place], number)
    if cells.keys().isdisjoint(map(str, users[1:])):
        raise LongInterestError(
            f"{file} has none of the {len(users) - 1} users of .inter. Use the same {config['USER_ID_FIELD']} "
            "tokens in both files."
        )
    by_user = [cells.get(str(user), "") if i else "" for i, user in enumerate(users)]
    empty = sum(not cell for cell in by_user[1:])
    if empty:
        getLogger().warning(f"{empty} of {len(users) - 1} users have no {column}; they get the level 'missing'.")
    if kind == "float":
        where = [f"{file}, line {lines.get(str(user))}: {column}" for user in users]
        return UserColumn(torch.tensor([_number(*each) for each in zip(by_user, where, strict=True)]), [])
    split = [cell.split(config["seq_separator"]) if kind == "token_seq" else [cell] for cell in by_user]
    parts = [[token for token in row if token] for row in split]
    tokens = ["[PAD]", *sorted({token for row in parts for token in row})]
    ids = {token: i for i, token in enumerate(tokens)}
    values = torch.zeros(len(users), max([1, *map(len, parts)]), dtype=torch.int64)
    for user, row in enumerate(parts):
        values[user, : len(row)] = torch.tensor([ids[token] for token in row], dtype=torch.int64)
    return UserColumn(values if kind == "token_seq" else values[:, 0], tokens)


def _number(cell: str, where: str) -> float:
    try:
        number = float(cell or "nan")
    except ValueError:
        number = float("inf")
    if number in (float("inf"), float("-inf")):
        raise LongInterestError(f"{where} must be a finite number; got {cell!r}.")
    return number
