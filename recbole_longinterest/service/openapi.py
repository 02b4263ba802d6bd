"""The OpenAPI document, a self-contained page that shows it, and messages about invalid requests."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError

from recbole_longinterest.common.html_pages import render_page
from recbole_longinterest.service.problems import BAD_REQUEST, INVALID, KINDS, MEDIA_TYPE, Problem
from recbole_longinterest.service.schemas import ProblemDetail

METHODS = ("get", "post", "put", "patch", "delete")
OPERATION = "operation"  # tag of routes that need no key, except the metrics
MOST_ERRORS = 20  # maximum number of errors listed for an invalid request
REF = "#/components/schemas/"


def described(app: FastAPI) -> None:
    """Extend the application's OpenAPI document by what all routes share: API keys and problem details."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        known = app.openapi_schema is not None
        document = made()
        if not known:
            _complete(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(document: dict[str, Any]) -> None:
    parts = document.setdefault("components", {})
    schemas = parts.setdefault("schemas", {})
    schemas[ProblemDetail.__name__] = ProblemDetail.model_json_schema()
    for name in ("HTTPValidationError", "ValidationError"):  # the framework's own error format
        schemas.pop(name, None)
    parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "An API key."}}
    named = ", ".join(f"{kind.status} {kind.name}" for kind in KINDS)
    problem = {
        "description": f"A problem: {named}.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": REF + ProblemDetail.__name__}}},
    }
    for path, _, operation in _operations(document):
        operation["responses"].pop("422", None)
        operation["responses"]["default"] = problem
        if OPERATION not in operation["tags"] or path == "/metrics":
            operation["security"] = [{"key": []}]


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method in METHODS:
            if method in methods:
                yield path, method, methods[method]


def page(document: dict[str, Any]) -> str:
    """Render the OpenAPI document as a page for people."""
    shown = []
    for path, method, operation in _operations(document):
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        bodies = [_fields(document, option) for option in body.get("oneOf") or body.get("anyOf") or [body]]
        answer = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})
        shown.append(
            {
                "method": method.upper(),
                "path": path,
                "about": operation.get("description", ""),
                "parameters": [(each["name"], *_parameter(each)) for each in operation.get("parameters", [])],
                "bodies": [fields for fields in bodies if fields],
                "answer": _fields(document, answer),
            }
        )
    kinds = [(kind.status, kind.type, kind.title) for kind in KINDS]
    info = document["info"]
    values = {"title": info["title"], "version": info["version"], "operations": shown, "kinds": kinds}
    return render_page("recbole_longinterest.service", "docs.html.j2", values)


def _fields(document: dict[str, Any], schema: dict[str, Any]) -> list[tuple[str, str, str]]:
    """List (name, type, description) of an object's members; members of nested objects follow with their path."""
    schema = _resolved(document, schema)
    found = []
    for name, member in schema.get("properties", {}).items():
        found.append((name, _kind(member), member.get("description", "")))
        inside = _resolved(document, member.get("items", member))
        found += [(f"{name}[].{inner}", kind, about) for inner, kind, about in _fields(document, inside)]
    return found


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").removeprefix(REF)
    return document["components"]["schemas"][name] if name else schema


def _kind(schema: dict[str, Any]) -> str:
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return " or ".join(dict.fromkeys(_kind(option) for option in options))
    return schema.get("type") or schema.get("$ref", "").removeprefix(REF) or "any"


def _parameter(parameter: dict[str, Any]) -> tuple[str, str]:
    """Return type and description of a parameter."""
    schema, said = parameter["schema"], parameter.get("description", "")
    default = schema.get("default")
    return _kind(schema), f"{said} Default: {default}." if default is not None else said


def errors_at(error: RequestValidationError) -> Problem:
    """Return the problem for a request that does not match the OpenAPI document."""
    found = error.errors()
    if any(each["type"] == "json_invalid" for each in found):
        return Problem(BAD_REQUEST, "The body is not JSON.")
    listed = [{"at": "/".join(map(str, each["loc"])), "detail": each["msg"]} for each in found[:MOST_ERRORS]]
    first = listed[0]
    more = f" There are {len(found) - 1} more errors." if len(found) > 1 else ""
    return Problem(INVALID, f"{first['at']}: {first['detail']}.{more}", {"errors": listed})
