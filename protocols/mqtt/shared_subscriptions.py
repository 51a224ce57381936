"""Shared subscriptions (MQTT 5.0, section 4.8.2): of the subscribers on this node, one gets each event.

A shared subscription is of one node: where its subscribers are connected to several nodes, one on each of them gets the
event. Subscribers with different rights share nothing, for they do not see the same events.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field

from core.auth.authorization import viewer_of
from core.hub import Subscription, Viewer
from core.kernel.errors import Close, Closed, CloseReason, CursorExpired
from core.kernel.events import Event
from core.kernel.ids import TenantId
from core.live.current_state import has_state
from core.live.session import Session
from protocols.mqtt.delivery import MessageDelivery
from protocols.mqtt.filters import GrantedSubscription, match

log = logging.getLogger(__name__)

#: Tenant, rights, share name and event filter.
_Key = tuple[TenantId, Viewer, str, str]
#: Messages that a subscriber remembers before it forgets those that were acknowledged meanwhile.
_MAX_REMEMBERED_MESSAGES = 1000


@dataclass(eq=False, slots=True)
class Subscriber:
    """One client's part in a shared subscription, and its events in flight by packet identifier."""

    shared: "SharedSubscription"
    session: Session
    delivery: MessageDelivery
    granted: GrantedSubscription
    in_flight: dict[int, Event] = field(default_factory=dict)

    def send(self, event: Event) -> None:
        """Send the client an event."""
        topic, _ = match((self.granted,), event)
        retain = self.granted.retain_as_published and has_state(topic)
        packet_id = self.delivery.send(event, topic, [self.granted], retain=retain)
        if packet_id:
            self.in_flight[packet_id] = event
        if len(self.in_flight) > _MAX_REMEMBERED_MESSAGES:
            self.in_flight = dict(self.unacknowledged())

    def unacknowledged(self) -> Sequence[tuple[int, Event]]:
        """The messages that the client may not have."""
        return [(key, event) for key, event in self.in_flight.items() if self.delivery.is_in_flight(key)]

    def leave(self) -> None:
        """Leave; what the client did not acknowledge goes to another subscriber."""
        self.shared.remove(self)


class SharedSubscription:
    """Sends one event after the other to the next subscriber in turn that has room for it.

    It begins with the first subscriber and ends with the last; ``on_end`` is called when nobody can join any more.
    """

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._subscribers: list[Subscriber] = []
        self._opening: asyncio.Task[None] | None = None
        self._stream: Subscription | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiting: deque[Event] = deque()
        self._last_served = 0
        self._all_sent = asyncio.Event()

    async def join(
        self, subscriber: Subscriber, follow: Callable[[], Coroutine[None, None, Subscription]]
    ) -> None:
        """Let a subscriber in. The first one opens the stream of events by ``follow``, and later ones wait for it.

        Raises:
            StoreError: the events cannot be followed just now.
        """
        self._subscribers.append(subscriber)
        try:
            if self._stream is None:
                if self._opening is None:
                    self._opening = asyncio.create_task(self._open(follow))
                # Whoever began it may leave while others wait for it.
                await asyncio.shield(self._opening)
        except BaseException:
            self.remove(subscriber)
            raise
        subscriber.delivery.on_room.append(self._hand_out)
        self._hand_out()

    async def _open(self, follow: Callable[[], Coroutine[None, None, Subscription]]) -> None:
        try:
            self._stream = await follow()
        except BaseException:
            self._on_end()
            raise
        self._task = asyncio.create_task(self._run(self._stream))

    def remove(self, subscriber: Subscriber) -> None:
        """Let a subscriber go; what it did not acknowledge goes to another."""
        self._subscribers.remove(subscriber)
        if self._hand_out in subscriber.delivery.on_room:
            subscriber.delivery.on_room.remove(self._hand_out)
        if self._subscribers:
            self._waiting.extend(event for _, event in subscriber.unacknowledged())
            self._hand_out()
        else:
            self._end()

    def _end(self) -> None:
        self._on_end()
        for task in (self._opening, self._task):
            if task is not None:
                task.cancel()
        if self._stream is not None:
            self._stream.close()

    async def _run(self, stream: Subscription) -> None:
        try:
            while True:
                for event in (await stream.next()).events:
                    self._waiting.append(event)
                    self._hand_out()
                    await self._all_sent.wait()
        except CursorExpired as error:
            self._close(Close(CloseReason.CURSOR_EXPIRED, error.detail, error.oldest_cursor))
        except Closed as error:
            self._close(error.close)
        except Exception:  # The task's boundary: nobody awaits it.
            log.exception("a shared subscription failed")
            self._close(Close(CloseReason.INTERNAL))

    def _close(self, close: Close) -> None:
        """The stream has ended, and with it the sessions of all subscribers."""
        self._on_end()
        for subscriber in list(self._subscribers):
            subscriber.session.close(close)

    def _hand_out(self) -> None:
        """Send what waits to whoever has room; called whenever a subscriber has got some."""
        while self._waiting and (subscriber := self._next_subscriber()) is not None:
            subscriber.send(self._waiting.popleft())
        if self._waiting:
            self._all_sent.clear()
        else:
            self._all_sent.set()

    def _next_subscriber(self) -> Subscriber | None:
        """The next subscriber in turn that has room."""
        for _ in self._subscribers:
            self._last_served = (self._last_served + 1) % len(self._subscribers)
            if self._subscribers[self._last_served].delivery.is_free:
                return self._subscribers[self._last_served]
        return None


class SharedSubscriptions:
    """The shared subscriptions of this node."""

    def __init__(self) -> None:
        self._shared: dict[_Key, SharedSubscription] = {}

    def __len__(self) -> int:
        return len(self._shared)

    async def join(
        self, session: Session, delivery: MessageDelivery, granted: GrantedSubscription
    ) -> Subscriber:
        """Make a client, whose right to the filter has been checked, a subscriber.

        Raises:
            StoreError: the events cannot be followed just now.
        """
        assert granted.share_name is not None
        caller = session.caller
        key = (caller.tenant, viewer_of(caller), granted.share_name, granted.event_filter)
        shared = self._shared.get(key)
        if shared is None:
            shared = self._shared[key] = SharedSubscription(lambda: self._forget(key, shared))
        subscriber = Subscriber(shared, session, delivery, granted)
        await shared.join(subscriber, lambda: session.follow_shared(frozenset({granted.event_filter})))
        return subscriber

    def _forget(self, key: _Key, shared: SharedSubscription | None) -> None:
        if self._shared.get(key) is shared:
            del self._shared[key]
