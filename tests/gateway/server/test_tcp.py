"""Doors on plain TCP and TLS: a MQTT client stands for any."""

import asyncio
import socket
import ssl
from pathlib import Path

import mqtt5

from core.live.sessions import Sessions
from gateway.server.listening import listen, socket_port
from gateway.server.tcp import TcpServer
from protocols.mqtt.adapter import MqttDoor
from protocols.mqtt.server import MqttServer
from tests.core.stores import open_store
from tests.gateway.server.test_tls import certificate
from tests.protocols.mqtt.raw import Raw
from tests.waiting import eventually


async def test_a_client_is_served_under_tls_and_gets_its_farewell(tmp_path: Path) -> None:
    file, key = certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file, key)
    async with open_store(tmp_path) as store:
        mqtt = MqttServer(Sessions(store), store.limits)
        server = TcpServer(MqttDoor(mqtt).connect, stall_limit=30)
        sockets = listen("127.0.0.1", 0)
        port = socket_port(sockets)
        async with server.serving([], sockets, context):
            trust = ssl.create_default_context(cafile=file)
            client = Raw(*await asyncio.open_connection("127.0.0.1", port, ssl=trust))
            await client.connect()
            assert await client.codes("pets/#") == [0]
            client.send(b"\x00\x00")
            goodbye = await client.farewell()
            assert goodbye.reason_code == mqtt5.DisconnectReasonCode.MALFORMED_PACKET
            client.writer.close()
            await eventually(lambda: not server.statistics().connections)
        await mqtt.finished()


async def test_the_kernel_looks_after_peers_that_never_speak(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        mqtt = MqttServer(Sessions(store), store.limits)
        server = TcpServer(MqttDoor(mqtt).connect, stall_limit=30)
        sockets = listen("127.0.0.1", 0)
        async with server.serving(sockets, [], None):
            client = Raw(*await asyncio.open_connection("127.0.0.1", socket_port(sockets)))
            await client.connect()
            (connection,) = server.connections
            accepted = connection._transport.get_extra_info("socket")
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 60
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
            client.writer.close()
        await mqtt.finished()


async def test_one_network_opens_so_many_connections_and_no_more(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        mqtt = MqttServer(Sessions(store), store.limits)
        server = TcpServer(MqttDoor(mqtt).connect, stall_limit=30, most_of_network=2)
        sockets = listen("127.0.0.1", 0)
        async with server.serving(sockets, [], None):

            async def client(address: str) -> Raw:
                there = ("127.0.0.1", socket_port(sockets))
                return Raw(*await asyncio.open_connection(*there, local_addr=(address, 0)))

            first, second = await client("127.0.0.1"), await client("127.0.0.1")
            await first.connect()
            await second.connect()
            third = await client("127.0.0.1")
            assert await third.ended()
            other = await client("127.0.0.2")
            await other.connect()
            assert server.statistics().refused == 1
            first.writer.close()
            await eventually(lambda: server.statistics().connections == 2)
            again = await client("127.0.0.1")
            await again.connect()
            for one in (second, third, other, again):
                one.writer.close()
        await mqtt.finished()


async def test_what_is_open_at_the_end_is_dropped_and_nobody_else_is_let_in(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        mqtt = MqttServer(Sessions(store), store.limits)
        server = TcpServer(MqttDoor(mqtt).connect, stall_limit=30)
        sockets = listen("127.0.0.1", 0)
        port = socket_port(sockets)
        async with server.serving(sockets, [], None):
            client = Raw(*await asyncio.open_connection("127.0.0.1", port))
            await client.connect()
            server.stop_accepting()
        assert await client.ended()
        client.writer.close()
        await mqtt.finished()
        assert not len(mqtt.sessions)
        try:
            await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        raise AssertionError("somebody was let in")
