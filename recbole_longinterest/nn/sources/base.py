"""The interface of a source of event features, and the registry.

A source turns a feature of an event (a rating, a device, the user's age) into a vector: raw value -> number -> level ->
row of an embedding table. Level 0 means "missing".
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

TAKEN_NAMES = frozenset(dir(nn.ModuleDict())) | {"training"}  # a source's name becomes an attribute of the module

RawValues: TypeAlias = Sequence[Any] | NDArray[Any]
"""Raw values of several events."""


@dataclass(frozen=True)
class SourceSpec:
    """Description of one source, as plain data that can be saved in a file.

    Attributes:
        name: name of the source in the network and in served events.
        kind: name of a registered :class:`EventSource`.
        column: the data column that it reads.
        of: ``"event"`` for a column of ``.inter``, ``"user"`` for a column of ``.user``.
        settings: plain data learned from the training data, see :meth:`EventSource.fit`.
    """

    name: str
    kind: str
    column: str
    of: str = "event"
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Column:
    """A source's column in the training data.

    Attributes:
        values: a value for each training event, as in a batch: token ids (0 if missing), [n], or [n, S] for sequences
            of tokens; or numbers (NaN if missing), [n].
        tokens: tokens by id, the padding first; empty for numbers.
        unseen: ids of tokens that do not occur in training events.
        scaled_by: minimum and maximum by which RecBole normalised the column; None if it did not.
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
        spec: description of the source, with the settings learned from the training data.
        dim: size ``D``.

    Attributes:
        spec: description of the source.
        column_kinds: RecBole's column types that this kind of source can read.
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
        """Level ids of the numbers in a batch, int64 [...]."""

    def step_levels(self, values: Tensor) -> Tensor:
        """:meth:`levels` for one event per user, [B], with operations that ONNX supports."""
        return self.levels(values)

    def lookup(self, table: Tensor, levels: Tensor) -> Tensor:
        """Vectors of levels; must be linear in the table.

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
        """Convert a raw value of a served event to its number in a batch; None means missing.

        Raises:
            LongInterestError: if the value cannot be read.
        """

    def read_all(self, raw: RawValues) -> NDArray[Any]:
        """:meth:`read` of many values, [n] or [n, S]."""
        return np.array([self.read(value) for value in raw])

    def example(self) -> Tensor:
        """Values of two events, from which the ONNX exporter takes the type and number of dimensions."""
        return torch.as_tensor(self.read_all([None, None]))


EVENT_SOURCES: Registry[type[EventSource]] = Registry(
    "The kind of a source", "register_event_source", "recbole_longinterest.event_sources"
)


def usable_name(name: str) -> bool:
    """Whether torch accepts a name for a source: it must not contain dots or be an attribute of torch's modules."""
    return bool(name) and "." not in name and name not in TAKEN_NAMES


def register_event_source(kind: str, source: type[EventSource]) -> None:
    """Register a kind of source, for ``event_features: [{column: kind}]``.

    Args:
        kind: name of the kind.
        source: the class.

    Raises:
        LongInterestError: if the name is taken.
    """
    EVENT_SOURCES.add(kind, source)
