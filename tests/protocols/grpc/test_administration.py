"""API keys, devices, images and the tenant as gRPC clients meet them."""

import asyncio
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from core.kernel.caller import Role
from core.services.catalogue import OPERATIONS
from core.services.chats import ASSIGN_WAITING_CHATS
from protocols.grpc._generated.petstore.v1 import (
    api_keys_pb2,
    chats_pb2,
    devices_pb2,
    orders_pb2,
    pets_pb2,
    tenants_pb2,
    users_pb2,
)
from protocols.grpc.bindings import BINDINGS
from tests.protocols.grpc.clients import Client, Node, Wire, node_with_grpc
from tests.protocols.grpc.test_calls import PET, add
from tests.protocols.live import new_tenant
from tests.waiting import eventually


def test_every_operation_that_a_client_may_ask_for_has_a_method() -> None:
    bound = {operation for binding in BINDINGS for operation in binding.operations}
    classic = {operation for operation in OPERATIONS if operation.classic}
    assert set(OPERATIONS) - bound == {ASSIGN_WAITING_CHATS, *classic}
    assert not bound & classic


def picture(side: int) -> bytes:
    """A PNG of noise, which no compression makes small: three bytes for each of its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = b"".join(b"\0" + os.urandom(3 * side) for _ in range(side))
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def parts(pet_id: str, content: bytes, size: int = 50_000) -> Iterator[pets_pb2.UploadPetImageRequest]:
    """An upload in parts."""
    first = {"pet_id": pet_id, "additional_metadata": "noise"}
    for place in range(0, len(content), size):
        yield pets_pb2.UploadPetImageRequest(file=content[place : place + size], **first)
        first = {}


async def downloaded(client: Client, pet_id: str, image_id: str) -> tuple[str, bytes, int]:
    """An image: its media type, its bytes, and in how many parts it came."""
    request = pets_pb2.GetPetImageRequest(pet_id=pet_id, image_id=image_id)
    told = [part async for part in client.pets.GetPetImage(request, metadata=client.metadata)]
    assert not any(part.media_type for part in told[1:])
    return told[0].media_type, b"".join(part.content for part in told), len(told)


async def test_an_image_is_uploaded_in_parts_and_comes_back_in_parts(node: Node) -> None:
    content = picture(300)
    assert len(content) > 4 * 64 * 1024
    async with node.client(node.live.member(Role.STAFF)) as staff, node.client() as visitor:
        pet = await add(staff)
        image = await staff.call(staff.pets.UploadPetImage, parts(pet.id, content))
        assert (image.pet_id, image.media_type, image.size) == (pet.id, "image/png", len(content))
        assert image.additional_metadata == "noise"
        shown = await visitor.call(visitor.pets.GetPet, pets_pb2.GetPetRequest(id=pet.id))
        assert list(shown.photos) == [image.url]
        media_type, bytes_, count = await downloaded(visitor, pet.id, image.id)
        assert (media_type, bytes_) == ("image/png", content)
        assert count > 4
        whole = await staff.call(staff.pets.UploadPetImage, parts(pet.id, picture(20), 1 << 19))
        assert await downloaded(visitor, pet.id, whole.id)


async def test_an_upload_with_the_same_key_has_one_effect(node: Node) -> None:
    content, key = picture(20), ("idempotency-key", "one image")
    async with node.client(node.live.member(Role.STAFF)) as staff:
        pet = await add(staff)
        first = await staff.call(staff.pets.UploadPetImage, parts(pet.id, content), key)
        call = staff.pets.UploadPetImage(parts(pet.id, content, 100), metadata=(*staff.metadata, key))
        assert await call == first
        assert dict(await call.trailing_metadata())["idempotent-replayed"] == "true"
        shown = await staff.call(staff.pets.GetPet, pets_pb2.GetPetRequest(id=pet.id))
        assert len(shown.photos) == 1


async def test_what_is_wrong_with_an_upload_is_told(tmp_path: Path) -> None:
    async with (
        node_with_grpc(tmp_path, image_bytes=100_000) as node,
        node.client() as visitor,
        node.client(node.live.member(Role.STAFF)) as staff,
    ):
        pet = await add(staff)

        async def refusal(client: Client, pet_id: str, content: bytes) -> Any:
            return await client.refused(client.pets.UploadPetImage, parts(pet_id, content))

        assert (await refusal(visitor, pet.id, picture(20))).code is StatusCode.UNAUTHENTICATED
        assert (await refusal(staff, pet.id, picture(300))).info.reason == "PAYLOAD_TOO_LARGE"
        assert (await refusal(staff, pet.id, b"no image")).info.reason == "UNSUPPORTED_MEDIA_TYPE"
        assert (await refusal(staff, "x", picture(20))).violations == [("pet_id", "INVALID_FORMAT")]
        nothing = await staff.refused(
            staff.pets.UploadPetImage, iter([pets_pb2.UploadPetImageRequest(pet_id=pet.id)])
        )
        assert nothing.violations == [("file", "REQUIRED_FIELD")]
        none = await staff.refused(staff.pets.UploadPetImage, iter(()))
        assert none.violations == [("pet_id", "REQUIRED_FIELD")]
        request = pets_pb2.GetPetImageRequest(pet_id=pet.id, image_id="x")
        told = await visitor.refused(lambda *_, **__: visitor.pets.GetPetImage(request).read(), request)
        assert told.violations == [("image_id", "INVALID_FORMAT")]


async def test_images_under_way_are_bounded_like_connections(tmp_path: Path) -> None:
    async with (
        node_with_grpc(tmp_path, connections_per_caller=1) as node,
        node.client(node.live.member(Role.STAFF)) as staff,
    ):
        pet, content = await add(staff), picture(20)
        call = staff.pets.UploadPetImage(metadata=staff.metadata)
        await call.write(pets_pb2.UploadPetImageRequest(pet_id=pet.id, file=content))
        await eventually(lambda: list(node.live.sessions.connections))
        told = await staff.refused(staff.pets.UploadPetImage, parts(pet.id, content))
        assert (told.code, told.info.reason) == (StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMIT_EXCEEDED")
        await call.done_writing()
        image = await call
        assert await downloaded(staff, pet.id, image.id)


async def test_who_stops_in_the_middle_of_an_upload_is_sent_off(tmp_path: Path) -> None:
    async with (
        node_with_grpc(tmp_path, stall_limit=0.2) as node,
        node.client(node.live.member(Role.STAFF)) as staff,
    ):
        pet = await add(staff)
        never = asyncio.Event()

        async def halting() -> Any:
            yield pets_pb2.UploadPetImageRequest(pet_id=pet.id, file=b"x")
            await never.wait()

        told = await staff.refused(staff.pets.UploadPetImage, halting())
        assert (told.code, told.info.reason) == (StatusCode.RESOURCE_EXHAUSTED, "STALLED")
        never.set()


@pytest.mark.parametrize("way", ["cancels", "vanishes"])
async def test_half_an_image_is_none(node: Node, way: str) -> None:
    """To a server of grpc.aio a client that goes looks like one that has sent all."""
    content = picture(100)
    async with node.client(node.live.member(Role.STAFF)) as staff:
        pet = await add(staff)
        for _ in range(20):
            before = len(node.ended)
            async with Wire(node.port) as wire, node.client(port=wire.port) as client:
                call = client.pets.UploadPetImage(metadata=staff.metadata)
                for part in list(parts(pet.id, content, 5000))[:3]:
                    await call.write(part)
                await eventually(lambda: node.door.open)
                if way == "cancels":
                    call.cancel()
                else:
                    wire.cut()
                await eventually(lambda before=before: len(node.ended) > before)  # type: ignore[misc]
                await asyncio.gather(call, return_exceptions=True)
        ended = [status for method, status in node.ended if method == "PetService/UploadPetImage"]
        assert ended == [StatusCode.CANCELLED] * 20
        shown = await staff.call(staff.pets.GetPet, pets_pb2.GetPetRequest(id=pet.id))
        assert list(shown.photos) == []


async def owner(visitor: Client, client: Client) -> None:
    """Let a client be the owner of their tenant."""
    request = users_pb2.RegisterUserRequest(
        username="maria",
        email="maria@example.com",
        password="correct horse",
        first_name="Maria",
        last_name="Berg",
    )
    await visitor.call(visitor.users.RegisterUser, request)
    login = users_pb2.LogInRequest(username="maria", password="correct horse")
    tokens = await visitor.call(visitor.users.LogIn, login)
    client.metadata = (("authorization", f"Bearer {tokens.access_token}"),)


async def test_an_api_key_is_made_used_listed_and_ended(node: Node) -> None:
    tenant = new_tenant()
    async with node.client(tenant=tenant) as visitor, node.client() as staff, node.client() as program:
        await owner(visitor, staff)
        later = Timestamp(seconds=4_000_000_000, nanos=5)
        request = api_keys_pb2.CreateApiKeyRequest(
            name="till", scopes=["WRITE:pets", "read:pets"], expires_at=later
        )
        made = await staff.call(staff.api_keys.CreateApiKey, request)
        assert (made.name, list(made.scopes), made.expires_at.seconds) == (
            "till", ["read:pets", "write:pets"], later.seconds
        )  # fmt: skip
        program.metadata = (("x-api-key", made.key), ("x-tenant-id", tenant))
        assert (await add(program)).name == PET.name
        listed = await staff.call(staff.api_keys.ListApiKeys, api_keys_pb2.ListApiKeysRequest())
        assert ([key.id for key in listed.api_keys], listed.pagination.total_items) == ([made.id], 1)
        stale = api_keys_pb2.DeleteApiKeyRequest(id=made.id, etag="no such state")
        assert (await staff.refused(staff.api_keys.DeleteApiKey, stale)).code is StatusCode.ABORTED
        known = api_keys_pb2.DeleteApiKeyRequest(id=made.id, etag=listed.api_keys[0].etag)
        await staff.call(staff.api_keys.DeleteApiKey, known)
        assert (await program.refused(program.pets.CreatePet, PET)).code is StatusCode.UNAUTHENTICATED


async def test_what_is_wrong_with_an_api_key_is_told(node: Node) -> None:
    async with node.client(node.live.member(Role.STAFF)) as staff:
        for seconds, code in (
            (1, "OUT_OF_RANGE"),
            (1 << 60, "INVALID_FORMAT"),
            (-(1 << 60), "INVALID_FORMAT"),
        ):
            request = api_keys_pb2.CreateApiKeyRequest(
                name="till", scopes=["read:pets"], expires_at=Timestamp(seconds=seconds)
            )
            told = await staff.refused(staff.api_keys.CreateApiKey, request)
            assert told.violations == [("expires_at", code)]
        told = await staff.refused(
            staff.api_keys.CreateApiKey, api_keys_pb2.CreateApiKeyRequest(scopes=["read:minds"])
        )
        assert sorted(told.violations) == [("name", "REQUIRED_FIELD"), ("scopes[0]", "INVALID_ENUM_VALUE")]


async def test_a_device_is_provisioned_reports_and_is_removed(node: Node) -> None:
    async with node.client(node.live.member(Role.STAFF)) as staff, node.client() as device:
        pet = await add(staff)
        order = await staff.call(staff.orders.PlaceOrder, orders_pb2.PlaceOrderRequest(pet_id=pet.id))
        request = devices_pb2.CreateDeviceRequest(
            name="Collar", pet_ids=[pet.id], order_ids=[order.id], topics=["inventory/#"]
        )
        made = await staff.call(staff.devices.CreateDevice, request)
        shown = await staff.call(staff.devices.GetDevice, devices_pb2.GetDeviceRequest(id=made.id))
        assert (shown.username, list(shown.pet_ids), list(shown.topics)) == (
            made.username, [pet.id], ["inventory/#"]
        )  # fmt: skip
        listed = await staff.call(staff.devices.ListDevices, devices_pb2.ListDevicesRequest())
        assert list(listed.devices) == [shown]
        tokens = await device.call(
            device.users.LogIn, users_pb2.LogInRequest(username=made.username, password=made.password)
        )
        device.metadata = (("authorization", f"Bearer {tokens.access_token}"),)
        async with staff.subscribed("pets/+/health") as events:
            reading = devices_pb2.ReportPetHealthRequest(
                pet_id=pet.id, heart_rate_bpm=90, temperature_c=38.5, activity=devices_pb2.ACTIVITY_RESTING
            )
            reading.measured_at.FromJsonString("2026-03-02T09:30:00.125Z")
            reported = await device.call(device.devices.ReportPetHealth, reading)
            assert (reported.heart_rate_bpm, reported.temperature_c, reported.measured_at) == (
                90, 38.5, reading.measured_at
            )  # fmt: skip
            assert not reported.HasField("battery_percent")
            assert (await events.event()).data["reading"]["temperatureC"] == 38.5
        wrong = devices_pb2.ReportPetHealthRequest(pet_id=pet.id, heart_rate_bpm=9000, battery_percent=101)
        told = await device.refused(device.devices.ReportPetHealth, wrong)
        assert [field for field, _ in told.violations] == ["heart_rate_bpm", "battery_percent"]
        assert (
            await staff.refused(staff.devices.ReportPetHealth, reading)
        ).code is StatusCode.PERMISSION_DENIED
        await staff.call(
            staff.devices.DeleteDevice, devices_pb2.DeleteDeviceRequest(id=made.id, etag=shown.etag)
        )
        gone = await staff.refused(staff.devices.GetDevice, devices_pb2.GetDeviceRequest(id=made.id))
        assert gone.code is StatusCode.NOT_FOUND


async def test_a_tenant_is_filled_and_emptied(node: Node) -> None:
    tenant = new_tenant()
    async with node.client(tenant=tenant) as visitor, node.client() as staff:
        await owner(visitor, staff)
        seeded = await staff.call(staff.tenants.SeedTenant, tenants_pb2.SeedTenantRequest())
        assert seeded.pets >= 60
        again = await staff.call(staff.tenants.SeedTenant, tenants_pb2.SeedTenantRequest())
        assert again == tenants_pb2.SeedTenantResponse()
        wrong = tenants_pb2.ResetTenantRequest(confirm=new_tenant())
        told = await staff.refused(staff.tenants.ResetTenant, wrong)
        assert told.violations == [("confirm", "INVALID_FORMAT")]
        await staff.call(staff.tenants.ResetTenant, tenants_pb2.ResetTenantRequest(confirm=tenant))
        request = pets_pb2.ListPetsRequest(any_status=True)
        assert not (await visitor.call(visitor.pets.ListPets, request)).pets


async def test_messages_are_marked_by_calls(node: Node) -> None:
    async with (
        node.client(node.live.member(Role.STAFF)) as agent,
        node.client(node.live.member()) as customer,
    ):
        chat = await customer.call(customer.chats.OpenChat, chats_pb2.OpenChatRequest())
        said = await customer.call(
            customer.chats.SendMessage, chats_pb2.SendMessageRequest(chat_id=chat.id, text="Hello")
        )
        marked = {"chat_id": chat.id, "message_id": said.id}
        delivered = await agent.call(agent.chats.MarkDelivered, chats_pb2.MarkDeliveredRequest(**marked))
        assert (delivered.HasField("delivered_at"), delivered.HasField("read_at")) == (True, False)
        assert (await agent.call(agent.chats.MarkRead, chats_pb2.MarkReadRequest(**marked))).HasField(
            "read_at"
        )
        told = await agent.refused(
            agent.chats.MarkRead, chats_pb2.MarkReadRequest(chat_id=chat.id, message_id="x")
        )
        assert told.violations == [("message_id", "INVALID_FORMAT")]
