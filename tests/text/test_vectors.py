"""Vector files of every form give the same vectors, and none is unpickled."""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from recbole_longinterest.text.vectors import VectorFileError, read_vectors

TOKENS = ["i1", "B0 0X", "霸王", '"q"']
VECTORS = np.arange(12, dtype=np.float32).reshape(4, 3) / 7


def save_npy(path: Path, vectors: Any = VECTORS, tokens: list[str] = TOKENS, end: str = "\n") -> None:
    np.save(path, vectors)
    path.with_suffix(".txt").write_bytes((end.join(tokens) + end).encode())


def save_table(path: Path, vectors: Any = VECTORS, tokens: list[str] = TOKENS) -> None:
    save_file({"embeddings": vectors}, path)
    path.with_suffix(".txt").write_text("\n".join(tokens), encoding="utf-8")


def save_rows(path: Path) -> None:
    save_file(dict(zip(TOKENS, VECTORS, strict=True)), path)


def save_parquet(path: Path, **columns: Any) -> None:
    pd.DataFrame(columns or {"item_id": TOKENS, "vector": list(VECTORS)}).to_parquet(path)


FORMS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "npy": ("v.npy", save_npy),
    "npy of Windows": ("v.npy", lambda path: save_npy(path, end="\r\n")),
    "npy of halves": ("v.npy", lambda path: save_npy(path, VECTORS.astype(np.float16))),
    "npy of doubles": ("v.npy", lambda path: save_npy(path, VECTORS.astype(np.float64))),
    "safetensors table": ("v.safetensors", save_table),
    "safetensors": ("v.safetensors", save_rows),
    "parquet": ("v.parquet", save_parquet),
    "parquet, vector first": ("v.parquet", lambda path: save_parquet(path, e=list(VECTORS), item_id=TOKENS)),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(form: str, tmp_path: Path) -> None:
    name, write = FORMS[form]
    write(tmp_path / name)
    tokens, vectors = read_vectors(tmp_path / name, "item_id")
    assert sorted(tokens) == sorted(TOKENS) and vectors.dtype == np.float32
    in_order = vectors[[tokens.index(token) for token in TOKENS]]
    np.testing.assert_allclose(in_order, VECTORS, atol=1e-3 if "halves" in form else 1e-6)


def test_bfloat16_safetensors(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file as save_torch

    save_torch({"i1": torch.tensor([1.0, 2.0]).bfloat16()}, tmp_path / "v.safetensors")
    tokens, vectors = read_vectors(tmp_path / "v.safetensors", "item_id")
    assert tokens == ["i1"] and vectors.tolist() == [[1.0, 2.0]]


def test_a_large_parquet_file_takes_little_more_than_its_numbers(tmp_path: Path) -> None:
    import resource

    table = np.random.default_rng(0).standard_normal((20_000, 256)).astype(np.float32)  # 20 MB
    save_parquet(tmp_path / "v.parquet", item_id=[f"i{row}" for row in range(20_000)], vector=list(table))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert np.array_equal(read_vectors(tmp_path / "v.parquet", "item_id")[1], table)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 160_000  # kB; 290,000 as Python's numbers


def test_integer_tokens_of_a_parquet_file(tmp_path: Path) -> None:
    save_parquet(tmp_path / "v.parquet", item_id=[7, 12], vector=[[1.0], [2.0]])
    assert read_vectors(tmp_path / "v.parquet", "item_id")[0] == ["7", "12"]


class Bomb:
    """A pickle that would make a file when it is read."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("how", ["objects in an array", "a pickle by another name"])
def test_nothing_is_unpickled(tmp_path: Path, how: str) -> None:
    target, path = tmp_path / "code-was-run", tmp_path / "v.npy"
    save_npy(path)
    if how == "objects in an array":
        np.save(path, np.array([Bomb(target)] * 4, dtype=object), allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(Bomb(target)))
    with pytest.raises(VectorFileError, match=r"cannot be read as vectors .*pickles are not read\. text_vectors must"):
        read_vectors(path, "item_id")
    assert not target.exists()


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        (
            "v.pt",
            lambda p: p.touch(),
            r"text_vectors must be a file \.npy .*\.safetensors .* or \.parquet .*; got .*v\.pt",
        ),
        ("v.npy", lambda p: None, r"names the file .*v\.npy, which does not exist\. Write it, or unset the key"),
        (
            "v.npy",
            lambda p: np.save(p, VECTORS),
            r"needs its item tokens, one per line, in .*v\.txt, which does not exist",
        ),
        (
            "v.npy",
            lambda p: save_npy(p, tokens=TOKENS[:3]),
            r"has 4 vectors and 3 item tokens\. Write a token for every",
        ),
        (
            "v.npy",
            lambda p: save_npy(p, VECTORS[0]),
            r"a row of numbers for every item; it holds float32 of shape \(3,\)",
        ),
        (
            "v.npy",
            lambda p: save_npy(p, np.array([["a"]] * 4)),
            r"a row of numbers for every item; it holds <U1 of shape",
        ),
        ("v.npy", lambda p: save_npy(p, VECTORS[:, :0]), r"a row of numbers for every item; .*shape \(4, 0\)"),
        (
            "v.npy",
            lambda p: save_npy(p, VECTORS * np.array([[1], [np.nan], [1], [np.inf]], dtype=np.float32)),
            r"holds NaN or infinity for 2 of 4 items, the first B0 0X\. Leave items without a vector out",
        ),
        ("v.safetensors", lambda p: p.write_bytes(b"{}"), r"cannot be read as vectors"),
        (
            "v.safetensors",
            lambda p: save_file({"a": VECTORS[0], "b": VECTORS[0, :2]}, p),
            r"cannot be read as vectors \(all input arrays must have the same shape",
        ),
        ("v.parquet", lambda p: p.write_bytes(b"PAR1"), r"cannot be read as vectors"),
        (
            "v.parquet",
            lambda p: save_parquet(p, asin=TOKENS, vector=list(VECTORS)),
            r"must have two columns, item_id \(the ITEM_ID_FIELD\) and one of lists; it has asin, vector\.",
        ),
        ("v.parquet", lambda p: save_parquet(p, item_id=TOKENS, a=[1] * 4, b=[2] * 4), r"it has item_id, a, b\."),
        (
            "v.parquet",
            lambda p: save_parquet(p, item_id=TOKENS, a=[1] * 4),
            r"a must hold lists of numbers; it holds int64",
        ),
        (
            "v.parquet",
            lambda p: save_parquet(p, item_id=["a", "b"], vector=[[1.0, 2.0], None]),
            r"different lengths: a has 2 and b has 0\. Write vectors of the same length",
        ),
    ],
)
def test_bad_files(tmp_path: Path, name: str, write: Callable[[Path], None], message: str) -> None:
    write(tmp_path / name)
    with pytest.raises(VectorFileError, match=message):
        read_vectors(tmp_path / name, "item_id")


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_parquet(tmp_path / "v.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(VectorFileError, match=r"needs the package pyarrow: pip install pyarrow, or save .* as \.npy"):
        read_vectors(tmp_path / "v.parquet", "item_id")
