"""The counting client: its loss count is worth something only if it sees losses."""

import shutil
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from benchmarks import machine
from benchmarks.message import text
from benchmarks.process import Failed, subscribed

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="the clients are compiled with gcc")

SUBSCRIBERS = 2


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    machine.compile_clients()


def ws(messages: list[str]) -> bytes:
    frames = (b"\x81\x7e" + len(m).to_bytes(2, "big") + m.encode() for m in messages)
    return b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + b"".join(frames)


def sse(messages: list[str]) -> bytes:
    body = b"".join(f"id: 1\nevent: pet.created\ndata: {m}\n\n".encode() for m in messages)
    chunks = (body[at : at + 97] for at in range(0, len(body), 97))  # 97: chunks end anywhere in an event.
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)


def nats(messages: list[str]) -> bytes:
    frames = (f"MSG events 1 {len(m)}\r\n{m}\r\n".encode() for m in messages)
    return b"INFO {}\r\nPONG\r\n" + b"".join(frames)


def count(protocol: str, stream: bytes, piece: int = 1 << 20) -> dict[str, Any]:
    """What the client counts when every subscriber is sent the stream, piece by piece."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        ExitStack() as accepted,
        ThreadPoolExecutor(1) as pool,
    ):

        def serve() -> None:
            for _ in range(SUBSCRIBERS):
                connection = accepted.enter_context(listener.accept()[0])
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.recv(65536)
                for at in range(0, len(stream), piece):
                    connection.sendall(stream[at : at + piece])

        pool.submit(serve)
        port = listener.getsockname()[1]
        with subscribed(port, protocol, count=SUBSCRIBERS, idle=1, warmup=0) as subscribers:
            return subscribers.result()


def numbered(*counters: int) -> list[str]:
    return [text(counter, last=counter == 9) for counter in counters]


@pytest.mark.parametrize(("protocol", "stream"), [("ws", ws), ("sse", sse), ("nats", nats)])
@pytest.mark.parametrize("piece", [7, 1000, 1 << 20])
def test_every_message_is_counted_once_however_the_stream_is_cut(
    protocol: str, stream: Callable[[list[str]], bytes], piece: int
) -> None:
    counted = count(protocol, stream(numbered(*range(1, 10))), piece)
    assert counted["finished"] == SUBSCRIBERS
    assert counted["messages"] == 9 * SUBSCRIBERS
    assert counted["missing"] == counted["repeated"] == 0


@pytest.mark.parametrize(("protocol", "stream"), [("ws", ws), ("sse", sse), ("nats", nats)])
@pytest.mark.parametrize(
    ("counters", "missing", "repeated"),
    [
        ((1, 2, 5, 6, 7, 8, 9), 2, 0),
        ((2, 3, 4, 5, 6, 7, 8, 9), 1, 0),
        ((1, 2, 2, 3, 4, 5, 6, 7, 8, 9), 0, 1),
        ((1, 3, 2, 4, 5, 6, 7, 8, 9), 1, 1),
    ],
    ids=["hole", "first missing", "twice", "out of order"],
)
def test_a_loss_a_repetition_and_a_wrong_order_are_seen(
    protocol: str,
    stream: Callable[[list[str]], bytes],
    counters: tuple[int, ...],
    missing: int,
    repeated: int,
) -> None:
    counted = count(protocol, stream(numbered(*counters)))
    assert counted["missing"] == missing * SUBSCRIBERS
    assert counted["repeated"] == repeated * SUBSCRIBERS


def test_a_stream_that_stops_before_its_last_message_is_not_finished() -> None:
    assert count("ws", ws(numbered(1, 2, 3)))["finished"] == 0


def test_subscribers_that_are_refused_are_an_error() -> None:
    with pytest.raises(Failed):
        count("ws", b"HTTP/1.1 403 Forbidden\r\n\r\n")
