"""A faiss index: inverted lists (IVF) or a graph (HNSW), inner product, vectors in eight bits.

IVF: Sivic and Zisserman 2003, Jegou et al. 2011. HNSW: Malkov and Yashunin 2016.
"""

import math
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.packages import require

NEEDED_BY = "An index of items"
POINTS, FEWEST_POINTS, ROUNDS = 64, 8, 10  # training points per list (maximum, minimum), and rounds of k-means
LISTS = 4.0  # number of lists, as a multiple of the square root of the number of items
NEIGHBOURS, CONSTRUCTION = 16, 100  # HNSW's M and efConstruction


class FaissIndex:
    """An index of the items 1 to N-1 of a catalogue.

    Args:
        kind: ``"ivf"`` or ``"hnsw"``.
        index: the faiss index.
        effort: number of best items -> search effort: lists to read (nprobe), or length of HNSW's queue (efSearch).

    Attributes:
        effort: search effort, in ascending order.
        n_items: number of indexed items.
    """

    def __init__(self, kind: str, index: Any, effort: Mapping[int, int] | None = None) -> None:  # noqa: ANN401
        self.kind = kind
        self._index = index
        self.effort = dict(sorted((effort or {}).items()))
        self.n_items = int(index.ntotal)
        self.dim = int(index.d)

    @classmethod
    def build(cls, kind: str, vectors: NDArray[np.float32]) -> "FaissIndex":
        """Build an index.

        Args:
            kind: ``"ivf"`` or ``"hnsw"``.
            vectors: vectors of all items, [N, D]; row 0 is the padding.

        Raises:
            MissingPackage: without faiss.
        """
        faiss = _faiss()
        rows = np.ascontiguousarray(vectors[1:], dtype=np.float32)
        metric = faiss.METRIC_INNER_PRODUCT
        if kind == "ivf":
            lists = max(1, min(round(LISTS * len(rows) ** 0.5), len(rows) // FEWEST_POINTS))
            index = faiss.index_factory(rows.shape[1], f"IVF{lists},SQ8", metric)
            index.cp.max_points_per_centroid, index.cp.min_points_per_centroid, index.cp.niter = POINTS, 1, ROUNDS
        else:
            index = faiss.index_factory(rows.shape[1], f"HNSW{NEIGHBOURS},SQ8", metric)
            index.hnsw.efConstruction = CONSTRUCTION
        index.train(rows)
        index.add(rows)
        return cls(kind, index)

    @classmethod
    def from_bytes(cls, kind: str, content: bytes, effort: Mapping[int, int]) -> "FaissIndex":
        """Read an index from :meth:`to_bytes`.

        Args:
            kind: ``"ivf"`` or ``"hnsw"``.
            content: the bytes.
            effort: search effort by number of best items to find.

        Raises:
            MissingPackage: without faiss.
            LongInterestError: for invalid bytes, or an index of another kind.
        """
        faiss = _faiss()
        try:
            index = faiss.deserialize_index(np.frombuffer(content, dtype=np.uint8))
        except Exception as error:  # faiss raises RuntimeErrors of its own
            raise LongInterestError(f"it is not a faiss index: {' '.join(str(error).split())[:200]}") from error
        wanted = faiss.IndexIVF if kind == "ivf" else faiss.IndexHNSW
        if not isinstance(index, wanted):
            raise LongInterestError(f"it is a {type(index).__name__}, which is not of the kind {kind}")
        return cls(kind, index, effort)

    def to_bytes(self) -> bytes:
        """Serialise the index, without the effort."""
        return _faiss().serialize_index(self._index).tobytes()

    @property
    def most_effort(self) -> int:
        """Maximum effort: all lists of an inverted index; for a graph, a limit above which more does not pay."""
        return int(self._index.nlist) if self.kind == "ivf" else max(16, min(4096, self.n_items))

    def effort_for(self, depth: int) -> int:
        """Return the effort for a number of best items, by log-log interpolation.

        Args:
            depth: number of best items to find.
        """
        depths, efforts = list(self.effort), list(self.effort.values())
        if not depths:
            return self.most_effort
        if depth > depths[-1]:
            return min(self.most_effort, efforts[-1] * depth // depths[-1])
        return math.ceil(math.exp(float(np.interp(math.log(depth), np.log(depths), np.log(efforts)))) - 1e-6)

    def find(self, query: NDArray[np.float32], number: int, effort: int) -> NDArray[np.int64]:
        """Find candidates for one query.

        Args:
            query: query vector, [D].
            number: number of candidates.
            effort: search effort, see :meth:`effort_for`.

        Returns:
            Internal ids, approximately best first; fewer than ``number`` if the searched part has no more.
        """
        faiss = _faiss()
        params: Any
        if self.kind == "ivf":
            params = faiss.SearchParametersIVF(nprobe=effort)
        else:
            params = faiss.SearchParametersHNSW(efSearch=max(effort, number))
        _, places = self._index.search(query[None], min(number, self.n_items), params=params)
        found = places[0]
        return found[found >= 0] + 1


def _faiss() -> Any:  # noqa: ANN401 - a module whose stubs lack half of it
    """Import faiss late, because it is optional and takes 0.3 s.

    Raises:
        MissingPackage: if it is not installed.
    """
    require("faiss", NEEDED_BY)
    return import_module("faiss")
