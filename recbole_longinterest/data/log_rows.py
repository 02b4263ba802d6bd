"""Rows stored as positions in the flat log. Columns are read from the log on access."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

import numpy as np
import torch
from recbole.data.interaction import Interaction
from torch import Tensor

PIECE = 2**22  # rows looked up at once


class LogRows(Interaction):
    """RecBole's Interaction over the flat log. It takes at most 4 bytes per row, not a copy of every column.

    Args:
        log: column -> its values over the log, [n_events, ...].
        position: position of each row's own event in the log, [n_rows].
        history_start: first position of each user's history, by user id, [n_users].
        user_field: column of the users.
        length_field: column that holds the number of events before the row.

    Attributes:
        limit: maximum value of the length column, as in RecBole's rows; None for no limit.
        histories: function of a history field and rows that returns the padded values. A few models read history fields
            from the rows.
    """

    limit: int | None = None
    histories: Callable[[str, "LogRows"], Tensor] | None = None

    def __init__(
        self, log: Mapping[str, Tensor], position: Tensor, history_start: Tensor, user_field: str, length_field: str
    ) -> None:
        self.position = compact(position)
        self._place = (history_start, user_field, length_field)
        self.interaction = _Columns(dict(log), self)
        self.length = len(position)

    def to_cache(self) -> tuple[Any, ...]:
        """Plain data for a data set cache."""
        return self.interaction.log, self.position, *self._place, self.interaction.own

    @classmethod
    def from_cache(cls, plain: tuple[Any, ...]) -> "LogRows":
        """Restore rows from the data of :meth:`to_cache`."""
        *parts, own = plain
        rows = cls(*parts)
        rows.interaction.own.update(own)
        return rows

    def history_start(self) -> Tensor:
        """First position of each row's history in the log, int64 [n_rows]."""
        start, user_field, _ = self._place
        return start[self.interaction[user_field]]

    def pieces(self) -> Iterator["LogRows"]:
        """Yield the rows in pieces, whose columns take limited memory."""
        for start in range(0, self.length, PIECE):
            yield self[start : start + PIECE]

    def starts(self, n_events: int) -> Tensor:
        """Return the first position of each history that the rows belong to, ascending, int64.

        Args:
            n_events: number of events in the log.
        """
        found = torch.zeros(n_events, dtype=torch.bool)
        for piece in self.pieces():
            found[piece.history_start()] = True
        return found.nonzero().flatten()

    def whole_length(self) -> Tensor:
        """Number of all events before each row, int64 [n_rows]."""
        return self.position.long() - self.history_start()

    def after(self, position: Tensor) -> "LogRows":
        """Prepend rows at these positions of the log, int64 [n]. Columns that were set on the rows are dropped."""
        rows = LogRows(self.interaction.log, torch.cat([position, self.position.long()]), *self._place)
        rows.limit, rows.histories = self.limit, self.histories
        return rows

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401 - RecBole's signature
        """Return a column by name, or rows by an index, a slice, a list or a mask."""
        if isinstance(index, str):
            return self.interaction[index]
        rows = LogRows(self.interaction.log, self.position[_as_index(index)], *self._place)
        rows.limit, rows.histories = self.limit, self.histories
        for field, values in self.interaction.own.items():
            rows.interaction[field] = values[_as_index(index)]
        return rows

    def _reindex(self, index: Any) -> None:  # noqa: ANN401
        index = _as_index(index)
        self.position = self.position[index]
        for field, values in self.interaction.own.items():
            self.interaction.own[field] = values[index]
        self.length = len(self.position)


class _Columns(MutableMapping[str, Tensor]):
    """Replaces the dict inside RecBole's Interaction."""

    def __init__(self, log: dict[str, Tensor], rows: LogRows) -> None:
        self.log = log
        self.rows = rows
        self.own: dict[str, Tensor] = {}  # columns set later, [n_rows, ...]

    def __getitem__(self, field: str) -> Tensor:
        if field in self.own:
            return self.own[field]
        if field == self.rows._place[2]:
            length = self.rows.whole_length()
            return length if self.rows.limit is None else length.clamp(max=self.rows.limit)
        if field not in self.log and self.rows.histories is not None:
            return self.rows.histories(field, self.rows)
        return restore(self.log[field][self.rows.position.long()])

    def __contains__(self, field: object) -> bool:
        return field in self.own or field in self.log or field == self.rows._place[2]

    def __setitem__(self, field: str, values: Tensor) -> None:
        self.own[field] = values

    def __delitem__(self, field: str) -> None:
        for columns in (self.own, self.log):
            columns.pop(field, None)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self.log, self.rows._place[2], *self.own)))

    def __len__(self) -> int:
        return len(list(iter(self)))


def _as_index(index: Any) -> Any:  # noqa: ANN401
    if isinstance(index, range):
        return slice(index.start, index.stop, index.step)
    if isinstance(index, (list, tuple, np.ndarray)):
        return torch.as_tensor(np.asarray(index, dtype=None if len(index) else np.int64))
    return index


def compact(values: Tensor) -> Tensor:
    """Convert ids to the smallest of int16, int32 and int64 that holds them; other values do not change."""
    if values.dtype not in (torch.int64, torch.int32) or values.numel() == 0:
        return values
    low, high = int(values.min()), int(values.max())
    for dtype in (torch.int16, torch.int32):
        limits = torch.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return values.to(dtype)
    return values


def restore(values: Tensor) -> Tensor:
    """Convert ids from :func:`compact` back to RecBole's int64."""
    return values.long() if values.dtype in (torch.int16, torch.int32) else values
