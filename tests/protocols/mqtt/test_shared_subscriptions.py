"""Shared subscriptions: of the subscribers, one gets each event."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import mqtt5

from core.kernel.caller import Role
from core.kernel.errors import Close, Closed, CloseReason, StorageDown
from core.kernel.ids import SHARED_TENANT, TenantId
from tests.protocols.live import new_tenant
from tests.protocols.mqtt.node import MqttNode
from tests.protocols.mqtt.raw import NEVER, Raw, subscribe_packet
from tests.waiting import eventually

WORKERS = "$share/workers/pets/#"


async def test_of_the_subscribers_one_gets_each_event(node: MqttNode) -> None:
    async with node.client() as one, node.client() as two, node.client() as alone:
        for client in (one, two):
            assert await client.codes(WORKERS, qos=1) == [1]
        await alone.subscribe("pets/#")
        await node.happen(*range(10))
        first, second = await one.numbers(5), await two.numbers(5)
        assert sorted(first + second) == list(range(10))
        assert await alone.numbers(10) == list(range(10))


async def test_what_a_lost_subscriber_did_not_acknowledge_goes_to_another(node: MqttNode) -> None:
    async with node.client() as stays:
        await stays.subscribe(WORKERS, qos=1)
        async with node.client() as goes:
            await goes.subscribe(WORKERS, qos=1)
            await node.happen(*range(10))
            lost = await goes.numbers(5, acknowledge=False)
            kept = await stays.numbers(5)
        assert sorted(kept + lost) == list(range(10))
        assert sorted(await stays.numbers(5)) == lost
        await node.happen(10)
        assert await stays.numbers(1) == [10]


async def test_a_client_whose_connection_is_ending_gets_nothing(node: MqttNode) -> None:
    async with node.client() as stays, node.client(password=node.staff_token()) as staff:
        for client in (stays, staff):
            await client.subscribe(WORKERS)
        async with node.client() as goes:
            await goes.subscribe(WORKERS)
            goes.send(b"\x00\x00")
            # Its end of the connection stays open.
            assert (await goes.farewell()).reason_code == 129
            await node.happen(*range(10))
            assert await stays.numbers(10) == list(range(10))


async def test_subscribers_with_different_rights_share_nothing(node: MqttNode) -> None:
    async with node.client() as visitor, node.client(password=node.staff_token()) as staff:
        for client in (visitor, staff):
            await client.subscribe("$share/workers/#")
        await node.happen(1)
        await node.happen_to(node.member(Role.CUSTOMER), 2)
        assert await visitor.numbers(1) == [1]
        assert await staff.numbers(2) == [1, 2]


async def test_a_client_that_unsubscribes_gets_nothing_more(node: MqttNode) -> None:
    async with node.client() as one, node.client() as two:
        for client in (one, two):
            await client.subscribe(WORKERS)
        two.send(mqtt5.UnsubscribePacket(two.packet_id(), [WORKERS]))
        await two.expect(mqtt5.UnsubAckPacket)
        await node.happen(*range(6))
        assert await one.numbers(6) == list(range(6))


# --- while one is being opened ---


class SlowLog:
    """The log of one tenant cannot be read until ``answers`` is set. ``asked`` counts who wants to."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers = asyncio.Event()


@contextlib.asynccontextmanager
async def slow_log(node: MqttNode, tenant: TenantId) -> AsyncIterator[SlowLog]:
    """Let the storage of one tenant be slow, so that the first subscription there takes until it answers."""
    storage, log = node.store.storage, SlowLog()
    heads = storage.heads

    async def slowly(tenants: Sequence[TenantId]) -> dict[TenantId, int]:
        if tenant in tenants:
            log.asked += 1
            await log.answers.wait()
        return await heads(tenants)

    storage.heads = slowly  # type: ignore[method-assign]
    try:
        yield log
    finally:
        storage.heads = heads  # type: ignore[method-assign]
        log.answers.set()


def subscribe(client: Raw, topic_filter: str) -> None:
    """SUBSCRIBE, without waiting for the answer."""
    client.send(subscribe_packet(client.packet_id(), [topic_filter], 1 | NEVER << 4))


async def suback(client: Raw) -> list[int]:
    """The answer to SUBSCRIBE."""
    return [int(code) for code in (await client.expect(mqtt5.SubAckPacket)).reason_codes]


async def test_one_that_is_slow_to_open_does_not_hold_up_another(node: MqttNode) -> None:
    here, there = new_tenant(), new_tenant()
    async with slow_log(node, here) as log, node.client() as waits, node.client() as client:
        subscribe(waits, f"$share/workers/tenants/{here}/pets/#")
        await eventually(lambda: log.asked)
        assert await client.codes(f"$share/workers/tenants/{there}/pets/#", qos=1) == [1]
        await node.happen(1, tenant=there)
        assert await client.numbers(1) == [1]
        log.answers.set()
        assert await suback(waits) == [1]
        await node.happen(2, tenant=here)
        assert await waits.numbers(1) == [2]


async def test_clients_that_subscribe_while_it_opens_share_it(node: MqttNode) -> None:
    tenant = new_tenant()
    topic_filter = f"$share/workers/tenants/{tenant}/pets/#"
    async with slow_log(node, tenant) as log, node.client() as one, node.client() as two:
        for client in (one, two):
            subscribe(client, topic_filter)
        await eventually(lambda: subscribers(node) == 2)
        log.answers.set()
        for client in (one, two):
            assert await suback(client) == [1]
        assert node.store.hub.statistics().subscriptions == 1
        await node.happen(*range(10), tenant=tenant)
        first, second = await one.numbers(5), await two.numbers(5)
        assert sorted(first + second) == list(range(10))


async def test_a_client_that_began_to_open_it_may_leave_while_another_waits(node: MqttNode) -> None:
    tenant = new_tenant()
    topic_filter = f"$share/workers/tenants/{tenant}/pets/#"
    async with slow_log(node, tenant) as log, node.client() as stays:
        async with node.client() as goes:
            subscribe(goes, topic_filter)
            await eventually(lambda: subscribers(node) == 1)
            subscribe(stays, topic_filter)
            await eventually(lambda: subscribers(node) == 2)
        await eventually(lambda: subscribers(node) == 1)
        log.answers.set()
        assert await suback(stays) == [1]
        await node.happen(*range(3), tenant=tenant)
        assert await stays.numbers(3) == list(range(3))


async def test_the_last_client_may_leave_while_it_opens(node: MqttNode) -> None:
    tenant = new_tenant()
    topic_filter = f"$share/workers/tenants/{tenant}/pets/#"
    async with slow_log(node, tenant) as log:
        async with node.client() as goes:
            subscribe(goes, topic_filter)
            await eventually(lambda: log.asked)
            assert node.mqtt.statistics().groups == 1
        await eventually(lambda: not node.mqtt.statistics().groups)
        async with node.client() as comes:
            subscribe(comes, topic_filter)
            await eventually(lambda: subscribers(node) == 1)
            log.answers.set()
            assert await suback(comes) == [1]
            await node.happen(1, tenant=tenant)
            assert await comes.numbers(1) == [1]
    await eventually(lambda: not node.store.hub.statistics().subscriptions)


async def test_a_client_that_is_ended_while_it_opens_leaves_nothing(node: MqttNode) -> None:
    tenant = new_tenant()
    async with slow_log(node, tenant) as log, node.client() as client:
        subscribe(client, f"$share/workers/tenants/{tenant}/pets/#")
        await eventually(lambda: log.asked)
        client.send(b"\x00\x00")
        assert (await client.farewell()).reason_code == mqtt5.DisconnectReasonCode.MALFORMED_PACKET
        log.answers.set()
        client.writer.close()
        await eventually(lambda: not node.mqtt.statistics().groups)


async def test_one_that_cannot_be_opened_is_refused_and_opened_by_the_next(node: MqttNode) -> None:
    tenant = new_tenant()
    topic_filter = f"$share/workers/tenants/{tenant}/pets/#"
    storage = node.store.storage
    heads = storage.heads

    async def away(tenants: Sequence[TenantId]) -> dict[TenantId, int]:
        raise StorageDown(f"the log of {tenants}")

    async with node.client() as client:
        storage.heads = away  # type: ignore[method-assign]
        assert await client.codes(topic_filter, qos=1) == [128]
        assert not node.mqtt.statistics().groups
        storage.heads = heads  # type: ignore[method-assign]
        assert await client.codes(topic_filter, qos=1) == [1]
        await node.happen(1, tenant=tenant)
        assert await client.numbers(1) == [1]


async def test_when_the_store_ends_it_its_clients_are_told(node: MqttNode) -> None:
    async with node.client() as one, node.client() as two:
        for client in (one, two):
            await client.subscribe(WORKERS)
        for follower in list(node.store.hub._rings[SHARED_TENANT].followers):
            follower.end(Closed(Close(CloseReason.DRAINING)))
        for client in (one, two):
            assert (await client.farewell()).reason_code == mqtt5.DisconnectReasonCode.SERVER_SHUTTING_DOWN
        async with node.client() as comes:
            await comes.subscribe(WORKERS)
            await node.happen(1)
            assert await comes.numbers(1) == [1]


def subscribers(node: MqttNode) -> int:
    """How many clients are subscribers, or wait to become one."""
    return sum(len(shared._subscribers) for shared in node.mqtt.shared_subscriptions._shared.values())
