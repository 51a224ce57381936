"""Readings: what the devices that pets wear measure and report."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, GetJsonSchemaHandler, StrictInt, model_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from core.kernel.describing import Described
from core.kernel.events import EventKind
from core.kernel.model import WHOLE, Body, Choice, Model, Time, Timestamp

#: Where devices publish, on doors that have topics to publish to.
TELEMETRY_TOPIC = "telemetry/pets/{pet_id}/health"


class Activity(Choice):
    """What a pet is doing."""

    SLEEPING = "SLEEPING"
    """Asleep."""
    RESTING = "RESTING"
    """Awake, and quiet."""
    WALKING = "WALKING"
    """Walking."""
    RUNNING = "RUNNING"
    """Running."""
    PLAYING = "PLAYING"
    """Playing."""
    EATING = "EATING"
    """Eating."""


class Reading(Model):
    """What a device measured at one time; absent: not measured."""

    heart_rate_bpm: int | None = None
    """Heartbeats per minute."""
    temperature_c: float | None = None
    """The temperature of the body in degrees Celsius."""
    activity: Activity | None = None
    """What the pet was doing."""
    battery_percent: int | None = None
    """How full the device's battery is, in percent."""
    measured_at: Timestamp
    """When it was measured."""


_MEASURED = ("heart_rate_bpm", "temperature_c", "activity", "battery_percent")


class ReadingDraft(Body):
    """A reading as a device sends it: at least one value. Without a time it counts as measured now."""

    LIKE: ClassVar[type[Described] | None] = Reading

    heart_rate_bpm: Annotated[StrictInt, Field(ge=0, le=600), WHOLE] | None = None
    temperature_c: Annotated[float, Field(strict=True, ge=0, le=60, allow_inf_nan=False)] | None = None
    activity: Activity | None = None
    battery_percent: Annotated[StrictInt, Field(ge=0, le=100), WHOLE] | None = None
    measured_at: Time | None = None

    @model_validator(mode="after")
    def _something_measured(self) -> Self:
        if all(getattr(self, name) is None for name in _MEASURED):
            raise PydanticCustomError("REQUIRED_FIELD", "must hold at least one value")
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The schema says that a value is needed."""
        made = super().__get_pydantic_json_schema__(schema, handler)
        described = handler.resolve_ref_schema(made)
        names = [to_camel(name) for name in _MEASURED]
        one = [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in names]
        described.update({"if": {"not": {"anyOf": one}}, "then": {"not": {}}})
        return made


class HealthReportedEvent(Model):
    """A device has reported the health of a pet."""

    pet_id: str
    """The pet."""
    device_id: str
    """The device."""
    reading: Reading
    """What it measured."""


PET_HEALTH_REPORTED = EventKind(
    "pet.health_reported",
    ("pets/{pet_id}/health",),
    HealthReportedEvent,
    "A device reported the health of a pet.",
    public=True,
)

EVENTS = (PET_HEALTH_REPORTED,)
