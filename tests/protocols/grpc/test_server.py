"""The gRPC port: health, reflection, TLS, its end."""

import asyncio
import json
import signal
import socket
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc import StatusCode, aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from core.kernel.caller import Role
from core.kernel.cursor import Cursor
from core.kernel.errors import Close, CloseReason
from core.kernel.ids import SHARED_TENANT
from gateway.server.grpc_server import GrpcOptions, reserve
from protocols.grpc._generated.petstore.v1 import events_pb2, orders_pb2, pets_pb2
from protocols.grpc._generated.petstore.v1.events_pb2_grpc import EventServiceStub
from protocols.grpc._generated.petstore.v1.orders_pb2_grpc import OrderServiceStub
from protocols.grpc._generated.petstore.v1.pets_pb2_grpc import PetServiceStub
from tests.cluster.conftest import SECRET
from tests.gateway.server.test_tls import certificate
from tests.process import Gateway
from tests.protocols.grpc.clients import Node, node_with_grpc
from tests.protocols.grpc.test_calls import PET
from tests.servers import RedisServer, free_port
from tests.waiting import TIMEOUT_SECONDS, eventually, within

NODE = Path(__file__).parents[2] / "node"
PROTO = Path(__file__).parents[3] / "proto"
messages: Any = health_pb2
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def test_every_service_is_healthy_until_the_drain_and_watchers_learn_it_first(node: Node) -> None:
    async with node.client() as client, client.subscribed("#") as events:
        stub: Any = health_pb2_grpc.HealthStub(client.channel)
        for service in ("", "petstore.v1.PetService", "petstore.v1.EventService"):
            assert (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status == SERVING
        watch = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        stopping = asyncio.create_task(node.server.stop(5))
        assert (await within(watch.read())).status == NOT_SERVING
        assert not stopping.done()
        # A client that is served goes on until it is told.
        await node.live.happen(1)
        assert await events.numbers(1) == [1]
        node.live.sessions.close_all(Close(CloseReason.DRAINING, "Come back."))
        assert (await events.end()).code is StatusCode.UNAVAILABLE
        await within(stopping)


async def test_health_lists_every_service(node: Node) -> None:
    async with node.client() as client:
        # The stubs do not know the method.
        listing: Any = client.channel.unary_unary(
            "/grpc.health.v1.Health/List",
            request_serializer=messages.HealthListRequest.SerializeToString,
            response_deserializer=messages.HealthListResponse.FromString,
        )
        listed = await client.call(listing, messages.HealthListRequest())
        assert {name: one.status for name, one in listed.statuses.items()} == dict.fromkeys(
            ("", *node.door.services), SERVING
        )
        await node.server.refuse_work()
        listed = await client.call(listing, messages.HealthListRequest())
        assert {one.status for one in listed.statuses.values()} == {NOT_SERVING}


async def test_a_node_that_should_get_no_work_says_so(node: Node) -> None:
    async with node.client() as client:
        stub: Any = health_pb2_grpc.HealthStub(client.channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        node.state.draining = True
        assert (await within(watch.read())).status == NOT_SERVING
        node.state.draining = False
        assert (await within(watch.read())).status == SERVING
        watch.cancel()


async def test_stopping_waits_for_streams_no_longer_than_it_may(node: Node) -> None:
    async with node.client() as client, client.subscribed("#") as events:
        await within(node.server.stop(0.1))
        with pytest.raises(aio.AioRpcError) as caught:
            await events.event()
        assert caught.value.code() is StatusCode.UNAVAILABLE


async def test_stopping_may_be_cut_short(node: Node) -> None:
    async with node.client() as client, client.subscribed("#"):
        stopping = asyncio.create_task(node.server.stop(60))
        await eventually(lambda: node.server._stopping.locked())
        stopping.cancel()
        await within(node.server.stop(0))


@pytest.mark.parametrize("version", ["v1alpha", "v1"])
async def test_reflection_shows_every_service_and_file(node: Node, version: str) -> None:
    symbols = ["petstore.v1.Pet", "grpc.reflection.v1.ServerReflection"]
    async with node.client() as client:
        # The messages of both versions are the same.
        call: Any = client.channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        questions = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            *(reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol) for symbol in symbols),
        ]
        answers = [answer async for answer in call(questions)]
    shown = {service.name for service in answers[0].list_services_response.service}
    standard = ("health.v1.Health", "reflection.v1.ServerReflection", "reflection.v1alpha.ServerReflection")
    assert shown == {*node.door.services, *(f"grpc.{name}" for name in standard)}
    files = [
        FileDescriptorProto.FromString(raw)
        for answer in answers[1:]
        for raw in answer.file_descriptor_response.file_descriptor_proto
    ]
    assert "petstore/v1/pets.proto" in {file.name for file in files}
    assert "ServerReflection" in {
        service.name for file in files if file.package == "grpc.reflection.v1" for service in file.service
    }


@pytest.mark.parametrize("version", ["v1alpha", "v1"])
async def test_reflection_finds_every_kind_of_symbol(node: Node, version: str) -> None:
    symbols = {
        "petstore.v1.PetService": "pets",
        "petstore.v1.PetService.GetPet": "pets",
        "petstore.v1.ChatService.Converse": "chats",
        "petstore.v1.Pet": "pets",
        "petstore.v1.Pet.name": "pets",
        "petstore.v1.Payment.source": "orders",
        "petstore.v1.Species": "pets",
        "petstore.v1.DOG": "pets",
        "petstore.v1.PetService.FeedPet": None,
        "petstore.v1.NoService.GetPet": None,
    }
    async with node.client() as client:
        call: Any = client.channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        questions = [
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol) for symbol in symbols
        ]
        answers = [answer async for answer in call(questions)]
    for (symbol, file), answer in zip(symbols.items(), answers, strict=True):
        if file is None:
            assert answer.error_response.error_code == StatusCode.NOT_FOUND.value[0], symbol
            continue
        # The file that was asked for comes first.
        first = answer.file_descriptor_response.file_descriptor_proto[0]
        assert FileDescriptorProto.FromString(first).name == f"petstore/v1/{file}.proto", symbol


def test_every_port_is_taken_once() -> None:
    hold, port = reserve("127.0.0.1", 0)
    with hold, pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
        reserve("127.0.0.1", port)
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(OSError, match="already in use"):
        reserve("127.0.0.1", other.getsockname()[1])


async def test_many_calls_share_a_connection(node: Node) -> None:
    async with node.client() as client:
        request = pets_pb2.ListPetsRequest()
        await asyncio.gather(*(client.call(client.pets.ListPets, request) for _ in range(200)))
    assert node.ended == [("PetService/ListPets", StatusCode.OK)] * 200


async def test_calls_work_under_tls(tmp_path: Path) -> None:
    file, key = certificate(tmp_path)
    async with node_with_grpc(tmp_path, options=GrpcOptions(certificate=file, certificate_key=key)) as node:
        trust = grpc.ssl_channel_credentials(file.read_bytes())
        async with aio.secure_channel(f"127.0.0.1:{node.port}", trust) as channel:
            await PetServiceStub(channel).ListPets(pets_pb2.ListPetsRequest(), timeout=TIMEOUT_SECONDS)
        async with node.client() as client:
            with pytest.raises(aio.AioRpcError) as caught:
                await client.call(client.pets.ListPets, pets_pb2.ListPetsRequest())
            assert caught.value.code() is StatusCode.UNAVAILABLE


async def test_a_client_on_threads_is_served_as_well(node: Node) -> None:
    """grpcio's other client, which blocks."""
    await node.live.happen(1)

    def work() -> list[Any]:
        with grpc.insecure_channel(f"127.0.0.1:{node.port}") as channel:
            PetServiceStub(channel).ListPets(pets_pb2.ListPetsRequest(), timeout=TIMEOUT_SECONDS)
            request = events_pb2.SubscribeRequest(topics=["pets/#"], cursor="earliest")
            call = EventServiceStub(channel).Subscribe(request, timeout=TIMEOUT_SECONDS)
            batch = next(iter(call))
            call.cancel()
            return [event.data["number"] for event in batch.events]

    assert await asyncio.to_thread(work) == [1]


def test_a_gateway_that_is_stopped_sends_its_subscribers_off_and_the_next_one_goes_on(tmp_path: Path) -> None:
    """The whole program: an order seen, SIGTERM, the farewell, and a resume on a second process."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    with Gateway(tmp_path, "--demo", grpc_port=str(port)) as gateway:
        with grpc.insecure_channel(address) as channel:
            call = EventServiceStub(channel).Subscribe(
                events_pb2.SubscribeRequest(topics=["pets/#"]), timeout=TIMEOUT_SECONDS
            )
            place = str(dict(call.initial_metadata())["x-cursor"])
            pet = (
                PetServiceStub(channel)
                .ListPets(pets_pb2.ListPetsRequest(limit=1), timeout=TIMEOUT_SECONDS)
                .pets[0]
            )
            order = OrderServiceStub(channel).PlaceOrder(
                orders_pb2.PlaceOrderRequest(pet_id=pet.id), timeout=TIMEOUT_SECONDS
            )
            assert order.pet_id == pet.id
            event = next(iter(call)).events[0]
            assert (event.event_type, event.data["petId"]) == ("pet.status_changed", pet.id)
            gateway.send(signal.SIGTERM)
            with pytest.raises(grpc.RpcError):
                list(call)
            assert call.code() is StatusCode.UNAVAILABLE
            reached = str(dict(call.trailing_metadata())["x-cursor"])
            assert (
                Cursor.decode(reached, SHARED_TENANT).sequence > Cursor.decode(place, SHARED_TENANT).sequence
            )
        assert gateway.wait() == 0
        gateway.start()
        with grpc.insecure_channel(address) as channel:
            request = events_pb2.SubscribeRequest(topics=["pets/#"], cursor=place)
            call = EventServiceStub(channel).Subscribe(request, timeout=TIMEOUT_SECONDS)
            assert next(iter(call)).events[0].id == event.id
            call.cancel()


async def test_a_javascript_client_made_from_the_proto_files_sees_the_same(node: Node) -> None:
    async with node.client(node.live.member(Role.STAFF)) as staff:
        pet = await staff.call(staff.pets.CreatePet, PET)
    process = await asyncio.create_subprocess_exec(
        "node", NODE / "grpc.mjs", f"127.0.0.1:{node.port}", PROTO, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await within(process.communicate())
    told = [json.loads(line) for line in output.splitlines()]
    assert [line["name"] for line in told] == ["open", "pet", "order", "event", "refused"]
    shown = told[1]["pet"]
    assert (shown["id"], shown["price"], shown["adoption_fee"]) == (pet.id, "350.10", 350.1)
    assert (shown["species"], shown["size"], shown["status"]) == ("DOG", "SIZE_LARGE", "AVAILABLE")
    assert told[2] == {"name": "order", "status": "ORDER_STATUS_PLACED", "total": "350.10"}
    assert (told[3]["type"], told[3]["petId"]) == ("pet.status_changed", pet.id)
    assert told[4]["code"] == StatusCode.FAILED_PRECONDITION.value[0]
    async with node.live.stream("pets/+/status", cursor=told[0]["cursor"]) as stream:
        assert (await stream.event())["cursor"] == told[3]["cursor"]


@pytest.mark.slow
def test_workers_share_the_port_and_what_happens(
    tmp_path: Path, postgres_url: str, redis_server: RedisServer
) -> None:
    """Connections fall to one worker or the other; a subscriber on either hears of everything."""
    port = free_port()
    settings = {"database_url": postgres_url, "redis_url": redis_server.url, "jwt_secret": SECRET}
    with Gateway(tmp_path, "--demo", "--workers", "2", grpc_port=str(port), **settings):
        options = [("grpc.use_local_subchannel_pool", 1)]
        channels = [grpc.insecure_channel(f"127.0.0.1:{port}", options=options) for _ in range(12)]
        request = events_pb2.SubscribeRequest(topics=["pets/+/status"])
        calls = [
            EventServiceStub(channel).Subscribe(request, timeout=TIMEOUT_SECONDS) for channel in channels
        ]
        for call in calls:
            assert "x-cursor" in dict(call.initial_metadata())
        pet = (
            PetServiceStub(channels[0])
            .ListPets(pets_pb2.ListPetsRequest(limit=1), timeout=TIMEOUT_SECONDS)
            .pets[0]
        )
        OrderServiceStub(channels[0]).PlaceOrder(
            orders_pb2.PlaceOrderRequest(pet_id=pet.id), timeout=TIMEOUT_SECONDS
        )
        heard = {next(batch.events[0].cursor for batch in call if batch.events) for call in calls}
        assert len(heard) == 1
        for channel in channels:
            channel.close()
