"""Read the histories of several users, given as a dict or as a list."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.events import EventLike, History

Read = Callable[[Sequence[EventLike], Mapping[str, Any] | None], History]


def read_histories(
    read: Read,
    histories: Mapping[Any, Sequence[EventLike]] | Sequence[Sequence[EventLike]],
    users: Mapping[Any, Mapping[str, Any]] | Sequence[Mapping[str, Any] | None] | None,
) -> list[History]:
    """Read each history with the features of its user.

    Args:
        read: reads one history.
        histories: a dict from user to events, or a list of histories.
        users: values of ``user_features`` of each user, a dict or a list like ``histories``; None for no values.

    Raises:
        LongInterestError: for ``users`` that do not match ``histories``, and for invalid events.
    """
    if users is not None and not _alike(histories, users):
        raise LongInterestError(
            "users must match histories: a dict with users of histories if that is a dict, else a list of the same "
            f"length; got {users!r:.100}."
        )
    if isinstance(histories, Mapping):
        of_users = users if isinstance(users, Mapping) else {}
        return [read(part, of_users.get(user)) for user, part in histories.items()]
    rows = [None] * len(histories) if users is None else list(cast("Sequence[Mapping[str, Any]]", users))
    return [read(part, user) for part, user in zip(histories, rows, strict=True)]


def _alike(histories: object, users: object) -> bool:
    """Whether the features of users match the histories."""
    if isinstance(histories, Mapping) or isinstance(users, Mapping):
        return isinstance(histories, Mapping) and isinstance(users, Mapping) and users.keys() <= histories.keys()
    return isinstance(histories, Sequence) and isinstance(users, Sequence) and len(histories) == len(users)
