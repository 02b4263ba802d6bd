"""Routes about the model, and explanations for a history in the request."""

from fastapi import FastAPI

import recbole_longinterest.service.insight_schemas as schemas
from recbole_longinterest.service.roles import role
from recbole_longinterest.service.service import Service


def add_insight(app: FastAPI, service: Service) -> None:
    """Add the routes.

    Args:
        app: the application.
        service: the service.
    """

    @app.get("/v1/model", tags=["model"], dependencies=[role("read")])
    async def model() -> schemas.ModelInfo:
        """Describe the model and its inputs."""
        return service.insight.model()

    @app.get("/v1/strategies", tags=["model"], dependencies=[role("read")])
    async def strategies() -> schemas.Strategies:
        """List the strategies, with reasons why some cannot be used."""
        return await service.insight.strategies()

    @app.post("/v1/explanations", tags=["model"], dependencies=[role("read")])
    async def explain_history(body: schemas.AskWhy) -> schemas.Explanations:
        """Explain the scores of items for a history in the body; nothing is stored."""
        return await service.insight.explain(body)

    @app.post("/v1/interest", tags=["model"], dependencies=[role("read")])
    async def interest(body: schemas.AskInterest) -> schemas.InterestOverTime:
        """Show how the interest changed over a history in the body; nothing is stored."""
        return await service.insight.interest(body)
