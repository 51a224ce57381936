"""What one client listens to: granted filter by filter, begun with the present state."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mqtt5 import SubAckReasonCode, UnsubAckReasonCode

from core.auth.authorization import check_filters
from core.kernel.cursor import Cursor
from core.kernel.errors import CursorExpired, Forbidden, RateLimited, StoreError, Unavailable
from core.kernel.validation import check_body
from core.live.commands import Subscribe, Unsubscribe
from core.live.current_state import present_state
from core.live.session import Session
from protocols.mqtt import packets
from protocols.mqtt.delivery import Delivery
from protocols.mqtt.errors import SUBSCRIBE_CODES
from protocols.mqtt.filters import Grant, read_filter
from protocols.mqtt.packets import Property, Wish
from protocols.mqtt.persistence import Kept
from protocols.mqtt.shared_subscriptions import Membership

if TYPE_CHECKING:
    from protocols.mqtt.connection import Connection

_ALWAYS, _IF_NEW = 0, 1
_QOS = (SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE, SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE)


class Listening:
    """The subscriptions of one connection by the filters as the client wrote them."""

    def __init__(self, connection: "Connection", session: Session, delivery: Delivery) -> None:
        self.kept: Kept | None = None
        self._connection = connection
        self._store = connection.door.store
        self._session = session
        self._delivery = delivery
        self._grants: dict[str, Grant] = {}
        self._memberships: dict[str, Membership] = {}

    async def subscribe(self, packet: packets.Subscribe) -> None:
        """SUBSCRIBE: grant what may be granted, and tell how things are, before anything that happens from now on."""
        gate = self._delivery.gate
        gate.shut("state")
        try:
            before = set(self._grants)
            named = set(before)
            found = [self._read(wish, packet, named) for wish in packet.wishes]
            cursor = packet.properties.told("cursor")
            refused = await self._follow(
                [g for g in found if isinstance(g, Grant) and g.group is None], cursor
            )
            codes = [
                await self._settle(grant, refused) if isinstance(grant, Grant) else grant for grant in found
            ]
            self._delivery.listen(self._grants)
            if self.kept is not None:
                await self.kept.save()
            self._write_suback(packet.packet_id, codes, refused.values())
            for grant, wish in zip(found, packet.wishes, strict=True):
                if isinstance(grant, Grant) and self._grants.get(grant.name) is grant and grant.group is None:
                    wanted = wish.retain_handling == _ALWAYS or (
                        wish.retain_handling == _IF_NEW and grant.name not in before
                    )
                    if wanted:
                        await self._tell_state(grant)
        finally:
            gate.open("state")

    def _read(self, wish: Wish, packet: packets.Subscribe, named: set[str]) -> Grant | SubAckReasonCode:
        """What a wish asks for, or why it can't be granted; ``named`` are the filters that count so far."""
        try:
            address = read_filter(wish.pattern)
            tenant = self._session.caller.tenant
            if address.tenant is not None and address.tenant != tenant:
                if named:
                    raise Forbidden("This connection is of another tenant.")
                self._session.visit(address.tenant)
            if wish.pattern not in named and len(named) >= self._most:
                raise RateLimited(1, "Too many subscriptions.")
        except StoreError as error:
            return SUBSCRIBE_CODES[error.code]
        named.add(wish.pattern)
        return Grant(
            name=wish.pattern,
            prefix=address.prefix,
            pattern=address.pattern,
            group=address.group,
            qos=min(wish.qos, 1),
            retain_as_published=wish.retain_as_published,
            id=packet.properties.number(Property.SUBSCRIPTION_ID, 0),
        )

    @property
    def _most(self) -> int:
        return self._store.limits.filters_per_connection

    async def _follow(self, grants: Sequence[Grant], cursor: str | None) -> dict[str, StoreError]:
        """Hear of these too; gives why some may not be heard of. All at once, since that is the usual case."""
        if not grants:
            return {}
        try:
            topics = [grant.pattern for grant in grants]
            await self._session.follow(check_body(Subscribe, {"topics": topics, "cursor": cursor}))
        except StoreError as error:
            if len(grants) == 1 or isinstance(error, Unavailable):
                return {grant.name: error for grant in grants}
            refused: dict[str, StoreError] = {}
            for grant in grants:
                refused |= await self._follow([grant], cursor)
            return refused
        if cursor is not None:
            self._delivery.rewind()
        return {}

    async def _settle(self, grant: Grant, refused: dict[str, StoreError]) -> SubAckReasonCode:
        """The answer for one filter."""
        if grant.name in refused:
            return SUBSCRIBE_CODES[refused[grant.name].code]
        if grant.group is not None:
            try:
                await self._join(grant)
            except StoreError as error:
                return SUBSCRIBE_CODES[error.code]
        self._grants[grant.name] = grant
        return _QOS[grant.qos]

    async def _join(self, grant: Grant) -> None:
        await check_filters(self._store.storage, self._store.limits, self._session.caller, (grant.pattern,))
        joined = await self._connection.door.groups.join(self._session, self._delivery, grant)
        before = self._memberships.pop(grant.name, None)
        self._memberships[grant.name] = joined
        if before is not None:
            before.leave()

    def _write_suback(
        self, packet_id: int, codes: list[SubAckReasonCode], refusals: Iterable[StoreError]
    ) -> None:
        """SUBACK, with the place in the log that is reached; for an expired cursor, where reading can begin."""
        told = []
        subscription = self._session.subscription
        if subscription is not None:
            told.append(("cursor", subscription.cursor))
        expired = next((error for error in refusals if isinstance(error, CursorExpired)), None)
        if expired is not None:
            told.append(("oldestCursor", expired.oldest_cursor))
        self._connection.peer.write(self._connection.wire.suback(packet_id, codes, told))

    async def _tell_state(self, grant: Grant) -> None:
        subscription = self._session.subscription
        assert subscription is not None
        place = Cursor.decode(subscription.cursor, subscription.tenant)
        try:
            async for events in present_state(self._store, self._session.caller, grant.pattern):
                for event in events:
                    await self._delivery.send_state(event.at(place.epoch, place.sequence), grant)
        except Unavailable:
            # He would take silence for an empty store.
            self._connection.close_unavailable()

    async def unsubscribe(self, packet: packets.Unsubscribe) -> None:
        """UNSUBSCRIBE."""
        codes, gone = [], []
        for name in packet.patterns:
            grant = self._grants.pop(name, None)
            if grant is None:
                codes.append(UnsubAckReasonCode.NO_SUBSCRIPTION_EXISTED)
                continue
            codes.append(UnsubAckReasonCode.SUCCESS)
            if grant.group is not None:
                self._memberships.pop(name).leave()
            else:
                gone.append(grant.pattern)
        # The same filter may be there with and without a tenant in front.
        held = {grant.pattern for grant in self._grants.values() if grant.group is None}
        topics = [pattern for pattern in gone if pattern not in held]
        if topics:
            await self._session.unsubscribe(Unsubscribe(topics=topics))
        self._delivery.listen(self._grants)
        if self.kept is not None:
            await self.kept.save()
        self._connection.peer.write(self._connection.wire.unsuback(packet.packet_id, codes))

    # --- what is kept ---

    def state(self) -> dict[str, Any]:
        """The subscriptions."""
        return {"grants": [grant.stored() for grant in self._grants.values()]}

    async def resume(self, state: dict[str, Any], cursor: str | None) -> bool:
        """Take up subscriptions from a place in the log.

        False when that place is no longer in the log, or when something may no longer be listened to: then the client
        has to begin anew, and hears what is wrong when he subscribes.

        Raises:
            Unavailable: not just now.
        """
        grants = [Grant(**stored) for stored in state["grants"]]
        plain = [grant.pattern for grant in grants if grant.group is None]
        try:
            for grant in grants:
                tenant = read_filter(grant.name).tenant
                if tenant is not None and tenant != self._session.caller.tenant:
                    self._session.visit(tenant)
            if plain:
                await self._session.follow(check_body(Subscribe, {"topics": plain, "cursor": cursor}))
            for grant in grants:
                if grant.group is not None:
                    await self._join(grant)
        except Unavailable:
            raise
        except StoreError:
            await self._begin_anew(plain)
            return False
        self._grants = {grant.name: grant for grant in grants}
        self._delivery.resume(state)
        self._delivery.listen(self._grants)
        return True

    async def _begin_anew(self, followed: list[str]) -> None:
        if self._session.subscription is not None and followed:
            await self._session.unsubscribe(Unsubscribe(topics=followed))
        self.close()

    def close(self) -> None:
        """Leave every group."""
        memberships, self._memberships = self._memberships, {}
        for membership in memberships.values():
            membership.leave()
