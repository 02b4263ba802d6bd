"""The fast sort equals numpy's lexsort."""

import numpy as np
import pytest

from recbole_longinterest.common import orders
from recbole_longinterest.common.orders import stable_order

WIDE = 2**62  # no two such keys fit into 64 bits together


@pytest.mark.parametrize(
    "times",
    [
        pytest.param(lambda rng: rng.integers(-20, 20, 2000), id="small integers"),
        pytest.param(lambda rng: rng.integers(-20, 20, 2000) * 10**9 + 1_700_000_000 * 10**9, id="nanoseconds"),
        pytest.param(lambda rng: rng.choice([-WIDE, WIDE, 3, -3], 2000), id="wide integers"),
        pytest.param(lambda rng: rng.integers(-20, 20, 2000) + rng.choice([0.0, -0.0], 2000), id="whole floats"),
        pytest.param(lambda rng: rng.integers(-20, 20, 2000) + rng.choice([0.0, 0.25, -0.0], 2000), id="floats"),
        pytest.param(lambda rng: rng.choice([-np.inf, np.inf, 1e300, -1e300, 5e-324, 0.0], 2000), id="large floats"),
        pytest.param(lambda rng: rng.choice([0.1, 0.2, 2.0**24], 2000).astype(np.float32), id="float32"),
    ],
)
def test_stable_order_is_lexsort(times: object) -> None:
    rng = np.random.default_rng(0)
    users, moments = rng.integers(0, 50, 2000).astype(np.int32), times(rng)
    assert np.array_equal(stable_order(users, moments), np.lexsort((moments, users)))
    assert np.array_equal(stable_order(moments, users, moments), np.lexsort((users, moments)))
    assert np.array_equal(stable_order(moments), np.argsort(moments, kind="stable"))
    assert len(stable_order(users[:0], moments[:0])) == 0


@pytest.mark.parametrize("fits", [True, False], ids=["row numbers fit", "row numbers do not fit"])
def test_a_sort_in_blocks_is_the_sort(monkeypatch: pytest.MonkeyPatch, fits: bool) -> None:
    rng = np.random.default_rng(0)
    users, times = rng.integers(0, 40, 1000).astype(np.int32), rng.integers(0, 9, 1000) / 4
    if not fits:
        times = times.astype(np.int64) * (WIDE // 1000)
    for keys in ((users, times), (times,), (np.zeros(1000),)):
        whole = stable_order(*keys)
        with monkeypatch.context() as patch:
            patch.setattr(orders, "BLOCK", 30)
            assert np.array_equal(stable_order(*keys), whole)
        assert np.array_equal(whole, np.lexsort(keys[::-1]))
