"""Telemetry: taken from the devices that pets wear, and announced."""

from datetime import UTC, timedelta

from core import examples
from core.caller import Role, Scope
from core.context import Context
from core.errors import ErrorCode, Fault, FaultCode, Forbidden, NotFound, Unauthorized, ValidationFailed
from core.events import PUBLIC
from core.models.devices import Device
from core.models.pets import Pet
from core.models.telemetry import PET_HEALTH_REPORTED, HealthReportedEvent, Reading, ReadingDraft
from core.operations import AnyOperation, Operation
from core.resource import ById

#: How far a device's clock may be ahead.
_AHEAD = timedelta(minutes=5)


async def _report(ctx: Context, params: ById, body: ReadingDraft) -> Reading:
    caller = ctx.caller
    if caller.role is not Role.DEVICE or caller.device_id is None:
        raise Forbidden("Only devices report telemetry.")
    tx = await ctx.tx()
    # Looked up each time: what a device may report is not in its token.
    device = await tx.get(Device, caller.device_id)
    if device is None:
        raise Unauthorized("The device is no longer known.")
    if params.id not in device.pet_ids:
        raise Forbidden("This device does not watch that pet.")
    if await tx.get(Pet, params.id) is None:
        raise NotFound("There is no such pet.")
    reading = _checked(ctx, body)
    data = HealthReportedEvent(pet_id=params.id, device_id=device.id, reading=reading)
    ctx.emit(PET_HEALTH_REPORTED, data, PUBLIC, pet_id=params.id)
    return reading


def _checked(ctx: Context, body: ReadingDraft) -> Reading:
    values = body.model_dump(exclude={"measured_at"})
    if all(value is None for value in values.values()):
        raise ValidationFailed((Fault("", "must hold at least one value", FaultCode.REQUIRED_FIELD),))
    measured_at = ctx.now if body.measured_at is None else body.measured_at.astimezone(UTC)
    if measured_at > ctx.now + _AHEAD:
        raise ValidationFailed((Fault("measuredAt", "must not be in the future", FaultCode.OUT_OF_RANGE),))
    return Reading(**values, measured_at=measured_at)


REPORT_HEALTH = Operation(
    name="reportPetHealth",
    tag="Telemetry",
    summary="Report how a pet is",
    description="By the devices that watch the pet. Everybody who listens to the pet is told.",
    params=ById,
    body=ReadingDraft,
    result=Reading,
    handler=_report,
    scope=Scope.READ_PETS,
    writes=True,
    idempotent=True,
    errors=frozenset({ErrorCode.NOT_FOUND}),
    body_example=examples.READING,
    result_example=examples.READING,
)

OPERATIONS: tuple[AnyOperation, ...] = (REPORT_HEALTH,)
