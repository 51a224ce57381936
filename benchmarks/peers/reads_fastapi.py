"""The peer: FastAPI with a Pydantic model and no database. Argument: a file with the pet to answer with, as JSON."""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.control import serve


class Pet(BaseModel):
    """A pet as the gateway answers it."""

    id: UUID
    number: int
    ownerId: UUID | None = None  # noqa: N815 (the names of the JSON members)
    name: str
    species: str
    breed: str | None = None
    ageMonths: int  # noqa: N815
    size: str | None = None
    color: str | None = None
    gender: str | None = None
    goodWithKids: bool | None = None  # noqa: N815
    goodWithDogs: bool | None = None  # noqa: N815
    price: str
    currency: str
    description: str | None = None
    status: str
    photos: list[str] = []
    medicalInfo: dict[str, Any] | None = None  # noqa: N815
    tenantId: UUID  # noqa: N815
    createdAt: datetime  # noqa: N815
    updatedAt: datetime  # noqa: N815


app = FastAPI()
pets: dict[UUID, Pet] = {}


@app.get("/v1/pets/{pet_id}")
async def get_pet(pet_id: UUID) -> Pet:
    """One pet, from a dictionary."""
    return pets[pet_id]


if __name__ == "__main__":
    pet = Pet.model_validate(json.loads(Path(sys.argv[1]).read_bytes()))
    pets[pet.id] = pet
    serve(app)
