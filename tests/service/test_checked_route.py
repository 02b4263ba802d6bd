"""Routes that check their parameters in one step answer as FastAPI does."""

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from recbole_longinterest.service.checked_route import CheckedRoute


async def allowed(request: Request) -> None:
    if "refused" in request.query_params:
        raise HTTPException(403)


def client(kind: type[APIRoute]) -> TestClient:
    router = APIRouter(route_class=kind)

    @router.get("/users/{user}", dependencies=[Depends(allowed)])
    async def show(
        user: Annotated[str, Path(min_length=2)],
        k: Annotated[int, Query(ge=1, le=9, description="How many.")] = 3,
        names: Annotated[list[str] | None, Query(max_length=2)] = None,
        adult: Annotated[bool, Query()] = False,
        word: str = "none",
    ) -> Response:
        return JSONResponse([user, k, names, adult, word])

    app = FastAPI()
    app.include_router(router)
    return TestClient(app)


@pytest.fixture(scope="module")
def both() -> Any:
    return client(APIRoute), client(CheckedRoute)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("ann", 200),
        ("a%20b?k=5&names=x&names=y&adult=true&word=&other=1", 200),
        ("ann?k=4&k=6&word=a&word=b", 200),
        ("ann?user=bob&k=2", 200),
        ("a", 422),
        ("a?k=0&adult=perhaps&names=x&names=y&names=z", 422),
        ("ann?k=many", 422),
        ("ann?refused", 403),
    ],
)
def test_requests_are_answered_as_by_fastapi(both: tuple[TestClient, TestClient], path: str, status: int) -> None:
    theirs, ours = (each.get(f"/users/{path}") for each in both)
    assert theirs.status_code == ours.status_code == status
    assert ours.json() == theirs.json()


def test_the_description_is_that_of_fastapi(both: tuple[TestClient, TestClient]) -> None:
    theirs, ours = (each.get("/openapi.json").json() for each in both)
    assert ours == theirs
