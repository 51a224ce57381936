"""Readings: reported by the devices that pets wear, and announced."""

import hashlib
from datetime import UTC, timedelta

from pydantic_core import to_json

from core.kernel.caller import Role, Scope
from core.kernel.errors import (
    ErrorCode,
    Forbidden,
    NotFound,
    Unauthorized,
    ValidationFailed,
    Violation,
    ViolationCode,
)
from core.kernel.events import PUBLIC
from core.kernel.model import ById
from core.models import examples
from core.models.devices import Device
from core.models.idempotency import IdempotencyRecord
from core.models.pets import Pet
from core.models.readings import PET_HEALTH_REPORTED, HealthReportedEvent, Reading, ReadingDraft
from core.store.context import Context
from core.store.operation import AnyOperation, Operation

#: How far a device's clock may be ahead.
_MAX_CLOCK_AHEAD = timedelta(minutes=5)
#: How long the same reading, with its own time of measurement, counts as a repetition.
_REPETITION_WINDOW = timedelta(hours=24)


async def _report(ctx: Context, params: ById, body: ReadingDraft) -> Reading:
    caller = ctx.caller
    if caller.role is not Role.DEVICE or caller.device_id is None:
        raise Forbidden("Only devices report readings.")
    tx = await ctx.tx()
    # Looked up each time: what a device may report is not in its token. Locked: one report of a device at a time.
    device = await tx.get(Device, caller.device_id, lock=True)
    if device is None:
        raise Unauthorized("The device is no longer known.")
    if params.id not in device.pet_ids:
        raise Forbidden("This device does not watch that pet.")
    if await tx.get(Pet, params.id) is None:
        raise NotFound("There is no such pet.")
    reading = _checked(ctx, body)
    if body.measured_at is not None and await _is_repetition(ctx, device, params.id, reading):
        return reading
    data = HealthReportedEvent(pet_id=params.id, device_id=device.id, reading=reading)
    ctx.emit(PET_HEALTH_REPORTED, data, PUBLIC, pet_id=params.id)
    return reading


async def _is_repetition(ctx: Context, device: Device, pet_id: str, reading: Reading) -> bool:
    """Whether the device has reported the same reading before: networks of devices deliver at least once.

    Recorded in the transaction that announces the reading, so that neither happens without the other.
    """
    tx = await ctx.tx()
    told = to_json([device.id, pet_id, reading])
    record = IdempotencyRecord(
        id=hashlib.sha256(told).hexdigest(),
        tenant_id=ctx.tenant,
        fingerprint="",
        response="",
        expires_at=ctx.now + _REPETITION_WINDOW,
    )
    if await tx.get(IdempotencyRecord, record.id) is not None:
        return True
    await tx.insert(record)
    return False


def _checked(ctx: Context, body: ReadingDraft) -> Reading:
    measured_at = ctx.now if body.measured_at is None else body.measured_at.astimezone(UTC)
    if measured_at > ctx.now + _MAX_CLOCK_AHEAD:
        raise ValidationFailed(
            (Violation("measuredAt", "must not be in the future", ViolationCode.OUT_OF_RANGE),)
        )
    return Reading(**body.model_dump(exclude={"measured_at"}), measured_at=measured_at)


REPORT_HEALTH = Operation(
    name="reportPetHealth",
    tag="Readings",
    summary="Report how a pet is",
    description="For the devices that watch the pet. Every subscriber to the pet gets it. The same reading, "
    "with its time of measurement, is announced once, however often it is reported.",
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
