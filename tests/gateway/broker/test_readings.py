"""Devices report at the broker, and everybody hears of it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from core.kernel.ids import SHARED_TENANT, new_id
from core.services.devices import CREATE_DEVICE
from core.services.pets import CREATE_PET
from core.store.store import Store
from gateway.broker.bridge import Bridge
from tests.core.stores import Shop, open_store
from tests.gateway.broker.conftest import bridged
from tests.gateway.broker.test_bridge import PET
from tests.gateway.broker.witness import client_at, witness
from tests.servers import MosquittoServer, PostgresServer
from tests.waiting import eventually

READING = {"heartRateBpm": 92, "measuredAt": "2026-01-31T08:15:00.250Z"}


async def watched_pet(shop: Shop, devices: int = 1) -> tuple[str, list[Any]]:
    """A pet and the devices that watch it."""
    pet = await shop.call(CREATE_PET, body=PET)
    draft = {"name": "Collar", "petIds": [pet.id]}
    return pet.id, [await shop.call(CREATE_DEVICE, body=draft) for _ in range(devices)]


async def reports(shop: Shop) -> list[dict[str, Any]]:
    """The events that readings have become."""
    return [event["data"] for event in await shop.events() if event["eventType"] == "pet.health_reported"]


async def send(server: MosquittoServer, topic: str, *payloads: object, device_id: str | None = None) -> None:
    """Publish as a device would."""
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if device_id is not None:
        properties.UserProperty = [("deviceId", device_id)]
    async with client_at(server) as client:
        for payload in payloads:
            body = payload if isinstance(payload, bytes) else json.dumps(payload)
            await client.publish(topic, body, qos=1, properties=properties)


async def test_a_reading_becomes_an_event_that_comes_back_to_the_broker(
    shop: Shop, bridge: Bridge, mosquitto_server: MosquittoServer
) -> None:
    pet_id, (device,) = await watched_pet(shop)
    async with witness(mosquitto_server, f"pets/{pet_id}/health") as heard:
        await eventually(lambda: bridge.statistics().devices == 1)
        await send(mosquitto_server, f"telemetry/pets/{pet_id}/health", READING)
        (message,) = await heard.has(f"pets/{pet_id}/health")
    assert message.envelope["data"]["deviceId"] == device.id
    assert message.envelope["data"]["reading"]["heartRateBpm"] == 92
    assert not message.retain


async def test_a_private_tenant_reports_under_its_own_name(
    store: Store, bridge: Bridge, mosquitto_server: MosquittoServer
) -> None:
    mine, other = Shop(store), Shop(store)
    pet_id, _ = await watched_pet(mine)
    await eventually(lambda: bridge.statistics().devices == 1)
    for topic in (
        f"telemetry/pets/{pet_id}/health",
        f"tenants/{other.tenant}/telemetry/pets/{pet_id}/health",
    ):
        await send(mosquitto_server, topic, READING)
    await send(mosquitto_server, f"tenants/{mine.tenant}/telemetry/pets/{pet_id}/health", READING)
    await eventually(lambda: bridge.statistics().counters.readings.taken == 1)
    assert len(await reports(mine)) == 1
    await eventually(lambda: bridge.statistics().counters.readings.refused == 2)


async def test_of_several_devices_the_oldest_has_reported_unless_the_message_names_another(
    shop: Shop, bridge: Bridge, mosquitto_server: MosquittoServer
) -> None:
    pet_id, devices = await watched_pet(shop, 3)
    _, (stranger,) = await watched_pet(shop)
    await eventually(lambda: bridge.statistics().devices == 4)
    topic = f"telemetry/pets/{pet_id}/health"
    for number, named in enumerate((None, devices[1].id, stranger.id)):
        await send(mosquitto_server, topic, READING | {"heartRateBpm": number}, device_id=named)
        await eventually(lambda: bridge.statistics().counters.readings.taken == number + 1)  # noqa: B023
    assert [report["deviceId"] for report in await reports(shop)] == [
        devices[0].id, devices[1].id, devices[0].id,
    ]  # fmt: skip


async def test_garbage_is_counted_and_dropped_and_does_no_harm(
    shop: Shop, bridge: Bridge, mosquitto_server: MosquittoServer
) -> None:
    pet_id, _ = await watched_pet(shop)
    await eventually(lambda: bridge.statistics().devices == 1)
    topic = f"telemetry/pets/{pet_id}/health"
    bad: list[object] = [
        b"", b"\xff\xfe", b"{", b"[]", b"7", b"null", {}, {"heartRateBpm": "fast"}, {"heartRateBpm": -1},
        {"heartRateBpm": 1, "extra": 1}, {"heartRateBpm": 1, "measuredAt": "2999-01-01T00:00:00Z"},
        b'{"heartRateBpm":' + b"9" * 5000 + b"}", b"[" * 100_000,
    ]  # fmt: skip
    await send(mosquitto_server, topic, *bad)
    topics = [
        f"telemetry/pets/{new_id()}/health", "telemetry", "telemetry/pets/x/health", f"{topic}/more",
        "tenants/x/telemetry/pets/y/health", f"telemetry/pets/{pet_id}/mood",
    ]  # fmt: skip
    for other in topics:
        await send(mosquitto_server, other, READING)
    await eventually(lambda: bridge.statistics().counters.readings.refused == len(bad) + len(topics))
    await send(mosquitto_server, topic, READING)
    await eventually(lambda: bridge.statistics().counters.readings.taken == 1)
    assert len(await reports(shop)) == 1
    assert bridge.statistics().counters.connections == 1


async def test_readings_of_a_pet_stay_in_their_order(
    shop: Shop, bridge: Bridge, mosquitto_server: MosquittoServer
) -> None:
    pet_id, _ = await watched_pet(shop)
    await eventually(lambda: bridge.statistics().devices == 1)
    await send(
        mosquitto_server, f"telemetry/pets/{pet_id}/health", *({"heartRateBpm": n} for n in range(200))
    )
    await eventually(lambda: bridge.statistics().counters.readings.taken == 200)
    assert [report["reading"]["heartRateBpm"] for report in await reports(shop)] == list(range(200))


async def test_what_is_sent_again_is_told_once(
    shop: Shop, bridge: Bridge, mosquitto_server: MosquittoServer
) -> None:
    pet_id, _ = await watched_pet(shop)
    await eventually(lambda: bridge.statistics().devices == 1)
    # To the gateway a repetition by the broker and one by the device look alike.
    await send(mosquitto_server, f"telemetry/pets/{pet_id}/health", READING, READING)
    await eventually(lambda: bridge.statistics().counters.readings.taken == 2)
    assert len(await reports(shop)) == 1


async def test_readings_sent_while_no_gateway_runs_are_kept_by_the_broker(
    shop: Shop, store: Store, mosquitto_server: MosquittoServer
) -> None:
    pet_id, _ = await watched_pet(shop)
    async with bridged(store, mosquitto_server):
        pass
    await send(mosquitto_server, f"telemetry/pets/{pet_id}/health", *({"heartRateBpm": n} for n in range(50)))
    async with bridged(store, mosquitto_server) as bridge:
        await eventually(lambda: bridge.statistics().counters.readings.taken == 50)
    assert [report["reading"]["heartRateBpm"] for report in await reports(shop)] == list(range(50))


@pytest.mark.slow
async def test_while_the_database_is_away_readings_stay_with_the_broker(
    tmp_path: Path, mosquitto_server: MosquittoServer
) -> None:
    from gateway.storage.migration import migrate

    database = PostgresServer()
    try:
        database.start()
        url = database.url(database.create_database())
        await migrate(url)
        async with open_store(tmp_path, url) as store, bridged(store, mosquitto_server) as bridge:
            shop = Shop(store, SHARED_TENANT)
            pet_id, _ = await watched_pet(shop)
            await eventually(lambda: bridge.statistics().devices == 1)
            await asyncio.to_thread(database.stop)
            topic = f"telemetry/pets/{pet_id}/health"
            await send(mosquitto_server, topic, *({**READING, "heartRateBpm": n} for n in range(30)))
            # The lease runs out meanwhile, and is taken anew.
            await eventually(lambda: not bridge.statistics().holding)
            await asyncio.to_thread(database.start)
            await eventually(lambda: bridge.statistics().counters.readings.taken >= 30)
            assert [report["reading"]["heartRateBpm"] for report in await reports(shop)] == list(range(30))
            assert bridge.statistics().counters.readings.refused == 0
    finally:
        database.remove()
