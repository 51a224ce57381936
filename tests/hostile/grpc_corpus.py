"""Inputs of gRPC: messages, metadata, and the frames of HTTP/2 beneath."""

import gzip
import os
from collections.abc import Callable, Iterator

from google.protobuf.struct_pb2 import Struct

from protocols.grpc._generated.petstore.v1 import chats_pb2, events_pb2
from tests.hostile.inputs import Input, Part, Parts, Send, grpc_call, grpc_talk, http2
from tests.hostile.wires import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PRIORITY,
    PUSH,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    call_fields,
    fields_block,
    http2_frame,
)

_LIST, _SEARCH, _CREATE = "PetService/ListPets", "PetService/SearchPets", "PetService/CreatePet"
_SUBSCRIBE, _COMPLETE = "EventService/Subscribe", "AdvisorService/Complete"
_REFLECTION = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo"


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes (protobuf's wire type 2)."""
    size, encoded = len(content), b""
    while size >= 128:
        encoded += bytes((size & 0x7F | 0x80,))
        size >>= 7
    return bytes((number << 3 | 2,)) + encoded + bytes((size,)) + content


def _nested(number: int, depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = _field(number, content)
    return content


def _deep_struct(depth: int) -> bytes:
    """A Struct within Structs."""
    value = b""
    for _ in range(depth):
        # Struct.fields is a map: an entry has a key and a Value, whose struct_value is field 5.
        value = _field(1, _field(1, b"a") + _field(2, _field(5, value)))
    return value


def _wide_struct() -> bytes:
    struct = Struct()
    struct.update({str(number): number for number in range(20_000)})
    return struct.SerializeToString()


_MESSAGES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "no message": (_CREATE, lambda: b"\xff" * 100),
    "random bytes of 100 kB": (_CREATE, lambda: os.urandom(100_000)),
    "unknown fields, 200,000": (_LIST, lambda: b"\xf8\x07\x01" * 200_000),
    "a message of 1 MB": (_CREATE, lambda: _field(1, b"x" * 1_000_000)),
    "a message of 8 MB": (_CREATE, lambda: _field(1, b"x" * 8_000_000)),
    "a field that is longer than the message": (_CREATE, lambda: b"\x0a\xff\xff\xff\x7f"),
    "a number that does not end": (_CREATE, lambda: b"\x08" + b"\xff" * 1_000),
    "text that is not UTF-8": (_CREATE, lambda: _field(1, b"\xff\xfe")),
    "fields 90 deep": (_SEARCH, lambda: _nested(1, 90)),
    "fields 5,000 deep": (_SEARCH, lambda: _nested(1, 5_000)),
    "groups 10,000 deep": (_SEARCH, lambda: b"\x0b" * 10_000),
    "a Struct 90 deep": (_CREATE, lambda: b"".join(_field(n, _deep_struct(20)) for n in range(1, 16))),
    "a Struct 2,000 deep": (_CREATE, lambda: b"".join(_field(n, _deep_struct(2_000)) for n in range(1, 16))),
    "a Struct of 20,000 members": (_CREATE, lambda: _field(15, _wide_struct())),
    "50,000 species": (_LIST, lambda: b"\x08\x01" * 50_000),
    "every field 20,000 times": (_LIST, lambda: b"".join(bytes((n << 3, 1)) for n in range(1, 16)) * 20_000),
    "every text 20,000 times": (_CREATE, lambda: b"".join(_field(n, b"x") for n in range(1, 16)) * 20_000),
    "a service that is not there": ("Nothing/AtAll", lambda: b""),
    "a method of 7 kB": ("PetService/" + "x" * 7_000, lambda: b""),
}  # fmt: skip


def _messages() -> Iterator[Input]:
    for name, (method, message) in _MESSAGES.items():
        yield Input(name, "gRPC", grpc_call(method, message))
    calls: dict[str, Send] = {
        "200 lists of 100 pets at once": grpc_call(
            _LIST, lambda: b"\x20\x64", times=200
        ),
        "2,000 calls of nothing at once": grpc_call("Nothing/AtAll", times=2_000),
        "200 creations that are refused": grpc_call(_CREATE, b"", times=200),
        "300 fields of metadata": grpc_call(_LIST, metadata=lambda: [(f"a{n}", "b") for n in range(300)]),
        "metadata of 7 kB": grpc_call(_LIST, metadata={"a": "b" * 7_000}),
        "metadata of 60 kB": grpc_call(_LIST, metadata={"a": "b" * 60_000}),
        "a request id of 7 kB": grpc_call(_LIST, metadata={"x-request-id": "b" * 7_000}),
        "a tenant of 7 kB": grpc_call(_LIST, metadata={"x-tenant-id": "b" * 7_000}),
        "binary metadata": grpc_call(_LIST, metadata=lambda: [("a-bin", b"\xff" * 5_000)]),
        "5,000 topics": grpc_call(
            _SUBSCRIBE, lambda: events_pb2.SubscribeRequest(topics=["a/b"] * 5_000).SerializeToString(), stream=True
        ),
        "a topic of 60 kB": grpc_call(
            _SUBSCRIBE, lambda: events_pb2.SubscribeRequest(topics=["/" * 60_000]).SerializeToString(), stream=True
        ),
        "all that is kept": grpc_call(
            _SUBSCRIBE,
            lambda: events_pb2.SubscribeRequest(topics=["pets/#"], cursor="earliest").SerializeToString(),
            stream=True,
        ),
        "100 streams on one connection": grpc_call(
            _SUBSCRIBE, lambda: events_pb2.SubscribeRequest(topics=["pets/#"]).SerializeToString(),
            stream=True, times=100,
        ),
        "a conversation of 5,000 messages of nothing": grpc_talk(lambda: (b"" for _ in range(5_000))),
        "reflection: 2,000 questions": grpc_talk(
            lambda: (_field(4, b"petstore.v1.PetService") for _ in range(2_000)), method=_REFLECTION
        ),
        "reflection: a name of 1 MB": grpc_talk(lambda: iter([_field(4, b"x" * 1_000_000)]), method=_REFLECTION),
        "an image in 5,000 parts of nothing": grpc_talk(
            lambda: (b"" for _ in range(5_000)), method="petstore.v1.PetService/UploadPetImage"
        ),
        "an image of 5,000 ids": grpc_talk(
            lambda: (_field(1, b"x" * 36) for _ in range(5_000)), method="petstore.v1.PetService/UploadPetImage"
        ),
        "the advisor: a message of 1 MB": grpc_call(
            _COMPLETE, lambda: _field(1, _field(2, b"x" * 1_000_000)), stream=True
        ),
        "the advisor: 200,000 messages": grpc_call(_COMPLETE, lambda: _field(1, b"") * 200_000, stream=True),
        "500 streams that end at once": grpc_call(
            _SUBSCRIBE, lambda: events_pb2.SubscribeRequest(topics=["#/a"]).SerializeToString(),
            stream=True, times=500,
        ),
        "a conversation of random bytes": grpc_talk(lambda: iter([os.urandom(1_000)])),
        "a conversation of 900 kB": grpc_talk(lambda: iter([_field(1, b"x" * 900_000)])),
        "a conversation of unknown messages": grpc_talk(
            lambda: (chats_pb2.ConverseRequest().SerializeToString() + b"\xf8\x07\x01" for _ in range(2_000))
        ),
    }  # fmt: skip
    for name, send in calls.items():
        yield Input(name, "gRPC", send)


_CALL = fields_block(call_fields(_LIST))
_BODY = http2_frame(DATA, b"\0\0\0\0\0", END_STREAM, 1)


_IN_A_NANOSECOND = _CALL + fields_block([(b"grpc-timeout", b"1n")])


def _message_of(content: bytes) -> Iterator[bytes]:
    """A compressed message, in frames of the size that everybody takes."""
    told = b"\1" + len(content).to_bytes(4, "big") + content
    for start in range(0, len(told), 16_384):
        yield http2_frame(DATA, told[start : start + 16_384], 0, 1)
    yield http2_frame(DATA, b"", END_STREAM, 1)


def _headers(stream: int, *, ends: bool = False, block: bytes = _CALL) -> bytes:
    return http2_frame(HEADERS, block, END_HEADERS | (END_STREAM if ends else 0), stream)


def _call(stream: int) -> bytes:
    return _headers(stream) + http2_frame(DATA, b"\0\0\0\0\0", END_STREAM, stream)


def _streams(count: int, of: Callable[[int], bytes]) -> Callable[[], Parts]:
    return lambda: (of(2 * number + 1) for number in range(count))


_HTTP2: dict[str, tuple[Part, ...]] = {
    "rapid reset: 20,000 streams": (
        _streams(20_000, lambda stream: _call(stream) + http2_frame(RST_STREAM, bytes(4), 0, stream)),
    ),
    "5,000 streams that are never finished": (_streams(5_000, _headers),),
    "10,000 calls without a body": (_streams(10_000, lambda stream: _headers(stream, ends=True)),),
    "resets of streams that are not there": (http2_frame(RST_STREAM, bytes(4), 0, 1) * 10_000,),
    "20,000 CONTINUATION frames": (
        http2_frame(HEADERS, _CALL, 0, 1), http2_frame(CONTINUATION, b"", 0, 1) * 20_000,
    ),
    "8 MB of CONTINUATION frames": (
        http2_frame(HEADERS, _CALL, 0, 1),
        http2_frame(CONTINUATION, fields_block([(b"a", b"b" * 16_000)]), 0, 1) * 500,
    ),
    "100,000 SETTINGS": (http2_frame(SETTINGS) * 100_000,),
    "SETTINGS of 2,000 parameters": (http2_frame(SETTINGS, b"\0\x03\0\0\0\x64" * 2_000) * 100,),
    "SETTINGS that are wrong": (http2_frame(SETTINGS, b"\0\x02\0\0\0\x09"),),
    "100,000 PINGs": (http2_frame(PING, bytes(8)) * 100_000,),
    "100,000 empty DATA frames": (_headers(1), http2_frame(DATA, b"", 0, 1) * 100_000),
    "100,000 PRIORITY frames": (http2_frame(PRIORITY, b"\0\0\0\x03\x10", 0, 1) * 100_000,),
    "100,000 WINDOW_UPDATEs": (http2_frame(WINDOW_UPDATE, b"\0\0\0\1") * 100_000,),
    "a window that overflows": (http2_frame(WINDOW_UPDATE, b"\x7f\xff\xff\xff") * 3,),
    "a window of 0 and 1,000 calls": (http2_frame(SETTINGS, b"\0\x04\0\0\0\0"), _streams(1_000, _call)),
    "a frame of 16 MB": (b"\xff\xff\xff\0\0\0\0\0\1" + bytes(100_000),),
    "unknown frames, 100,000": (http2_frame(0x42, b"x") * 100_000,),
    "PUSH_PROMISE of a client": (http2_frame(PUSH, bytes(4), END_HEADERS, 1),),
    "DATA on stream 0": (http2_frame(DATA, b"x"),),
    "HEADERS on an even stream": (_headers(2),),
    "streams in the wrong order": (_call(9) + _call(3),),
    "a block that is no HPACK": (_headers(1, block=b"\xff" * 1_000),),
    "an index that is not there": (_headers(1, block=b"\xff\xff\xff\xff\x7f"),),
    "a table of 4 GB": (_headers(1, block=b"\x3f\xe1\xff\xff\xff\x0f" + _CALL),),
    "10,000 fields": (_headers(1, block=_CALL + fields_block([(b"a", b"b")]) * 2_000),),
    "a field that is not allowed": (_headers(1, block=_CALL + fields_block([(b"connection", b"x")])),),
    "capital letters": (_headers(1, block=_CALL + fields_block([(b"A", b"b")])),),
    "no path": (_headers(1, ends=True, block=fields_block([(b":method", b"POST")])),),
    "HTTP without gRPC": (_headers(1, ends=True, block=fields_block(call_fields(_LIST)[:4])),),
    "a message that says 4 GB": (_headers(1), http2_frame(DATA, b"\0\xff\xff\xff\xff", 0, 1)),
    "a compressed message": (_headers(1), http2_frame(DATA, b"\1\0\0\0\4abcd", END_STREAM, 1)),
    "a compressed message of 64 MB in 64 kB": (
        _headers(1, block=_CALL + fields_block([(b"grpc-encoding", b"gzip")])),
        lambda: _message_of(gzip.compress(bytes(64 << 20))),
    ),
    "DATA that is all padding, 20,000 frames": (
        _headers(1), http2_frame(DATA, b"\xff" + bytes(255), 0x8, 1) * 20_000
    ),
    "a window of 0 for 5,000 streams, which resets them": (
        _streams(5_000, lambda stream: _call(stream) + http2_frame(WINDOW_UPDATE, bytes(4), 0, stream)),
    ),
    "5,000 times the trailers of a request": (
        _headers(1), http2_frame(HEADERS, fields_block([(b"a", b"b")]), END_HEADERS | END_STREAM, 1) * 5_000
    ),
    "a field of 4 kB, named 200 times in each of 100 calls": (
        _headers(1, block=_CALL + b"\x40" + fields_block([(b"a", b"b" * 3_500)])[1:]),
        _streams(100, lambda stream: _headers(stream + 2, block=_CALL + b"\xbe" * 200)),
    ),
    "2,000 calls with a deadline of a nanosecond": (
        _streams(2_000, lambda stream: _headers(stream, block=_IN_A_NANOSECOND)),
    ),
    "a message, byte by byte": (
        _headers(1), lambda: (http2_frame(DATA, bytes(1), 0, 1) for _ in range(1_000)), _BODY
    ),
    "GOAWAY, and on": (http2_frame(GOAWAY, bytes(8)), _streams(100, _call)),
    "random bytes": (os.urandom(100_000),),
}  # fmt: skip


#: The library answers no ping until it has done with all streams.
_SILENT = frozenset({"10,000 calls without a body", "5,000 streams that are never finished"})


def _frames() -> Iterator[Input]:
    for name, parts in _HTTP2.items():
        yield Input(f"HTTP/2: {name}", "gRPC", http2(*parts, silent=name in _SILENT))
    yield Input("HTTP/2: nothing behind the preface", "gRPC", http2(unfinished=True, settings=False))
    yield Input("HTTP/2: half a frame", "gRPC", http2(b"\0\0\x08\6\0", unfinished=True))


CORPUS: tuple[Input, ...] = (*_messages(), *_frames())
