"""The tenant as a whole: emptied, and filled with demo data, for tests."""

from pydantic import Field

from core.kernel.model import Model, Params


class ResetParams(Params):
    """Which tenant to empty."""

    confirm: str = Field(max_length=64)
    """The tenant's id once more, so that nobody empties one by mistake."""


class Seeded(Model):
    """How much demo data was added; zeros when it was there already."""

    pets: int
    """How many pets were added."""
    orders: int
    """How many orders were added."""
    chats: int
    """How many chats were added."""
    adoptions: int
    """How many applications for pets were added."""
