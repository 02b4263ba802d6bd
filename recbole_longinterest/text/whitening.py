"""PCA whitening: reduce an encoder's vectors to a few uncorrelated columns with unit variance."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recbole_longinterest.common.errors import LongInterestError

CHUNK = 65_536  # rows converted to float64 at a time
# Components with less variance are rounding noise, which whitening would scale up to unit variance. The first limit is
# relative to the largest variance. The second is relative to the vectors' squared length: if all texts are equal, every
# component is noise.
VARIANCE_FLOOR = 1e-9
NOISE_FLOOR = 1e-12


@dataclass(frozen=True)
class Whitening:
    """``transform(x) = (x - mean) projection``: principal components scaled to unit variance over the fitted rows.

    Encoders map all texts into a narrow cone, where a few directions have most of the variance. Whitening gives all
    directions equal weight (Su et al. 2021, "Whitening Sentence Representations").

    Attributes:
        mean: mean of the fitted vectors, float64 [dim].
        projection: float64 [dim, text_dim]. Columns are sorted by variance, largest first; columns without variance are
            zero.
    """

    mean: NDArray[np.floating]
    projection: NDArray[np.floating]

    @classmethod
    def fit(cls, vectors: NDArray[np.floating], text_dim: int) -> "Whitening":
        """Fit a whitening to the vectors of all items. Except for rounding, the order of the rows does not matter.

        Args:
            vectors: vectors of the items, [n, dim]. With fewer than two rows, the projection is zero.
            text_dim: number of columns to keep.

        Returns:
            The whitening.

        Raises:
            ValueError: if ``text_dim`` is not in 1..dim, or a vector is not finite.
        """
        count, dim = vectors.shape
        if text_dim < 1:
            raise LongInterestError(
                f"text_dim must be at least 1; got {text_dim}. Set it in a config file or on the command line."
            )
        if count == 0:
            return cls(np.zeros(dim), np.zeros((dim, text_dim)))
        if text_dim > dim:
            raise LongInterestError(
                f"text_dim must not exceed the {dim} dimensions of the text vectors; got {text_dim}. "
                f"Set text_dim to at most {dim}, or choose a larger text_encoder."
            )
        if not np.isfinite(vectors).all():
            raise LongInterestError("The text vectors hold NaN or infinity; choose another text_encoder.")
        mean = vectors.mean(axis=0, dtype=np.float64)
        covariance = np.zeros((dim, dim))
        for chunk in _chunks(vectors):
            centred = chunk - mean
            covariance += centred.T @ centred / count
        variances, components = np.linalg.eigh(covariance)  # ascending
        variances, components = variances[::-1][:text_dim], components[:, ::-1][:, :text_dim]
        size = float(mean @ mean + np.trace(covariance))  # mean squared length of a vector
        alive = variances > max(VARIANCE_FLOOR * float(variances[0]), NOISE_FLOOR * size)
        scale = np.where(alive, 1 / np.sqrt(np.where(alive, variances, 1.0)), 0.0)
        return cls(mean, components * _signs(components) * scale)

    def transform(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """Whiten vectors.

        Args:
            vectors: vectors to whiten, not only fitted ones, [n, dim].

        Returns:
            float32 [n, text_dim].
        """
        out = np.empty((len(vectors), self.projection.shape[1]), dtype=np.float32)
        for number, chunk in enumerate(_chunks(vectors)):
            out[number * CHUNK : (number + 1) * CHUNK] = (chunk - self.mean) @ self.projection
        return out


def _chunks(vectors: NDArray[np.floating]) -> Iterator[NDArray[np.float64]]:
    """Yield rows in float64, ``CHUNK`` at a time."""
    for start in range(0, len(vectors), CHUNK):
        yield vectors[start : start + CHUNK].astype(np.float64)


def _signs(components: NDArray[np.floating]) -> NDArray[np.floating]:
    """Signs [text_dim] that make the largest entry of every component positive.

    Among entries of almost equal size, the first one counts, so that rounding cannot flip a component.
    """
    sizes = np.abs(components)
    first = np.argmax(sizes >= sizes.max(axis=0) * (1 - 1e-6), axis=0)
    return np.where(np.take_along_axis(components, first[None], axis=0)[0] < 0, -1.0, 1.0)
