"""From a subscription to a sink that is now ready and now not."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from pydantic import BaseModel

from core.hub import Batch
from core.kernel.caller import Credentials
from core.kernel.errors import Close, CloseReason
from core.kernel.events import PUBLIC, Event, EventKind
from core.live.commands import Subscribe
from core.live.delivery import Delivery, FrameDelivery
from core.live.session import Session
from core.live.sessions import Sessions
from core.store.store import Store
from tests.core.stores import Shop, open_store
from tests.waiting import eventually, within


class Thing(BaseModel):
    number: int
    filling: str = ""


KIND = EventKind("thing.happened", ("pets/{id}",), Thing, "Something happened.", public=True)


class Numbers:
    """Encodes an event as what it tells, and a semicolon."""

    def encode(self, event: Event) -> bytes:
        number = event.payload["number"]
        if number < 0:
            raise ValueError("cannot be shown")
        return b"%d;" % number


NUMBERS = Numbers()


class Tap:
    """A sink that a test opens and shuts."""

    def __init__(self) -> None:
        self.on_writable: Callable[[], None] | None = None
        self.got: list[int] = []
        self.writes = 0
        self.gone = False
        self._open = asyncio.Event()
        self._open.set()

    @property
    def writable(self) -> bool:
        return self._open.is_set()

    def write(self, data: bytes) -> None:
        self.writes += 1
        self.got += map(int, data.decode().split(";")[:-1])

    async def drain(self) -> None:
        await self._open.wait()
        if self.gone:
            raise ConnectionResetError

    def shut(self) -> None:
        self._open.clear()

    def open(self) -> None:
        self._open.set()
        if self.on_writable is not None:
            self.on_writable()


class Waiting(Delivery):
    """A delivery whose encoding of odd numbers waits until the test has it done."""

    def __init__(self, tap: Tap, on_end: Callable[[Close], None]) -> None:
        super().__init__(tap, on_end)
        self.begun: list[asyncio.Future[bytes]] = []

    def deliver(self, batch: Batch) -> asyncio.Future[bytes] | None:
        encoded = batch.encoded(NUMBERS)
        if not batch.first.payload["number"] % 2:
            self._sink.write(encoded)
            return None
        waiting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.begun.append(waiting)
        self.encoded = encoded
        return waiting

    def finish(self) -> None:
        """The encoding is done."""
        self.begun[-1].set_result(self.encoded)


class Scene:
    """One subscriber of a store's shared pool."""

    def __init__(self, store: Store, shop: Shop | None = None) -> None:
        self.store = store
        self.shop = shop or Shop(store)
        self.sessions = Sessions(store)
        self.session: Session = self.sessions.open(
            Credentials("192.0.2.1", self.shop.tenant), self.shop.visitor
        )
        self.tap = Tap()
        self.delivery = self.deliver()

    def deliver(self, delivery: Delivery | None = None) -> Delivery:
        """Begin to deliver what the session follows, now or later, as a client does."""
        delivery = delivery or FrameDelivery(self.tap, NUMBERS, self.session.close)
        self.tap.on_writable = delivery.go_on
        self.session.on_subscription = delivery.attach
        if self.session.subscription is not None:
            delivery.attach(self.session.subscription)
        return delivery

    async def happen(self, *numbers: int, filling: int = 0) -> None:
        async with self.shop.context() as context:
            for number in numbers:
                context.emit(KIND, Thing(number=number, filling="x" * filling), PUBLIC, id="1")

    async def follow(self, cursor: str | None = None) -> None:
        await self.session.follow(Subscribe.model_validate({"topics": ["#"], "cursor": cursor}))

    async def got(self, count: int) -> list[int]:
        await eventually(lambda: len(self.tap.got) >= count)
        return self.tap.got


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with open_store(tmp_path) as store:
        opened = Scene(store)
        try:
            yield opened
        finally:
            opened.delivery.close()
            opened.session.leave()
            assert store.hub.statistics().subscriptions == 0
            assert len(opened.sessions) == 0


async def test_all_that_is_new_goes_out_in_one_write_without_a_task(scene: Scene) -> None:
    await scene.follow()
    tasks = len(asyncio.all_tasks())
    await scene.happen(1, 2, 3)
    assert await scene.got(3) == [1, 2, 3]
    assert scene.tap.writes == 1
    assert len(asyncio.all_tasks()) == tasks


async def test_nothing_is_written_while_the_peer_takes_nothing(scene: Scene) -> None:
    await scene.follow()
    scene.tap.shut()
    await scene.happen(1)
    await scene.happen(2)
    await eventually(lambda: scene.store.hub.statistics().kept_events == 2)
    assert scene.tap.got == []
    scene.tap.open()
    assert await scene.got(2) == [1, 2]


async def test_a_peer_that_fell_behind_the_ring_is_served_from_the_log(scene: Scene) -> None:
    await scene.follow()
    await scene.happen(0)
    await scene.got(1)
    scene.tap.shut()
    for first in range(1, 10_001, 1000):
        await scene.happen(*range(first, first + 1000))
    scene.tap.open()
    await scene.happen(10_001)
    assert await scene.got(10_002) == list(range(10_002))
    await eventually(lambda: scene.store.hub.statistics().behind == 0)


async def test_a_peer_that_stalls_while_catching_up_goes_on_later(scene: Scene) -> None:
    await scene.happen(*range(2000))
    await scene.follow("earliest")
    await scene.got(1)
    scene.tap.shut()
    await scene.happen(2000)
    scene.tap.open()
    assert await scene.got(2001) == list(range(2001))


async def test_nothing_goes_out_after_closing(scene: Scene) -> None:
    await scene.follow()
    await scene.happen(1)
    await scene.got(1)
    scene.delivery.close()
    before = scene.session.subscription.cursor if scene.session.subscription else ""
    await scene.happen(2)
    scene.tap.open()
    scene.delivery.pump()
    assert scene.tap.got == [1]
    assert scene.session.subscription is not None
    assert scene.session.subscription.cursor == before


async def test_closing_in_the_middle_of_catching_up_keeps_the_place(scene: Scene) -> None:
    await scene.happen(*range(1000))
    await scene.follow("earliest")
    await scene.got(1)
    scene.delivery.close()
    assert scene.session.subscription is not None
    cursor = scene.session.subscription.cursor
    got = list(scene.tap.got)
    again = Scene(scene.store, scene.shop)
    await again.follow(cursor)
    assert got + (await again.got(1000 - len(got))) == list(range(1000))
    again.delivery.close()
    again.session.leave()


async def test_an_event_that_cannot_be_encoded_ends_this_session_alone(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    await scene.follow()
    await scene.happen(-1)
    assert (await within(scene.session.closed)).reason is CloseReason.INTERNAL
    assert "a stream failed" in caplog.text


async def test_an_event_of_the_log_that_cannot_be_encoded_ends_the_session_too(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    await scene.happen(1, -1)
    await scene.follow("earliest")
    assert (await within(scene.session.closed)).reason is CloseReason.INTERNAL


async def test_the_end_of_the_subscription_ends_the_session(scene: Scene) -> None:
    await scene.follow()
    assert scene.session.subscription is not None
    scene.session.subscription.close(Close(CloseReason.DRAINING, "over"))
    assert await within(scene.session.closed) == Close(CloseReason.DRAINING, "over")


async def test_a_log_that_was_trimmed_under_a_reader_ends_the_session(scene: Scene) -> None:
    await scene.happen(*range(1000))
    scene.tap.shut()
    await scene.follow("earliest")
    await scene.store.storage.trim_log(None, 5)
    scene.tap.open()
    close = await within(scene.session.closed)
    assert close.reason is CloseReason.CURSOR_EXPIRED
    assert close.oldest_cursor


async def test_a_peer_that_goes_while_it_is_waited_for_is_no_error(scene: Scene) -> None:
    await scene.happen(1)
    scene.tap.shut()
    await scene.follow("earliest")
    await eventually(lambda: len([task for task in asyncio.all_tasks() if "_follow" in str(task)]) == 1)
    scene.tap.gone = True
    scene.tap.open()
    await eventually(lambda: not [task for task in asyncio.all_tasks() if "_follow" in str(task)])
    assert not scene.session.closed.done()


async def test_a_delivery_may_come_after_the_subscription(scene: Scene) -> None:
    scene.delivery.close()
    await scene.happen(1)
    await scene.follow("earliest")
    scene.delivery = scene.deliver()
    assert await scene.got(1) == [1]


async def test_what_comes_behind_an_encoding_that_waits_waits_too(scene: Scene) -> None:
    scene.delivery.close()
    waiting = Waiting(scene.tap, scene.session.close)
    scene.delivery = scene.deliver(waiting)
    await scene.follow()
    await scene.happen(2)
    assert await scene.got(1) == [2]
    served = waiting.cursor
    await scene.happen(3)
    await eventually(lambda: waiting.begun)
    await scene.happen(4)
    assert scene.tap.got == [2]
    assert waiting.cursor == served, "what is not written does not count"
    waiting.finish()
    assert await scene.got(3) == [2, 3, 4]
    assert waiting.cursor != served


async def test_closing_while_an_encoding_waits_keeps_the_place(scene: Scene) -> None:
    await scene.happen(1)
    scene.delivery.close()
    waiting = Waiting(scene.tap, scene.session.close)
    scene.delivery = scene.deliver(waiting)
    await scene.follow("earliest")
    await eventually(lambda: waiting.begun)
    place = waiting.cursor
    waiting.close()
    await eventually(lambda: waiting.begun[0].cancelled())
    assert (scene.tap.got, waiting.cursor) == ([], place)


async def test_an_encoding_that_waits_and_fails_ends_the_session(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.delivery.close()
    waiting = Waiting(scene.tap, scene.session.close)
    scene.delivery = scene.deliver(waiting)
    await scene.follow()
    await scene.happen(1)
    await eventually(lambda: waiting.begun)
    waiting.begun[0].set_exception(ValueError("cannot be shown"))
    assert (await within(scene.session.closed)).reason is CloseReason.INTERNAL
    assert "a stream failed" in caplog.text
