"""Events as PUBLISH packets that all clients of one protocol version and shape share."""

import struct
from collections.abc import Iterator

from core.hub import Batch
from core.kernel.events import Event
from core.live.current_state import has_state
from protocols.mqtt.encoder import ApplicationMessage, Encoder, EncoderV3, EncoderV5
from protocols.mqtt.filters import FrameShape
from protocols.mqtt.framing import locate_packet_id
from protocols.mqtt.packets import ProtocolVersion

_OFFSETS = struct.Struct(">II")


def user_properties_of(event: Event) -> tuple[tuple[str, str], ...]:
    """The user properties of an event."""
    properties = (("eventId", event.id), ("eventType", event.event_type))
    return properties if event.cursor is None else (*properties, ("cursor", event.cursor))


class EventFrames:
    """The wire format of one protocol version and shape; packet identifiers are filled in for each client."""

    def __init__(self, version: ProtocolVersion, shape: FrameShape) -> None:
        self._encoder: Encoder = EncoderV5() if version is ProtocolVersion.V5_0 else EncoderV3()
        self._shape = shape

    def encode(self, event: Event) -> bytes:
        """PUBLISH."""
        shape = self._shape
        topic = f"tenants/{event.tenant}/{event.topic}" if shape.prefixed else event.topic
        retain = shape.retain_as_published and has_state(event.topic)
        properties = user_properties_of(event)
        return self._encoder.publish(ApplicationMessage(topic, event.envelope, shape.qos, retain, properties))


class PacketIdOffsets:
    """The lengths of `EventFrames`, and where their packet identifiers are: a wire format that goes with them."""

    def __init__(self, frames: EventFrames) -> None:
        self._frames = frames

    def encode(self, event: Event) -> bytes:
        """Length of the frame and offset of the packet identifier, four bytes each."""
        return _OFFSETS.pack(*locate_packet_id(self._frames.encode(event)))


_SHAPES = [
    FrameShape(qos, as_published, prefixed)
    for qos in (0, 1)
    for as_published in (False, True)
    for prefixed in (False, True)
]
#: The wire formats; the hub encodes each batch once for each of them.
FRAMES = {(version, shape): EventFrames(version, shape) for version in ProtocolVersion for shape in _SHAPES}
_PACKET_ID_OFFSETS = {key: PacketIdOffsets(frames) for key, frames in FRAMES.items() if key[1].qos}


def packet_id_offsets(batch: Batch, version: ProtocolVersion, shape: FrameShape) -> Iterator[tuple[int, int]]:
    """For each frame of a batch: its length, and the offset of its packet identifier."""
    return _OFFSETS.iter_unpack(batch.encoded(_PACKET_ID_OFFSETS[(version, shape)]))
