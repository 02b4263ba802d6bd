"""PCA whitening of text vectors: fewer columns, of equal variance, without the common direction all texts share."""

from dataclasses import dataclass

import numpy as np

FLOOR = 1e-9  # share of the largest variance below which a direction counts as empty


@dataclass(frozen=True)
class Whitening:
    """An affine map that whitens the vectors it was fitted on (Su et al. 2021, "Whitening Sentence Representations").

    Attributes:
        mean: mean of the fitted vectors, float64 [dim].
        projection: principal directions over their standard deviations, float64 [dim, text_dim].
    """

    mean: np.ndarray
    projection: np.ndarray

    @classmethod
    def fit(cls, vectors: np.ndarray, text_dim: int) -> "Whitening":
        """Fit on the vectors of a catalogue; the same vectors give the same map, in any order of the rows.

        Args:
            vectors: [n, dim].
            text_dim: columns to keep, at most ``dim``. Directions without variance become zero columns.

        Returns:
            The map.

        Raises:
            ValueError: if ``text_dim`` is larger than ``dim``.
        """
        count, dim = vectors.shape
        if text_dim > dim:
            raise ValueError(f"text_dim must be at most the encoder's {dim} dimensions; got {text_dim}. Lower it.")
        exact = np.asarray(vectors, dtype=np.float64)
        mean = exact.mean(axis=0) if count else np.zeros(dim)
        centred = exact - mean
        variance, directions = np.linalg.eigh(centred.T @ centred / max(count, 1))  # ascending
        variance, directions = variance[::-1][:text_dim], directions[:, ::-1][:, :text_dim]
        largest = np.abs(directions).argmax(axis=0)
        directions = directions * np.sign(directions[largest, np.arange(text_dim)])  # eigh leaves the sign open
        alive = variance > max(FLOOR * variance[0], np.finfo(np.float64).tiny)
        scale = np.where(alive, 1 / np.sqrt(np.where(alive, variance, 1)), 0.0)
        return cls(mean, directions * scale)

    def transform(self, vectors: np.ndarray) -> np.ndarray:
        """Whiten.

        Args:
            vectors: [n, dim].

        Returns:
            [n, text_dim], float32.
        """
        return ((np.asarray(vectors, dtype=np.float64) - self.mean) @ self.projection).astype(np.float32)
