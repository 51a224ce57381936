"""What a hostile input is, and how one is sent at each kind of door."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from grpc import aio

from tests.gateway.server.serving import masked
from tests.hostile import wires
from tests.hostile.wires import CLOSED, OPEN
from tests.http_clients import http_client

#: How long a client that has not said all yet is watched.
_PATIENCE_SECONDS = 0.5

Parts = Iterable[bytes]

#: How long the server may take for any input, on however busy a machine.
_ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class Place:
    """Where the gateway is, and who may do what there."""

    http: int
    grpc: int
    mqtt: int
    #: Tokens of a member of the staff and of a customer.
    staff: str
    customer: str
    #: A pet, and a chat of the customer's.
    pet: str
    chat: str


Send = Callable[[Place], Coroutine[Any, Any, str]]


@dataclass(frozen=True)
class For:
    """Bytes that depend on the place."""

    make: Callable[[Place], bytes]


Part = bytes | Callable[[], Parts] | For


@dataclass(frozen=True)
class Input:
    """One hostile input; ``send`` gives its outcome: a status, a code, open or closed."""

    name: str
    door: str
    send: Send


def is_internal(outcome: str) -> bool:
    """Whether an outcome says that something went wrong on the server's side."""
    return outcome in ("500", "1011", "INTERNAL", "UNKNOWN", "CONNACK 128", "DISCONNECT 128", "nothing")


def crowd(count: int, send: Send) -> Send:
    """The same from so many clients at once."""

    async def send_all(place: Place) -> str:
        outcomes = await asyncio.gather(*(send(place) for _ in range(count)))
        return next((one for one in outcomes if is_internal(one)), max(outcomes))

    return send_all


# --- HTTP ---


def request(
    method: str,
    target: str,
    content: bytes | Callable[[], bytes] = b"",
    *,
    times: int = 1,
    visitor: bool = False,
    media_type: str = "application/json",
    **fields: str,
) -> Send:
    """A well-formed request of a member of the staff; ``times``: so often at once."""

    async def send(place: Place) -> str:
        headers = {
            "Content-Type": media_type,
            **{name.replace("_", "-"): text for name, text in fields.items()},
        }
        if not visitor:
            headers["Authorization"] = f"Bearer {place.staff}"
        body = content() if callable(content) else content
        async with http_client(base_url=f"http://127.0.0.1:{place.http}", timeout=_ANSWER_SECONDS) as client:
            target_ = target.replace("{pet}", place.pet).replace("{chat}", place.chat)
            answers = await asyncio.gather(
                *(client.request(method, target_, content=body, headers=headers) for _ in range(times))
            )
        return max(_outcome_of(answer) for answer in answers)

    return send


def _outcome_of(answer: httpx.Response) -> str:
    # GraphQL and MCP tell of their faults in an answer of 200.
    internal = b'"INTERNAL"' in answer.content or b'"code":-32603' in answer.content
    return "500" if internal else str(answer.status_code)


def raw(
    *parts: Part,
    answers: int = 1,
    pause_seconds: float = 0.0,
    unfinished: bool = False,
) -> Send:
    """Bytes on a connection of their own, until so many answers begin; ``unfinished``: there may be none."""

    async def send(place: Place) -> str:
        heard, ended = await wires.talk(
            place.http,
            _said(parts, place),
            wires.Answers(answers).all_there,
            pause_seconds=pause_seconds,
            patience_seconds=_PATIENCE_SECONDS if unfinished else _ANSWER_SECONDS,
        )
        if found := wires.statuses(heard):
            return max(found)
        return CLOSED if ended else OPEN if unfinished else "nothing"

    return send


def _said(parts: Iterable[Part], place: Place) -> Iterable[bytes]:
    for part in parts:
        if isinstance(part, For):
            yield part.make(place)
        elif isinstance(part, bytes):
            yield part
        else:
            yield from part()


def as_staff(head: bytes) -> For:
    """A head in which ``{staff}`` is the token of a member of the staff."""
    return For(lambda place: head.replace(b"{staff}", place.staff.encode()))


# --- GraphQL ---


def graphql(query: str | Callable[[], str], variables: Any = None, **more: Any) -> Send:
    """A document by POST."""

    def content() -> bytes:
        document = query() if callable(query) else query
        values = variables() if callable(variables) else variables
        return json.dumps({"query": document, "variables": values, **more}).encode()

    return request("POST", "/v1/graphql", content)


# --- WebSocket ---


def websocket(
    target: str,
    *parts: Part,
    protocol: str = "",
    unfinished: bool = False,
    silent: bool = False,
    pause_seconds: float = 0.0,
) -> Send:
    """Frames on a WebSocket, and a ping behind them; ``unfinished``: amid a frame, so that no ping can follow.

    ``silent``: the server may be too far behind to answer.
    """

    async def send(place: Place) -> str:
        said = (
            wires.upgrade(target.replace("{staff}", place.staff), protocol=protocol),
            *_said(parts, place),
        )
        heard, ended = await wires.talk(
            place.http,
            said if unfinished else (*said, wires.last_ping()),
            lambda heard: wires.websocket_end(heard) is not None,
            pause_seconds=pause_seconds,
            patience_seconds=_PATIENCE_SECONDS if unfinished or silent else _ANSWER_SECONDS,
        )
        return wires.websocket_end(heard) or (
            CLOSED if ended else OPEN if unfinished or silent else "nothing"
        )

    return send


def text(message: object) -> bytes:
    """A text frame; what is no text is made JSON."""
    return masked((message if isinstance(message, str) else json.dumps(message)).encode())


# --- MQTT ---


def mqtt(*parts: Part, unfinished: bool = False, silent: bool = False) -> Send:
    """Packets over TCP, and a ping behind them."""

    async def send(place: Place) -> str:
        said = list(_said(parts, place))
        heard, ended = await wires.talk(
            place.mqtt,
            said if unfinished else (*said, b"\xc0\x00"),
            lambda heard: wires.mqtt_end(heard) is not None,
            patience_seconds=_PATIENCE_SECONDS if unfinished or silent else _ANSWER_SECONDS,
        )
        return wires.mqtt_end(heard) or (CLOSED if ended else OPEN if unfinished or silent else "nothing")

    return send


def mqtt_over_websocket(*parts: Part, unfinished: bool = False, silent: bool = False) -> Send:
    """The same packets in binary frames, each part in one or more of its own."""

    def frames(place: Place) -> Iterable[bytes]:
        for part in _said(parts, place):
            for start in range(0, len(part), 32_768):
                yield masked(part[start : start + 32_768], 0x2)

    async def send(place: Place) -> str:
        said = [wires.upgrade("/mqtt", protocol="mqtt"), *frames(place)]
        heard, ended = await wires.talk(
            place.http,
            said if unfinished else (*said, masked(b"\xc0\x00", 0x2)),
            lambda heard: _mqtt_frames_end(heard) is not None,
            patience_seconds=_PATIENCE_SECONDS if unfinished or silent else _ANSWER_SECONDS,
        )
        return _mqtt_frames_end(heard) or (CLOSED if ended else OPEN if unfinished or silent else "nothing")

    return send


def _mqtt_frames_end(heard: bytes | bytearray) -> str | None:
    packets = b"".join(payload for opcode, payload in wires.frames_of(heard) if opcode == 0x2)
    return wires.mqtt_end(packets) or wires.websocket_end(heard)


# --- Engine.IO by polling ---

_POLLING = "/socket.io/?EIO=4&transport=polling"


def polling(*payloads: str | Callable[[], str], connect: str = "40{}") -> Send:
    """A handshake, then payloads by POST, then a poll."""

    async def send(place: Place) -> str:
        async with http_client(base_url=f"http://127.0.0.1:{place.http}", timeout=_ANSWER_SECONDS) as client:
            opened = await client.get(_POLLING)
            if opened.status_code != 200:
                return str(opened.status_code)
            target = f"{_POLLING}&sid={json.loads(opened.text[1:])['sid']}"
            found = []
            for payload in (*([connect] if connect else []), *payloads):
                content = (payload() if callable(payload) else payload).encode("utf-8", "surrogatepass")
                answer = await client.post(target, content=content, headers={"Content-Type": "text/plain"})
                found.append(str(answer.status_code))
            return max(found)

    return send


# --- gRPC ---


def grpc_call(
    method: str,
    message: bytes | Callable[[], bytes] = b"",
    *,
    times: int = 1,
    metadata: Mapping[str, str] | Callable[[], list[tuple[str, str | bytes]]] | None = None,
    stream: bool = False,
) -> Send:
    """A call with a message of bytes; ``times``: so many on one connection at once."""

    async def send(place: Place) -> str:
        more = metadata() if callable(metadata) else list((metadata or {}).items())
        told = [("authorization", f"Bearer {place.staff}"), *more]
        body = message() if callable(message) else message
        options = [("grpc.max_send_message_length", -1), ("grpc.max_metadata_size", 1 << 24)]
        async with aio.insecure_channel(f"127.0.0.1:{place.grpc}", options=options) as channel:
            path = f"/petstore.v1.{method}"

            async def once() -> str:
                try:
                    if stream:
                        call: Any = _plain(channel.unary_stream(path))(
                            body, metadata=told, timeout=_ANSWER_SECONDS
                        )
                        await call.initial_metadata()
                        return "OK" if not call.done() else (await call.code()).name
                    await _plain(channel.unary_unary(path))(body, metadata=told, timeout=_ANSWER_SECONDS)
                except aio.AioRpcError as error:
                    return error.code().name
                return "OK"

            outcomes = await asyncio.gather(*(once() for _ in range(times)))
        return next((one for one in outcomes if is_internal(one)), outcomes[0])

    return send


def _plain(method: Any) -> Any:
    """A method whose messages are bytes, which the library's types do not know."""
    return method


def grpc_talk(
    messages: Callable[[], Parts],
    *,
    method: str = "petstore.v1.ChatService/Converse",
    patience_seconds: float = 2.0,
) -> Send:
    """Messages in a conversation."""

    async def send(place: Place) -> str:
        async with aio.insecure_channel(f"127.0.0.1:{place.grpc}") as channel:
            call: Any = _plain(channel.stream_stream(f"/{method}"))(
                metadata=[("authorization", f"Bearer {place.staff}")]
            )
            try:
                async with asyncio.timeout(patience_seconds):
                    for message in messages():
                        await call.write(message)
                    await call.done_writing()
                    async for _ in call:
                        pass
            except TimeoutError:
                call.cancel()
                return OPEN
            except (aio.AioRpcError, asyncio.InvalidStateError):
                pass
            code: str = (await call.code()).name
            # What the server says of itself carries the request's id; the client's library has words of its own.
            told = any(name == "x-request-id" for name, _ in await call.trailing_metadata() or ())
            return code if told or code != "INTERNAL" else f"{CLOSED}: {await call.details()}"

    return send


def http2(*parts: Part, unfinished: bool = False, silent: bool = False, settings: bool = True) -> Send:
    """Frames on an HTTP/2 connection, and a ping behind them."""

    async def send(place: Place) -> str:
        begin = wires.PREFACE + (wires.http2_frame(wires.SETTINGS) if settings else b"")
        said = (begin, *_said(parts, place))
        heard, ended = await wires.talk(
            place.grpc,
            said if unfinished else (*said, wires.http2_last_ping()),
            wires.answers_http2_ping,
            patience_seconds=_PATIENCE_SECONDS if unfinished or silent else _ANSWER_SECONDS,
        )
        return wires.http2_end(heard) or (CLOSED if ended else OPEN if unfinished or silent else "nothing")

    return send
