"""A file that asks for more memory or time than its size can hold is refused before anything is allocated."""

import pickle
import resource
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from recbole_longinterest.plugin.runs.checkpoints import CheckpointError, read_plain, write_plain
from recbole_longinterest.plugin.runs.plain_values import PlainError, from_plain, to_plain
from recbole_longinterest.plugin.runs.stored_pickle import MAX_DEPTH

FILE = Path("a.pth")
ROWS = {"#array": torch.ones(1).long()}
ONES = {"dtype": "", "values": {"#array": torch.ones(2)}}


class Call:
    """A value whose pickle is a call."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def shared(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value, value]
    return value


def nested(depth: int, close: Callable[[Any], Any] = lambda value: [value]) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = close(value)
    return value


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def of_shape(*shape: int, offset: int = 0, stride: tuple[int, ...] | None = None) -> Call:
    storage = torch.zeros(4)._typed_storage()
    steps = stride or tuple(1 for _ in shape)
    return Call(torch._utils._rebuild_tensor_v2, storage, offset, shape, steps, False, OrderedDict())


def with_pickle(content: bytes) -> None:
    """A file of torch with another pickle."""
    torch.save({"a": torch.zeros(4)}, "whole.pth", pickle_protocol=2)
    with zipfile.ZipFile("whole.pth") as whole, zipfile.ZipFile(FILE, "w") as made:
        for name in whole.namelist():
            made.writestr(name, content if name.endswith("data.pkl") else whole.read(name))


def longer_record() -> None:
    """The record of numbers is said to be longer than it is."""
    torch.save({"a": torch.zeros(4)}, "whole.pth", pickle_protocol=2)
    with zipfile.ZipFile("whole.pth") as whole:
        content = whole.read("whole/data.pkl")
    assert content.count(b"K\x04") == 2  # the length of the record, and the tensor's
    with_pickle(content.replace(b"K\x04", b"J\xff\xff\xff\x7f"))


def compressed() -> None:
    torch.save({"a": torch.zeros(2**22)}, "whole.pth", pickle_protocol=2)
    with zipfile.ZipFile("whole.pth") as whole, zipfile.ZipFile(FILE, "w", zipfile.ZIP_DEFLATED) as made:
        for name in whole.namelist():
            made.writestr(name, whole.read(name))


def two_records() -> None:
    torch.save({"a": 1}, FILE, pickle_protocol=2)
    with zipfile.ZipFile(FILE, "a") as archive:
        archive.writestr("a/DATA.pkl", b"other")


def before_the_archive() -> None:
    torch.save({"a": 1}, FILE, pickle_protocol=2)
    FILE.write_bytes(b"PK\x03\x04" + bytes(60) + FILE.read_bytes())


def saved(value: Any) -> Callable[[], None]:
    return lambda: torch.save(value, FILE, pickle_protocol=2)


BOMBS: dict[str, tuple[Callable[[], None], str]] = {
    "lists that hold one another twice": (
        saved({"x": shared(40)}),
        r"describes over 100,000 values, more than its size",
    ),
    "dicts that do so": (saved(nested(30, lambda value: {"a": value, "b": value})), "describes over 100,000 values"),
    "deep lists": (saved({"x": nested(MAX_DEPTH + 2)}), r"nests lists and dicts more than 100 deep"),
    "very deep lists": (
        lambda: with_pickle(b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b"."),
        "nests lists and dicts more than 100 deep",
    ),
    "a list in itself": (saved({"x": endless()}), "nests lists and dicts more than 100 deep"),
    "a tensor of no numbers": (saved({"x": of_shape(10**12)}), r"a tensor of shape \(1000000000000,\) but 4 numbers"),
    "a tensor of one number": (saved({"x": of_shape(10**9, 10, stride=(0, 0))}), "a tensor of shape .* but 4 numbers"),
    "a tensor beyond its end": (saved({"x": of_shape(4, offset=10**9)}), "a tensor of shape .* but 4 numbers"),
    "a tensor before its begin": (saved({"x": of_shape(4, offset=-4)}), "a tensor with a negative size"),
    "one tensor many times": (
        saved({"x": [torch.zeros(2**20)] * 2000}),
        r"its tensors take over [\d,]+ bytes, more than its size",
    ),
    "a storage of any length": (
        saved({"x": Call(torch.FloatStorage, 10**11)}),
        r"names torch\.FloatStorage, which is not allowed in a",
    ),
    "bytes of any length": (saved({"x": Call(bytearray, 10**11)}), r"names .*bytearray, which is not allowed in a"),
    "a record that is shorter": (longer_record, "is shorter than the numbers to read from it"),
    "compressed records": (compressed, r"its record .* is compressed"),
    "two records of one name": (two_records, "two records with the same name"),
    "bytes before the archive": (before_the_archive, "does not begin with its first record"),
    "a far place in the memo": (lambda: with_pickle(b"\x80\x02]r\xff\xff\xff\xff."), ""),
    "an extension": (lambda: with_pickle(b"\x80\x02\x82\x01."), "which is not allowed in a"),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_refused(kind: str, _own_folder: None) -> None:
    make, match = BOMBS[kind]
    make()
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, perf_counter()
    if match:
        with pytest.raises(CheckpointError, match=rf"^Refused to load a\.pth: .*{match}"):
            read_plain(FILE, "checkpoint")
    else:
        assert read_plain(FILE, "checkpoint") == []
    assert perf_counter() - started < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KB


def test_five_megabytes_of_shared_lists_are_refused_in_seconds(_own_folder: None) -> None:
    levels = [[0]]
    for _ in range(400_000):
        levels.append([levels[-1], levels[-1]] if len(levels) % 50 else [0])
    torch.save({"x": levels}, FILE, pickle_protocol=2)
    assert FILE.stat().st_size > 5e6
    started = perf_counter()
    with pytest.raises(CheckpointError, match="more than its size can hold"):
        read_plain(FILE, "checkpoint")
    assert perf_counter() - started < 60  # and not for ever


def test_what_checkpoints_hold_is_read(_own_folder: None) -> None:
    layers = nn.ModuleDict({"a": nn.LSTM(3, 4), "b": nn.BatchNorm1d(3)})
    content = {
        "state_dict": layers.state_dict(),
        "parameter": nn.Parameter(torch.ones(2)),
        "kinds": [torch.arange(3).to(kind) for kind in (torch.uint16, torch.bool, torch.bfloat16, torch.complex128)],
        "sparse": torch.eye(3).to_sparse(),
        "views": [torch.arange(12).view(3, 4).T, torch.zeros(0, 5), torch.tensor(3.5)],
        "shape": torch.Size([2, 3]),
        "nested": nested(MAX_DEPTH - 2),
        "many": list(range(200_000)),
        "plain": to_plain(pd.DataFrame({"a": [1, 2], "b": ["x", None]}), "x"),
    }
    write_plain(content, FILE)
    again = read_plain(FILE, "checkpoint")
    assert again.keys() == content.keys() and again["many"] == content["many"]
    assert torch.equal(again["state_dict"]["a.weight_ih_l0"], layers["a"].weight_ih_l0)
    assert torch.equal(again["views"][0], content["views"][0])
    assert torch.equal(again["sparse"].to_dense(), torch.eye(3))


@pytest.mark.parametrize(
    ("kind", "plain", "match"),
    [
        (
            "table",
            {"rows": 10**9, "columns": [["a", ONES]], "index": None},
            "a has 2 values, but the table has 1,000,000,000",
        ),
        ("texts", {"shape": [50_001], "items": ["a" * 10**5, *["b"] * 50_000]}, r"texts .* would take .* bytes"),
        ("ragged", {"shape": [2], "lengths": torch.tensor([10**12, 1 - 10**12]), "flat": ROWS}, "the lengths of its"),
        ("sparse", {"format": "lil", "shape": [10**9, 3], "data": ROWS, "row": ROWS, "col": ROWS}, "without entries"),
        ("objects", {"shape": [10**9], "items": [1]}, "#objects is broken: cannot reshape"),
    ],
)
def test_a_value_that_would_grow_is_refused(kind: str, plain: Any, match: str) -> None:
    with pytest.raises(PlainError, match=match):
        from_plain({f"#{kind}": plain})


def test_a_table_without_columns_takes_no_memory() -> None:
    table = from_plain({"#table": {"rows": 10**9, "columns": [], "index": None}})
    assert len(table) == 10**9 and table.memory_usage().sum() < 1000


def test_texts_of_like_lengths_come_back() -> None:
    texts = np.array([f"item {i}" for i in range(200_000)])
    assert (from_plain(to_plain(texts, "x")) == texts).all()


def test_a_pickle_that_names_nothing_is_no_checkpoint(_own_folder: None) -> None:
    FILE.write_bytes(pickle.dumps([1, 2], protocol=2))
    with pytest.raises(CheckpointError, match=r"a\.pth is not a checkpoint, or it was cut short"):
        read_plain(FILE, "checkpoint")
