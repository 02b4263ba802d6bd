"""Errors of the service as problem details (RFC 9457): type, title, status and detail."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, Response

MEDIA_TYPE = "application/problem+json"
PREFIX = "urn:recbole-longinterest:problem:"


@dataclass(frozen=True)
class Kind:
    """A kind of problem.

    Attributes:
        status: HTTP status.
        name: last part of the type's URI; never changes.
        title: short description for people.
    """

    status: int
    name: str
    title: str

    @property
    def type(self) -> str:
        """URI of the type."""
        return PREFIX + self.name


BAD_REQUEST = Kind(400, "bad-request", "The request cannot be read")
WRONG_HOST = Kind(400, "wrong-host", "The request is for another host")
UNAUTHORIZED = Kind(401, "unauthorized", "An API key is needed")
FORBIDDEN = Kind(403, "forbidden", "The API key may not do this")
CROSS_SITE = Kind(403, "cross-site", "Web pages of other sites may not use the service")
NOT_FOUND = Kind(404, "not-found", "The address does not exist")
UNKNOWN_ITEM = Kind(404, "unknown-item", "The model does not know the item")
UNKNOWN_USER = Kind(404, "unknown-user", "The user has no events")
UNKNOWN_VERSION = Kind(404, "unknown-version", "The folder of models has no such version")
NOT_ALLOWED = Kind(405, "method-not-allowed", "The address does not allow this method")
TOO_SLOW = Kind(408, "too-slow", "The request's body took too long")
UNREADABLE = Kind(409, "unreadable-history", "The model cannot read the user's events")
NO_ENCODER = Kind(409, "no-encoder", "The model's text encoder is not available")
NO_STRATEGY = Kind(409, "no-strategy", "The model lacks what the strategy needs")
RULES_UNUSABLE = Kind(409, "rules-unusable", "The rules cannot be used")
NO_VERSIONS = Kind(409, "no-versions", "The service has no folder of models")
MODEL_REFUSED = Kind(409, "model-refused", "The model cannot be served")
TOO_LARGE = Kind(413, "too-large", "The request's body is too large")
NOT_JSON = Kind(415, "not-json", "The request's body must be application/json")
INVALID = Kind(422, "invalid", "The request holds a value that cannot be used")
KEY_REUSED = Kind(422, "idempotency-key-reused", "The Idempotency-Key was used for another body")
TOO_MANY = Kind(429, "too-many-requests", "The API key sends too many requests")
HEAD_TOO_LARGE = Kind(431, "head-too-large", "The request's headers are too large")
INTERNAL = Kind(500, "internal", "Internal error of the service")
BUSY = Kind(503, "busy", "The service is overloaded")
STORE_FAILED = Kind(503, "store-failed", "The store cannot be reached")
NOT_READY = Kind(503, "not-ready", "The service is not ready")
TIMED_OUT = Kind(504, "timed-out", "The request took too long")

KINDS = tuple(value for value in list(globals().values()) if isinstance(value, Kind))
RETRY_SOON = {TOO_MANY, BUSY, STORE_FAILED, NOT_READY}


class Problem(Exception):
    """An error answer.

    Attributes:
        kind: kind of the problem.
        detail: what is wrong with this request, and how to fix it.
        more: further members of the answer.
        headers: headers of the answer.
    """

    def __init__(
        self, kind: Kind, detail: str, more: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.more, self.headers = kind, detail, dict(more or {}), dict(headers or {})
        if kind in RETRY_SOON:
            self.headers.setdefault("Retry-After", "1")

    def response(self) -> Response:
        """Return the HTTP response."""
        kind = self.kind
        content = {"type": kind.type, "title": kind.title, "status": kind.status, "detail": self.detail, **self.more}
        return JSONResponse(content, kind.status, self.headers, MEDIA_TYPE)


def of_status(status: int, detail: str) -> Problem:
    """Return the problem for an error status of the framework."""
    known = {404: NOT_FOUND, 405: NOT_ALLOWED, 413: TOO_LARGE, 415: NOT_JSON}
    kind = known.get(status, BAD_REQUEST if status < 500 else INTERNAL)
    return Problem(kind, detail)
