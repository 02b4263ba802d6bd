"""Requests made of the OpenAPI document, sound ones and others: none ends in an error of the service."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from recbole_longinterest.serving.recommender import Recommender
from tests.conftest import FakeEncoder
from tests.service.conftest import START, MakeClient, features, post, text_served

CHECKS = [schemathesis.checks.not_a_server_error, content_type_conformance, response_schema_conformance]
SENT = ("method", "url", "params", "headers", "json", "data", "content")
OPERATIONS = (
    "POST /v1/events",
    "GET /v1/users/{user}/recommendations",
    "POST /v1/recommendations",
    "POST /v1/feedback",
    "GET /v1/users/{user}/explanations/{item}",
    "GET /v1/users/{user}",
    "DELETE /v1/users/{user}",
    "GET /v1/items/{item}/similar",
    "GET /v1/items",
    "POST /v1/items",
    "POST /v1/items/availability",
    "GET /v1/admin/models",
    "POST /v1/admin/models",
    "POST /v1/admin/models/back",
    "PUT /v1/admin/models/shadow",
    "DELETE /v1/admin/models/shadow",
    "GET /v1/model",
    "GET /v1/strategies",
    "POST /v1/explanations",
    "POST /v1/interest",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
)


def ask(client: TestClient, operation: Any, number: int, each: Callable[[int], None]) -> None:
    """Send requests of an operation, half of them of another form than the document says."""
    modes = [operation.as_strategy(generation_mode=mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)]

    @settings(max_examples=number, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(case=st.one_of(modes))
    def send(case: Any) -> None:
        made = case.as_transport_kwargs(base_url="http://localhost")
        if isinstance(made.get("data"), bytes | str):
            made["content"] = made.pop("data")
        try:
            answer = client.request(**{name: made[name] for name in SENT if name in made})
        except (UnicodeError, ValueError, TypeError):  # what no client can send
            return
        except Exception as error:
            if type(error).__name__ != "InvalidURL":  # of the client's own library, for an address of 64 KiB
                raise
            return
        each(answer.status_code)
        case.validate_response(answer, checks=[*CHECKS, status_code_conformance])

    send()


def check_all(make_client: MakeClient, number: int) -> Counter[int]:
    """Send requests to all operations of a service that knows items and users of simple names."""
    served = text_served(more=features("0", "a", "1", "00"))  # names that hypothesis finds
    served.items.tokens = ["[PAD]", *map(str, range(len(served.items.tokens) - 1))]
    statuses: Counter[int] = Counter()
    with make_client(served=Recommender(served), rate=0) as client:
        post(client, [{"user": f"{user}", "item": f"{item}", "time": START} for user in range(3) for item in range(9)])
        document = client.app.openapi()  # type: ignore[attr-defined]
        found = {each.ok().label: each.ok() for each in schemathesis.openapi.from_dict(document).get_all_operations()}
        assert sorted(found) == sorted(OPERATIONS)
        for name in OPERATIONS:
            ask(client, found[name], number, lambda status: statuses.update([status]))
    return statuses


def test_no_request_ends_in_an_error_of_the_service(make_client: MakeClient, encoder: FakeEncoder) -> None:
    statuses = check_all(make_client, 12)
    assert statuses[200] > 10 and statuses[422] > 5 and not [status for status in statuses if status >= 500]


@pytest.mark.exhaustive
def test_five_thousand_requests_end_in_no_error_of_the_service(make_client: MakeClient, encoder: FakeEncoder) -> None:
    statuses = check_all(make_client, 520)
    assert statuses.total() > 5000 and not [status for status in statuses if status >= 500]


def test_the_document_names_problems_and_keys(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["description"] and operation["operationId"]
            assert list(operation["responses"]["default"]["content"]) == ["application/problem+json"]
            assert "422" not in operation["responses"]
            assert ("security" in operation) == (path not in ("/healthz", "/readyz"))
    assert not [name for name in document["components"]["schemas"] if "HTTPValidation" in name]
