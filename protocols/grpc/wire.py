"""Messages and the store's values: translated by the names of their fields, with no code for any one of them.

A message's field takes the member of the same name. Enum values lose their prefix, times and amounts of money get the
form of the field, and a oneof is a union whose members are told apart by ``object``.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.message import Message
from pydantic_core import from_json

from core.kernel.errors import ValidationFailed, Violation, ViolationCode
from core.kernel.events import Event
from core.live.chat_messages import for_chat
from core.store.idempotency import KEY_NAME
from protocols.grpc._generated.petstore.v1 import chats_pb2, events_pb2

#: Fields that show a member under a further name.
_DERIVED = {"adoption_fee": "price"}
#: What is metadata here, and no field, by the store's name of it.
_METADATA = {KEY_NAME: "idempotency-key"}
_TIMESTAMP = "google.protobuf.Timestamp"
#: A client takes messages of at most 4 MiB unless it asks for more; the frames of a batch are sent in parts below it.
_MAX_BATCH_BYTES = 1 << 20

Put = Callable[[Any, Any], None]
Take = Callable[[Any], Any]


# --- values to messages ---


def write(message: Message, value: object) -> None:
    """Fill a message from a model, or from a mapping as JSON has it; what the value lacks stays unset."""
    in_json = isinstance(value, Mapping)
    for name, json_name, put in _write_plan(message.DESCRIPTOR):
        found = value.get(json_name) if in_json else getattr(value, name, None)  # type: ignore[attr-defined]
        if found is not None:
            put(message, found)


@cache
def _write_plan(descriptor: Descriptor) -> tuple[tuple[str, str, Put], ...]:
    """For each field: the member it shows, its name in JSON, and what puts a value there."""
    plan = []
    for field in descriptor.fields:
        name = _DERIVED.get(field.name, field.name)
        json_name = field.json_name
        oneof = _choice_of(field)
        if oneof is not None:
            plan.append((oneof.name, camel(oneof.name), _put_chosen(field.name)))
        else:
            plan.append((name, json_name, _put(field)))
    return tuple(plan)


def _put(field: FieldDescriptor) -> Put:
    name = field.name
    if _is_map(field):
        assert field.message_type is not None
        whole = field.message_type.fields_by_name["value"].message_type is not None
        return _put_map(name, whole=whole)
    convert = _converter(field)
    if field.is_repeated:
        if convert is None:
            return _put_messages(name)
        return lambda message, values: getattr(message, name).extend([convert(value) for value in values])
    if field.message_type is not None:
        return _put_time(name) if field.message_type.full_name == _TIMESTAMP else _put_message(name)
    assert convert is not None
    return lambda message, value: setattr(message, name, convert(value))


def _converter(field: FieldDescriptor) -> Callable[[Any], Any] | None:
    """What makes a plain value of the field's type; None for messages."""
    if field.message_type is not None:
        return None
    if field.enum_type is not None:
        return _numbers(field.enum_type).__getitem__
    if field.type == FieldDescriptor.TYPE_STRING:
        return _text
    return float if field.type == FieldDescriptor.TYPE_DOUBLE else lambda value: value


def _text(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, Decimal) else str(value)


def _put_message(name: str) -> Put:
    def put(message: Any, value: object) -> None:
        part = getattr(message, name)
        part.SetInParent()
        write(part, value)

    return put


def _put_messages(name: str) -> Put:
    def put(message: Any, values: Iterable[object]) -> None:
        parts = getattr(message, name)
        for value in values:
            write(parts.add(), value)

    return put


def _put_chosen(name: str) -> Put:
    put_message = _put_message(name)

    def put(message: Any, value: Any) -> None:
        if value.object == name:
            put_message(message, value)

    return put


def _put_map(name: str, *, whole: bool) -> Put:
    def put(message: Any, values: Mapping[str, object]) -> None:
        entries = getattr(message, name)
        for key, value in values.items():
            if whole:
                write(entries[str(key)], value)
            else:
                entries[str(key)] = value

    return put


def _put_time(name: str) -> Put:
    def put(message: Any, value: datetime | str) -> None:
        part = getattr(message, name)
        if isinstance(value, str):
            part.FromJsonString(value)
        else:
            part.FromDatetime(value)

    return put


# --- messages to values ---


def read(message: Message) -> dict[str, Any]:
    """What a message holds, as JSON would have it; what is unset is left out."""
    plan = _read_plan(message.DESCRIPTOR)
    values: dict[str, Any] = {}
    for field, value in message.ListFields():
        name, take = plan[field]
        found = value if take is None else take(value)
        if found is not None:
            values[name] = found
    return values


@cache
def _read_plan(descriptor: Descriptor) -> dict[FieldDescriptor, tuple[str, Take | None]]:
    """For each field: its name in JSON, and what makes its value one of JSON, where that takes anything."""
    plan: dict[FieldDescriptor, tuple[str, Take | None]] = {}
    for json_name, field in _fields(descriptor):
        oneof = _choice_of(field)
        plan[field] = (json_name if oneof is None else camel(oneof.name), _take(field, oneof))
    return plan


def _take(field: FieldDescriptor, oneof: OneofDescriptor | None) -> Take | None:
    if oneof is not None:
        name = field.name
        return lambda part: {"object": name, **read(part)}
    if field.is_repeated:
        return lambda items: [_read_one(field, item) for item in items]
    if field.message_type is not None:
        return _time_text if field.message_type.full_name == _TIMESTAMP else read
    if field.enum_type is not None:
        names = _names(field.enum_type)
        # 0 is an enum that is unset.
        return lambda number: names.get(number, str(number)) if number else None
    return None


def _time_text(time: Any) -> str:
    """A time as JSON has it; what lies outside of all years is no time."""
    try:
        text: str = time.ToJsonString()
    except ValueError:
        return ""
    return text


def _read_one(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        return read(value)
    if field.enum_type is not None:
        return _names(field.enum_type).get(value, str(value))
    return value


def read_masked(message: Message, paths: Iterable[str]) -> dict[str, Any]:
    """What a field mask names of a message, as a JSON merge patch: what is unset is null there.

    Raises:
        ValidationFailed: the mask names fields that the message does not have.
    """
    patch: dict[str, Any] = {}
    violations = [
        Violation("updateMask", f"names '{path[:64]}', which is no field", ViolationCode.UNKNOWN_FIELD)
        for path in paths
        if not _pick(patch, message, path.split("."))
    ]
    if violations:
        raise ValidationFailed(tuple(violations))
    return patch


def _pick(patch: dict[str, Any], message: Message, steps: list[str]) -> bool:
    fields: Any = message.DESCRIPTOR.fields_by_name
    field: FieldDescriptor | None = fields.get(steps[0])
    if field is None:
        return False
    if len(steps) == 1:
        patch[field.json_name] = _whole(message, field)
        return True
    if field.message_type is None or field.is_repeated:
        return False
    inner = patch.setdefault(field.json_name, {})
    return isinstance(inner, dict) and _pick(inner, getattr(message, field.name), steps[1:])


def _whole(message: Message, field: FieldDescriptor) -> Any:
    """A field's value with all that is within, where null says that it is unset."""
    value = getattr(message, field.name)
    if field.is_repeated:
        return [_read_one(field, item) for item in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    if field.message_type is not None:
        return {name: _whole(value, part) for name, part in _fields(field.message_type)}
    return _read_one(field, value) if field.has_presence or value else None


def _fields(descriptor: Descriptor) -> list[tuple[str, FieldDescriptor]]:
    fields: Any = descriptor.fields  # The stubs and the two implementations of descriptors disagree.
    return [(field.json_name, field) for field in fields]


def field_path(path: str, message: Message) -> str:
    """The path of a violation as it is written for this message: its own names, and of a oneof the field chosen."""
    if path in _METADATA:
        return _METADATA[path]
    first, dot, rest = snake(path).partition(".")
    name, index, _ = first.partition("[")
    fields = message.DESCRIPTOR.fields_by_name
    field = fields.get(name)
    for derived, shown in _DERIVED.items():
        if shown == name and derived in fields and message.HasField(derived) and not message.HasField(name):
            return derived
    if index and field is not None and not field.is_repeated:
        first = name  # The store takes several where this message has one.
    if first in message.DESCRIPTOR.oneofs_by_name:
        first = message.WhichOneof(first) or first
    return f"{first}{dot}{rest}"


# --- names ---


def camel(name: str) -> str:
    """A field's name as JSON has it."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def snake(name: str) -> str:
    """A name that JSON has as a field's name."""
    return re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", name)


def _choice_of(field: FieldDescriptor) -> OneofDescriptor | None:
    """The oneof that somebody wrote around a field; not the one that every optional field has."""
    oneof = field.containing_oneof
    return None if oneof is None or oneof.name.startswith("_") else oneof


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


@cache
def _names(enum: EnumDescriptor) -> dict[int, str]:
    """The values of an enum as the store names them: without the prefix that most of them have."""
    prefix = re.sub("(?<!^)(?=[A-Z])", "_", enum.name).upper() + "_"
    return {value.number: value.name.removeprefix(prefix) for value in enum.values}


@cache
def _numbers(enum: EnumDescriptor) -> dict[str, int]:
    return {name: number for number, name in _names(enum).items()}


# --- streams ---


def event_message(event: Event) -> events_pb2.Event:
    """An event as a message."""
    message = events_pb2.Event(
        id=event.id,
        event_type=event.event_type,
        tenant_id=event.tenant,
        topic=event.topic,
        cursor=event.cursor or "",
    )
    message.timestamp.FromDatetime(event.timestamp)
    message.data.update(event.payload)
    return message


class EventBatches:
    """An event as an ``EventBatch`` of one. Joined, such batches are one batch of all their events."""

    def encode(self, event: Event) -> bytes:
        """The batch."""
        return events_pb2.EventBatch(events=(event_message(event),)).SerializeToString()


def place_batch(cursor: str) -> bytes:
    """A batch without events: how far a quiet subscriber has come."""
    return events_pb2.EventBatch(cursor=cursor).SerializeToString()


def split_batch(data: bytes) -> Iterator[bytes]:
    """A batch of whatever size as batches that clients take."""
    start = place = 0
    while len(data) - start > _MAX_BATCH_BYTES and place < len(data):
        end = _field_end(data, place)
        if end - start > _MAX_BATCH_BYTES and place > start:
            yield data[start:place]
            start = place
        place = end
    yield data[start:]


def _field_end(data: bytes, place: int) -> int:
    """Where the field ends that begins at a place; all fields of a batch have their length in front."""
    place, size, shift = place + 1, 0, 0
    while True:
        byte = data[place]
        place += 1
        size |= (byte & 0x7F) << shift
        if byte < 0x80:
            return place + size
        shift += 7


class LiveMessages:
    """An event as a ``ConverseResponse``, under its chat name if it has one, with its length in front."""

    def encode(self, event: Event) -> bytes:
        """The message."""
        live = for_chat(event)
        response = chats_pb2.ConverseResponse(chat_id=live.chat_id or "", cursor=event.cursor or "")
        if live.name == "event":
            response.event.CopyFrom(event_message(event))
        else:
            write(getattr(response, snake(live.name)), from_json(live.data))
        return length_prefixed(response)


def length_prefixed(response: chats_pb2.ConverseResponse) -> bytes:
    """A message with its length in front, for what carries several."""
    data = response.SerializeToString()
    return len(data).to_bytes(4, "big") + data


def split_messages(data: bytes) -> Iterator[bytes]:
    """The messages that `length_prefixed` put lengths in front of, joined."""
    place = 0
    while place < len(data):
        end = place + 4 + int.from_bytes(data[place : place + 4], "big")
        yield data[place + 4 : end]
        place = end
