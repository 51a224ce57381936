"""A Mosquitto broker as a client: its bridge, with the notifications that it makes unless it is told not to."""

import asyncio
import json
from pathlib import Path

import mqtt5
import pytest

from tests.protocols.mqtt.node import MqttNode
from tests.protocols.mqtt.raw import Raw
from tests.servers import MosquittoServer
from tests.waiting import eventually


def bridge(folder: Path, port: int, version: str, username: str, password: str) -> MosquittoServer:
    """A broker with a bridge to the door: readings go out, events come in."""
    lines = (
        "connection gateway", f"address 127.0.0.1:{port}", f"bridge_protocol_version {version}",
        "topic telemetry/# out 1", "topic pets/# in 1", "cleansession false", "remote_clientid bridge",
        f"remote_username {username}", f"remote_password {password}", "restart_timeout 1",
    )  # fmt: skip
    return MosquittoServer(folder, more=lines)


@pytest.mark.parametrize("version", ["mqttv311", "mqttv50"])
async def test_a_bridge_with_default_notifications_carries_readings_out_and_events_in(
    node: MqttNode, tmp_path: Path, version: str
) -> None:
    pet = await node.pet()
    device = await node.device(petIds=[pet.id], topics=["pets/#"])
    broker = bridge(tmp_path, node.mqtt_port, version, device.username, device.password)
    await asyncio.to_thread(broker.start)
    try:
        await eventually(lambda: node.mqtt.counters.connected)
        reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
        local = Raw(reader, writer)
        await local.connect("local")
        await local.subscribe("pets/+/health", qos=1)
        local.send(
            mqtt5.PublishPacket(
                f"telemetry/pets/{pet.id}/health",
                b'{"heartRateBpm": 92}',
                qos=mqtt5.QoS.AT_LEAST_ONCE,
                packet_id=9,
            )
        )
        await local.expect(mqtt5.PubAckPacket)
        # It comes back as an event.
        event = json.loads((await local.message()).payload)
        assert event["data"]["reading"]["heartRateBpm"] == 92
        writer.close()
    finally:
        await asyncio.to_thread(broker.stop)
