"""Inputs of WebSockets and of Socket.IO: frames, messages, packets."""

import json
import os
from collections.abc import Iterator

from tests.gateway.server.serving import frame, masked
from tests.hostile.inputs import For, Input, Part, Send, polling, raw, text, websocket
from tests.hostile.wires import head, upgrade

_EVENTS, _CHAT = "/v1/ws/events", "/v1/ws/chat?token={staff}"
_IO = "/socket.io/?EIO=4&transport=websocket"
_FRAGMENT, _REST, _LAST = b"\x01\x80" + bytes(4), b"\x00\x80" + bytes(4), b"\x80\x80" + bytes(4)
_CONNECT = For(lambda place: text(f'40{{"token":"{place.staff}"}}'))
_CONNECT_AS_VISITOR = text("40")

#: Frames that are hostile whatever is spoken in them.
_FRAMES: dict[str, tuple[Part, ...]] = {
    "500,000 empty continuations": (_FRAGMENT, _REST * 500_000),
    "100,000 fragments of one byte": (_FRAGMENT, (b"\x00\x81" + bytes(4) + b"x") * 100_000),
    "a message in 10,000 fragments": (_FRAGMENT, _REST * 10_000, _LAST),
    "a continuation of nothing": (_LAST,),
    "a text amid a text": (_FRAGMENT, text("x")),
    "a ping amid a text": (_FRAGMENT, masked(b"", 0x9), _LAST),
    "200,000 pings": (masked(b"", 0x9) * 200_000,),
    "20,000 pings of 125 bytes": (masked(b"x" * 125, 0x9) * 20_000,),
    "200,000 pongs that nobody asked for": (masked(b"", 0xA) * 200_000,),
    "a ping of 126 bytes": (masked(b"x" * 126, 0x9),),
    "a ping in fragments": (b"\x09\x80" + bytes(4),),
    "no mask": (frame(b'{"type":"ping"}'),),
    "reserved bits": (b"\xf1\x80" + bytes(4),),
    "a compressed frame": (b"\xc1\x85" + bytes(4) + b"hello",),
    "a reserved opcode": (b"\x83\x80" + bytes(4),),
    "a reserved control opcode": (b"\x8b\x80" + bytes(4),),
    "a length of 2**63": (b"\x81\xff" + b"\xff" * 8 + bytes(4),),
    "a length of 2**40": (b"\x81\xff" + (1 << 40).to_bytes(8, "big") + bytes(4),),
    "a length that is longer than needed": (b"\x81\xfe\x00\x01" + bytes(4) + b"x",),
    "a text of 1 MB": (text("x" * 1_000_000),),
    "a text of 64 kB": (text("x" * 65_530),),
    "64 kB in 1,000 fragments, again and again": (
        (_FRAGMENT + (b"\x00\xc0" + bytes(4) + b"x" * 64) * 1_000 + _LAST) * 10,
    ),
    "a text that is not UTF-8": (masked(b"\xff\xfe\xfd"),),
    "half a character at the end": (masked(b"x\xe2\x82"),),
    "overlong UTF-8": (masked(b"\xc0\xaf" * 100),),
    "binary": (masked(os.urandom(1_000), 0x2),),
    "empty texts, 50,000": (text("") * 50_000,),
    "a close of one byte": (masked(b"\x03", 0x8),),
    "a close with a reserved code": (masked(b"\x03\xed", 0x8),),
    "a close with a text that is not UTF-8": (masked(b"\x03\xe8\xff", 0x8),),
    "frames behind a close": (masked(b"\x03\xe8", 0x8), text("x") * 1_000),
    "random bytes": (os.urandom(100_000),),
    "HTTP again": (head("/v1/pets") * 100,),
}  # fmt: skip

_SILENT = frozenset(
    {
        "500,000 empty continuations", "100,000 fragments of one byte", "200,000 pings", "20,000 pings of 125 bytes",
        "200,000 pongs that nobody asked for", "a message in 10,000 fragments", "empty texts, 50,000",
        "64 kB in 1,000 fragments, again and again", "random bytes",
    }
)  # fmt: skip


def _frames() -> Iterator[Input]:
    for name, parts in _FRAMES.items():
        yield Input(f"frames: {name}", "WebSocket", websocket(_EVENTS, *parts, silent=name in _SILENT))
        before = {"an opened session: " + name: (_CONNECT, *parts)} if name in _SILENT else {}
        for title, sent in {name: parts, **before}.items():
            yield Input(f"frames: {title}", "Socket.IO", websocket(_IO, *sent, silent=name in _SILENT))
    slow: dict[str, Send] = {
        "a head of a frame, byte by byte": websocket(
            _EVENTS, lambda: (bytes((byte,)) for byte in text("x" * 200)), pause_seconds=0.001
        ),
        "half a frame": websocket(_EVENTS, text("x" * 60_000)[:30_000], unfinished=True),
        "a handshake of another version": raw(
            upgrade(_EVENTS).replace(b"Version: 13", b"Version: 99")
        ),
        "a handshake with 200 subprotocols": raw(
            upgrade(_EVENTS, protocol=", ".join(f"p{number}" for number in range(5_000)))
        ),
        "a handshake with 1,000 extensions": raw(
            upgrade(_EVENTS).replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: " + b"x;y=z," * 1_000 + b"\r\n\r\n")
        ),
        "a handshake with a key of 8 kB": raw(
            upgrade(_EVENTS).replace(b"Key: ", b"Key: " + b"A" * 8_000)
        ),
    }  # fmt: skip
    for name, send in slow.items():
        yield Input(name, "WebSocket", send)


def _command(name: str, **data: object) -> bytes:
    return text({"type": name, "data": data})


_JOIN = For(lambda place: _command("joinChat", chatId=place.chat))


def _messages() -> Iterator[Input]:
    sent: dict[str, tuple[str, tuple[Part, ...]]] = {
        "no JSON": (_EVENTS, (text("nonsense"),)),
        "lists 30,000 deep": (_EVENTS, (text("[" * 30_000),)),
        "60 kB of unknown members": (
            _EVENTS, (text("{" + ",".join(f'"{number}":1' for number in range(6_000)) + "}"),)
        ),
        "6,000 unknown members of a command": (
            _EVENTS, (text({"type": "ping", "data": {str(number): 1 for number in range(6_000)}}),)
        ),
        "an id of 60 kB": (_EVENTS, (text({"type": "ping", "id": "x" * 60_000}),)),
        "6,000 topics": (_EVENTS, (_command("subscribe", topics=["pets/#"] * 6_000),)),
        "a topic of 30,000 levels": (_EVENTS, (_command("subscribe", topics=["/" * 30_000]),)),
        "100 topics again and again": (
            _EVENTS, (_command("subscribe", topics=[f"pets/+/{number}" for number in range(100)]) * 100,)
        ),
        "subscribed and unsubscribed 300 times": (
            _EVENTS, ((_command("subscribe", topics=["#"]) + _command("unsubscribe", topics=["#"])) * 300,)
        ),
        "all that is kept, 100 times": (
            _EVENTS,
            tuple(_command("subscribe", topics=[f"pets/+/{n}", "pets/#"], cursor="earliest") for n in range(100)),
        ),
        "5,000 pings": (_EVENTS, (text({"type": "ping"}) * 5_000,)),
        "5,000 unknown commands": (_EVENTS, (text({"type": "x" * 100}) * 5_000,)),
        "5,000 wrong tokens": (_EVENTS, (_command("authenticate", token="x.y.z") * 5_000,)),
        "a token of 60 kB": (_EVENTS, (_command("authenticate", token="x" * 60_000),)),
        "300 chats": (_CHAT, (_command("joinChat") * 300,)),
        "1,000 times typing": (_CHAT, (_JOIN, _command("typing") * 1_000)),
        "1,000 messages": (
            _CHAT, (_JOIN, _command("chatMessage", text="x") * 1_000)
        ),
        "a message of 60 kB": (
            _CHAT, (_JOIN, _command("chatMessage", text="x" * 60_000))
        ),
        "halves of characters": (_CHAT, (text('{"type":"chatMessage","data":{"text":"\\ud800"}}'),)),
    }  # fmt: skip
    for name, (target, parts) in sent.items():
        yield Input(f"messages: {name}", "WebSocket", websocket(target, *parts, silent=True))


def _events() -> Iterator[Input]:
    def emitted(*content: object) -> bytes:
        return text("42" + json.dumps(content))

    sent: dict[str, tuple[Part, ...]] = {
        "no packet": (text("x"),),
        "no Socket.IO packet": (text("4x"),),
        "no CONNECT": (text('42["subscribe",{}]'),),
        "CONNECT 1,000 times": (_CONNECT_AS_VISITOR * 1_000,),
        "1,000 namespaces": tuple(text(f"40/n{number},") for number in range(1_000)),
        "a namespace of 60 kB": (text("40/" + "n" * 60_000 + ","),),
        "CONNECT with 6,000 members": (text("40" + json.dumps({str(n): 1 for n in range(6_000)})),),
        "CONNECT lists 30,000 deep": (text("40" + "[" * 30_000),),
        "a number of 60,000 digits": (_CONNECT, text("42" + "9" * 60_000 + '["ping"]')),
        "a binary event of 9 attachments": (_CONNECT, text('459-["x",{"_placeholder":true,"num":0}]')),
        "a binary event of 10,000 attachments": (_CONNECT, text('4510000-["x"]')),
        "attachments that are named 10,000 deep": (
            _CONNECT,
            text("451-" + '["x",' + "[" * 10_000 + '{"_placeholder":true,"num":0}' + "]" * 10_000 + "]"),
            masked(b"x", 0x2),
        ),
        "an attachment that is named 1,500 times": (
            _CONNECT,
            text('451-["x"' + ',{"_placeholder":true,"num":0}' * 1_500 + "]"),
            masked(b"x" * 60_000, 0x2),
        ),
        "an attachment of a number below 0": (
            _CONNECT, text('451-["ping",{"_placeholder":true,"num":-9}]'), masked(b"x", 0x2)
        ),
        "binary without an event": (_CONNECT, masked(b"x" * 1_000, 0x2)),
        "an event of 6,000 arguments": (_CONNECT, emitted("ping", *range(6_000))),
        "an event without a name": (_CONNECT, text("42[]")),
        "an event with a reserved name": (_CONNECT, emitted("disconnect")),
        "an event with a name of 60 kB": (_CONNECT, emitted("x" * 60_000)),
        "5,000 events": (_CONNECT, emitted("ping") * 5_000),
        "5,000 unknown events": (_CONNECT, emitted("nothing", {"a": 1}) * 5_000),
        "5,000 acknowledgements of nothing": (_CONNECT, text("431[]") * 5_000),
        "6,000 topics": (_CONNECT, emitted("subscribe", {"topics": ["pets/#"] * 6_000})),
        "half a character": (_CONNECT, text('42["subscribe",{"topics":["\\ud800"]}]')),
        "5,000 pongs of Engine.IO": (_CONNECT, text("3") * 5_000),
        "5,000 upgrades": (_CONNECT, text("5") * 5_000),
        "probes of an upgrade, 1,000": (text("2probe") * 1_000,),
        "separators": (text("\x1e" * 60_000),),
    }  # fmt: skip
    for name, parts in sent.items():
        yield Input(f"packets: {name}", "Socket.IO", websocket(_IO, *parts, silent=True))
    ping = '42["ping"]'
    posted: dict[str, Send] = {
        "nothing": polling(""),
        "separators": polling("\x1e" * 60_000),
        "15,000 packets": polling("\x1e".join(["3"] * 15_000)),
        "5,000 events": polling("\x1e".join([ping] * 5_000)),
        "ten times 1,000 events": polling(*["\x1e".join([ping] * 1_000)] * 10),
        "1 MB": polling("4" * 1_000_000),
        "binary in base64, 30,000 times": polling("\x1e".join(["bAA"] * 15_000)),
        "no base64": polling("b" + "!" * 60_000),
        "no CONNECT": polling(ping, connect=""),
        "CONNECT twice": polling("40", "40"),
        "not UTF-8": polling("\ud800"),
        "digits": polling("9" * 60_000),
    }
    for name, send in posted.items():
        yield Input(f"payloads: {name}", "Socket.IO", send)
    targets = {
        "another version": "/socket.io/?EIO=3&transport=polling",
        "no transport": "/socket.io/?EIO=4",
        "a session that is none": "/socket.io/?EIO=4&transport=polling&sid=" + "x" * 50_000,
        "a query of 60 kB": "/socket.io/?EIO=4&transport=polling&" + "a=b&" * 15_000,
        "JSONP": "/socket.io/?EIO=4&transport=polling&j=" + "9" * 50_000,
    }
    for name, target in targets.items():
        yield Input(f"a handshake: {name}", "Socket.IO", raw(head(target)))


CORPUS: tuple[Input, ...] = (*_frames(), *_messages(), *_events())
