"""Requests and answers about model versions."""

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from recbole_longinterest.service.schemas import Body


class Version(Body):
    """Name of a version in the folder of models."""

    version: Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$")] = Field(
        description="Name of the version's folder."
    )


class Models(BaseModel):
    """Model versions."""

    version: str | None = Field(description="Active version; null for a service with a single model folder.")
    model: str = Field(description="Fingerprint of the active model, including added items.")
    previous: str | None = Field(description="Version active before; POST /v1/admin/models/back returns to it.")
    shadow: str | None = Field(description="Version that also scores live requests, without answering them.")
    versions: list[str] = Field(description="Versions in the folder, newest last.")
    refused: dict[str, str] = Field(description="Versions that failed their checks, with the reason.")
