"""A connected client's states, without a socket."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.auth.callers import access_claims
from core.kernel.caller import Caller, Credentials, visitor
from core.kernel.clock import utc_now
from core.kernel.errors import (
    BadRequest,
    Close,
    CloseReason,
    Conflict,
    Forbidden,
    Internal,
    NotFound,
    RateLimited,
    StorageDown,
    StoreError,
    Unauthorized,
    Unavailable,
    ValidationFailed,
)
from core.kernel.ids import TenantId, new_id
from core.kernel.limits import Limits
from core.live.commands import Subscribe
from core.live.connection_counts import ConnectionCounts
from core.live.sessions import Sessions
from core.models.chats import Chat
from core.services.chats import CLOSE_CHAT
from core.services.messages import MARK_DELIVERED
from core.store.store import Call, Outcome, Store
from tests.clock import skip
from tests.core.live.fakes import FakeClient
from tests.core.stores import Shop, customer_of, open_store, staff_of
from tests.waiting import eventually, within

ADDRESS = "192.0.2.1"


class Clock:
    """The present time, which a test may set."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.ahead


class Scene:
    """A shop and the clients who are connected to it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.shop = Shop(store)
        self.sessions = Sessions(store)
        self.opened: list[FakeClient] = []

    def open(
        self, caller: Caller | None = None, *, credentials: Credentials | None = None, **more: Any
    ) -> FakeClient:
        credentials = credentials or Credentials(ADDRESS, self.shop.tenant)
        session = self.sessions.open(credentials, caller or self.shop.visitor, **more)
        client = FakeClient(self.sessions, session)
        self.opened.append(client)
        return client

    def token(self, caller: Caller, *, lasts: float = 3600) -> str:
        expires_at = self.clock() + timedelta(seconds=lasts)
        session_id = caller.session_id or new_id()
        whole = replace(caller, expires_at=expires_at, session_id=session_id)
        return self.store.signer.sign(access_claims(whole, new_id(), self.clock(), ""))


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    clock = Clock()
    limits = Limits(
        requests_per_minute=0, connections_per_caller=3, filters_per_connection=4, messages_per_second=20
    )
    async with open_store(tmp_path, clock=clock, limits=limits) as store:
        made = Scene(store, clock)
        try:
            yield made
        finally:
            for client in made.opened:
                client.release()
            statistics = store.hub.statistics()
            assert (statistics.subscriptions, statistics.rings, len(made.sessions)) == (0, 0, 0)
            assert not list(made.sessions.connections)
            assert not list(made.sessions.presence)
            assert not store.agents.agents(made.shop.tenant)


async def _refused(kind: type[StoreError], client: FakeClient, name: str, **data: Any) -> StoreError:
    with pytest.raises(kind) as caught:
        await client.command(name, data)
    assert type(caught.value) is kind
    return caught.value


async def test_connections_are_counted_per_caller_and_never_twice(scene: Scene) -> None:
    sessions = [scene.open() for _ in range(3)]
    with pytest.raises(RateLimited):
        scene.open()
    scene.open(scene.shop.customer)
    assert (len(scene.sessions), scene.sessions.connections.of(scene.shop.visitor)) == (4, 3)
    for _ in range(2):
        sessions[0].release()
    assert scene.sessions.connections.of(scene.shop.visitor) == 2
    scene.open()


async def test_a_draining_node_lets_nobody_in(scene: Scene) -> None:
    session = scene.open()
    scene.store.draining = True
    with pytest.raises(Unavailable):
        scene.open()
    scene.sessions.close_all(Close(CloseReason.DRAINING))
    scene.sessions.close_all(Close(CloseReason.INTERNAL))
    assert (await session.session.closed).reason is CloseReason.DRAINING


async def test_connections_are_bounded_by_network_over_all_tenants() -> None:
    counts = ConnectionCounts(Limits(network_connections=3))
    here = [visitor(TenantId(new_id()), address) for address in ("2001:db8::1", "2001:db8::2", "2001:db8::3")]
    for caller in here:
        counts.enter(caller)
    late = visitor(TenantId(new_id()), "2001:db8::4")
    with pytest.raises(RateLimited):
        counts.enter(late)
    counts.enter(visitor(late.tenant, "2001:db8:0:1::4"))
    # To log in is no further connection.
    counts.move(here[0], customer_of(here[0].tenant))
    counts.leave(here[1])
    counts.enter(late)
    counts.leave(late)


async def test_logging_in_moves_the_count_to_the_known_caller(scene: Scene) -> None:
    session = scene.open()
    await session.command("authenticate", {"token": scene.token(scene.shop.customer)})
    assert scene.sessions.connections.of(scene.shop.visitor) == 0
    assert scene.sessions.connections.of(scene.shop.customer) == 1
    await session.command("authenticate", {"token": scene.token(scene.shop.customer)})
    assert scene.sessions.connections.of(scene.shop.customer) == 1


async def test_a_login_beyond_the_bound_is_refused_and_counted_nowhere(scene: Scene) -> None:
    for _ in range(3):
        scene.open(scene.shop.customer)
    session = scene.open()
    await _refused(RateLimited, session, "authenticate", token=scene.token(scene.shop.customer))
    assert (
        scene.sessions.connections.of(scene.shop.customer),
        scene.sessions.connections.of(scene.shop.visitor),
    ) == (3, 1)
    assert session.session.user is None


async def test_whoever_must_log_in_is_closed_when_he_does_not(tmp_path: Path) -> None:
    async with open_store(tmp_path, limits=Limits(requests_per_minute=0, login_seconds=30)) as store:
        scene = Scene(store, Clock())
        late, soon = (scene.open(admitted=False, login_required=True) for _ in range(2))
        await soon.command("authenticate", {"token": scene.token(scene.shop.customer)})
        skip(30)
        assert (await within(late.session.closed)).reason is CloseReason.LOGIN_TIMEOUT
        await _refused(Unauthorized, late, "ping")
        assert not late.session.admitted
        assert not soon.session.closed.done()
        for client in scene.opened:
            client.release()


async def test_a_client_without_credentials_becomes_a_visitor_by_his_first_command(scene: Scene) -> None:
    session = scene.open(admitted=False)
    await _refused(BadRequest, session, "dance")
    assert session.session.admitted


async def test_a_visitor_without_budget_is_not_admitted(tmp_path: Path) -> None:
    async with open_store(tmp_path, limits=Limits(requests_per_minute=1)) as store:
        scene = Scene(store, Clock())
        first, second = scene.open(admitted=False), scene.open(admitted=False)
        await first.command("ping", None)
        await _refused(RateLimited, second, "ping")
        assert not second.session.admitted
        first.release()
        second.release()


async def test_a_login_ends_at_its_expiry_even_when_the_clock_is_set(scene: Scene) -> None:
    session = scene.open()
    must_log_in = scene.open(admitted=False, login_required=True)
    await session.command("authenticate", {"token": scene.token(scene.shop.customer)})
    scene.clock.ahead = timedelta(minutes=59)
    await scene.sessions.watch_clock()
    assert not session.session.closed.done()
    scene.clock.ahead = timedelta(minutes=61)
    assert not session.session.closed.done()
    await scene.sessions.watch_clock()
    assert session.session.closed.result().reason is CloseReason.EXPIRED
    assert not must_log_in.session.closed.done()


async def test_a_clock_that_is_set_back_leaves_a_login_its_whole_time(scene: Scene) -> None:
    session = scene.open()
    await session.command("authenticate", {"token": scene.token(scene.shop.customer)})
    scene.clock.ahead = -timedelta(minutes=30)
    await scene.sessions.watch_clock()
    skip(3_700)
    # The timer that was set for an hour must not end it: by the clock half an hour of it is left.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not session.session.closed.done()


async def test_a_login_ends_by_the_steady_clock_where_nobody_sets_the_other(scene: Scene) -> None:
    session = scene.open()
    await session.command("authenticate", {"token": scene.token(scene.shop.customer, lasts=60)})
    scene.clock.ahead = timedelta(seconds=61)
    skip(61)
    assert (await within(session.session.closed)).reason is CloseReason.EXPIRED


async def test_a_login_that_has_expired_meanwhile_ends_at_once(scene: Scene) -> None:
    session = scene.open(replace(scene.shop.customer, expires_at=scene.clock() - timedelta(seconds=1)))
    assert session.session.closed.result().reason is CloseReason.EXPIRED


async def test_revocation_closes_the_sessions_it_concerns(scene: Scene) -> None:
    mine = scene.open(replace(scene.shop.customer, subjects=("user:1", "session:1")))
    other = scene.open(replace(scene.shop.customer, subjects=("user:1", "session:2")))
    await scene.store.revocations.revoke(["session:1"])
    assert mine.session.closed.result().reason is CloseReason.REVOKED
    assert not other.session.closed.done()
    assert not mine.session.closed.result().resumable


async def test_a_connection_stays_with_its_caller_and_tenant(scene: Scene) -> None:
    session = scene.open(scene.shop.customer)
    await _refused(Forbidden, session, "authenticate", token=scene.token(scene.shop.staff))
    visitor = scene.open()
    await visitor.command("subscribe", {"topics": ["#"]})
    free = scene.open(credentials=Credentials(ADDRESS))
    await free.command("subscribe", {"topics": ["#"]})
    elsewhere = Shop(scene.store)
    await _refused(Forbidden, visitor, "authenticate", token=scene.token(elsewhere.customer))
    await _refused(Forbidden, free, "authenticate", token=scene.token(elsewhere.customer))
    assert free.session.caller == scene.shop.visitor


async def test_a_renewal_with_fewer_rights_is_refused_when_it_does_not_cover_what_is_heard(
    scene: Scene,
) -> None:
    session = scene.open(scene.shop.staff)
    await session.command("subscribe", {"topics": ["chats/#"]})
    demoted = replace(customer_of(scene.shop.tenant, scene.shop.staff.user_id))
    await session.command("authenticate", {"token": scene.token(demoted)})
    again = scene.open(scene.shop.staff)
    await again.command("subscribe", {"topics": [f"orders/{new_id()}/#"]})
    await _refused(Forbidden, again, "authenticate", token=scene.token(demoted))
    assert again.session.caller.is_staff
    assert session.session.subscription is not None
    assert session.session.subscription.viewer.kind == "user"


async def test_a_flood_closes_the_session_and_messages_do_not(scene: Scene) -> None:
    talks, floods = scene.open(), scene.open()
    for _ in range(1000):
        talks.session.rate.count()
        await talks.command("unsubscribe", {"topics": ["pets/#"]})
        floods.session.rate.count()
        await floods.command("ping", {})
    assert not talks.session.closed.done()
    assert talks.session.rate.delay_seconds > 0
    assert floods.session.closed.result().reason is CloseReason.TOO_MANY_MESSAGES
    assert floods.session.rate.delay_seconds == 0


async def test_a_database_that_is_away_is_told_and_the_session_goes_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = scene.open(scene.shop.customer)

    def away(*_: object) -> None:
        raise StorageDown

    with monkeypatch.context() as patched:
        patched.setattr(scene.store.storage, "read", away)
        await _refused(StorageDown, session, "subscribe", topics=[f"orders/{new_id()}/#"])
        with pytest.raises(Unavailable):
            await session.session.follow(Subscribe(topics=[f"orders/{new_id()}/#"]))
    with monkeypatch.context() as patched:
        patched.setattr(scene.store.storage, "heads", away)
        await _refused(StorageDown, session, "subscribe", topics=["#"])
    assert session.session.subscription is None
    await session.command("subscribe", {"topics": ["#"]})


async def test_a_log_that_does_not_answer_is_given_up(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.live.session._SUBSCRIBE_TIMEOUT_SECONDS", 0.02)
    session = scene.open()
    answered = asyncio.Event()
    heads = scene.store.storage.heads

    async def hang(*arguments: Any) -> Any:
        await answered.wait()
        return await heads(*arguments)

    monkeypatch.setattr(scene.store.storage, "heads", hang)
    await _refused(Unavailable, session, "subscribe", topics=["#"])
    answered.set()
    await eventually(lambda: scene.store.hub.statistics().rings == 0)


async def test_an_internal_error_is_told_as_such_and_logged(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    session = scene.open()

    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(scene.store.hub, "subscribe", broken)
    error = await _refused(Internal, session, "subscribe", topics=["#"])
    assert "secret" not in error.detail
    assert "a command failed" in caplog.text


async def test_a_stream_that_has_ended_takes_no_more_topics(scene: Scene) -> None:
    session = scene.open()
    await session.command("subscribe", {"topics": ["#"]})
    assert session.session.subscription is not None
    session.session.subscription.close(Close(CloseReason.DRAINING))
    await _refused(Unavailable, session, "subscribe", topics=["a"])
    assert (await session.command("unsubscribe", {"topics": ["#"]}))["topics"] == ["#"]


async def test_filters_are_bounded_with_the_chats_among_them(scene: Scene) -> None:
    session = scene.open(scene.shop.customer)
    await session.command("subscribe", {"topics": ["a", "b", "c"]})
    first = (await session.command("joinChat", {}))["chat"]["id"]
    await _refused(BadRequest, session, "joinChat")
    await session.command("joinChat", {"chatId": first})
    await _refused(BadRequest, session, "subscribe", topics=["d"])
    async with scene.store.storage.read(scene.shop.tenant) as tx:
        assert await tx.get(Chat, first) is not None
    assert len([event for event in await scene.shop.events() if event["eventType"] == "chat.opened"]) == 1


async def test_chats_are_for_known_callers_with_the_right(scene: Scene) -> None:
    visitor = scene.open()
    await _refused(Unauthorized, visitor, "joinChat")
    reader = scene.open(replace(scene.shop.customer, scopes=frozenset()))
    await _refused(Forbidden, reader, "joinChat")
    customer = scene.open(scene.shop.customer)
    await _refused(ValidationFailed, customer, "joinChat", subject="")
    await _refused(NotFound, customer, "joinChat", chatId=new_id())


async def test_presence_is_told_when_the_first_comes_and_the_last_goes(scene: Scene) -> None:
    told: list[tuple[str, object]] = []

    class Listener:
        def on_events(self, _: object, events: Any) -> None:
            told.extend(
                (event.event_type, event.payload.get("online")) for event in events if event.ephemeral
            )

        def on_lost(self, _: object) -> None:
            pass

    one, two = scene.open(scene.shop.customer), scene.open(scene.shop.customer)
    scene.store.hub.observers.add(Listener())
    chat_id = (await one.command("joinChat", {}))["chat"]["id"]
    await two.command("joinChat", {"chatId": chat_id})
    await two.command("joinChat", {"chatId": chat_id})
    await one.command("leaveChat", {})
    assert told == [("presence.changed", True)]
    two.release()
    assert told == [("presence.changed", True), ("presence.changed", False)]


async def test_an_agent_at_a_chat_door_is_there_until_he_leaves(scene: Scene) -> None:
    customer, agent = scene.open(scene.shop.customer), scene.open(scene.shop.staff)
    await customer.chats.offer()
    assert not scene.store.agents.agents(scene.shop.tenant)
    for _ in range(2):
        await agent.chats.offer()
    assert scene.store.agents.agents(scene.shop.tenant) == {scene.shop.staff.user_id}
    joined = await customer.command("joinChat", {})
    assert joined["chat"]["agentId"] == scene.shop.staff.user_id
    agent.release()
    agent.release()
    assert not scene.store.agents.agents(scene.shop.tenant)


async def test_an_agent_is_there_though_the_waiting_chats_could_not_be_given_to_him(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    agent = scene.open(scene.shop.staff)
    scene.store.draining = True
    await agent.chats.offer()
    assert scene.store.agents.agents(scene.shop.tenant)
    assert "waiting chats were not assigned" in caplog.text


async def test_messages_are_marked_as_delivered_when_they_went_out(scene: Scene) -> None:
    customer, agent = scene.open(scene.shop.customer), scene.open(scene.shop.staff)
    chat_id = (await customer.command("joinChat", {}))["chat"]["id"]
    await agent.command("joinChat", {"chatId": chat_id})
    sent = [
        (await customer.command("chatMessage", {"text": text}))["message"]["id"] for text in ("Hello", "You?")
    ]

    async def marked(kind: str) -> list[str]:
        events = await scene.shop.events()
        return [event["data"]["message"]["id"] for event in events if event["eventType"] == kind]

    async def delivered() -> bool:
        return await marked("chat.message_delivered") == sent

    await eventually(delivered)
    await agent.command("messageRead", {"messageId": sent[1]})
    assert await marked("chat.message_read") == [sent[1]]


async def test_a_mark_that_cannot_be_written_is_given_up(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "core.live")
    customer, agent = scene.open(scene.shop.customer), scene.open(scene.shop.staff)
    chat_id = (await customer.command("joinChat", {}))["chat"]["id"]
    await agent.command("joinChat", {"chatId": chat_id})
    sent = scene.store.execute

    async def drained(caller: Caller, call: Call) -> Outcome:
        if call.operation is MARK_DELIVERED:
            raise Unavailable("This node is shutting down.")
        return await sent(caller, call)

    scene.store.execute = drained  # type: ignore[method-assign]
    await customer.command("chatMessage", {"text": "Hello"})
    await eventually(lambda: "was not marked" in caplog.text)
    assert not agent.session.closed.done()


async def test_marks_beyond_the_bound_are_left_to_the_reading(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.live.receipts._MAX_WAITING_RECEIPTS", 2)
    customer, agent = scene.open(scene.shop.customer), scene.open(scene.shop.staff)
    chat_id = (await customer.command("joinChat", {}))["chat"]["id"]
    for number in range(5):
        await customer.command("chatMessage", {"text": str(number)})
    await agent.command("joinChat", {"chatId": chat_id, "cursor": "earliest"})

    async def delivered() -> int:
        return len([e for e in await scene.shop.events() if e["eventType"] == "chat.message_delivered"])

    await eventually(lambda: delivered())
    await eventually(lambda: not [t for t in asyncio.all_tasks() if "_write_receipts" in str(t)])
    assert await delivered() == 2


async def test_an_agent_who_joined_one_chat_means_it_however_many_were_given_to_them(scene: Scene) -> None:
    customer = scene.open(scene.shop.customer)
    chats = [(await customer.command("joinChat", {}))["chat"]["id"] for _ in range(3)]
    agent = scene.open(scene.shop.staff)
    await agent.chats.offer()
    await eventually(lambda: agent.written.count("chat.assigned") == 3)
    await agent.command("joinChat", {"chatId": chats[1]})
    said = await agent.command("chatMessage", {"text": "Hello"})
    assert said["message"]["chatId"] == chats[1]
    await agent.command("typingStarted", {})


async def test_leaving_in_the_middle_of_marking_leaves_no_task(scene: Scene) -> None:
    customer, agent = scene.open(scene.shop.customer), scene.open(scene.shop.staff)
    chat_id = (await customer.command("joinChat", {}))["chat"]["id"]
    await agent.command("joinChat", {"chatId": chat_id})
    await customer.command("chatMessage", {"text": "Hello"})
    async with scene.store.storage.write(scene.shop.tenant):  # The marks wait for this.
        await eventually(lambda: [t for t in asyncio.all_tasks() if "_write_receipts" in str(t)])
        agent.release()
    await eventually(lambda: not [t for t in asyncio.all_tasks() if "_write_receipts" in str(t)])


async def test_what_is_said_in_a_closed_chat_is_a_conflict(scene: Scene) -> None:
    session = scene.open(scene.shop.customer)
    chat_id = (await session.command("joinChat", {}))["chat"]["id"]
    await scene.shop.call(CLOSE_CHAT, staff_of(scene.shop.tenant), id=chat_id)
    await _refused(Conflict, session, "chatMessage", text="Wait")
