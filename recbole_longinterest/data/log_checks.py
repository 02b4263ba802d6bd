"""What a sequential data set needs of its columns and parts, or one sentence that says what is missing."""

from collections.abc import Mapping, Sequence
from typing import Any

from recbole.utils import FeatureType

from recbole_longinterest.common.errors import LongInterestError


def check_ids(events: Any, kinds: Mapping[str, FeatureType], user: str, item: str, file: str) -> None:  # noqa: ANN401
    """Users and items are there, as tokens, and there is an event.

    Args:
        events: a pandas table.
        kinds: type of each column.
        user: column of the users.
        item: column of the items.
        file: that they were read from, for the message.

    Raises:
        ValueError: for a column that is absent or of another type, and for no event.
    """
    for field, key in ((user, "USER_ID_FIELD"), (item, "ITEM_ID_FIELD")):
        if field not in events:
            raise LongInterestError(
                f"{file} has no column {field}, or load_col leaves it out; read were {', '.join(events.columns)}. "
                f"Name the right one as {key} and list it in load_col."
            )
        if kinds[field] != FeatureType.TOKEN:
            raise LongInterestError(f"{field} of {file} holds {kinds[field].value}s. Write it as {field}:token.")
    if len(events) == 0:
        raise LongInterestError(f"{file} holds no interaction, only a header.")


def check_times(events: Any, kinds: Mapping[str, FeatureType], time: str, name: str) -> None:  # noqa: ANN401
    """Times are there, as numbers.

    Raises:
        ValueError: if not.
    """
    if time not in events:
        raise LongInterestError(
            f"{name}.inter has no column {time}, which orders the histories. Name the right one as TIME_FIELD and list "
            "it in load_col."
        )
    if kinds[time] != FeatureType.FLOAT:
        raise LongInterestError(
            f"{time} of {name} holds {kinds[time].value}s, and only numbers order the histories. Write it as "
            f"{time}:float."
        )


def check_histories(events: Any, field: str) -> None:  # noqa: ANN401
    """Benchmark files hold histories of items.

    Raises:
        ValueError: if not.
    """
    if field not in events:
        raise LongInterestError(
            f"Benchmark files of a sequential model hold histories, and {field} is not among the columns that were "
            f"read: {', '.join(events.columns)}. List it in load_col, or leave benchmark_filename out."
        )


def check_parts(parts: Sequence[Any], name: str) -> None:
    """There is a part to train, to validate and to test on, each of which may be empty.

    Raises:
        ValueError: if there are others.
    """
    if len(parts) != 3:
        raise LongInterestError(
            f"{name} needs three parts, to train, validate and test on; eval_args or benchmark_filename give "
            f"{len(parts)}. A share may be 0."
        )
