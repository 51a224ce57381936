"""The broker as compose.yaml runs it."""

import re
from pathlib import Path

from core.services.devices import CREATE_DEVICE
from core.store import Store
from tests.core.stores import Shop
from tests.gateway.broker.conftest import bridged
from tests.gateway.broker.test_provisioning import lets_in
from tests.servers import MosquittoServer
from tests.waiting import eventually

DEPLOYED = Path(__file__).parents[3] / "deploy" / "mosquitto.conf"


async def test_mosquitto_runs_with_the_file_that_is_deployed(
    shop: Shop, store: Store, guarded_mosquitto_server: MosquittoServer
) -> None:
    server = guarded_mosquitto_server
    own = server.log_file.with_name("mosquitto.conf")
    plugin = re.search(r"^plugin (.*)$", own.read_text(), re.MULTILINE)
    assert plugin is not None
    here = {
        "listener 1883": f"listener {server.port} 127.0.0.1\nuser root",
        "/usr/lib/mosquitto_dynamic_security.so": plugin[1],
        "/mosquitto/data": str(own.parent),
    }
    deployed = DEPLOYED.read_text()
    for there, instead in here.items():
        assert there in deployed
        deployed = deployed.replace(there, instead)
    own.write_text(deployed)
    server.restart()
    device = await shop.call(CREATE_DEVICE, body={"name": "Collar"})
    assert not await lets_in(server, device.username, device.password)
    async with bridged(store, server):
        await eventually(lambda: lets_in(server, device.username, device.password), timeout=20)
