"""What requests about versions of the model hold, and what they are answered."""

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from recbole_longinterest.service.schemas import Body


class Version(Body):
    """A version in the folder of models."""

    version: Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$")] = Field(
        description="Name of its folder."
    )


class Models(BaseModel):
    """Versions of the model."""

    version: str | None = Field(description="In force; null for a service of one model folder.")
    model: str = Field(description="Fingerprint of the model in force, with the items that were added.")
    previous: str | None = Field(description="In force before: POST /v1/admin/models/back brings it back.")
    shadow: str | None = Field(description="Scores live requests beside the answers.")
    versions: list[str] = Field(description="In the folder, the newest last.")
    refused: dict[str, str] = Field(description="Versions that were tried in vain, with the reason.")
