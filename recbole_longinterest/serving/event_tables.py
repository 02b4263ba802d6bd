"""Convert a table of events to histories by user."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.events import OWN, EventReader, History, warn_of_unread

if TYPE_CHECKING:
    import pandas as pd  # a caller with a table has imported it already


KINDS = ("user", "item", "rating", "behavior", "time")


def histories_of(
    events: "pd.DataFrame", fields: Mapping[str, str], reader: EventReader, columns: Mapping[str, str] | None = None
) -> dict[Any, History]:
    """Return histories by user, ordered by their first event; without a user column there is one user, ``""``.

    Args:
        events: the table; columns that are not among the fields are ignored.
        fields: names of the columns ``user``, ``item``, ``rating``, ``behavior``, ``time``.
        reader: event reader of the model.
        columns: other names of these columns, by kind; see :func:`own_names`.

    Raises:
        LongInterestError: for an object that is not a table, a missing item column, a repeated column, or rows without
            a user or an item; and as :meth:`EventReader.read`.
    """
    if not hasattr(events, "columns"):
        raise LongInterestError(
            f"A table of events must be a pandas DataFrame; got {type(events).__name__}. "
            "For lists and dicts of events use recommend."
        )
    fields = own_names(fields, columns, list(events.columns), "The table of events")
    names = list(events.columns)
    if fields["item"] not in names:
        raise LongInterestError(
            f"The table of events must have a column {fields['item']}; its columns are "
            f"{', '.join(map(str, names)) or 'none'}."
        )
    twice = [name for name in fields.values() if names.count(name) > 1]
    if twice:
        raise LongInterestError(
            f"The table of events has {', '.join(twice)} more than once. Keep one column of each name."
        )
    missing = [fields[kind] for kind in ("user", "item") if fields[kind] in names and events[fields[kind]].isna().any()]
    if missing:
        raise LongInterestError(f"The table of events has rows without {' or '.join(missing)}. Fill or remove them.")
    read = {**{name: fields[name] for name in OWN}, **reader.columns()}
    items = _values(events[fields["item"]])
    values = {name: _values(events[column]) for name, column in read.items() if column in names}
    warn_of_unread(names, {**fields, **reader.columns()}, "The table of events")
    groups = {"": slice(None)}
    if fields["user"] in names:
        groups = events.groupby(fields["user"], sort=False, observed=True).indices
    if "time" in values:  # at once, so that messages count the events of all users
        values["time"] = reader.times.many(values["time"], f"The column {fields['time']}")
    return {
        user: reader.read_columns(items[rows], {name: column[rows] for name, column in values.items()})
        for user, rows in groups.items()
    }


def own_names(
    fields: Mapping[str, str], columns: Mapping[str, str] | None, names: Sequence[Any], where: str
) -> dict[str, str]:
    """Resolve the column names of a table, for which the user may give names.

    Args:
        fields: the training's names of the columns ``user``, ``item``, ``rating``, ``behavior``, ``time``.
        columns: the table's names of some of them.
        names: names of the table's columns.
        where: the table, for messages.

    Raises:
        LongInterestError: for an unknown kind, a missing column, or one column for two kinds.
    """
    columns = {kind: name for kind, name in (columns or {}).items() if name is not None}
    other = [kind for kind in columns if kind not in KINDS]
    if other:
        raise LongInterestError(f"The keys of columns must be among {', '.join(KINDS)}; got {other[0]!r}.")
    absent = [f"{name} (for {kind})" for kind, name in columns.items() if name not in names]
    if absent:
        raise LongInterestError(
            f"{where} has no column {', '.join(absent)}; its columns are {', '.join(map(str, names)) or 'none'}."
        )
    if len(set(columns.values())) < len(columns):
        raise LongInterestError(f"{where}: one column cannot be two of {', '.join(columns)}; got {columns}.")
    # If a training's column name is given for another kind, it is not used for its own kind.
    rest = {kind: name if name not in columns.values() else "" for kind, name in fields.items() if kind not in columns}
    return {kind: columns.get(kind, rest.get(kind, "")) for kind in fields}


def _values(column: "pd.Series") -> NDArray[Any]:
    """Convert a column to numbers, dates, or objects with None for missing values (pandas' NA has no truth value)."""
    if getattr(column.dtype, "tz", None) is not None:
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiuM":
        return column.to_numpy()
    return column.astype(object).where(column.notna(), None).to_numpy()
