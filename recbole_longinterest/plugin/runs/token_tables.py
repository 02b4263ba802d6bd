"""Check that a checkpoint and a data set have the same vocabulary.

RecBole numbers tokens in the order of their file. The same log, filtered or sorted another way, may have the same
number of items, but every row of an embedding table would belong to another item.
"""

import os
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from recbole.data.dataset import Dataset

from recbole_longinterest.plugin.runs.checkpoints import CheckpointError

STATE = "tokens"
IN_USER_FILE = " (.user)"


def vocabulary(dataset: Dataset) -> dict[str, str]:
    """Number and SHA-256 of the tokens of every field, in the order of their ids: ``{"item_id": "1683 9f3c..."}``.

    LongInterest's user features count as fields, too; their names end with ``IN_USER_FILE``.
    """
    of_users = {name + IN_USER_FILE: tokens for name, tokens in getattr(dataset, "user_tokens", {}).items()}
    fields = {**dataset.field2id_token, **of_users}
    return {field: f"{len(tokens)} {_hash(tokens)}" for field, tokens in sorted(fields.items())}


def _hash(tokens: Iterable[object]) -> str:
    return sha256("\n".join(map(str, tokens)).encode()).hexdigest()


def check_vocabulary(
    state: Mapping[str, Any],
    dataset: Dataset,
    path: str | os.PathLike[str],
    fields: Iterable[str] | None = None,
) -> None:
    """Check that a data set has the vocabulary of a checkpoint.

    Args:
        state: state of a checkpoint or its run. Without token hashes it is from an earlier version, and only the number
            of items is compared.
        dataset: RecBole's data set.
        path: path of the checkpoint.
        fields: fields to compare, besides user features; None for all fields that both have.

    Raises:
        CheckpointError: if a field differs; the message names it.
    """
    kept, own = state.get(STATE) or {}, vocabulary(dataset)
    rows = state.get("state_dict", {}).get("trained") if not kept else None
    if rows is not None and len(rows) != dataset.item_num:  # LongInterest's table in an earlier version
        kept = {dataset.iid_field: f"{len(rows)} -"}
    for field in own if fields is None else (*fields, *(name for name in own if name.endswith(IN_USER_FILE))):
        if field in kept and field in own and kept[field] != own[field]:
            before, now = (int(value.split()[0]) - 1 for value in (kept[field], own[field]))
            differs = f"{before} and now {now}" if before != now else f"{now} as before, but others or reordered"
            raise CheckpointError(
                f"The data in {dataset.dataset_path} are not those that {path} was trained on: values of {field} are "
                f"{differs}. Give the right data with --data_path."
            )
