"""Check every request before the routes: host, API key, rate, size and duration of the body, and time limit.

This is an ASGI middleware, which also counts and logs the answers.
"""

import re
import secrets
from collections.abc import Mapping
from ipaddress import ip_address
from itertools import count
from logging import ERROR
from time import perf_counter
from typing import Any
from urllib.parse import unquote

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recbole_longinterest.service.keys import LOCAL, Client, Keys
from recbole_longinterest.service.limits import RateLimit
from recbole_longinterest.service.logs import REQUEST, log
from recbole_longinterest.service.problems import (
    BAD_REQUEST,
    BUSY,
    CROSS_SITE,
    INTERNAL,
    NOT_JSON,
    TIMED_OUT,
    TOO_LARGE,
    TOO_MANY,
    TOO_SLOW,
    UNAUTHORIZED,
    WRONG_HOST,
    Problem,
)
from recbole_longinterest.service.service import Service
from recbole_longinterest.service.web_page import FILES

OPEN = ("/healthz", "/readyz", "/docs", "/openapi.json", *FILES)  # accessible without a key
SLASH = b"%1F"  # replaces a slash in an id while the path is matched; ids cannot contain control characters
LONG = {  # time limits in seconds of requests that may load an encoder or a model
    ("POST", "/v1/items"): 120.0,
    ("POST", "/v1/admin/models"): 600.0,
    ("POST", "/v1/admin/models/back"): 600.0,
    ("PUT", "/v1/admin/models/shadow"): 600.0,
}
JSON = re.compile(r"application/json *(;|$)", re.IGNORECASE)
PROCESS, REQUESTS = secrets.token_hex(6), count(1)  # make request ids without a system call for each
ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
SAFE = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
]


class Gate:
    """The middleware that checks requests.

    Args:
        app: application with the routes.
        service: service whose options apply.
        keys: API keys; None for a service without keys, which answers only requests from this machine.
    """

    def __init__(self, app: ASGIApp, service: Service, keys: Keys | None) -> None:
        self._app, self._service, self._keys = app, service, keys
        self._options = service.options
        self._rates = RateLimit(self._options.rate, self._options.burst)
        self._at_work = 0
        service.metrics.watch("requests_at_work", "Requests in progress", lambda: self._at_work)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check and answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        given = headers.get("x-request-id", "")
        answer.request_id = given if ID.fullmatch(given) else f"{PROCESS}-{next(REQUESTS)}"
        scope["state"] = {**scope.get("state", {}), "client": None}
        began = perf_counter()
        self._at_work += 1
        try:
            await self._answer(scope, headers, receive, answer)
        except Exception as error:  # the client gets no details of it
            log("error", ERROR, error=error, request_id=answer.request_id, route=_route(scope))
            if not answer.begun:
                problem = Problem(INTERNAL, f"The log has the details of request {answer.request_id}.")
                await problem.response()(scope, receive, answer)
        finally:
            self._at_work -= 1
            self._note(scope, answer, perf_counter() - began)

    async def _answer(self, scope: Scope, headers: Mapping[str, str], receive: Receive, answer: "_Answer") -> None:
        try:
            if self._at_work > self._options.max_requests:
                raise Problem(BUSY, f"The service is busy with {self._at_work - 1:,} requests. Try again later.")
            scope["state"]["client"] = client = self._client(scope, headers)
            wait = self._rates.wait(client.name) if client is not None else 0.0
            if wait:
                after = {"Retry-After": str(max(1, round(wait)))}
                raise Problem(TOO_MANY, f"A key may send {self._options.rate:g} requests per second.", headers=after)
            _keep_slashes(scope)
            body = await self._body(headers, receive)
            if body and not JSON.match(headers.get("content-type", "")):
                # A web page of another site may send other content types without a preflight request.
                raise Problem(NOT_JSON, "Send Content-Type: application/json.")
            seconds = max(self._options.timeout, LONG.get((scope["method"], scope["path"]), 0.0))
            with anyio.move_on_after(seconds) as limit:
                await self._app(scope, _from_memory(body, receive), answer)
            if limit.cancelled_caught and not answer.begun:
                raise Problem(TIMED_OUT, f"The request took longer than {seconds:g} seconds.")
        except Problem as problem:
            if answer.begun:
                raise
            await problem.response()(scope, receive, answer)

    def _client(self, scope: Scope, headers: Mapping[str, str]) -> Client | None:
        """Return the client; None without a valid key, for a path that needs no key.

        Raises:
            Problem: for a missing or unknown key. Without keys: for another host name, or a web page of another site.
        """
        if self._keys is None:
            # Web pages in the operator's browser can also reach loopback: by another host name, or from another site.
            if not is_loopback(host_of(headers.get("host", ""))):
                raise Problem(WRONG_HOST, "Without API keys, the service only answers requests to localhost.")
            if headers.get("sec-fetch-site") == "cross-site" or not _same_site(headers):
                raise Problem(
                    CROSS_SITE, "Without API keys, the service answers no requests from web pages of other sites."
                )
            return LOCAL
        kind, _, key = headers.get("authorization", "").partition(" ")
        key = headers.get("x-api-key", key.strip() if kind.lower() == "bearer" else "")
        client = self._keys.client(key) if key else None
        if client is None and scope["path"] not in OPEN:
            said = "This API key is not known." if key else "Give an API key: Authorization: Bearer KEY."
            raise Problem(UNAUTHORIZED, said, headers={"WWW-Authenticate": "Bearer"})
        return client

    async def _body(self, headers: Mapping[str, str], receive: Receive) -> bytes | None:
        """Read the request's body within the limits of size and time; None without a body."""
        length, most = headers.get("content-length"), self._options.max_body
        if length is None and "transfer-encoding" not in headers:
            return None
        too_large = Problem(TOO_LARGE, f"A body may have at most {most:,} bytes.", headers={"Connection": "close"})
        if length is not None and length.isdecimal() and int(length) > most:
            raise too_large
        parts, size = [], 0
        with anyio.move_on_after(self._options.timeout) as limit:
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise Problem(BAD_REQUEST, "The body is incomplete.")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > most:
                    raise too_large
                if not message.get("more_body"):
                    break
        if limit.cancelled_caught:
            said = f"The body took longer than {self._options.timeout:g} seconds."
            raise Problem(TOO_SLOW, said, headers={"Connection": "close"})
        return b"".join(parts)

    def _note(self, scope: Scope, answer: "_Answer", seconds: float) -> None:
        route = _route(scope)
        self._service.metrics.request(route, scope["method"], answer.status, seconds)
        client = scope["state"]["client"]
        fields: dict[str, Any] = {
            "route": route or "other",
            "method": scope["method"],
            "status": answer.status,
            "ms": round(1000 * seconds, 2),
            "client": client.name if client else None,
            "request_id": answer.request_id,
        }
        if self._options.log_users and "user" in scope.get("path_params", {}):
            fields["user"] = scope["path_params"]["user"].replace(unquote(SLASH.decode()), "/")
        log(REQUEST, **fields)


class _Answer:
    """Sends an answer with the common headers.

    Attributes:
        begun: whether a part of it was sent.
        status: HTTP status; 499 if the client has disconnected.
        request_id: id of the request, for the log.
    """

    def __init__(self, send: Send) -> None:
        self._send, self.begun, self.status, self.request_id = send, False, 499, ""

    async def __call__(self, message: Message) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start":
            self.begun, self.status = True, message["status"]
            own = {name for name, _ in message["headers"]}  # the web page has its own policy
            safe = [pair for pair in SAFE if pair[0] not in own]
            message["headers"] = [*message["headers"], *safe, (b"x-request-id", self.request_id.encode())]
        await self._send(message)


def host_of(header: str) -> str:
    """Return the host of a Host header, without the port."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.rpartition(":")[0] if header.count(":") == 1 else header


def is_loopback(host: str) -> bool:
    """Whether a host name or address is localhost or a loopback address."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _same_site(headers: Mapping[str, str]) -> bool:
    """Whether a request does not come from a web page of another site."""
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == headers.get("host")


def _keep_slashes(scope: Scope) -> None:
    """Keep percent-encoded slashes as parts of ids: they must not separate parts of the path."""
    raw = (scope.get("raw_path") or b"").partition(b"?")[0]
    if b"%" in raw:
        if SLASH in raw.upper():
            raise Problem(BAD_REQUEST, "An id must not contain control characters.")
        scope["path"] = unquote(re.sub(b"%2[fF]", SLASH, raw).decode("latin-1"))


def _route(scope: Scope) -> str | None:
    return getattr(scope.get("route"), "path", None)


def _from_memory(body: bytes | None, receive: Receive) -> Receive:
    """Return a function that gives the body read before, then the server's further messages."""
    if body is None:
        return receive
    given = False

    async def read() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return read
