"""The broker as compose.yaml runs it."""

from core.services.devices import CREATE_DEVICE
from core.store.store import Store
from tests.core.stores import Shop
from tests.deployment import deploy
from tests.gateway.broker.conftest import bridged
from tests.gateway.broker.test_provisioning import lets_in
from tests.servers import MosquittoServer
from tests.waiting import eventually


async def test_mosquitto_runs_with_the_file_that_is_deployed(
    shop: Shop, store: Store, guarded_mosquitto_server: MosquittoServer
) -> None:
    server = guarded_mosquitto_server
    deploy(server)
    device = await shop.call(CREATE_DEVICE, body={"name": "Collar"})
    assert not await lets_in(server, device.username, device.password)
    async with bridged(store, server):
        await eventually(lambda: lets_in(server, device.username, device.password))
