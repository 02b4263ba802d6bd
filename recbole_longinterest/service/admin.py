"""Routes for operators: versions of the model. They name versions in the folder given at the start, never a path."""

from typing import Any

from fastapi import FastAPI

import recbole_longinterest.service.model_schemas as schemas
from recbole_longinterest.service.service import Service


def add_admin(app: FastAPI, service: Service, admin: Any) -> None:  # noqa: ANN401 - a dependency
    """Add the routes.

    Args:
        app: of the service.
        service: with the models.
        admin: lets clients of that role pass.
    """
    only: dict[str, Any] = {"tags": ["models"], "dependencies": [admin]}

    @app.get("/v1/admin/models", **only)
    async def models() -> schemas.Models:
        """Which versions there are, and which is in force."""
        return service.models.state()

    @app.post("/v1/admin/models", **only)
    async def change_model(body: schemas.Version) -> schemas.Models:
        """Bring a version into force. Requests are answered meanwhile; a version that is refused changes nothing."""
        return await service.models.change(body.version)

    @app.post("/v1/admin/models/back", **only)
    async def change_model_back() -> schemas.Models:
        """Bring the version that was in force before into force again."""
        return await service.models.back()

    @app.put("/v1/admin/models/shadow", **only)
    async def set_shadow(body: schemas.Version) -> schemas.Models:
        """Let a second version score live requests beside the answers; the log has both answers."""
        return await service.models.set_shadow(body.version)

    @app.delete("/v1/admin/models/shadow", **only)
    async def end_shadow() -> schemas.Models:
        """End the shadow."""
        return await service.models.set_shadow(None)
