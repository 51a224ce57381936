"""What nodes tell each other on the bus: events, or only how far a log has grown; and which agents they have.

A message is a version byte, the length of the head (32 bits, big-endian), the head as JSON, and the data of its
events, which is JSON already, one after another.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from core.kernel.events import Audience, Event
from core.kernel.ids import TenantId

_VERSION = 1
_PREFIX = struct.Struct(">BI")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

#: Events with more data than this share no message with others.
_MAX_MESSAGE_BYTES = 64 << 10
#: A commit with more data than this is not sent: other nodes read it from the log.
_MAX_COMMIT_BYTES = 512 << 10


class _EventHead(NamedTuple):
    id: str
    event_type: str
    topic: str
    milliseconds: int
    audience: str
    sequence: int
    size: int
    request_id: str | None
    aliases: tuple[str, ...]


class _Head(NamedTuple):
    node: str
    tenant: str
    epoch: int
    sequence: int
    events: tuple[_EventHead, ...]
    agents: tuple[str, ...] | None = None


_HEAD = TypeAdapter(_Head)


class MalformedNodeMessage(ValueError):
    """Not a message of another node's hub."""


@dataclass(frozen=True, slots=True)
class NodeMessage:
    """News of one tenant's log. ``head`` is the sequence up to which it is known to go; 0 tells nothing of that.

    A message with ``agents`` tells of these alone: the user ids of the tenant's agents at the node.
    """

    node: str
    tenant: TenantId
    epoch: int
    head: int
    events: tuple[Event, ...]
    agents: frozenset[str] | None = None


def encode_agents(node: str, tenant: TenantId, agents: frozenset[str]) -> bytes:
    """The message that tells which of a tenant's agents are at a node."""
    head = to_json((node, tenant, 0, 0, (), sorted(agents)))
    return _PREFIX.pack(_VERSION, len(head)) + head


def encode(node: str, tenant: TenantId, events: Sequence[Event]) -> list[bytes]:
    """The messages that announce events; ephemeral events of unusual size are left out."""
    messages: list[bytes] = []
    if sum(len(event.data) for event in events) > _MAX_COMMIT_BYTES:
        logged = [event for event in events if event.sequence]
        return [_message(node, tenant, logged[-1:], hint=True)] if logged else []
    group: list[Event] = []
    size = 0
    for event in events:
        if group and size + len(event.data) > _MAX_MESSAGE_BYTES:
            messages.append(_message(node, tenant, group))
            group, size = [], 0
        group.append(event)
        size += len(event.data)
    if group:
        messages.append(_message(node, tenant, group))
    return messages


def decode(message: bytes) -> NodeMessage:
    """Read a message.

    Raises:
        MalformedNodeMessage: it is none.
    """
    try:
        version, length = _PREFIX.unpack_from(message)
        if version != _VERSION:
            raise MalformedNodeMessage(f"version {version}")
        place = _PREFIX.size + length
        head = _HEAD.validate_json(message[_PREFIX.size : place])
        events = []
        for item in head.events:
            data = message[place : place + item.size]
            if item.size < 0 or len(data) != item.size:
                raise MalformedNodeMessage("cut off")
            place += item.size
            events.append(_event(head, item, data))
    except (struct.error, ValidationError, OverflowError) as error:
        raise MalformedNodeMessage(str(error)) from None
    agents = None if head.agents is None else frozenset(head.agents)
    return NodeMessage(head.node, TenantId(head.tenant), head.epoch, head.sequence, tuple(events), agents)


def _message(node: str, tenant: TenantId, events: Sequence[Event], *, hint: bool = False) -> bytes:
    epoch = max(event.epoch for event in events)
    sequence = max(event.sequence for event in events)
    if hint:
        events = ()
    heads = [
        (
            event.id,
            event.event_type,
            event.topic,
            (event.timestamp - _EPOCH) // _MILLISECOND,
            event.audience.encode(),
            event.sequence,
            len(event.data),
            event.request_id,
            event.aliases,
        )
        for event in events
    ]
    head = to_json((node, tenant, epoch, sequence, heads))
    return b"".join([_PREFIX.pack(_VERSION, len(head)), head, *[event.data for event in events]])


def _event(head: _Head, item: _EventHead, data: bytes) -> Event:
    return Event(
        id=item.id,
        event_type=item.event_type,
        tenant=TenantId(head.tenant),
        topic=item.topic,
        timestamp=_EPOCH + item.milliseconds * _MILLISECOND,
        audience=Audience.decode(item.audience),
        data=data,
        aliases=item.aliases,
        request_id=item.request_id,
        sequence=item.sequence,
        epoch=head.epoch if item.sequence else 0,
    )
