"""Values from text: as Python writes them, as RecBole read them, and never run."""

import time
from typing import Any

import pytest

from recbole_longinterest.common.errors import LongInterestError
from recbole_longinterest.common.written_values import DEEPEST, check_depth, read_choices, read_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-1", -1),
        ("1e-3", 0.001),
        ("1_000", 1000),
        (" 5", 5),
        ("0,1", (0, 1)),
        ("[5, 10]", [5, 10]),
        ("()", ()),
        ("{'split': {'RS': [0.8, 0.1, 0.1]}, 'order': 'TO'}", {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "TO"}),
        ("None", None),
        ("True", True),
        ("false", False),
        ("'CE'", "CE"),
    ],
)
def test_literals_are_values(text: str, value: Any) -> None:
    read = read_value(text)
    assert read == value and type(read) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "CE",
            "a=b",
            "007",
            "1e",
            "{title} by {brand}",
            "{title}",
            "[title]",
            "key",
            "config_dict",
            "re.x",
            "é",
            "\0",
        ),
        *(
            "1/0",
            "2*3",
            "1-2",
            "--1",
            "1j",
            "...",
            "b'x'",
            "{1, 2}",
            "f'{1}'",
            "lambda: 1",
            "print",
            "\ud800",
            "[{[1]: 2}]",
        ),
        *("__import__('os').getcwd()", "[].__class__", "[1 for _ in (1,)]", "9" * 5000, "'a' % 'b'"),
    ],
)
def test_all_other_text_is_itself(text: str) -> None:
    assert read_value(text) == text


@pytest.mark.parametrize(
    "text", ["-" * 90_000 + "1", "1" + "+1" * 40_000, "not " * 20_000, "a" + ".b" * 40_000, "'" * 90_001, "1" * 10**6]
)
def test_no_text_takes_long_or_overflows_a_stack(text: str) -> None:
    begin = time.monotonic()
    assert read_value(text) == text
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("text", ["[" * 90_000, "{'a': " * 65 + "1" + "}" * 65])
def test_deep_brackets_are_an_error(text: str) -> None:
    with pytest.raises(LongInterestError, match=f"at most {DEEPEST} brackets"):
        read_value(text)


def test_deep_values_of_python_are_an_error() -> None:
    deep: Any = 1
    for _ in range(DEEPEST):
        deep = [deep, deep]  # shared, 2**64 values for whoever does not look
    check_depth(deep, "topk")
    own: list[Any] = []
    own.append(own)
    for value in ({"a": deep}, own):
        with pytest.raises(LongInterestError, match=f"topk must nest at most {DEEPEST}"):
            check_depth(value, "topk")


def test_choices_are_a_list_of_values() -> None:
    assert read_choices("[0.1,'[64,64]',None]") == [0.1, "[64,64]", None]
    with pytest.raises(LongInterestError, match="A choice must be a list"):
        read_choices("[1+1]")
