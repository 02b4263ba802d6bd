"""Values as plain data: they come back as they were, from any device, and what cannot is named."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from recbole.utils import FeatureType

from recbole_longinterest.plugin.runs.plain_values import PlainError, from_plain, to_plain


def test_values_come_back(tmp_path: Path) -> None:
    ragged = np.empty(3, dtype=object)
    ragged[:] = [np.array([1, 2]), np.array([], dtype=np.int64), np.array([3])]
    words = np.empty(2, dtype=object)
    words[:] = [np.array(["a", "long word"]), np.array(["b"])]
    values = {
        "number": np.float64(0.5),
        "infinite": -np.inf,
        "flag": np.bool_(True),
        "array": np.arange(6, dtype=np.int16).reshape(2, 3),
        "texts": np.array(["a", "bc"]),
        "objects": np.array(["a", None, 3], dtype=object),
        "ragged": ragged,
        "words": words,
        "type": FeatureType.TOKEN_SEQ,
        "set": {1, 2},
        "keys": {np.str_("a"): np.int64(1), 2: None},
        "tensor": torch.arange(3),
    }
    torch.save({name: to_plain(value, name) for name, value in values.items()}, tmp_path / "v.pth", pickle_protocol=2)
    again = {name: from_plain(value) for name, value in torch.load(tmp_path / "v.pth", weights_only=True).items()}
    assert (again["number"], again["infinite"], again["flag"]) == (0.5, -np.inf, True)
    assert type(again["number"]) is float and again["array"].dtype == np.int16
    np.testing.assert_array_equal(again["array"], values["array"])
    assert again["texts"].tolist() == ["a", "bc"] and again["objects"].tolist() == ["a", None, 3]
    for name in ("ragged", "words"):
        assert [list(item) for item in again[name]] == [list(item) for item in values[name]]
    assert (again["type"], again["set"], again["keys"]) == (FeatureType.TOKEN_SEQ, {1, 2}, {"a": 1, 2: None})
    assert torch.equal(again["tensor"], values["tensor"])


def test_tables_and_matrices_come_back() -> None:
    table = pd.DataFrame({"id": [3, 1], "value": [0.5, np.nan], "text": ["a", None]}, index=[5, 7])
    table["seq"] = [np.array([1, 2]), np.array([3])]
    pd.testing.assert_frame_equal(from_plain(to_plain(table, "table")), table)
    pd.testing.assert_series_equal(from_plain(to_plain(table["id"].reset_index(drop=True), "x")), pd.Series([3, 1]))
    for kind in ("csr", "csc", "coo", "lil", "dok"):
        matrix = scipy.sparse.random(4, 5, 0.5, format=kind, random_state=0)
        again = from_plain(to_plain(matrix, "matrix"))
        assert again.format == kind and (again.toarray() == matrix.toarray()).all()


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (object(), r"^x is of type builtins\.object, which a file cannot hold"),
        ({"a": [1, print]}, r"^x\.a\[1\] is of type"),
        ({"#array": 1}, r"^x has the single key '#array'"),
        (np.array(["2020"], dtype="M8[D]"), r"^x \(dtype datetime64\[D\]\) is of type"),
        (np.longdouble(1), r"^x is of type numpy\.longdouble"),
        (pd.Series(["a"], dtype="category"), r"^x \(dtype category\)"),
    ],
)
def test_what_has_no_plain_form_is_named(value: Any, match: str) -> None:
    with pytest.raises(PlainError, match=match):
        to_plain(value, "x")


@pytest.mark.parametrize(
    ("plain", "match"),
    [
        ({"#sparse": {"format": "eval", "shape": [], "data": 0, "row": 0, "col": 0}}, "eval is not among"),
        ({"#ragged": {}}, "The content of #ragged is broken"),
        (b"bytes", "bytes is not plain data"),
    ],
)
def test_broken_plain_data_is_refused(plain: Any, match: str) -> None:
    with pytest.raises(PlainError, match=match):
        from_plain(plain)


class _OnGpu(torch.Tensor):
    """A tensor that numpy cannot read where it is."""

    def numpy(self, *, force: bool = False) -> np.ndarray:
        raise TypeError(f"can't convert cuda:0 device type tensor to numpy (force={force})")

    def cpu(self, **_: Any) -> torch.Tensor:
        return self.as_subclass(torch.Tensor)


def test_arrays_come_back_from_a_file_that_was_read_to_a_gpu() -> None:
    plain = to_plain({"array": np.arange(3), "matrix": scipy.sparse.eye(3, format="csr")}, "x")
    for holder in (plain["array"], *(plain["matrix"]["#sparse"][name] for name in ("data", "row", "col"))):
        holder["#array"] = holder["#array"].as_subclass(_OnGpu)
    again = from_plain(plain)
    assert again["array"].tolist() == [0, 1, 2] and (again["matrix"].toarray() == np.eye(3)).all()
