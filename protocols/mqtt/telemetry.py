"""The one kind of message that clients publish: a device's readings of a pet."""

import re

import orjson

from core.kernel.caller import Caller, Role
from core.kernel.errors import BadRequest, Forbidden, ValidationFailed, Violation, ViolationCode
from core.kernel.ids import is_id
from core.kernel.validation import check_body
from core.live.session import Session
from core.models.readings import TELEMETRY_TOPIC, ReadingDraft
from core.services.readings import REPORT_HEALTH
from core.store.store import Call, Store
from protocols.mqtt.filters import parse_topic_name

_TELEMETRY = re.compile(TELEMETRY_TOPIC.format(pet_id="([^/]+)"))


async def report(store: Store, session: Session, topic: str, payload: bytes) -> None:
    """Report a reading that a client published.

    Raises:
        StoreError: it is refused.
    """
    caller = session.caller
    pet_id = _pet_id_of(caller, topic)
    await store.execute(
        caller, Call(REPORT_HEALTH, {"id": pet_id}, _decode_json(payload), request_id=session.id)
    )


def can_report(caller: Caller, topic: str, payload: bytes) -> bool:
    """Whether the caller could publish this.

    Raises:
        ValidationFailed: the topic is theirs, but this is no reading.
    """
    try:
        _pet_id_of(caller, topic)
    except Forbidden:
        return False
    try:
        check_body(ReadingDraft, _decode_json(payload))
    except BadRequest as error:
        raise ValidationFailed((Violation("", error.detail, ViolationCode.INVALID_FORMAT),)) from None
    return True


def _pet_id_of(caller: Caller, topic: str) -> str:
    """The id of the pet whose telemetry topic this is.

    Raises:
        Forbidden: it is no such topic, or the caller is no device of its tenant.
    """
    try:
        address = parse_topic_name(topic)
    except BadRequest:
        raise Forbidden("Nobody publishes there.") from None
    found = _TELEMETRY.fullmatch(address.topic)
    if found is None or not is_id(found[1]):
        raise Forbidden("Nobody publishes there.")
    if caller.role is not Role.DEVICE or address.tenant not in (None, caller.tenant):
        raise Forbidden("Only devices of the tenant publish there.")
    return found[1]


def _decode_json(payload: bytes) -> object:
    try:
        decoded: object = orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise BadRequest("The payload is not JSON.") from None
    return decoded
