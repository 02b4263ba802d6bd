"""Access control: roles of clients for routes."""

from typing import Any

from fastapi import Depends, Request

from recbole_longinterest.service.problems import FORBIDDEN, Problem


def role(name: str) -> Any:  # noqa: ANN401 - a dependency
    """Return a dependency that allows only clients with a role.

    Args:
        name: name of the role.
    """

    async def check(request: Request) -> None:
        client = request.scope["state"]["client"]
        if client is None or name not in client.roles:
            raise Problem(FORBIDDEN, f"This needs a key with the role {name}.")

    return Depends(check)
