"""Which clients may use a route."""

from typing import Any

from fastapi import Depends, Request

from recbole_longinterest.service.problems import FORBIDDEN, Problem


def role(name: str) -> Any:  # noqa: ANN401 - a dependency
    """Only clients with a role may use a route.

    Args:
        name: of the role.
    """

    async def check(request: Request) -> None:
        client = request.scope["state"]["client"]
        if client is None or name not in client.roles:
            raise Problem(FORBIDDEN, f"This needs a key with the role {name}.")

    return Depends(check)
