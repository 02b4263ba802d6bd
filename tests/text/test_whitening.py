"""Whitening: unit variance, determinism, and catalogues with less variance than columns."""

import numpy as np
import pytest

from recbole_longinterest.text.whitening import CHUNK, Whitening


def catalogue(rows: int, dim: int, seed: int = 0) -> np.ndarray:
    """Correlated vectors off the origin, as encoders give them."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(rows, dim)) @ rng.normal(size=(dim, dim)) + 5).astype(np.float32)


def test_columns_are_uncorrelated_with_unit_variance_and_no_mean() -> None:
    vectors = catalogue(400, 12)
    white = Whitening.fit(vectors, 5).transform(vectors)
    assert white.shape == (400, 5) and white.dtype == np.float32
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.eye(5), atol=1e-5)
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-5)


def test_keeps_the_directions_of_most_variance() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(500, 4)) * [1.0, 10.0, 0.1, 3.0]
    projection = Whitening.fit(vectors, 2).projection
    assert np.abs(projection).argmax(axis=0).tolist() == [1, 3]


def test_same_for_any_order_of_rows() -> None:
    vectors = catalogue(200, 8)
    shuffled = vectors[np.random.default_rng(1).permutation(200)]
    one, other = Whitening.fit(vectors, 8), Whitening.fit(shuffled, 8)
    np.testing.assert_allclose(one.transform(vectors), other.transform(vectors), atol=1e-5)
    again = Whitening.fit(vectors, 8)
    assert (again.projection == one.projection).all() and (again.mean == one.mean).all()


def test_largest_entry_of_every_component_is_positive() -> None:
    projection = Whitening.fit(catalogue(200, 8), 8).projection
    assert (projection[np.abs(projection).argmax(axis=0), range(8)] > 0).all()


def test_components_without_variance_are_zero_columns() -> None:
    vectors = np.repeat(catalogue(4, 16), 3, axis=0)  # rank 3
    whitening = Whitening.fit(vectors, 10)
    white = whitening.transform(vectors)
    assert np.isfinite(white).all()
    np.testing.assert_allclose(white.std(axis=0), [1] * 3 + [0] * 7, atol=1e-4)
    assert not white[:, 3:].any()


def test_a_component_that_is_noise_beside_the_first_is_a_zero_column() -> None:
    vectors = np.random.default_rng(0).normal(size=(300, 2)) * [1.0, 1e-5]
    whitening = Whitening.fit(vectors, 2)
    assert whitening.projection[:, 0].any() and not whitening.projection[:, 1].any()


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_rows_give_zeros(rows: int) -> None:
    vectors = catalogue(rows, 6)
    whitening = Whitening.fit(vectors, 3)
    assert whitening.mean.shape == (6,) and whitening.projection.shape == (6, 3)
    assert not whitening.transform(catalogue(2, 6)).any()
    assert whitening.transform(vectors).shape == (rows, 3)


def test_no_texts_at_all_have_no_dimensions() -> None:
    whitening = Whitening.fit(np.zeros((0, 0), dtype=np.float32), 3)
    assert whitening.transform(np.zeros((0, 0), dtype=np.float32)).shape == (0, 3)


def test_equal_texts_are_not_blown_up_from_rounding_noise() -> None:
    vectors = np.full((50, 8), 0.1, dtype=np.float32)
    vectors[0] += np.float32(1e-8)
    assert not Whitening.fit(vectors, 4).transform(vectors).any()


def test_more_rows_than_are_turned_into_float64_at_a_time() -> None:
    vectors = catalogue(CHUNK + 7, 3)
    white = Whitening.fit(vectors, 3).transform(vectors)
    np.testing.assert_allclose(white.std(axis=0), 1, atol=1e-4)
    np.testing.assert_array_equal(white[-1:], Whitening.fit(vectors, 3).transform(vectors[-1:]))


def test_bad_arguments() -> None:
    with pytest.raises(
        ValueError, match=r"not exceed the 8 dimensions of the text vectors; got 9\. Set text_dim to at"
    ):
        Whitening.fit(catalogue(10, 8), 9)
    with pytest.raises(ValueError, match="text_dim must be at least 1; got 0"):
        Whitening.fit(catalogue(10, 8), 0)
    with pytest.raises(ValueError, match=r"hold NaN or infinity; choose another text_encoder"):
        Whitening.fit(np.full((3, 8), np.nan), 2)
