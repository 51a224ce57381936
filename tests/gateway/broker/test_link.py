"""One connection to a real broker."""

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest

from gateway.broker.address import BrokerAddress
from gateway.broker.link import Link, LinkFailed, Outgoing, Refused
from tests.gateway.broker.witness import client_at, witness
from tests.gateway.server.test_tls import certificate
from tests.process import petstore
from tests.servers import MosquittoServer, free_port
from tests.waiting import TIMEOUT_SECONDS, eventually


def address_of(server: MosquittoServer) -> BrokerAddress:
    return BrokerAddress.parse(server.url)


async def publish(server: MosquittoServer, *payloads: str, qos: int = 1) -> None:
    async with client_at(server) as client:
        for payload in payloads:
            await client.publish("telemetry/x", payload, qos=qos)


async def test_what_was_not_acknowledged_comes_again_on_the_next_connection_and_the_rest_does_not(
    mosquitto_server: MosquittoServer,
) -> None:
    address = address_of(mosquitto_server)
    async with Link(address, "bridge") as link:
        await link.subscribe(["telemetry/#"])
        await publish(mosquitto_server, "a", "b", "c", "d")
        first = [await link.receive() for _ in range(4)]
        # Acknowledged in whatever order, but told to the broker in the order of arrival: "d" waits for "c".
        for message in (first[1], first[0], first[3]):
            link.acknowledge(message)
    async with Link(address, "bridge") as link:
        again = [await link.receive() for _ in range(2)]
        assert [message.payload for message in again] == [b"c", b"d"]
        for message in again:
            link.acknowledge(message)
    async with Link(address, "bridge") as link:
        await publish(mosquitto_server, "e")
        assert (await link.receive()).payload == b"e"


async def test_what_comes_while_nobody_is_connected_is_kept(mosquitto_server: MosquittoServer) -> None:
    address = address_of(mosquitto_server)
    async with Link(address, "bridge") as link:
        await link.subscribe(["telemetry/#"])
    await publish(mosquitto_server, "meanwhile")
    mosquitto_server.restart()
    async with Link(address, "bridge") as link:
        assert (await link.receive()).payload == b"meanwhile"


async def test_retained_messages_are_none_of_its_business(mosquitto_server: MosquittoServer) -> None:
    async with client_at(mosquitto_server) as client:
        await client.publish("telemetry/x", "old", qos=1, retain=True)
    async with Link(address_of(mosquitto_server), "bridge") as link:
        await link.subscribe(["telemetry/#"])
        await publish(mosquitto_server, "new")
        assert (await link.receive()).payload == b"new"


async def test_no_more_than_its_window_is_sent_unacknowledged(mosquitto_server: MosquittoServer) -> None:
    async with Link(address_of(mosquitto_server), "bridge") as link:
        await link.subscribe(["telemetry/#"])
        await publish(mosquitto_server, *map(str, range(100)))
        got = [await link.receive() for _ in range(20)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                while True:
                    got.append(await link.receive())
        assert len(got) < 100
        for message in got:
            link.acknowledge(message)
        while len(got) < 100:
            got.append(await link.receive())
            link.acknowledge(got[-1])
        assert [message.payload for message in got] == [b"%d" % number for number in range(100)]


async def test_messages_arrive_in_order_with_their_properties(mosquitto_server: MosquittoServer) -> None:
    async with witness(mosquitto_server) as heard, Link(address_of(mosquitto_server)) as link:
        await link.publish([Outgoing("a", b"%d" % number, False, (("n", "x"),)) for number in range(200)])
        assert [message.payload for message in await heard.has("a", 200)] == [b"%d" % n for n in range(200)]
        assert heard.messages[0].properties == {"n": "x"}


async def test_a_publication_that_is_refused_is_told(guarded_mosquitto_server: MosquittoServer) -> None:
    async with Link(address_of(guarded_mosquitto_server)) as link:
        with pytest.raises(Refused, match="pets/1 may not be published: Not authorized"):
            await link.publish([Outgoing("pets/1", b"x")])


async def test_a_broker_says_how_large_a_message_may_be(mosquitto_server: MosquittoServer) -> None:
    configuration = mosquitto_server.log_file.with_name("mosquitto.conf")
    configuration.write_text(configuration.read_text() + "max_packet_size 5000\n")
    mosquitto_server.restart()
    async with Link(address_of(mosquitto_server)) as link:
        assert link.fits(Outgoing("a", b"x" * 4000))
        assert not link.fits(Outgoing("a", b"x" * 5000))


async def test_a_broker_with_tls_is_reached_if_its_certificate_is_trusted(
    mosquitto_server: MosquittoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, key = certificate(tmp_path)
    configuration = mosquitto_server.log_file.with_name("mosquitto.conf")
    configuration.write_text(configuration.read_text() + f"certfile {file}\nkeyfile {key}\n")
    mosquitto_server.restart()
    url = f"mqtts://127.0.0.1:{mosquitto_server.port}"
    # In a process of its own: paho leaves the socket of a failed handshake to the garbage collector, with a warning.
    done = await asyncio.to_thread(petstore, "doctor", cwd=tmp_path, mqtt_broker_url=url, port="0")
    assert done.returncode == 1
    assert "certificate verify failed" in done.stdout
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    async with Link(BrokerAddress.parse(url)) as link:
        await link.subscribe(["a"])
        # Large enough for the socket to have to be waited for.
        await link.publish([Outgoing("b", b"x" * 5_000_000)])


async def test_whoever_takes_the_identifier_ends_the_connection_before_him(
    mosquitto_server: MosquittoServer,
) -> None:
    address = address_of(mosquitto_server)
    async with Link(address, "bridge") as old:
        waiting = asyncio.create_task(old.receive())
        async with Link(address, "bridge"):
            with pytest.raises(LinkFailed):
                await waiting
            with pytest.raises(LinkFailed):
                await old.publish([Outgoing("a", b"x")])


async def test_a_broker_that_dies_ends_everything_that_waits(mosquitto_server: MosquittoServer) -> None:
    async with Link(address_of(mosquitto_server)) as link:
        mosquitto_server.freeze()
        publishing = asyncio.create_task(link.publish([Outgoing("a", b"x")]))
        receiving = asyncio.create_task(link.receive())
        await asyncio.sleep(0)
        await asyncio.to_thread(mosquitto_server.kill)
        for waiting in (publishing, receiving):
            with pytest.raises(LinkFailed):
                await waiting


async def test_a_wrong_password_and_a_broker_that_is_not_there_are_told(
    guarded_mosquitto_server: MosquittoServer,
) -> None:
    with pytest.raises(Refused, match="Not authorized"):
        async with Link(BrokerAddress("127.0.0.1", guarded_mosquitto_server.port, False, "gateway", "wrong")):
            pass
    with pytest.raises(LinkFailed, match="refused"):
        async with Link(BrokerAddress("127.0.0.1", free_port(), False)):
            pass


@pytest.mark.slow
async def test_connecting_to_something_that_is_silent_ends_when_it_is_cancelled() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        link = Link(BrokerAddress("127.0.0.1", silent.getsockname()[1], False))
        connecting = asyncio.create_task(link.__aenter__())
        silent.settimeout(TIMEOUT_SECONDS)
        connection, _ = await asyncio.to_thread(silent.accept)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        with connection:
            # What it sent, and then the end.
            await eventually(lambda: connection.recv(1000) == b"")
