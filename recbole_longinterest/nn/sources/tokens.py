"""Tokens: behaviour types, and columns of tokens and of sequences of tokens."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.tokens import token_of
from recbole_longinterest.nn.sources.base import Column, EventSource, RawValues, SourceSpec


class Token(EventSource):
    """A token column: a level for each token. Tokens that do not occur in the training data count as missing.

    Settings: ``tokens`` by id, the padding first; ``unseen``: ids that do not occur in the training data.
    """

    column_kinds: ClassVar[tuple[str, ...]] = ("token",)

    def __init__(self, spec: SourceSpec, dim: int) -> None:
        super().__init__(spec, dim)
        unseen = set(spec.settings.get("unseen") or ())
        self.known = {token: i for i, token in enumerate(spec.settings["tokens"]) if i}
        self._level = {token: 0 if i in unseen else i for token, i in self.known.items()}

    @classmethod
    def fit(cls, column: Column) -> dict[str, Any]:
        """See :meth:`EventSource.fit`."""
        return {"tokens": [str(token) for token in column.tokens], "unseen": [int(i) for i in column.unseen]}

    @classmethod
    def count(cls, settings: Mapping[str, Any]) -> int:
        """See :meth:`EventSource.count`."""
        return len(settings["tokens"])

    def levels(self, values: Tensor) -> Tensor:
        """The token ids are the levels."""
        return values

    def read(self, raw: object) -> int:
        """Id of a token; 0 for a missing or unknown one."""
        if raw is None or raw == "" or raw != raw:  # NaN != NaN
            return 0
        return self._level.get(token_of(raw, self.known), 0)

    def read_all(self, raw: RawValues) -> NDArray[np.int64]:
        """Ids of tokens, [n]."""
        return np.fromiter((self.read(value) for value in raw), np.int64, len(raw))


class Behavior(Token):
    """Behaviour types. An unknown type is an error, because its events cannot be interpreted.

    Settings: those of :class:`Token`, and ``map``: other names of behaviours, see ``behavior_map``.
    """

    def __init__(self, spec: SourceSpec, dim: int) -> None:
        super().__init__(spec, dim)
        self._map: Mapping[str, str] = spec.settings.get("map") or {}
        self._names = self.known.keys() | self._map.keys()

    @classmethod
    def fit(cls, column: Column) -> dict[str, Any]:
        """See :meth:`EventSource.fit`."""
        return {**super().fit(column), "map": dict(column.options.get("map") or {})}

    def read(self, raw: object) -> int:
        """Id of a behaviour type; 0 if it is missing.

        Raises:
            LongInterestError: if the model does not know it.
        """
        if raw is None or raw == "" or raw != raw:
            return 0
        token = token_of(raw, self._names)
        level = self._level.get(self._map.get(token, token))
        if level is None:
            raise LongInterestError(f"{self.spec.name} must be one of {', '.join(self.known)}; got {raw!r}.")
        return level


class Tokens(Token):
    """A column of token sequences: the mean of the tokens' vectors, without the padding 0.

    Settings: those of :class:`Token`, and ``separator`` between the tokens in a string, if it is not a space.
    """

    column_kinds: ClassVar[tuple[str, ...]] = ("token_seq",)

    @classmethod
    def fit(cls, column: Column) -> dict[str, Any]:
        """See :meth:`EventSource.fit`."""
        separator = column.options.get("separator", " ")
        return {**super().fit(column), **({} if separator == " " else {"separator": separator})}

    def lookup(self, table: Tensor, levels: Tensor) -> Tensor:
        """Mean over the tokens of each sequence; the "missing" row for an empty one. [..., S] to [..., D]."""
        vectors = super().lookup(table, levels)  # [..., S, D]
        counts = (levels > 0).unsqueeze(-1)
        number = counts.sum(dim=-2)  # [..., 1]
        mean = (vectors * counts).sum(dim=-2) / number.clamp(min=1)
        return mean + table[0] * (number == 0)

    def read_sequence(self, raw: object) -> list[int]:
        """Ids of the known tokens of a sequence: a list, or a string with the data's separator between the tokens."""
        if raw is None or raw != raw:
            return []
        if isinstance(raw, str) or not isinstance(raw, Iterable):
            raw = str(raw).split(self.spec.settings.get("separator"))  # None splits at white space
        return [i for i in map(super().read, raw) if i]

    def read(self, raw: object) -> list[int]:  # type: ignore[override]
        """Ids of the tokens, at least one: [0] for an empty sequence."""
        return self.read_sequence(raw) or [0]

    def read_all(self, raw: RawValues) -> NDArray[np.int64]:
        """Ids of the tokens, padded with 0, [n, S]."""
        rows = [self.read(value) for value in raw]
        out = np.zeros((len(rows), max(map(len, rows), default=1)), dtype=np.int64)
        for row, ids in zip(out, rows, strict=True):
            row[: len(ids)] = ids
        return out
