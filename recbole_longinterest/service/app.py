"""The service over HTTP: routes, the roles that may use them, and error answers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

import recbole_longinterest.service.schemas as schemas
from recbole_longinterest.common.version import __version__
from recbole_longinterest.service import problems
from recbole_longinterest.service.admin import add_admin
from recbole_longinterest.service.checked_route import CheckedRoute
from recbole_longinterest.service.gate import Gate
from recbole_longinterest.service.insight_routes import add_insight
from recbole_longinterest.service.keys import Keys
from recbole_longinterest.service.openapi import described, errors_at, page
from recbole_longinterest.service.problems import Problem
from recbole_longinterest.service.roles import role
from recbole_longinterest.service.service import Service
from recbole_longinterest.service.shop import Wish
from recbole_longinterest.service.store import records
from recbole_longinterest.service.store.errors import StoreError
from recbole_longinterest.service.web_page import add_page

TITLE = "LongInterest"
SLASH = "\x1f"  # see gate
Id = Annotated[
    str,
    Path(
        min_length=1,
        max_length=schemas.LONGEST_TOKEN,
        description="Percent-encoded.",
        json_schema_extra={"pattern": schemas.PRINTABLE},  # checked by _id, because SLASH does not match it
    ),
]
K = Annotated[int, Query(ge=1, le=1000, description="Number of items.")]
Seen = Annotated[
    schemas.Text, Query(description="Items of the user's past that are left out: target, all, none, or view,cart.")
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        description="A repeated request with the same key gets the same answer and has no further effect.",
    ),
]


def create_app(service: Service) -> FastAPI:
    """Create the application.

    Args:
        service: a service that is not started; it starts and stops with the application.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    app = FastAPI(
        title=TITLE,
        version=__version__,
        description="Recommendations by LongInterest. Errors are problem details (RFC 9457).",
        docs_url=None,  # FastAPI's pages load scripts from other sites
        redoc_url=None,
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
    )
    app.add_middleware(Gate, service=service, keys=Keys(service.options.keys) if service.options.keys else None)
    _add_events(app, service)
    _add_users(app, service)
    _add_items(app, service)
    add_admin(app, service, role("admin"))
    add_insight(app, service)
    _add_operations(app, service)
    add_page(app)
    _add_errors(app)
    described(app)
    return app


def _add_events(app: FastAPI, service: Service) -> None:
    @app.post("/v1/events", tags=["events"], dependencies=[role("write")])
    async def add_events(
        request: Request,
        body: schemas.EventsBody,
        response: Response,
        idempotency_key: IdempotencyKey = None,
    ) -> schemas.Stored:
        """Store events. When the answer arrives, they survive a crash or power cut, and later answers use them."""
        given = body.events if isinstance(body, schemas.NewEvents) else [body]
        done = await service.take_events(given, await _named(request, idempotency_key))
        if done.replayed:
            response.headers["Idempotency-Replayed"] = "true"
        return schemas.Stored(accepted=done.accepted, duplicates=done.duplicates, unknown_items=done.unknown)


def _add_users(app: FastAPI, service: Service) -> None:
    often = APIRouter(route_class=CheckedRoute)

    @often.get(
        "/v1/users/{user}/recommendations",
        tags=["recommendations"],
        dependencies=[role("read")],
        response_model=schemas.Recommendations,
    )
    async def recommend(
        user: Id,
        k: K = 10,
        exclude_seen: Seen = "target",
        exclude: Annotated[list[schemas.Text] | None, Query(max_length=1000)] = None,
        strategy: Annotated[schemas.Text | None, Query(description=schemas.STRATEGY)] = None,
        adult: Annotated[bool, Query(description=schemas.ADULT)] = False,
    ) -> Response:
        """Recommend for a user from all stored events; popular items for a user without events."""
        answer = await service.recommend(_id(user), Wish(k, exclude_seen, exclude or [], strategy, adult))
        # Serialised here, because FastAPI would validate the answer once more.
        return Response(answer.model_dump_json(), media_type="application/json")

    app.include_router(often)

    @app.post("/v1/recommendations", tags=["recommendations"], dependencies=[role("read")])
    async def recommend_to_history(body: schemas.Ask) -> schemas.Recommendations:
        """Recommend for a history in the body; nothing is stored."""
        return await service.recommend_to(body)

    @app.post("/v1/feedback", tags=["recommendations"], dependencies=[role("write")])
    async def feedback(
        request: Request, body: schemas.Feedback, response: Response, idempotency_key: IdempotencyKey = None
    ) -> schemas.Learned:
        """Report how many items of each strategy were shown and clicked. The rules' bandit learns from this."""
        learned, replayed = await service.feedback.take(body, await _named(request, idempotency_key, "feedback"))
        if replayed:
            response.headers["Idempotency-Replayed"] = "true"
        return learned

    @app.get("/v1/users/{user}/explanations/{item}", tags=["recommendations"], dependencies=[role("read")])
    async def explain(
        user: Id, item: Id, method: Literal["removal", "gradients", "attention"] = "removal"
    ) -> schemas.Explanation:
        """Explain an item's score for a user by shares of past events and of sources."""
        return await service.explain(_id(user), _id(item), method)

    @app.get("/v1/users/{user}", tags=["users"], dependencies=[role("read")])
    async def profile(user: Id) -> schemas.Profile:
        """Return the data stored about a user: events, and the leading categories."""
        return await service.profile(_id(user))

    @app.delete("/v1/users/{user}", tags=["users"], dependencies=[role("admin")])
    async def erase(user: Id) -> schemas.Erased:
        """Erase a user's events and state. The model's weights, which may have learned from them, do not change."""
        return schemas.Erased(events=await service.erase(_id(user)))


def _add_items(app: FastAPI, service: Service) -> None:
    @app.get("/v1/items/{item}/similar", tags=["items"], dependencies=[role("read")])
    async def similar(item: Id, k: K = 10) -> schemas.Items:
        """Find items similar to an item, by cosine of the item vectors and under the rules."""
        return await service.similar(_id(item), k)

    @app.get("/v1/items", tags=["items"], dependencies=[role("read")])
    async def search(
        query: Annotated[schemas.Text, Query(description="Words of the title, or any words with by=text.")],
        k: K = 10,
        by: Literal["title", "text"] = "title",
    ) -> schemas.Items:
        """Find items by words of their titles; with by=text by meaning, if the model's text encoder is available."""
        return await service.items.search(query, k, by)

    @app.post("/v1/items", tags=["items"], dependencies=[role("admin")])
    async def add_items(body: schemas.NewItems) -> schemas.Added:
        """Add items by their texts. They can be recommended at once and after a restart."""
        return await service.items.add(body.items, body.boost)

    @app.post("/v1/items/availability", tags=["items"], dependencies=[role("admin")])
    async def set_availability(body: schemas.Availability) -> schemas.Said:
        """Set which items are in stock: `{"i7": false}`. This overrides the rules, at once and after a restart."""
        return await service.set_available(body.root)


def _add_operations(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", tags=["operation"])
    async def healthz() -> schemas.Health:
        """Whether the process answers."""
        return schemas.Health(status="ok")

    @app.get("/readyz", tags=["operation"], response_model_exclude_none=True)
    async def readyz() -> schemas.Ready:
        """Whether requests can be answered: the model is loaded, and the store answers."""
        if not service.ready:
            raise Problem(problems.NOT_READY, "The service is starting or stopping.")
        current = await service.check()
        if service.shop.rules is None:
            return schemas.Ready(status="ready", rules=None)
        return schemas.Ready(status="ready", rules="current" if current else "outdated")

    @app.get("/metrics", tags=["operation"], dependencies=[role("read")], response_class=Response)
    async def metrics() -> Response:
        """Metrics for Prometheus."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page(app.openapi()))


def _add_errors(app: FastAPI) -> None:
    def answer(kind: type[Exception], problem_of: Callable[[Any], Problem]) -> None:
        async def handle(request: Request, error: Exception) -> Response:
            return problem_of(error).response()

        handler: Callable[[Request, Exception], Awaitable[Response]] = handle
        app.add_exception_handler(kind, handler)

    answer(Problem, lambda problem: problem)
    answer(records.RequestChanged, lambda error: Problem(problems.KEY_REUSED, str(error)))
    answer(StoreError, lambda error: Problem(problems.STORE_FAILED, str(error)))
    answer(HTTPException, lambda error: problems.of_status(error.status_code, str(error.detail)))
    answer(RequestValidationError, errors_at)


async def _named(request: Request, key: str | None, what: str = "") -> records.Request | None:
    """Identify a request for the store; None without an idempotency key.

    Args:
        request: the request.
        key: the ``Idempotency-Key``.
        what: kind of the request; different kinds may use the same key.
    """
    if key is None:
        return None
    client = request.scope["state"]["client"].name
    parts = "\0".join([client, key, *([what] if what else [])])
    named = sha256(parts.encode("utf-8", "surrogatepass")).digest()
    return records.Request(named, sha256(await request.body()).digest())


def _id(given: str) -> str:
    """Convert an id of a path, restoring its slashes.

    Raises:
        Problem: for an id with control characters.
    """
    token = given.replace(SLASH, "/")
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in token):
        raise Problem(problems.INVALID, "An id must not contain control characters.")
    return token
