"""The life of a connected client, at a door that only records it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core.auth.callers import access_claims
from core.kernel.caller import Caller, Credentials
from core.kernel.clock import utc_now
from core.kernel.errors import Close, CloseReason
from core.kernel.events import PUBLIC
from core.kernel.ids import new_id
from core.kernel.limits import Limits
from core.live.client import Client, Taken
from core.live.commands import Subscribe
from core.live.delivery import FrameDelivery
from core.live.sessions import Sessions
from core.store.store import Store
from tests.core.live.fakes import LINES, FakeClient, FakePeer
from tests.core.live.test_delivery import KIND, Thing
from tests.core.stores import Shop, open_store
from tests.waiting import eventually

HEARTBEAT_SECONDS, GREETING_SECONDS = 15, 7


class Timers:
    """Stands in for the client's timers: what is to happen later happens when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waiting: list[tuple[float, Callable[[], None], asyncio.TimerHandle]] = []
        self._loop = asyncio.get_running_loop()
        self._really = self._loop.call_later
        monkeypatch.setattr(self._loop, "call_later", self._call_later)

    def _call_later(
        self, seconds: float, callback: Callable[..., None], *arguments: Any
    ) -> asyncio.TimerHandle:
        if seconds not in (HEARTBEAT_SECONDS, GREETING_SECONDS):
            return self._really(seconds, callback, *arguments)
        handle = self._really(1e6, callback, *arguments)
        self.waiting.append((seconds, lambda: callback(*arguments), handle))
        return handle

    def elapse(self, seconds: float) -> None:
        """Let those timers go off that were set for so many seconds and not cancelled."""
        due = [item for item in self.waiting if item[0] == seconds]
        self.waiting = [item for item in self.waiting if item[0] != seconds]
        for _, callback, handle in due:
            if not handle.cancelled():
                handle.cancel()
                callback()


class Scene:
    """A shop and its clients."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.shop = Shop(store)
        self.sessions = Sessions(store)
        self.opened: list[Client[Any]] = []

    def open(self, caller: Caller | None = None, **more: Any) -> FakeClient:
        """A client that can talk."""
        credentials = Credentials("192.0.2.1", self.shop.tenant)
        session = self.sessions.open(credentials, caller or self.shop.visitor, **more)
        client = FakeClient(self.sessions, session)
        self.opened.append(client)
        return client

    async def stream(self, *, cursor: str | None = None) -> tuple[Client[FakePeer], FakePeer]:
        """A client that only listens."""
        session = self.sessions.open(Credentials("192.0.2.1", self.shop.tenant), self.shop.visitor)
        await session.follow(Subscribe(topics=["#"], cursor=cursor))
        peer = FakePeer()
        client = Client(session, peer, FrameDelivery(peer.sink, LINES, session.close))
        self.opened.append(client)
        return client, peer

    async def happen(self) -> None:
        """Something happens in the shop."""
        async with self.shop.context() as context:
            context.emit(KIND, Thing(number=1), PUBLIC, id="1")

    def token(self, caller: Caller) -> str:
        """An access token."""
        whole = replace(caller, expires_at=utc_now() + timedelta(hours=1), session_id=new_id())
        return self.store.signer.sign(access_claims(whole, new_id(), utc_now(), ""))


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    limits = Limits(requests_per_minute=0, messages_per_second=20)
    async with open_store(tmp_path, limits=limits) as store:
        made = Scene(store)
        try:
            yield made
        finally:
            for client in made.opened:
                client.release()
            assert store.hub.statistics().subscriptions == 0
            assert not list(made.sessions.connections)
            assert not list(made.sessions.presence)


@pytest.fixture
async def timers(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Timers:
    return Timers(monkeypatch)


async def test_a_client_that_listens_gets_its_events_and_a_goodbye(scene: Scene) -> None:
    client, peer = await scene.stream()
    await scene.happen()
    await eventually(lambda: peer.sink.written == ["thing.happened"])
    client.session.close(Close(CloseReason.DRAINING))
    await eventually(lambda: peer.disconnected)
    await scene.happen()
    assert peer.sink.written == ["thing.happened", "bye draining with a cursor"]


async def test_a_session_that_ended_before_the_client_began_ends_it_as_well(scene: Scene) -> None:
    session = scene.sessions.open(Credentials("192.0.2.1", scene.shop.tenant), scene.shop.visitor)
    session.close(Close(CloseReason.DRAINING))
    peer = FakePeer()
    scene.opened.append(Client(session, peer, None))
    await eventually(lambda: peer.disconnected)
    assert peer.sink.written == ["bye draining without"]


async def test_the_first_reason_of_an_end_is_the_one_that_is_told(scene: Scene) -> None:
    client, peer = await scene.stream()
    client.stalled()
    client.session.close(Close(CloseReason.DRAINING))
    await eventually(lambda: peer.disconnected)
    assert [close.reason for close in peer.disconnected] == [CloseReason.STALLED]


async def test_nothing_is_written_to_a_client_that_has_gone(scene: Scene) -> None:
    client, peer = await scene.stream()
    for _ in range(2):
        client.release()
    client.session.close(Close(CloseReason.DRAINING))
    await scene.happen()
    assert (peer.sink.written, peer.disconnected, len(scene.sessions)) == ([], [], 0)
    assert peer.sink.on_writable is None


async def test_the_heartbeat_goes_on_until_the_end(scene: Scene, timers: Timers) -> None:
    client, peer = await scene.stream()
    client.start_heartbeat(HEARTBEAT_SECONDS)
    for _ in range(2):
        timers.elapse(HEARTBEAT_SECONDS)
    assert peer.sink.written == ["beat", "beat"]
    client.session.close(Close(CloseReason.DRAINING))
    await eventually(lambda: peer.disconnected)
    timers.elapse(HEARTBEAT_SECONDS)
    assert peer.sink.written == ["beat", "beat", "bye draining with a cursor"]


async def test_no_heartbeat_goes_to_a_peer_that_does_not_read(scene: Scene, timers: Timers) -> None:
    client, peer = await scene.stream()
    client.start_heartbeat(HEARTBEAT_SECONDS)
    peer.sink.writable = False
    timers.elapse(HEARTBEAT_SECONDS)
    assert peer.sink.written == []
    peer.sink.writable = True
    timers.elapse(HEARTBEAT_SECONDS)
    assert peer.sink.written == ["beat"]


async def test_events_go_on_when_the_peer_reads_again(scene: Scene) -> None:
    _, peer = await scene.stream()
    peer.sink.writable = False
    await scene.happen()
    await eventually(lambda: scene.store.hub.statistics().kept_events)
    assert peer.sink.written == []
    peer.sink.writable = True
    assert peer.sink.on_writable is not None
    peer.sink.on_writable()
    assert peer.sink.written == ["thing.happened"]


async def test_a_client_follows_what_it_asks_for(scene: Scene) -> None:
    client = scene.open()
    client.greet()
    assert await client.take("subscribe", {"topics": ["#"]}, 1) is Taken.DONE
    await scene.happen()
    await eventually(lambda: client.written == ["connected None", "ack subscribe 1", "thing.happened"])


async def test_a_silent_visitor_is_greeted_after_a_while_and_only_once(scene: Scene, timers: Timers) -> None:
    silent, quick = scene.open(admitted=False), scene.open(admitted=False)
    for client in silent, quick:
        client.greet_later(GREETING_SECONDS)
    assert await quick.take("ping", {}) is Taken.GREETED
    timers.elapse(GREETING_SECONDS)
    assert (silent.written, quick.written) == (["connected None"], ["ack ping None", "connected None"])


async def test_a_client_is_greeted_anew_when_its_caller_is_another(scene: Scene) -> None:
    client = scene.open()
    client.greet()
    token = scene.token(replace(scene.shop.customer, username="ann"))
    assert await client.take("authenticate", {"token": token}, 1) is Taken.GREETED
    assert await client.take("authenticate", {"token": token}, 2) is Taken.DONE
    assert client.written[1:] == ["ack authenticate 1", "connected ann", "ack authenticate 2"]


async def test_a_command_that_is_refused_does_not_end_the_client(scene: Scene) -> None:
    client = scene.open()
    client.greet()
    assert await client.take("dance", {}, "m") is Taken.REFUSED
    assert await client.take("ping", {}, "n") is Taken.DONE
    assert client.written[1:] == ["error bad-request m", "ack ping n"]


async def test_a_client_that_is_not_let_in_is_told_why_and_goes(scene: Scene) -> None:
    client = scene.open(admitted=False, login_required=True)
    assert await client.take("ping", {}) is Taken.REFUSED
    await eventually(lambda: client.peer.disconnected)
    assert client.written == ["error unauthorized None", "bye unauthenticated without"]
    assert await client.take("ping", {}) is Taken.REFUSED


async def test_a_client_that_goes_leaves_its_chats(scene: Scene) -> None:
    client = scene.open(scene.shop.customer)
    await client.take("joinChat", {})
    assert len(list(scene.sessions.presence)) == 1
    client.release()
    assert not list(scene.sessions.presence)
