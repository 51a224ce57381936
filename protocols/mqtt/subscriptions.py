"""The subscriptions of one client: granted filter by filter, begun with retained messages of the current state."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from mqtt5 import SubAckReasonCode, UnsubAckReasonCode

from core.auth.authorization import check_filters
from core.kernel.errors import CursorExpired, ErrorCode, Forbidden, RateLimited, StoreError, Unavailable
from core.kernel.validation import check_body
from core.live.commands import Subscribe
from core.live.session import Session, store_errors
from core.store.store import Store
from protocols.mqtt import gate
from protocols.mqtt.delivery import MessageDelivery
from protocols.mqtt.errors import SUBSCRIBE_CODES
from protocols.mqtt.filters import GrantedSubscription, parse_topic_filter
from protocols.mqtt.packets import Property, RequestedSubscription, SubscribePacket, UnsubscribePacket
from protocols.mqtt.retained import RetainedMessages
from protocols.mqtt.shared_subscriptions import SharedSubscriptions, Subscriber
from protocols.mqtt.writer import PacketWriter

#: Retain handling (section 3.8.3.1): send retained messages always, or only for a new subscription.
_ALWAYS, _IF_NEW = 0, 1
_GRANTED_CODES = (SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE, SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE)
_MAX_GRANTED_QOS = 1
#: Filters in one packet, as a multiple of those that a client may hold: the rest is refused without a look.
_MAX_REPEATS = 2


class Subscriptions:
    """The subscriptions of one client, by the topic filters as it wrote them. ``save`` is called when they change."""

    def __init__(
        self,
        store: Store,
        shared: SharedSubscriptions,
        session: Session,
        delivery: MessageDelivery,
        writer: PacketWriter,
        save: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._shared = shared
        self._session = session
        self._delivery = delivery
        self._writer = writer
        self._save = save
        self._granted: dict[str, GrantedSubscription] = {}
        self._subscribers: dict[str, Subscriber] = {}
        self._retained = RetainedMessages(store, session, delivery, writer, self._granted)
        self._closed = False

    async def subscribe(self, packet: SubscribePacket) -> None:
        """SUBSCRIBE: grant what may be granted, and send the current state before any event from now on."""
        await self._store.slices.begun()
        self._delivery.gate.shut(gate.SUBACK)
        try:
            before = set(self._granted)
            counted = set(before)
            answers = [
                self._read(requested, packet, counted, place)
                for place, requested in enumerate(packet.requested)
            ]
            cursor = packet.properties.user_property("cursor")
            own = [one for one in answers if isinstance(one, GrantedSubscription) and one.share_name is None]
            refused = await self._follow(own, cursor)
            codes = [
                await self._settle(answer, refused) if isinstance(answer, GrantedSubscription) else answer
                for answer in answers
            ]
            self._delivery.set_subscriptions(self._granted.values())
            for answer, requested in zip(answers, packet.requested, strict=True):
                if (
                    isinstance(answer, GrantedSubscription)
                    and answer.share_name is None
                    and self._granted.get(answer.topic_filter) is answer
                    and _wants_retained(requested, is_new=answer.topic_filter not in before)
                ):
                    self._retained.add(answer.topic_filter)
            await self._save()
            self._write_suback(packet.packet_id, codes, refused.values())
            self._retained.tell()
        finally:
            self._delivery.gate.open(gate.SUBACK)

    def _read(
        self, requested: RequestedSubscription, packet: SubscribePacket, counted: set[str], place: int
    ) -> GrantedSubscription | SubAckReasonCode:
        """The subscription that is requested, or why it is refused; ``counted`` are the filters up to here.

        ``place``: how many stand before it in the packet, of which some may be the same.
        """
        bound = self._store.limits.filters_per_connection
        if place >= _MAX_REPEATS * bound:
            return SUBSCRIBE_CODES[ErrorCode.RATE_LIMITED]
        try:
            address = parse_topic_filter(requested.topic_filter)
            tenant = self._session.caller.tenant
            if address.tenant is not None and address.tenant != tenant:
                if counted:
                    raise Forbidden("This connection is of another tenant.")
                self._session.visit(address.tenant)
            if requested.topic_filter not in counted and len(counted) >= bound:
                raise RateLimited(1, "Too many subscriptions.")
        except StoreError as error:
            return SUBSCRIBE_CODES[error.code]
        counted.add(requested.topic_filter)
        return GrantedSubscription(
            topic_filter=requested.topic_filter,
            event_filter=address.topic,
            prefix=address.prefix,
            share_name=address.share_name,
            qos=min(requested.qos, _MAX_GRANTED_QOS),
            retain_as_published=requested.retain_as_published,
            identifier=packet.properties.number(Property.SUBSCRIPTION_IDENTIFIER, 0),
        )

    async def _follow(
        self, subscriptions: Sequence[GrantedSubscription], cursor: str | None
    ) -> dict[str, StoreError]:
        """Follow these too: all at once, which usually succeeds, otherwise each by itself. Gives the refusals."""
        if not subscriptions:
            return {}
        try:
            topics = [one.event_filter for one in subscriptions]
            await self._session.follow(check_body(Subscribe, {"topics": topics, "cursor": cursor}))
        except StoreError as error:
            if len(subscriptions) == 1 or isinstance(error, Unavailable):
                return {one.topic_filter: error for one in subscriptions}
            refused: dict[str, StoreError] = {}
            for one in subscriptions:
                refused |= await self._follow([one], cursor)
            return refused
        if cursor is not None:
            self._delivery.rewind()
        return {}

    async def _settle(self, granted: GrantedSubscription, refused: dict[str, StoreError]) -> SubAckReasonCode:
        """The answer to one topic filter."""
        if granted.topic_filter in refused:
            return SUBSCRIBE_CODES[refused[granted.topic_filter].code]
        if granted.share_name is not None:
            try:
                await self._join(granted)
            except StoreError as error:
                return SUBSCRIBE_CODES[error.code]
        self._granted[granted.topic_filter] = granted
        return _GRANTED_CODES[granted.qos]

    async def _join(self, granted: GrantedSubscription) -> None:
        with store_errors():
            await check_filters(
                self._store.storage, self._store.limits, self._session.caller, (granted.event_filter,)
            )
        subscriber = await self._shared.join(self._session, self._delivery, granted)
        if self._closed:
            subscriber.leave()
            raise ConnectionResetError("the client has gone")
        before = self._subscribers.pop(granted.topic_filter, None)
        self._subscribers[granted.topic_filter] = subscriber
        if before is not None:
            before.leave()

    def _write_suback(
        self, packet_id: int, codes: list[SubAckReasonCode], refusals: Iterable[StoreError]
    ) -> None:
        """SUBACK, with the cursor reached; for an expired cursor, with the oldest one."""
        properties = []
        subscription = self._session.subscription
        if subscription is not None:
            properties.append(("cursor", subscription.cursor))
        expired = next((error for error in refusals if isinstance(error, CursorExpired)), None)
        if expired is not None:
            properties.append(("oldestCursor", expired.oldest_cursor))
        self._writer.write(self._writer.encoder.suback(packet_id, codes, properties))

    async def unsubscribe(self, packet: UnsubscribePacket) -> None:
        """UNSUBSCRIBE."""
        codes, gone = [], []
        for topic_filter in packet.topic_filters:
            granted = self._granted.pop(topic_filter, None)
            if granted is None:
                codes.append(UnsubAckReasonCode.NO_SUBSCRIPTION_EXISTED)
                continue
            codes.append(UnsubAckReasonCode.SUCCESS)
            self._retained.remove(topic_filter)
            if granted.share_name is not None:
                self._subscribers.pop(topic_filter).leave()
            else:
                gone.append(granted.event_filter)
        # The same event filter may be there with and without a tenant in front.
        held = {one.event_filter for one in self._granted.values() if one.share_name is None}
        topics = [event_filter for event_filter in gone if event_filter not in held]
        if topics:
            self._session.unfollow(topics)
        self._delivery.set_subscriptions(self._granted.values())
        await self._save()
        self._writer.write(self._writer.encoder.unsuback(packet.packet_id, codes))

    # --- the session's state ---

    def to_state(self) -> dict[str, Any]:
        """What a durable session keeps."""
        grants = [granted.to_state() for granted in self._granted.values()]
        return {"grants": grants} | self._retained.to_state()

    async def resume(self, state: dict[str, Any], cursor: str | None) -> bool:
        """Resume the subscriptions of ``to_state`` from a place in the log.

        False when the log no longer holds that place, or when the client may no longer follow something: then it has
        to begin anew, and learns what is wrong when it subscribes.

        Raises:
            Unavailable: they cannot be resumed just now.
        """
        subscriptions = [GrantedSubscription.from_state(stored) for stored in state["grants"]]
        own = [one.event_filter for one in subscriptions if one.share_name is None]
        try:
            for one in subscriptions:
                tenant = parse_topic_filter(one.topic_filter).tenant
                if tenant is not None and tenant != self._session.caller.tenant:
                    self._session.visit(tenant)
            if own:
                await self._session.follow(check_body(Subscribe, {"topics": own, "cursor": cursor}))
            for one in subscriptions:
                if one.share_name is not None:
                    await self._join(one)
        except Unavailable:
            raise
        except StoreError:
            self._begin_anew(own)
            return False
        self._granted.update((one.topic_filter, one) for one in subscriptions)
        self._delivery.resume(state)
        self._delivery.set_subscriptions(subscriptions)
        self._retained.resume(state)
        return True

    def go_on(self) -> None:
        """Tell a client whose session was resumed what its last connection did not come to."""
        self._retained.tell()

    def _begin_anew(self, followed: list[str]) -> None:
        if self._session.subscription is not None and followed:
            self._session.unfollow(followed)
        self._leave_shared()

    def close(self) -> None:
        """Tell no more of the current state, and leave every shared subscription, for good."""
        self._closed = True
        self._retained.close()
        self._leave_shared()

    def _leave_shared(self) -> None:
        subscribers, self._subscribers = self._subscribers, {}
        for subscriber in subscribers.values():
            subscriber.leave()


def _wants_retained(requested: RequestedSubscription, *, is_new: bool) -> bool:
    return requested.retain_handling == _ALWAYS or (requested.retain_handling == _IF_NEW and is_new)
