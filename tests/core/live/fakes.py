"""A live door without a socket: it records what its client is shown."""

from collections.abc import Callable
from typing import Any

from core.kernel.errors import Close, StoreError
from core.kernel.events import Event
from core.live.client import InteractiveClient
from core.live.session import Session
from core.live.sessions import Sessions
from core.live.vocabulary import execute


class Tape:
    """A sink that records what is written; the test says whether it is writable."""

    def __init__(self) -> None:
        self.on_writable: Callable[[], None] | None = None
        self.writable = True
        self.written: list[str] = []

    def write(self, data: bytes) -> None:
        self.written += data.decode().splitlines()

    async def drain(self) -> None:
        assert self.writable, "nobody waits in these tests"


class FakePeer:
    """A client's side of the door: a line of text per message."""

    def __init__(self) -> None:
        self.sink = Tape()
        self.disconnected: list[Close] = []

    def greeting(self, content: dict[str, Any]) -> bytes:
        return b"connected %s\n" % str(content.get("user", {}).get("username")).encode()

    def reply(self, command: str, _: dict[str, Any], mark: Any, greeting: dict[str, Any] | None) -> bytes:
        return b"ack %s %s\n" % (command.encode(), str(mark).encode()) + (
            self.greeting(greeting) if greeting else b""
        )

    def refusal(self, error: StoreError, mark: Any) -> bytes:
        return b"error %s %s\n" % (error.code.encode(), str(mark).encode())

    def heartbeat(self, cursor: str | None) -> bytes:
        return b"" if cursor is None else b"beat\n"

    def farewell(self, close: Close, cursor: str | None) -> bytes:
        return b"bye %s %s\n" % (close.reason.encode(), b"with a cursor" if cursor else b"without")

    def disconnect(self, close: Close) -> None:
        self.disconnected.append(close)


class Lines:
    """The wire format: a line for each event."""

    def encode(self, event: Event) -> bytes:
        return event.event_type.encode() + b"\n"


LINES = Lines()


class FakeClient(InteractiveClient):
    """A client at the fake door; a test carries out commands without a message around them."""

    def __init__(self, sessions: Sessions, session: Session) -> None:
        self.peer = FakePeer()
        self.sessions = sessions
        super().__init__(sessions, session, self.peer, LINES, heartbeat_seconds=1000)

    @property
    def written(self) -> list[str]:
        """What the client was shown."""
        return self.peer.sink.written

    async def command(self, name: str, data: object) -> dict[str, Any]:
        """Carry out a command; what is refused is raised."""
        return await execute(self.session, self.chats, name, data)
