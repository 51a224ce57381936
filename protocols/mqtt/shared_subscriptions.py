"""Shared subscriptions (MQTT 5.0, section 4.8.2): of a group's members on this node, one gets each event.

A group is of one node: where its members are connected to several nodes, one on each of them gets the event. Members
with different rights share nothing, for they do not see the same events.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from core.auth.authorization import viewer_of
from core.hub import Subscription, Viewer
from core.kernel.errors import Close, Closed, CloseReason, CursorExpired
from core.kernel.events import Event
from core.kernel.ids import TenantId
from core.live.current_state import has_state
from core.live.session import Session
from core.store.store import Store
from protocols.mqtt.delivery import Delivery
from protocols.mqtt.filters import Grant, matching

log = logging.getLogger(__name__)

_Key = tuple[TenantId, Viewer, str, str]


@dataclass(eq=False, slots=True)
class Member:
    """One client in a group, and the events under way to him by packet id."""

    session: Session
    delivery: Delivery
    grant: Grant
    under_way: dict[int, Event] = field(default_factory=dict)

    def send(self, event: Event) -> None:
        """Give him an event."""
        topic, _ = matching((self.grant,), event)
        retain = self.grant.retain_as_published and has_state(topic)
        packet_id = self.delivery.send(event, topic, [self.grant], retain=retain, tracked=False)
        if packet_id:
            self.under_way[packet_id] = event
        if len(self.under_way) > 1000:
            self.under_way = dict(self.unacknowledged())

    def unacknowledged(self) -> Sequence[tuple[int, Event]]:
        """What he may not have got."""
        return [(key, event) for key, event in self.under_way.items() if self.delivery.is_under_way(key)]


class Group:
    """Hands one event after the other to whichever member is next and has room for it."""

    def __init__(self, subscription: Subscription) -> None:
        self.members: list[Member] = []
        self._subscription = subscription
        self._waiting: deque[Event] = deque()
        self._next = 0
        self._none_waits = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    def add(self, member: Member) -> None:
        """Let a client in."""
        self.members.append(member)
        member.delivery.done.append(self._hand_out)
        self._hand_out()

    def remove(self, member: Member) -> None:
        """Let a client go; what he did not acknowledge is another's."""
        self.members.remove(member)
        member.delivery.done.remove(self._hand_out)
        self._waiting.extend(event for _, event in member.unacknowledged())
        self._hand_out()

    async def _run(self) -> None:
        try:
            while True:
                for event in (await self._subscription.next()).events:
                    self._waiting.append(event)
                    self._hand_out()
                    await self._none_waits.wait()
        except CursorExpired as error:
            self._close(Close(CloseReason.CURSOR_EXPIRED, error.detail, error.oldest_cursor))
        except Closed as error:
            self._close(error.close)
        except Exception:  # The task's boundary: nobody awaits it.
            log.exception("a group failed")
            self._close(Close(CloseReason.INTERNAL))

    def _hand_out(self) -> None:
        """Give what waits to whoever has room; this is done whenever somebody has got some."""
        while self._waiting and (member := self._someone()) is not None:
            member.send(self._waiting.popleft())
        if self._waiting:
            self._none_waits.clear()
        else:
            self._none_waits.set()

    def _someone(self) -> Member | None:
        """The next member in turn who has room."""
        for _ in self.members:
            self._next = (self._next + 1) % len(self.members)
            if self.members[self._next].delivery.is_free:
                return self.members[self._next]
        return None

    def _close(self, close: Close) -> None:
        for member in list(self.members):
            member.session.close(close)

    def end(self) -> None:
        """Nobody is left."""
        self._task.cancel()
        self._subscription.close()


class Groups:
    """The groups of this node."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._groups: dict[_Key, Group] = {}
        self._turn = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._groups)

    async def join(self, session: Session, delivery: Delivery, grant: Grant) -> "Membership":
        """Make a client a member. He has been found to have the right to it.

        Raises:
            StoreError: the events can't be followed just now.
        """
        assert grant.group is not None
        caller = session.caller
        key = (caller.tenant, viewer_of(caller), grant.group, grant.pattern)
        async with self._turn:
            group = self._groups.get(key)
            if group is None:
                tenant, viewer, _, pattern = key
                group = self._groups[key] = Group(await self._store.hub.subscribe(tenant, viewer, (pattern,)))
            member = Member(session, delivery, grant)
            group.add(member)
        return Membership(self, key, group, member)

    def drop(self, key: _Key, group: Group) -> None:
        """A group has lost its last member."""
        if self._groups.get(key) is group:
            del self._groups[key]
            group.end()


@dataclass(frozen=True, slots=True)
class Membership:
    """A client's place in a group."""

    groups: Groups
    key: _Key
    group: Group
    member: Member

    def leave(self) -> None:
        """Leave the group."""
        self.group.remove(self.member)
        if not self.group.members:
            self.groups.drop(self.key, self.group)
