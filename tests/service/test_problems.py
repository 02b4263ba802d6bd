"""Problems as RFC 9457 has them, each with a name of its own."""

import json

import pytest

from recbole_longinterest.service import problems
from recbole_longinterest.service.options import ServiceOptions
from recbole_longinterest.service.problems import KINDS, Problem, of_status


def test_kinds_have_names_of_their_own() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS) > 15
    assert all(400 <= kind.status < 600 and kind.type.startswith("urn:") and kind.title for kind in KINDS)


def test_an_answer_says_what_and_when_to_come_back() -> None:
    answer = Problem(problems.BUSY, "Too much.", {"errors": []}).response()
    assert json.loads(bytes(answer.body)) == {
        "type": "urn:recbole-longinterest:problem:busy",
        "title": "The service is overloaded",
        "status": 503,
        "detail": "Too much.",
        "errors": [],
    }
    assert answer.headers["retry-after"] == "1" and answer.media_type == "application/problem+json"
    assert "retry-after" not in Problem(problems.INVALID, "").response().headers


def test_statuses_of_the_framework() -> None:
    found = {status: of_status(status, "x").kind.name for status in (400, 404, 405, 413, 415, 418, 500, 502)}
    assert list(found.values()) == [
        *("bad-request", "not-found", "method-not-allowed", "too-large", "not-json", "bad-request"),
        *("internal", "internal"),
    ]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("burst", 0, "burst must be at least 1; got 0"),
        ("max_body", -1, "max_body must be at least 1; got -1"),
        ("states", 0, "states must be at least 1"),
        ("rate", -1.0, r"rate must be 0 \(no limit\) or more; got -1.0"),
        ("rate", float("nan"), "rate must be 0"),
        ("timeout", 0.0, "timeout must be above 0 seconds; got 0.0"),
        ("timeout", float("inf"), "timeout must be above 0 seconds"),
    ],
)
def test_options_have_ranges(name: str, value: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ServiceOptions(**{name: value})  # type: ignore[arg-type]
