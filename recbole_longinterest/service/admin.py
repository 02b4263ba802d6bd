"""Admin routes for model versions. They accept names of versions in the folder given at startup, never paths."""

from typing import Any

from fastapi import FastAPI

import recbole_longinterest.service.model_schemas as schemas
from recbole_longinterest.service.service import Service


def add_admin(app: FastAPI, service: Service, admin: Any) -> None:  # noqa: ANN401 - a dependency
    """Add the routes.

    Args:
        app: application of the service.
        service: the service with the models.
        admin: dependency that allows only clients with the role admin.
    """
    only: dict[str, Any] = {"tags": ["models"], "dependencies": [admin]}

    @app.get("/v1/admin/models", **only)
    async def models() -> schemas.Models:
        """List the versions, and say which one is active."""
        return service.models.state()

    @app.post("/v1/admin/models", **only)
    async def change_model(body: schemas.Version) -> schemas.Models:
        """Activate a version without interrupting requests. A version that fails its checks changes nothing."""
        return await service.models.change(body.version)

    @app.post("/v1/admin/models/back", **only)
    async def change_model_back() -> schemas.Models:
        """Roll back to the version that was active before."""
        return await service.models.back()

    @app.put("/v1/admin/models/shadow", **only)
    async def set_shadow(body: schemas.Version) -> schemas.Models:
        """Start a shadow: a second version also scores live requests, and both answers are logged."""
        return await service.models.set_shadow(body.version)

    @app.delete("/v1/admin/models/shadow", **only)
    async def end_shadow() -> schemas.Models:
        """Stop the shadow."""
        return await service.models.set_shadow(None)
