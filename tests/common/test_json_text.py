"""JSON of others: one kind of error, and no depth that breaks what reads it later."""

import json
from pathlib import Path
from typing import Any

import pytest

from recbole_longinterest.common.json_text import MAX_DEPTH, JsonError, parse_json, read_json


@pytest.mark.parametrize("value", ["[1, 2.5, null]", b'{"a": {"b": ["\xc3\xa9"]}}', "3", '""', "[[], {}]"])
def test_a_value_comes_back(value: Any) -> None:
    assert parse_json(value) == json.loads(value)


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_what_is_nested_too_deeply_is_refused(opening: str) -> None:
    closing = {"[": "]", '{"a":': "}", '[{"a":': "}]"}[opening]
    for depth in (MAX_DEPTH + 1, 900, 100_000):
        with pytest.raises(JsonError, match="nests lists and objects more than 100 deep"):
            parse_json(opening * depth + "1" + closing * depth)
    allowed = MAX_DEPTH // (2 if len(opening) > 5 else 1)
    parse_json(opening * allowed + "1" + closing * allowed)


@pytest.mark.parametrize("text", ["", "{", "[1,]", "[" * 50, b"\xff", "nul"])
def test_what_is_no_json_is_one_error(text: str | bytes, tmp_path: Path) -> None:
    with pytest.raises(JsonError):
        parse_json(text)
    file = tmp_path / "x.json"
    file.write_text("{cut")
    with pytest.raises(JsonError, match=r"x\.json is not JSON, or was cut short or changed: Expecting"):
        read_json(file)
