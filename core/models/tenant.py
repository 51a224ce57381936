"""The tenant as a whole: emptied, and filled with demo data, for tests."""

from pydantic import Field

from core.kernel.model import Model, Params


class ResetParams(Params):
    """``confirm`` repeats the tenant's id, so that nobody empties one by mistake."""

    confirm: str = Field(max_length=64)


class Seeded(Model):
    """How much demo data was added; zeros when it was there already."""

    pets: int
    orders: int
    chats: int
