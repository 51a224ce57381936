"""Accounts at a broker that is guarded by dynamic security are those of the devices in the database."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from core.kernel.ids import SHARED_TENANT
from core.models.users import Login
from core.services.devices import CREATE_DEVICE, DELETE_DEVICE
from core.services.pets import CREATE_PET
from core.store.store import Store
from gateway.broker.acl import DEVICE_PREFIX
from gateway.broker.address import BrokerAddress
from gateway.broker.bridge import Bridge
from gateway.broker.control import controlling
from tests.core.stores import Shop
from tests.gateway.broker.conftest import bridged
from tests.gateway.broker.test_bridge import PET
from tests.gateway.broker.test_readings import READING, reports
from tests.gateway.broker.witness import client_at, may_publish, may_subscribe, witness
from tests.process import petstore
from tests.servers import MosquittoServer
from tests.waiting import eventually


@pytest.fixture
async def bridge(store: Store, guarded_mosquitto_server: MosquittoServer) -> AsyncIterator[Bridge]:
    async with bridged(store, guarded_mosquitto_server) as running:
        yield running


@pytest.fixture
def server(guarded_mosquitto_server: MosquittoServer) -> MosquittoServer:
    return guarded_mosquitto_server


async def a_device(shop: Shop, *topics: str) -> tuple[str, Any]:
    """A pet, and the device that watches it."""
    pet = await shop.call(CREATE_PET, body=PET)
    draft = {"name": "Collar", "petIds": [pet.id], "topics": list(topics)}
    return pet.id, await shop.call(CREATE_DEVICE, body=draft)


async def accounts(server: MosquittoServer) -> set[str]:
    async with controlling(BrokerAddress.parse(server.url)) as control:
        return await control.usernames()


async def roles(server: MosquittoServer) -> set[str]:
    async with controlling(BrokerAddress.parse(server.url)) as control:
        return set(await control.roles(DEVICE_PREFIX))


async def lets_in(server: MosquittoServer, username: str, password: str) -> bool:
    client = client_at(server, (username, password))
    try:
        async with client:
            return True
    except aiomqtt.MqttError:
        client._client._sock_close()
        return False


async def has_account(server: MosquittoServer, device: Any) -> None:
    await eventually(lambda: lets_in(server, device.username, device.password))


async def test_a_device_logs_in_with_its_password_and_hears_and_says_what_is_its_own(
    shop: Shop, bridge: Bridge, server: MosquittoServer
) -> None:
    pet_id, device = await a_device(shop, "orders/+/status")
    other_pet, _ = await a_device(shop)
    await has_account(server, device)
    assert not await lets_in(server, device.username, "wrong")
    async with client_at(server, (device.username, device.password)) as client:
        for pattern in (
            "pets/#",
            "pets/+/status",
            f"pets/{pet_id}/health",
            "inventory/+/stock",
            "orders/1/status",
        ):
            assert await may_subscribe(client, pattern), pattern
        for pattern in ("#", "+/+", "orders/#", "chats/#", "telemetry/#", "tenants/#", "$CONTROL/#"):
            assert not await may_subscribe(client, pattern), pattern
        payload = json.dumps(READING).encode()
        assert await may_publish(client, f"telemetry/pets/{pet_id}/health", payload)
        for topic in (
            f"telemetry/pets/{other_pet}/health",
            f"pets/{pet_id}/status",
            "$CONTROL/dynamic-security/v1",
        ):
            assert not await may_publish(client, topic, payload), topic
    await eventually(lambda: bridge.statistics().counters.readings.taken == 1)
    (report,) = await reports(shop)
    assert report["deviceId"] == device.id


async def test_a_device_of_a_private_tenant_stays_in_it(
    store: Store, bridge: Bridge, server: MosquittoServer
) -> None:
    shop = Shop(store)
    pet_id, device = await a_device(shop, "#")
    await has_account(server, device)
    prefix = f"tenants/{shop.tenant}/"
    async with witness(server, f"{prefix}pets/#", account=(device.username, device.password)) as heard:
        assert heard.client is not None
        assert not await may_subscribe(heard.client, "pets/#")
        assert not await may_subscribe(heard.client, f"{prefix}telemetry/#")
        assert await may_publish(
            heard.client, f"{prefix}telemetry/pets/{pet_id}/health", json.dumps(READING).encode()
        )
        await heard.has(f"{prefix}pets/{pet_id}/health")


async def test_what_tells_of_a_person_reaches_no_device(
    shop: Shop, bridge: Bridge, server: MosquittoServer
) -> None:
    pet_id, device = await a_device(shop, "#", "pets/+/adoption")
    await has_account(server, device)
    account = (device.username, device.password)
    async with (
        witness(server, "pets/#", "pets/+/adoption", account=account) as heard,
        witness(server, "pets/#") as administrator,
    ):
        assert administrator.client is not None
        for place in ("adoption", "status"):
            assert await may_publish(administrator.client, f"pets/{pet_id}/{place}")
        await administrator.has(f"pets/{pet_id}/adoption")
        await heard.has(f"pets/{pet_id}/status")
        assert not heard.on(f"pets/{pet_id}/adoption")


async def test_a_deleted_device_is_cut_off_and_forgotten(
    shop: Shop, bridge: Bridge, server: MosquittoServer
) -> None:
    _, device = await a_device(shop)
    await has_account(server, device)
    async with witness(server, "pets/#", account=(device.username, device.password)) as heard:
        await shop.call(DELETE_DEVICE, id=device.id)
        await eventually(lambda: heard.ended)
    assert not await lets_in(server, device.username, device.password)
    await eventually(lambda: _none_left(server))


async def _none_left(server: MosquittoServer) -> bool:
    return await accounts(server) == {server.administrator} and await roles(server) == set()


async def test_what_changed_while_nobody_looked_is_put_right(
    shop: Shop, store: Store, server: MosquittoServer
) -> None:
    async with bridged(store, server):
        _, gone = await a_device(shop)
        _, stays = await a_device(shop)
        await has_account(server, gone)
        await has_account(server, stays)
    async with controlling(BrokerAddress.parse(server.url)) as control:
        await control.change(
            {"command": "createRole", "rolename": "theirs"},
            {"command": "createClient", "username": "theirs", "password": "x", "roles": [{"rolename": "theirs"}]},
            {"command": "removeRoleACL", "rolename": f"petstore-{stays.username}", "acltype": "subscribePattern",
             "topic": "pets/#"},
        )  # fmt: skip
    await shop.call(DELETE_DEVICE, id=gone.id)
    _, new = await a_device(shop)
    async with bridged(store, server):
        await has_account(server, new)
        assert await accounts(server) == {server.administrator, "theirs", stays.username, new.username}
        # Put right, and not only left in place.
        await eventually(lambda: _may_listen(server, stays, "pets/#"))


async def _may_listen(server: MosquittoServer, device: Any, pattern: str) -> bool:
    async with client_at(server, (device.username, device.password)) as client:
        return await may_subscribe(client, pattern)


async def test_a_broker_that_lost_everything_gets_its_accounts_back(
    shop: Shop, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with MosquittoServer(tmp_path / "one", guarded=True) as one:
        async with bridged(store, one):
            devices = [(await a_device(shop))[1] for _ in range(30)]
            await has_account(one, devices[-1])
    with MosquittoServer(tmp_path / "two", guarded=True) as two:
        async with bridged(store, two):
            for device in devices:
                await has_account(two, device)


async def test_a_device_older_than_the_secret_gets_no_account_with_a_password_that_nobody_has(
    shop: Shop, store: Store, server: MosquittoServer, caplog: pytest.LogCaptureFixture
) -> None:
    _, device = await a_device(shop)
    async with store.storage.write(SHARED_TENANT) as tx:
        login = await tx.get(Login, device.id, lock=True)
        assert login is not None
        await tx.update(login.model_copy(update={"password_hash": "of another secret"}))
    _, newer = await a_device(shop)
    async with bridged(store, server):
        await has_account(server, newer)
        assert await accounts(server) == {server.administrator, newer.username}
    assert "older than PETSTORE_JWT_SECRET" in caplog.text


async def test_a_broker_without_dynamic_security_is_served_all_the_same(
    shop: Shop, store: Store, mosquitto_server: MosquittoServer, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"mqtt://user:password@127.0.0.1:{mosquitto_server.port}"
    bridge = Bridge(store, BrokerAddress.parse(url))
    async with witness(mosquitto_server) as heard:
        bridge.start()
        try:
            await eventually(lambda: bridge.statistics().connected)
            pet = await shop.call(CREATE_PET, body=PET)
            await heard.has(f"pets/{pet.id}")
        finally:
            await bridge.stop()
    (line,) = [record for record in caplog.records if "dynamic security" in record.getMessage()]
    assert "its accounts are not provisioned" in line.getMessage()
    assert "password" not in line.getMessage()


async def test_an_account_that_may_do_nothing_publishes_nothing_and_loses_nothing(
    shop: Shop, store: Store, bridge: Bridge, server: MosquittoServer
) -> None:
    await bridge.stop()
    async with controlling(BrokerAddress.parse(server.url)) as control:
        await control.change({"command": "createClient", "username": "poor", "password": "poor"})
    poor = Bridge(store, BrokerAddress("127.0.0.1", server.port, False, "poor", "poor"))
    poor.start()
    pet = await shop.call(CREATE_PET, body=PET)
    await eventually(lambda: poor.statistics().counters.failures >= 2)
    await poor.stop()
    async with witness(server, "pets/#") as heard, bridged(store, server):
        await heard.has(f"pets/{pet.id}")


async def test_staff_get_an_account_by_a_command(
    shop: Shop, bridge: Bridge, server: MosquittoServer, tmp_path: Path
) -> None:
    tenant = "019e2d14-2b7c-7a90-8d11-3e5f7a9c1b20"

    async def run(*arguments: str) -> "tuple[int, list[str], str]":
        done = await asyncio.to_thread(
            petstore, "broker-account", *arguments, cwd=tmp_path, mqtt_broker_url=server.url
        )
        return done.returncode, done.stdout.split(), done.stderr

    status, (name, password), _ = await run("sam")
    assert (status, name) == (0, "sam")
    async with witness(server, "pets/#", "orders/#", "chats/#", account=(name, password)) as heard:
        pet = await shop.call(CREATE_PET, body=PET)
        await heard.has(f"pets/{pet.id}")
        assert heard.client is not None
        for pattern in ("#", f"tenants/{tenant}/pets/#", "telemetry/#"):
            assert not await may_subscribe(heard.client, pattern)
        assert not await may_publish(heard.client, "pets/1/status")
    # Again: another password. Of another tenant: another account.
    _, (_, renewed), _ = await run("sam")
    assert renewed != password
    assert not await lets_in(server, name, password)
    assert await lets_in(server, name, renewed)
    status, _, error = await run("sam", "--tenant", tenant)
    assert status == 1
    assert "an account at the broker already" in error
    _, (name, password), _ = await run("kim", "--tenant", tenant)
    async with client_at(server, (name, password)) as client:
        assert await may_subscribe(client, f"tenants/{tenant}/orders/#")
        assert not await may_subscribe(client, "pets/#")
    assert (await run(server.administrator))[0] == 1

    assert await lets_in(server, server.administrator, str(server.password))
