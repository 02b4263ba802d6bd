"""The interface of a source of event features, and the registry.

A source turns a feature of an event (a rating, a device, the user's age) into a vector: raw value -> number -> level ->
row of a table. Level 0 is "missing".
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from recbole_longinterest.common.registry import Registry

TAKEN_NAMES = frozenset(dir(nn.ModuleDict())) | {"training"}  # torch keeps a source under its name

RawValues: TypeAlias = Sequence[Any] | NDArray[Any]
"""Raw values of several events."""


@dataclass(frozen=True)
class SourceSpec:
    """One source of a model, as plain data that a file can hold.

    Attributes:
        name: its name in the network and in served events.
        kind: name of a registered :class:`EventSource`.
        column: the column of the data that it reads.
        of: ``"event"`` for a column of ``.inter``, ``"user"`` for one of ``.user``.
        settings: plain data learned from the training part, see :meth:`EventSource.fit`.
    """

    name: str
    kind: str
    column: str
    of: str = "event"
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Column:
    """A source's column in the training part.

    Attributes:
        values: one for each training event, as in a batch: ids of tokens (0 if missing), [n] or [n, S] for sequences of
            tokens, or numbers (NaN if missing), [n].
        tokens: tokens by id, the padding first; empty for numbers.
        unseen: ids of tokens that no training event has.
        scaled_by: lowest and highest number by which RecBole normalised the column, None if it did not.
        options: the user's settings for this source.
    """

    values: Tensor
    tokens: Sequence[str] = ()
    unseen: Sequence[int] = ()
    scaled_by: tuple[float, float] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


class EventSource(nn.Embedding, ABC):
    """An embedding table with a row for each level, and the mapping from raw values to levels.

    Shapes: ``[...]`` is any shape, usually [B, L]; ``D`` is the size of a vector.

    Args:
        spec: name, kind and what was learned from the training part.
        dim: size ``D``.

    Attributes:
        spec: the same.
        column_kinds: RecBole's types of columns that the kind can read.
    """

    column_kinds: ClassVar[tuple[str, ...]] = ("token", "float")

    def __init__(self, spec: SourceSpec, dim: int) -> None:
        super().__init__(self.count(spec.settings), dim)
        self.spec = spec

    @classmethod
    @abstractmethod
    def fit(cls, column: Column) -> dict[str, Any]:
        """Learn the settings that :meth:`count`, :meth:`levels` and :meth:`read` need, as plain data."""

    @classmethod
    @abstractmethod
    def count(cls, settings: Mapping[str, Any]) -> int:
        """Number of levels, "missing" included."""

    @abstractmethod
    def levels(self, values: Tensor) -> Tensor:
        """Level ids, int64, of the numbers in a batch, [...]."""

    def step_levels(self, values: Tensor) -> Tensor:
        """:meth:`levels` for one event of each user, [B], in operations that ONNX supports."""
        return self.levels(values)

    def lookup(self, table: Tensor, levels: Tensor) -> Tensor:
        """Vectors of levels, linear in the table.

        Args:
            table: [levels, D].
            levels: int64 [...].

        Returns:
            [..., D].
        """
        return functional.embedding(levels, table)

    def forward(self, levels: Tensor) -> Tensor:
        """Vectors of levels, [..., D]."""
        return self.lookup(self.weight, levels)

    @abstractmethod
    def read(self, raw: object) -> Any:  # noqa: ANN401 - a number, or a list of them
        """Convert a raw value of a served event to the number in a batch; None means missing.

        Raises:
            LongInterestError: if the value cannot be read.
        """

    def read_all(self, raw: RawValues) -> NDArray[Any]:
        """:meth:`read` of many values, [n] or [n, S]."""
        return np.array([self.read(value) for value in raw])

    def example(self) -> Tensor:
        """Values of two events, which give the ONNX exporter the type and number of dimensions."""
        return torch.as_tensor(self.read_all([None, None]))


EVENT_SOURCES: Registry[type[EventSource]] = Registry(
    "The kind of a source", "register_event_source", "recbole_longinterest.event_sources"
)


def usable_name(name: str) -> bool:
    """Whether torch accepts a name for a source: no dots, and no names of torch's own attributes."""
    return bool(name) and "." not in name and name not in TAKEN_NAMES


def register_event_source(kind: str, source: type[EventSource]) -> None:
    """Make a kind of source known, for ``event_features: [{column: kind}]``.

    Args:
        kind: its name.
        source: the class.

    Raises:
        LongInterestError: if the name is taken.
    """
    EVENT_SOURCES.add(kind, source)
