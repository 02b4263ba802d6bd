"""A table of events, with a column for users, to their histories."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.serving.events import OWN, EventReader, History, warn_of_unread

if TYPE_CHECKING:
    import pandas as pd  # the caller has it already if it has a table


def histories_of(events: "pd.DataFrame", fields: Mapping[str, str], reader: EventReader) -> dict[Any, History]:
    """Histories by user, users in the order of their first event; without a column of users, all are user ``""``.

    Args:
        events: columns that are not among the fields are not read.
        fields: names of the columns ``user``, ``item``, ``rating``, ``behavior``, ``time``.
        reader: of the model.

    Raises:
        LongInterestError: for anything but a table, a table without an item column or with a column twice, and rows
            without a user or an item; and as :meth:`EventReader.read`.
    """
    if not hasattr(events, "columns"):
        raise LongInterestError(
            f"A table of events must be a pandas DataFrame; got {type(events).__name__}. "
            "For lists and dicts of events there is recommend."
        )
    names = list(events.columns)
    if fields["item"] not in names:
        raise LongInterestError(
            f"The table of events must have a column {fields['item']}; its columns are "
            f"{', '.join(map(str, names)) or 'none'}."
        )
    twice = [name for name in fields.values() if names.count(name) > 1]
    if twice:
        raise LongInterestError(
            f"The table of events must have a column once; it has {', '.join(twice)} more than once."
        )
    missing = [fields[kind] for kind in ("user", "item") if fields[kind] in names and events[fields[kind]].isna().any()]
    if missing:
        raise LongInterestError(f"The table of events has rows without {' or '.join(missing)}. Fill or remove them.")
    read = {**{name: fields[name] for name in OWN}, **reader.columns()}
    items = _values(events[fields["item"]])
    columns = {name: _values(events[column]) for name, column in read.items() if column in names}
    warn_of_unread(names, {**fields, **reader.columns()}, "The table of events")
    groups = {"": slice(None)}
    if fields["user"] in names:
        groups = events.groupby(fields["user"], sort=False, observed=True).indices
    return {
        user: reader.read_columns(items[rows], {name: column[rows] for name, column in columns.items()})
        for user, rows in groups.items()
    }


def _values(column: "pd.Series") -> NDArray[Any]:
    """A column as numbers, or as objects with None for missing ones, because pandas' NA has no truth value."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiu":
        return column.to_numpy()
    return column.astype(object).where(column.notna(), None).to_numpy()
