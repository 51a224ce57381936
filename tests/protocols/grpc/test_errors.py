"""Errors as gRPC clients meet them."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from grpc import StatusCode, aio
from grpc._cython.cygrpc import ExecuteBatchError

from core.kernel import errors
from core.kernel.caller import Role
from core.kernel.errors import Close, CloseReason, ErrorCode, StoreError, Violation, ViolationCode
from core.kernel.ids import TenantId
from core.ports.records import Transaction
from protocols.grpc._generated.petstore.v1 import chats_pb2, events_pb2, orders_pb2, pets_pb2
from protocols.grpc.errors import CLOSE_CODES, STATUS_CODES, status_of, status_of_close
from protocols.grpc.streams import Carrier
from protocols.grpc.wire import snake
from tests.protocols.grpc.clients import Node, Refusal, node_with_grpc
from tests.protocols.grpc.test_calls import PET
from tests.waiting import eventually, within

ERRORS: dict[StoreError, StatusCode] = {
    errors.BadRequest("no"): StatusCode.INVALID_ARGUMENT,
    errors.Unauthorized("no"): StatusCode.UNAUTHENTICATED,
    errors.Forbidden("no"): StatusCode.PERMISSION_DENIED,
    errors.NotFound("no"): StatusCode.NOT_FOUND,
    errors.Conflict("no"): StatusCode.FAILED_PRECONDITION,
    errors.Conflict("no", taken=True): StatusCode.ALREADY_EXISTS,
    errors.CursorExpired("oldest"): StatusCode.OUT_OF_RANGE,
    errors.PreconditionFailed("no"): StatusCode.ABORTED,
    errors.PayloadTooLarge("no"): StatusCode.RESOURCE_EXHAUSTED,
    errors.UnsupportedMediaType("no"): StatusCode.INVALID_ARGUMENT,
    errors.ValidationFailed(
        (Violation("ageMonths", "no", ViolationCode.OUT_OF_RANGE),)
    ): StatusCode.INVALID_ARGUMENT,
    errors.RateLimited(7): StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable("no", 3): StatusCode.UNAVAILABLE,
    errors.Internal(): StatusCode.INTERNAL,
}


def told(code: StatusCode, text: str, trailing: tuple[tuple[str, str | bytes], ...]) -> Refusal:
    """A status as a client reads it."""
    return Refusal.of(aio.AioRpcError(code, aio.Metadata(), aio.Metadata(*trailing), text))


def test_both_tables_are_total() -> None:
    assert set(STATUS_CODES) == set(ErrorCode) == {error.code for error in ERRORS}
    assert set(CLOSE_CODES) == set(CloseReason)
    assert StatusCode.OK not in {*STATUS_CODES.values(), *CLOSE_CODES.values()}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_each_error_is_a_status_with_its_reason(error: StoreError) -> None:
    refusal = told(*status_of(error, snake))
    violated = isinstance(error, errors.ValidationFailed)
    assert (refusal.code, refusal.text) == (ERRORS[error], "age_months: no" if violated else error.detail)
    assert refusal.info.reason == error.code.replace("-", "_").upper()
    metadata = dict(refusal.info.metadata)
    assert metadata == ({"oldestCursor": "oldest"} if isinstance(error, errors.CursorExpired) else {})
    retry = error.retry_after if isinstance(error, errors.RateLimited | errors.Unavailable) else None
    assert (None if refusal.retry is None else refusal.retry.retry_delay.seconds) == retry
    if isinstance(error, errors.ValidationFailed):
        assert refusal.violations == [("age_months", "OUT_OF_RANGE")]


@pytest.mark.parametrize("reason", CloseReason)
def test_each_end_of_a_stream_is_a_status_with_its_reason(reason: CloseReason) -> None:
    close = Close(reason, "Because.", "oldest" if reason is CloseReason.CURSOR_EXPIRED else None)
    refusal = told(*status_of_close(close))
    assert refusal.info.reason == reason.replace("-", "_").upper()
    assert (refusal.retry is not None) == close.resumable
    assert refusal.info.metadata.get("oldestCursor") == close.oldest_cursor


async def test_every_violation_of_a_request_is_told_in_its_own_names(node: Node) -> None:
    async with node.client(node.live.member(Role.STAFF)) as staff:
        request = pets_pb2.CreatePetRequest(name=" ", age_months=-1, photos=["ok", "no web address"])
        request.MergeFromString(b"\x18\x63")  # a species that is none of ours
        request.medical_info.health_notes = "x" * 3000
        refusal = await staff.refused(staff.pets.CreatePet, request)
        assert refusal.code is StatusCode.INVALID_ARGUMENT
        assert sorted(refusal.violations) == [
            ("age_months", "OUT_OF_RANGE"),
            ("medical_info.health_notes", "INVALID_LENGTH"),
            ("name", "INVALID_LENGTH"),
            ("photos[0]", "INVALID_FORMAT"),
            ("photos[1]", "INVALID_FORMAT"),
            ("price", "REQUIRED_FIELD"),
            ("species", "INVALID_ENUM_VALUE"),
        ]


async def test_what_the_store_calls_otherwise_is_told_as_the_request_calls_it(node: Node) -> None:
    async with node.client(node.live.member(Role.STAFF)) as staff:
        page = pets_pb2.ListPetsRequest(limit=101)
        page.MergeFromString(b"\x08\x63")  # a species that is none of ours
        refusal = await staff.refused(staff.pets.ListPets, page)
        assert refusal.violations == [("limit", "OUT_OF_RANGE"), ("species", "INVALID_ENUM_VALUE")]
        refusal = await staff.refused(staff.pets.GetPet, pets_pb2.GetPetRequest(id="x"))
        assert refusal.violations == [("id", "INVALID_FORMAT")]
        refusal = await staff.refused(staff.chats.ListMessages, chats_pb2.ListMessagesRequest(chat_id="x"))
        assert refusal.violations == [("chat_id", "INVALID_FORMAT")]
        long = ("idempotency-key", "k" * 500)
        refusal = await staff.refused(staff.pets.CreatePet, PET, long)
        assert refusal.violations == [("idempotency-key", "INVALID_LENGTH")]
        async with staff.subscribed() as events:
            assert (await events.end()).violations == [("topics", "REQUIRED_FIELD")]


async def test_the_text_of_a_status_says_what_is_wrong_in_the_names_of_the_request(node: Node) -> None:
    async with node.client(node.live.member(Role.STAFF)) as staff:
        refusal = await staff.refused(
            staff.pets.CreatePet, pets_pb2.CreatePetRequest(name="x", age_months=-1)
        )
        assert "age_months: " in refusal.text
        assert "species: " in refusal.text
        page = pets_pb2.ListPetsRequest(age_min=3, age_max=2, limit=101)
        refusal = await staff.refused(staff.pets.ListPets, page)
        assert "age_max: must not be below the minimum; limit: " in f"{refusal.text}; {refusal.text}"
        fee = pets_pb2.CreatePetRequest(name="x", species=pets_pb2.CAT, age_months=1, adoption_fee=-1)
        refusal = await staff.refused(staff.pets.CreatePet, fee)
        assert refusal.violations == [("adoption_fee", "OUT_OF_RANGE")]
        refusal = await staff.refused(staff.chats.ListMessages, chats_pb2.ListMessagesRequest(chat_id="x"))
        assert refusal.text == "chat_id: must be a UUID"
        refusal = await staff.refused(staff.pets.CreatePet, PET, ("idempotency-key", "k" * 500))
        assert refusal.text.startswith("idempotency-key: ")


def test_a_text_is_cut_where_metadata_would_burst() -> None:
    for character in ("x", "%", "ü", "猫", "😺"):
        _, text, [(_, details)] = status_of(errors.NotFound(character * 5000), snake)
        assert text.startswith(character * 80)
        assert len(quote(text, safe=" ")) < 1100
        assert len(details) < 1300


async def test_violations_of_a_card_are_told_where_they_are(node: Node) -> None:
    async with node.client(node.live.member(Role.STAFF)) as staff:
        pet = await staff.call(staff.pets.CreatePet, PET)
        order = await staff.call(staff.orders.PlaceOrder, orders_pb2.PlaceOrderRequest(pet_id=pet.id))
        card = orders_pb2.Card(name="Alex", number="4242424242424241", cvc="123", exp_month=13, exp_year=2029)
        request = orders_pb2.PayOrderRequest(id=order.id, amount="350.10", currency="USD", card=card)
        refusal = await staff.refused(staff.orders.PayOrder, request)
        assert sorted(refusal.violations) == [
            ("card.exp_month", "OUT_OF_RANGE"),
            ("card.number", "INVALID_FORMAT"),
        ]
        request = orders_pb2.PayOrderRequest(id=order.id, amount="350.10", currency="USD")
        assert (await staff.refused(staff.orders.PayOrder, request)).violations == [
            ("source", "REQUIRED_FIELD")
        ]


async def test_more_violations_than_metadata_holds_are_counted(node: Node) -> None:
    async with node.client(node.live.member(Role.STAFF)) as staff:
        items = [orders_pb2.OrderItemDraft(pet_id="no uuid") for _ in range(50)]
        refusal = await staff.refused(staff.orders.PlaceOrder, orders_pb2.PlaceOrderRequest(items=items))
        assert refusal.code is StatusCode.INVALID_ARGUMENT
        assert refusal.violations[0] == ("items[0].pet_id", "INVALID_FORMAT")
        assert len(refusal.violations) == 50
        mask = pets_pb2.UpdatePetRequest(id="x")
        mask.update_mask.paths.extend("no_such_field" * 5 for _ in range(500))
        refusal = await staff.refused(staff.pets.UpdatePet, mask)
        assert refusal.violations[-1] == ("", "")
        assert 10 < len(refusal.violations) < 200


async def test_the_budget_is_the_one_of_all_doors(tmp_path: Path) -> None:
    async with node_with_grpc(tmp_path, requests_per_minute=5) as node:
        caller = node.live.member()
        async with node.client(caller) as client:
            for _ in range(4):
                await client.call(client.pets.ListPets, pets_pb2.ListPetsRequest())
            headers = {"Authorization": f"Bearer {node.live.token(caller)}"}
            async with node.live.stream(headers=headers) as stream:
                assert stream.response.headers["ratelimit-remaining"] == "0"
            refusal = await client.refused(client.pets.ListPets, pets_pb2.ListPetsRequest())
            assert (refusal.code, refusal.info.reason) == (
                StatusCode.RESOURCE_EXHAUSTED,
                "RATE_LIMIT_EXCEEDED",
            )
            assert refusal.retry is not None
            assert 0 < refusal.retry.retry_delay.seconds <= 60
            async with client.subscribed("#") as events:
                assert (await events.end()).code is StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("forwarded", "proxies", "shared"),
    [
        ("10.9.8.7", (), True),
        ("10.9.8.7", ("127.0.0.0/8",), False),
        ("10.9.8.7, 127.0.0.2", ("127.0.0.0/8",), False),
    ],
)
async def test_visitors_behind_a_trusted_proxy_have_a_budget_each(
    tmp_path: Path, forwarded: str, proxies: tuple[str, ...], shared: bool
) -> None:
    async with (
        node_with_grpc(tmp_path, requests_per_minute=1, proxies=proxies) as node,
        node.client() as client,
    ):
        await client.call(client.pets.ListPets, pets_pb2.ListPetsRequest())
        call = client.pets.ListPets(pets_pb2.ListPetsRequest(), metadata=(("x-forwarded-for", forwarded),))
        if shared:
            with pytest.raises(aio.AioRpcError):
                await call
        else:
            await call


async def test_rights_are_those_of_the_store(node: Node) -> None:
    async with node.client() as visitor, node.client(node.live.member()) as customer:
        assert (await visitor.refused(visitor.pets.CreatePet, PET)).code is StatusCode.UNAUTHENTICATED
        assert (await customer.refused(customer.pets.CreatePet, PET)).code is StatusCode.PERMISSION_DENIED
        bad = await visitor.refused(
            visitor.pets.ListPets, pets_pb2.ListPetsRequest(), ("authorization", "Bearer x")
        )
        assert (bad.code, bad.info.reason) == (StatusCode.UNAUTHENTICATED, "UNAUTHORIZED")
        bad = await visitor.refused(
            visitor.pets.ListPets, pets_pb2.ListPetsRequest(), ("x-api-key", "unknown")
        )
        assert bad.code is StatusCode.UNAUTHENTICATED


async def test_what_is_no_message_is_an_invalid_argument(node: Node) -> None:
    async with node.client() as client:
        method: Any = client.channel.unary_unary("/petstore.v1.PetService/GetPet")
        refusal = await client.refused(method, b"\xff\xff\xff")
        assert (refusal.code, refusal.info.reason) == (StatusCode.INVALID_ARGUMENT, "BAD_REQUEST")
        subscribe: Any = client.channel.unary_stream("/petstore.v1.EventService/Subscribe")
        stream = subscribe(b"\x0a\xff")
        with pytest.raises(aio.AioRpcError) as caught:
            await within(stream.read())
        assert caught.value.code() is StatusCode.INVALID_ARGUMENT


async def test_too_much_at_once_is_refused_and_harms_nobody(node: Node) -> None:
    async with node.client(node.live.member(Role.STAFF)) as staff:
        with pytest.raises(aio.AioRpcError) as caught:
            await staff.call(staff.pets.CreatePet, pets_pb2.CreatePetRequest(description="x" * (1 << 20)))
        assert caught.value.code() is StatusCode.RESOURCE_EXHAUSTED
        assert await staff.call(staff.pets.CreatePet, PET)


async def test_a_method_that_is_not_there_is_unimplemented(node: Node) -> None:
    async with node.client() as client:
        with pytest.raises(aio.AioRpcError) as caught:
            await client.call(client.channel.unary_unary("/petstore.v1.PetService/FeedPet"), b"")
        assert caught.value.code() is StatusCode.UNIMPLEMENTED


async def test_a_node_that_shuts_down_refuses_to_write(node: Node) -> None:
    async with node.client(node.live.member(Role.STAFF)) as staff:
        node.live.store.draining = True
        refusal = await staff.refused(staff.pets.CreatePet, PET)
        assert (refusal.code, refusal.info.reason) == (StatusCode.UNAVAILABLE, "SERVICE_UNAVAILABLE")
        assert refusal.retry is not None
        assert await staff.call(staff.pets.ListPets, pets_pb2.ListPetsRequest())


async def test_a_write_whose_deadline_passes_is_done_wholly(node: Node) -> None:
    """The client no longer waits, but what was begun is not torn."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    storage, write = node.live.store.storage, node.live.store.storage.write

    @asynccontextmanager
    async def slowly(tenant: TenantId) -> AsyncIterator[Transaction]:
        begun.set()
        await go_on.wait()
        async with write(tenant) as tx:
            yield tx

    async with node.client(node.live.member(Role.STAFF)) as staff:
        await staff.call(staff.pets.ListPets, pets_pb2.ListPetsRequest())  # The connection is made.
        storage.write = slowly  # type: ignore[method-assign]
        with pytest.raises(aio.AioRpcError) as caught:
            await staff.call(staff.pets.CreatePet, PET, timeout=3)
        assert caught.value.code() is StatusCode.DEADLINE_EXCEEDED
        assert begun.is_set()
        await node.idle()
        storage.write = write  # type: ignore[method-assign]
        go_on.set()

        async def there() -> bool:
            return len((await staff.call(staff.pets.ListPets, pets_pb2.ListPetsRequest())).pets) == 1

        await eventually(there)
        # Of the server's own clock and the client's cancellation either may come first.
        [end] = [status for method, status in node.ended if method == "PetService/CreatePet"]
        assert end in (StatusCode.DEADLINE_EXCEEDED, StatusCode.CANCELLED)


@pytest.mark.parametrize("kind", ["call", "subscriber", "conversation"])
async def test_a_client_that_goes_while_it_is_written_to_has_cancelled(
    node: Node, kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """grpc says so by a write that fails, when that is seen before the end of the connection."""

    async def lost(*_: object) -> None:
        raise ExecuteBatchError("the client has gone")

    monkeypatch.setattr(Carrier, "carry", lost)
    monkeypatch.setattr(node.live.store, "execute", lost)
    async with node.client(node.live.member()) as client:
        calls: dict[str, Any] = {
            "call": lambda: client.call(client.pets.ListPets, pets_pb2.ListPetsRequest()),
            "subscriber": lambda: client.events.Subscribe(
                events_pb2.SubscribeRequest(topics=["#"]), metadata=client.metadata
            ).read(),
            "conversation": lambda: client.chats.Converse(metadata=client.metadata).read(),
        }
        # Nobody is there to be answered: the call goes on until the client ends it.
        waiting = asyncio.ensure_future(calls[kind]())
        await eventually(lambda: node.ended)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    gc.collect()  # A task whose error nobody took says so when it is collected.
    assert [status for _, status in node.ended] == [StatusCode.CANCELLED]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
