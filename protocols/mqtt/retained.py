"""Retained messages: the current state, told to each subscription that asks for it, also across connections."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from mqtt5 import DisconnectReasonCode

from core.kernel.cursor import Cursor
from core.kernel.errors import Unavailable
from core.kernel.events import Event
from core.live.current_state import current_state
from core.live.session import Session
from core.store.store import Store
from protocols.mqtt import gate
from protocols.mqtt.delivery import MessageDelivery
from protocols.mqtt.filters import GrantedSubscription
from protocols.mqtt.writer import PacketWriter

log = logging.getLogger(__name__)


class RetainedMessages:
    """Tells one client the current state of what it subscribes to, before any event from then on.

    What the client has not acknowledged, and what it has not been sent, when its connection ends, is left to the next
    connection of the session. ``granted`` are the client's subscriptions.
    """

    def __init__(
        self,
        store: Store,
        session: Session,
        delivery: MessageDelivery,
        writer: PacketWriter,
        granted: Mapping[str, GrantedSubscription],
    ) -> None:
        self._store = store
        self._session = session
        self._delivery = delivery
        self._writer = writer
        self._granted = granted
        #: What is not told yet, by topic filter: the topic behind which to go on, None to begin.
        self._untold: dict[str, str | None] = {}
        self._task: asyncio.Task[None] | None = None

    def add(self, topic_filter: str) -> None:
        """Tell a subscription all that it matches."""
        self._untold[topic_filter] = None

    def remove(self, topic_filter: str) -> None:
        """A subscription has ended."""
        self._untold.pop(topic_filter, None)

    def tell(self) -> None:
        """Tell what is not told yet, in a task of its own; events are held back meanwhile."""
        if self._task is None and (self._untold or self._delivery.retained_to_resend):
            self._delivery.gate.shut(gate.RETAINED)
            self._task = asyncio.create_task(self._tell())

    def close(self) -> None:
        """Tell nothing more."""
        if self._task is not None:
            self._task.cancel()

    async def _tell(self) -> None:
        try:
            for topic_filter, topic in self._delivery.retained_to_resend:
                await self._tell_again(topic_filter, topic)
            while self._untold:
                topic_filter, place = next(iter(self._untold.items()))
                await self._tell_all(topic_filter, place)
        except Unavailable:
            # The client would take silence for an empty store.
            self._writer.close_unavailable()
        except ConnectionResetError:
            pass  # The server sees the disconnect itself.
        except Exception:  # The task's boundary: nobody awaits it.
            log.exception("the current state could not be told")
            self._writer.close(DisconnectReasonCode.UNSPECIFIED_ERROR, "Something went wrong on our side.")
        else:
            self._delivery.gate.open(gate.RETAINED)
        finally:
            self._task = None

    async def _tell_again(self, topic_filter: str, topic: str) -> None:
        """Tell the present state of a topic where an earlier connection has brought it and it was not acknowledged."""
        async for events in current_state(self._store, self._session.caller, topic):
            for event in events:
                await self._send(event, topic_filter)
        self._delivery.forget_retained(topic_filter, topic)

    async def _tell_all(self, topic_filter: str, after: str | None) -> None:
        """Tell a subscription what it matches, unless it ends or begins anew meanwhile."""
        granted = self._granted.get(topic_filter)
        if granted is not None:
            event_filter = granted.event_filter
            async for events in current_state(self._store, self._session.caller, event_filter, after):
                for event in events:
                    await self._send(event, topic_filter)
                    if self._untold.get(topic_filter, "") != after:
                        return
                    self._untold[topic_filter] = after = event.topic
        self._untold.pop(topic_filter, None)

    async def _send(self, event: Event, topic_filter: str) -> None:
        """Send a message when there is room, if the client is still subscribed then."""
        await self._delivery.wait_for_room()
        granted, subscription = self._granted.get(topic_filter), self._session.subscription
        if granted is not None and subscription is not None:
            place = Cursor.decode(subscription.cursor, subscription.tenant)
            self._delivery.send_retained(event.at(place.epoch, place.sequence), granted)

    # --- the session's state ---

    def to_state(self) -> dict[str, Any]:
        """What a durable session keeps."""
        return {"untold": [[topic_filter, place] for topic_filter, place in self._untold.items()]}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from ``to_state`` by `tell`."""
        self._untold = dict(state.get("untold", ()))
