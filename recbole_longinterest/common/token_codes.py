"""Join the parts of a column of tokens: one integer per row, and each distinct token once."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

WAITING = 4_000_000  # number of tokens in parts that are not joined yet


class TokenCodes:
    """Codes of tokens that arrive in parts, each with its own dictionary.

    The dictionaries of many parts repeat most tokens: 200 parts of a log with a million users would hold 100 million
    strings. So the parts are joined whenever their dictionaries have more than :data:`WAITING` tokens, and more than
    are known so far. Codes number the tokens in the order in which the dictionaries first contain them.
    """

    def __init__(self) -> None:
        self._tokens: Any = pa.array([], pa.large_string())
        self._done: list[NDArray[np.int32]] = []
        self._waiting: list[tuple[NDArray[np.int32], Any]] = []

    def add(self, part: Any) -> None:  # noqa: ANN401 - a pyarrow array
        """Add rows.

        Args:
            part: a pyarrow DictionaryArray of strings, [n]; null for rows without a token.
        """
        codes = part.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
        self._waiting.append((codes, part.dictionary.cast(pa.large_string())))
        if sum(len(tokens) for _, tokens in self._waiting) > max(WAITING, len(self._tokens)):
            self._join()

    def _join(self) -> None:
        parts = [self._tokens, *(tokens for _, tokens in self._waiting)]
        encoded = pa.chunked_array(parts, pa.large_string()).combine_chunks().dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):  # pyarrow before 20
            encoded = encoded.chunk(0)
        code_of = encoded.indices.to_numpy(zero_copy_only=False)
        self._tokens, at = encoded.dictionary, len(self._tokens)
        for codes, tokens in self._waiting:
            table = np.append(code_of[at : at + len(tokens)], -1).astype(np.int32)
            self._done.append(table[codes])
            at += len(tokens)
        self._waiting = []

    def joined(self) -> tuple[NDArray[np.int32], Any]:
        """Return all rows. Call this only once, because it empties the object.

        Returns:
            Code of each row, -1 without a token, int32 [n]; and the tokens by code, a large_string array.
        """
        self._join()
        whole = np.empty(sum(map(len, self._done)), dtype=np.int32)
        at = 0
        while self._done:
            part = self._done.pop(0)
            whole[at : at + len(part)] = part
            at += len(part)
        return whole, self._tokens
