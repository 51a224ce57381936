"""Operations as gRPC clients meet them."""

import asyncio
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode
from pydantic import BaseModel

from core.kernel.caller import Role
from core.kernel.model import Page
from protocols.grpc._generated.petstore.v1 import chats_pb2, inventory_pb2, orders_pb2, pets_pb2, users_pb2
from protocols.grpc.bindings import BINDINGS, SERVICES, Binding
from tests.protocols.grpc.clients import Client, Node
from tests.protocols.live import new_tenant

PET = pets_pb2.CreatePetRequest(
    name="Biscuit", species=pets_pb2.DOG, breed="Beagle", age_months=14, price="350.10", size=pets_pb2.SIZE_LARGE
)  # fmt: skip
LIVE = {"Complete", "Subscribe", "Converse"}


# --- the table ---


def test_every_method_that_is_not_live_is_bound_to_its_operation() -> None:
    methods = {method.full_name for service in SERVICES.values() for method in service.methods}
    bound = [binding.method.full_name for binding in BINDINGS]
    assert len(bound) == len(set(bound))
    assert {name.rpartition(".")[2] for name in methods - set(bound)} == LIVE


def names_of(model: Any) -> set[str]:
    """The members of a model, as JSON has them."""
    return {info.alias or name for name, info in model.model_fields.items()}


@pytest.mark.parametrize("binding", BINDINGS, ids=lambda binding: binding.method.name)
def test_every_field_of_a_request_is_something_that_the_operation_takes(binding: Binding) -> None:
    body = names_of(binding.operation.body) if binding.operation.body is not None else set()
    if "price" in body:
        body.add("adoptionFee")
    known = binding.parameters | body | {"etag", "updateMask"} | binding.names.keys() | binding.flags.keys()
    for field in binding.request.DESCRIPTOR.fields_by_name.values():
        oneof = field.containing_oneof
        name = oneof.name if oneof is not None and not oneof.name.startswith("_") else field.json_name
        assert name in known, name


@pytest.mark.parametrize("binding", BINDINGS, ids=lambda binding: binding.method.name)
def test_every_field_of_an_answer_is_something_that_the_operation_says(binding: Binding) -> None:
    result = binding.operation.result
    if not (isinstance(result, type) and issubclass(result, BaseModel)) or issubclass(result, Page):
        return
    shown = set(result.model_fields) | {"etag", "adoption_fee", "messages"}
    for field in binding.response.DESCRIPTOR.fields_by_name.values():
        oneof = field.containing_oneof
        name = oneof.name if oneof is not None and not oneof.name.startswith("_") else field.name
        assert name in shown, name
    told = {name for name, info in result.model_fields.items() if not info.exclude}
    hidden = told - set(binding.response.DESCRIPTOR.fields_by_name)
    assert hidden <= {"source", "data"}, hidden


def test_the_numbers_that_clients_know_stay() -> None:
    def numbers(message: Any) -> list[tuple[str, int]]:
        return [(field.name, field.number) for field in message.DESCRIPTOR.fields][:8]

    assert numbers(pets_pb2.Pet) == [
        ("id", 1), ("name", 2), ("species", 3), ("breed", 4), ("age_months", 5), ("status", 6), ("adoption_fee", 7),
        ("currency", 8),
    ]  # fmt: skip
    assert pets_pb2.Pet.DESCRIPTOR.fields_by_name["adoption_fee"].type == FieldDescriptor.TYPE_DOUBLE
    assert numbers(pets_pb2.GetPetRequest) == [("id", 1)]
    assert numbers(pets_pb2.ListPetsRequest)[:4] == [("species", 1), ("status", 2), ("page", 3), ("limit", 4)]
    assert dict(pets_pb2.Species.items()) == {
        "SPECIES_UNSPECIFIED": 0, "DOG": 1, "CAT": 2, "RABBIT": 3, "BIRD": 4, "REPTILE": 5, "OTHER": 6,
    }  # fmt: skip
    assert dict(pets_pb2.Status.items()) == {
        "STATUS_UNSPECIFIED": 0, "AVAILABLE": 1, "PENDING": 2, "ADOPTED": 3, "NOT_AVAILABLE": 4,
    }  # fmt: skip


# --- pets ---


async def add(staff: Client, **changes: Any) -> Any:
    request = pets_pb2.CreatePetRequest()
    request.CopyFrom(PET)
    request.MergeFrom(pets_pb2.CreatePetRequest(**changes))
    return await staff.call(staff.pets.CreatePet, request)


async def test_a_pet_is_made_read_changed_and_removed(node: Node) -> None:
    async with node.client(node.live.member(Role.STAFF)) as staff, node.client() as visitor:
        made = await add(staff, photos=["https://example.com/a.jpg"])
        assert (made.status, made.price, made.adoption_fee, made.currency) == (
            pets_pb2.AVAILABLE,
            "350.10",
            350.1,
            "USD",
        )
        assert made.created_at.seconds > 0
        assert not made.HasField("color")
        assert await visitor.call(visitor.pets.GetPet, pets_pb2.GetPetRequest(id=made.id)) == made

        change = pets_pb2.UpdatePetRequest(id=made.id, name="Rex", color="brown", etag=made.etag)
        change.medical_info.vaccinated = True
        changed = await staff.call(staff.pets.UpdatePet, change)
        assert (changed.name, changed.color, changed.breed) == ("Rex", "brown", "Beagle")
        assert changed.medical_info.vaccinated
        assert changed.etag != made.etag
        stale = await staff.refused(staff.pets.UpdatePet, change)
        assert (stale.code, stale.info.reason) == (StatusCode.ABORTED, "PRECONDITION_FAILED")

        paths = ["breed", "photos", "medical_info.vaccinated", "medical_info.health_notes"]
        masked = pets_pb2.UpdatePetRequest(id=made.id, name="passed over", update_mask=FieldMask(paths=paths))
        masked.medical_info.health_notes = "Sneezes."
        changed = await staff.call(staff.pets.UpdatePet, masked)
        assert (changed.name, changed.HasField("breed"), list(changed.photos)) == ("Rex", False, [])
        assert not changed.medical_info.HasField("vaccinated")
        assert changed.medical_info.health_notes == "Sneezes."

        await staff.call(staff.pets.DeletePet, pets_pb2.DeletePetRequest(id=made.id))
        gone = await visitor.refused(visitor.pets.GetPet, pets_pb2.GetPetRequest(id=made.id))
        assert (gone.code, gone.info.reason) == (StatusCode.NOT_FOUND, "NOT_FOUND")


async def test_a_pet_that_changed_is_read_as_it_is_now(node: Node) -> None:
    async with node.client(node.live.member(Role.STAFF)) as staff:
        pet = await add(staff)
        for name in ("Ada", "Ben"):
            await staff.call(staff.pets.UpdatePet, pets_pb2.UpdatePetRequest(id=pet.id, name=name))
            for _ in range(2):
                found = await staff.call(staff.pets.GetPet, pets_pb2.GetPetRequest(id=pet.id))
                assert found.name == name


async def test_a_mask_of_a_star_replaces_the_resource(node: Node) -> None:
    """AIP-134: what the request leaves out returns to its default, as with PUT."""
    tenant, star = new_tenant(), FieldMask(paths=["*"])
    async with node.client(node.live.member(Role.STAFF)) as staff:
        pet = await add(staff, color="brown", photos=["https://example.com/a.jpg"])
        change = pets_pb2.UpdatePetRequest(
            id=pet.id,
            name="Rex",
            species=pets_pb2.DOG,
            age_months=3,
            price="10",
            etag=pet.etag,
            update_mask=star,
        )
        changed = await staff.call(staff.pets.UpdatePet, change)
        assert (changed.name, changed.age_months, changed.price) == ("Rex", 3, "10.00")
        assert (changed.HasField("color"), changed.HasField("breed"), list(changed.photos)) == (
            False,
            False,
            [],
        )
        assert changed.status == pet.status
        assert (await staff.refused(staff.pets.UpdatePet, change)).code is StatusCode.ABORTED
        partly = pets_pb2.UpdatePetRequest(id=pet.id, name="Max", update_mask=star)
        told = await staff.refused(staff.pets.UpdatePet, partly)
        assert sorted(field for field, _ in told.violations) == ["age_months", "price", "species"]
        both = FieldMask(paths=["*", "name"])
        told = await staff.refused(
            staff.pets.UpdatePet, pets_pb2.UpdatePetRequest(id=pet.id, update_mask=both)
        )
        assert told.violations == [("update_mask", "UNKNOWN_FIELD")]
    async with node.client(tenant=tenant) as visitor, node.client(tenant=tenant) as user:
        profile: dict[str, Any] = {
            "username": "ada",
            "email": "ada@example.com",
            "first_name": "Ada",
            "last_name": "Berg",
        }
        request = users_pb2.RegisterUserRequest(**profile, password="correct horse", phone="+4930901820")
        ada = await visitor.call(visitor.users.RegisterUser, request)
        login = users_pb2.LogInRequest(username="ada", password="correct horse")
        tokens = await visitor.call(visitor.users.LogIn, login)
        user.metadata = (("authorization", f"Bearer {tokens.access_token}"),)
        whole = users_pb2.UpdateUserRequest(id=ada.id, **{**profile, "first_name": "Grace"}, update_mask=star)
        replaced = await user.call(user.users.UpdateUser, whole)
        assert (replaced.first_name, replaced.HasField("phone")) == ("Grace", False)


async def test_a_mask_that_names_no_field_is_told(node: Node) -> None:
    async with node.client(node.live.member(Role.STAFF)) as staff:
        pet = await add(staff)
        mask = FieldMask(paths=["wings", "name.first", "photos.one"])
        told = await staff.refused(
            staff.pets.UpdatePet, pets_pb2.UpdatePetRequest(id=pet.id, update_mask=mask)
        )
        assert told.code is StatusCode.INVALID_ARGUMENT
        assert told.violations == [("update_mask", "UNKNOWN_FIELD")] * 3


async def test_the_older_name_of_the_price_is_taken(node: Node) -> None:
    async with node.client(node.live.member(Role.STAFF)) as staff:
        request = pets_pb2.CreatePetRequest(name="Rex", species=pets_pb2.CAT, age_months=0, adoption_fee=75.5)
        assert (await staff.call(staff.pets.CreatePet, request)).price == "75.50"


async def test_lists_and_searches_choose_and_page(node: Node) -> None:
    async with node.client(node.live.member(Role.STAFF)) as staff:
        for age in (0, 5, 30):
            await add(staff, age_months=age)
        await add(staff, name="Tom", species=pets_pb2.CAT, status=pets_pb2.NOT_AVAILABLE)

        async def listed(**choice: Any) -> list[int]:
            found = await staff.call(staff.pets.ListPets, pets_pb2.ListPetsRequest(**choice))
            return [pet.age_months for pet in found.pets]

        assert await listed() == [0, 5, 30]
        assert await listed(age_min=1, age_max=29) == [5]
        assert await listed(species=pets_pb2.CAT) == []
        assert await listed(species=pets_pb2.CAT, any_status=True) == [14]
        assert await listed(species=pets_pb2.CAT, any_status=True, status=pets_pb2.AVAILABLE) == [14]
        assert await listed(status=pets_pb2.NOT_AVAILABLE) == [14]
        assert await listed(page=2, limit=2) == [30]

        request = pets_pb2.SearchPetsRequest()
        request.criteria.species.append(pets_pb2.DOG)
        request.criteria.age_range.max = 30
        request.criteria.price_range.max = "400"
        request.sort.field, request.sort.order = pets_pb2.SORT_FIELD_AGE_MONTHS, pets_pb2.SORT_ORDER_DESC
        request.pagination.limit = 2
        found = await staff.call(staff.pets.SearchPets, request)
        assert [pet.age_months for pet in found.pets] == [30, 5]
        assert (found.pagination.total_items, found.pagination.total_pages) == (3, 2)
        assert not found.pagination.HasField("total_is_exact")
        request.pagination.after = found.pagination.next
        rest = await staff.call(staff.pets.SearchPets, request)
        assert [pet.age_months for pet in rest.pets] == [0]
        assert (rest.pagination.page, rest.pagination.next) == (2, "")
        first = await staff.call(staff.pets.ListPets, pets_pb2.ListPetsRequest(limit=1))
        second = await staff.call(
            staff.pets.ListPets, pets_pb2.ListPetsRequest(limit=1, after=first.pagination.next)
        )
        assert second.pagination.page == 2


async def test_the_stock_is_counted(node: Node) -> None:
    async with node.client(node.live.member(Role.STAFF)) as staff:
        await add(staff)
        await add(staff, species=pets_pb2.CAT, status=pets_pb2.NOT_AVAILABLE)
        stock = await staff.call(staff.inventory.GetInventory, inventory_pb2.GetInventoryRequest())
        assert (stock.total, stock.available, stock.not_available) == (2, 1, 1)
        assert stock.by_species["DOG"].available == 1
        request = inventory_pb2.CountPetsRequest(status=[pets_pb2.AVAILABLE, pets_pb2.PENDING])
        assert dict((await staff.call(staff.inventory.CountPets, request)).counts) == {
            "AVAILABLE": 1,
            "PENDING": 0,
        }


# --- orders ---


def card(order: Any, number: str = "4242424242424242") -> Any:
    return orders_pb2.PayOrderRequest(
        id=order.id,
        amount=order.total_amount,
        currency=order.currency,
        card=orders_pb2.Card(name="Alex", number=number, cvc="123", exp_month=12, exp_year=2029),
    )


async def test_an_order_is_placed_paid_moved_on_and_delivered(node: Node) -> None:
    async with (
        node.client(node.live.member(Role.STAFF)) as staff,
        node.client(node.live.member()) as customer,
    ):
        pet = await add(staff)
        order = await customer.call(customer.orders.PlaceOrder, orders_pb2.PlaceOrderRequest(pet_id=pet.id))
        assert (order.status, order.total_amount, order.pet_id) == (
            orders_pb2.ORDER_STATUS_PLACED,
            "350.10",
            pet.id,
        )
        declined = await customer.call(customer.orders.PayOrder, card(order, "4000000000000002"))
        assert declined.status == orders_pb2.PAYMENT_STATUS_FAILED
        assert declined.failure_reason
        payment = await customer.call(customer.orders.PayOrder, card(order))
        assert payment.status == orders_pb2.PAYMENT_STATUS_SUCCEEDED
        assert (payment.WhichOneof("source"), payment.card.number) == ("card", "************4242")
        assert not payment.card.cvc
        receipt = await customer.call(
            customer.orders.GetReceipt, orders_pb2.GetReceiptRequest(id=payment.receipt_id)
        )
        assert (receipt.order_id, receipt.card.exp_year) == (order.id, 2029)
        for status in (orders_pb2.ORDER_STATUS_SHIPPED, orders_pb2.ORDER_STATUS_DELIVERED):
            change = orders_pb2.UpdateOrderStatusRequest(id=order.id, status=status)
            assert (await staff.call(staff.orders.UpdateOrderStatus, change)).status == status
        mine = await customer.call(customer.orders.ListOrders, orders_pb2.ListOrdersRequest(status=status))
        assert [found.id for found in mine.orders] == [order.id]
        late = await customer.refused(customer.orders.CancelOrder, orders_pb2.CancelOrderRequest(id=order.id))
        assert (late.code, late.info.reason) == (StatusCode.FAILED_PRECONDITION, "CONFLICT")


async def test_a_bank_account_pays_and_a_cancelled_order_gives_its_pets_back(node: Node) -> None:
    async with node.client(node.live.member(Role.STAFF)) as staff, node.client() as visitor:
        pets = [await add(staff), await add(staff)]
        items = [orders_pb2.OrderItemDraft(pet_id=pet.id) for pet in pets]
        order = await visitor.call(visitor.orders.PlaceOrder, orders_pb2.PlaceOrderRequest(items=items))
        assert not order.HasField("user_id")
        account = orders_pb2.BankAccount(
            account_holder_name="Alex",
            account_number="000123456789",
            routing_number="110000000",
            account_type=orders_pb2.ACCOUNT_TYPE_CHECKING,
        )
        request = orders_pb2.PayOrderRequest(
            id=order.id, amount=order.total_amount, currency="USD", bank_account=account
        )
        payment = await visitor.call(visitor.orders.PayOrder, request)
        assert payment.bank_account.account_type == orders_pb2.ACCOUNT_TYPE_CHECKING
        cancelled = await visitor.call(visitor.orders.CancelOrder, orders_pb2.CancelOrderRequest(id=order.id))
        assert cancelled.status == orders_pb2.ORDER_STATUS_CANCELLED
        found = await visitor.call(visitor.pets.GetPet, pets_pb2.GetPetRequest(id=pets[1].id))
        assert found.status == pets_pb2.AVAILABLE


async def test_of_many_who_order_one_pet_at_once_one_wins(node: Node) -> None:
    async with node.client(node.live.member(Role.STAFF)) as staff:
        pet = await add(staff)
        request = orders_pb2.PlaceOrderRequest(pet_id=pet.id)
        answers = await asyncio.gather(
            *(staff.call(staff.orders.PlaceOrder, request) for _ in range(20)), return_exceptions=True
        )
        won = [answer for answer in answers if isinstance(answer, orders_pb2.Order)]
        lost = [answer for answer in answers if isinstance(answer, Exception)]
        assert len(won) == 1
        assert {error.code() for error in lost} == {StatusCode.FAILED_PRECONDITION}  # type: ignore[attr-defined]


async def test_the_same_idempotency_key_has_one_effect(node: Node) -> None:
    async with node.client(node.live.member(Role.STAFF)) as staff:
        key = ("idempotency-key", "once")
        first = staff.pets.CreatePet(PET, metadata=(*staff.metadata, key))
        made = await first
        again = staff.pets.CreatePet(PET, metadata=(*staff.metadata, key))
        assert await again == made
        assert dict(await again.trailing_metadata())["idempotent-replayed"] == "true"
        assert "idempotent-replayed" not in dict(await first.trailing_metadata())
        other = await staff.refused(staff.pets.CreatePet, pets_pb2.CreatePetRequest(name="Other"), key)
        assert other.code is StatusCode.INVALID_ARGUMENT


# --- users ---


async def test_a_user_registers_logs_in_changes_and_goes(node: Node) -> None:
    tenant = new_tenant()
    async with node.client(tenant=tenant) as visitor, node.client(tenant=tenant) as user:
        request = users_pb2.RegisterUserRequest(
            username="maria",
            email="maria@example.com",
            password="correct horse",
            first_name="Maria",
            last_name="Berg",
        )
        maria = await visitor.call(visitor.users.RegisterUser, request)
        assert list(maria.roles) == [users_pb2.ROLE_STAFF]
        assert maria.preferences.notifications
        taken = await visitor.refused(visitor.users.RegisterUser, request)
        assert taken.code is StatusCode.ALREADY_EXISTS
        login = users_pb2.LogInRequest(username="maria", password="correct horse")
        tokens = await visitor.call(visitor.users.LogIn, login)
        assert (tokens.token_type, tokens.expires_in, tokens.user.id) == ("Bearer", 3600, maria.id)
        user.metadata = (("authorization", f"Bearer {tokens.access_token}"),)
        assert (await user.call(user.users.GetMe, users_pb2.GetMeRequest())).id == maria.id
        change = users_pb2.UpdateUserRequest(id=maria.id, phone="+4930901820")
        change.preferences.newsletter = True
        changed = await user.call(user.users.UpdateUser, change)
        assert (changed.phone, changed.preferences.newsletter, changed.preferences.notifications) == (
            "+4930901820",
            True,
            True,
        )
        listed = await user.call(user.users.ListUsers, users_pb2.ListUsersRequest(username="MARIA"))
        assert [found.id for found in listed.users] == [maria.id]
        assert (
            await user.call(user.users.GetUser, users_pb2.GetUserRequest(id=maria.id))
        ).email == maria.email
        refresh = users_pb2.RefreshTokenRequest(refresh_token=tokens.refresh_token)
        fresh = await visitor.call(visitor.users.RefreshToken, refresh)
        user.metadata = (("authorization", f"Bearer {fresh.access_token}"),)
        await user.call(user.users.LogOut, users_pb2.LogOutRequest())
        out = await user.refused(user.users.GetMe, users_pb2.GetMeRequest())
        assert out.code is StatusCode.UNAUTHENTICATED
        # Whoever registers next is a customer, and may go.
        request.username, request.email = "ben", "ben@example.com"
        ben = await visitor.call(visitor.users.RegisterUser, request)
        login.username = "ben"
        tokens = await visitor.call(visitor.users.LogIn, login)
        user.metadata = (("authorization", f"Bearer {tokens.access_token}"),)
        await user.call(user.users.DeleteUser, users_pb2.DeleteUserRequest(id=ben.id))
        assert (await visitor.refused(visitor.users.LogIn, login)).code is StatusCode.UNAUTHENTICATED


# --- chats ---


async def test_a_chat_is_opened_taken_talked_in_and_closed(node: Node) -> None:
    agent = node.live.member(Role.STAFF)
    async with node.client(agent) as staff, node.client(node.live.member()) as customer:
        opened = await customer.call(customer.chats.OpenChat, chats_pb2.OpenChatRequest(subject="Cats?"))
        assert (opened.subject, opened.status) == ("Cats?", chats_pb2.CHAT_STATUS_WAITING)
        message = chats_pb2.ChatMessage()
        for number in range(3):
            said = chats_pb2.SendMessageRequest(
                chat_id=opened.id, text=f"text {number}", client_message_id=f"m-{number}"
            )
            message = await customer.call(customer.chats.SendMessage, said)
            assert message.sender_role == chats_pb2.SENDER_ROLE_CUSTOMER
            assert await customer.call(customer.chats.SendMessage, said) == message
        window = chats_pb2.ListMessagesRequest(chat_id=opened.id, limit=2, before=message.id)
        shown = await staff.call(staff.chats.ListMessages, window)
        assert [found.text for found in shown.messages] == ["text 0", "text 1"]
        assert not shown.pagination.has_more
    async with node.client() as nobody:
        assert (await nobody.refused(nobody.chats.GetChat, chats_pb2.GetChatRequest(id=opened.id))).code is (
            StatusCode.UNAUTHENTICATED
        )
    async with node.client(node.live.member()) as other:
        assert (await other.refused(other.chats.GetChat, chats_pb2.GetChatRequest(id=opened.id))).code is (
            StatusCode.NOT_FOUND
        )


# --- the same request again ---


async def test_the_same_request_is_answered_to_each_caller_by_their_own_permissions(node: Node) -> None:
    staff, customer = node.live.member(Role.STAFF), node.live.member(Role.CUSTOMER)
    request = orders_pb2.ListOrdersRequest()
    async with node.client(staff) as one, node.client(customer) as other, node.client() as nobody:
        pet = await add(one)
        placed = await other.call(other.orders.PlaceOrder, orders_pb2.PlaceOrderRequest(pet_id=pet.id))
        wanted = orders_pb2.GetOrderRequest(id=placed.id)
        for _ in range(2):
            for client in (one, other):
                assert (await client.call(client.orders.GetOrder, wanted)).id == placed.id
                assert [order.id for order in (await client.call(client.orders.ListOrders, request)).orders]
            refusal = await nobody.refused(nobody.orders.ListOrders, request)
            assert refusal.code is StatusCode.UNAUTHENTICATED


async def test_a_request_with_unknown_fields_is_answered_all_the_same(node: Node) -> None:
    async with node.client(node.live.member(Role.STAFF)) as staff:
        pet = await add(staff)
        unknown = b"\x7a\xac\x02" + b"x" * 300
        request = pets_pb2.GetPetRequest.FromString(
            pets_pb2.GetPetRequest(id=pet.id).SerializeToString() + unknown
        )
        assert len(request.SerializeToString()) > 300
        assert await staff.call(staff.pets.GetPet, request) == pet


async def test_a_request_that_was_refused_is_refused_again(node: Node) -> None:
    async with node.client() as client:
        for _ in range(2):
            told = await client.refused(client.pets.GetPet, pets_pb2.GetPetRequest(id="no-id"))
            assert told.code is StatusCode.INVALID_ARGUMENT


# --- what goes with every call ---


async def test_the_request_id_comes_back_when_it_is_sane(node: Node) -> None:
    async with node.client() as client:
        request = pets_pb2.ListPetsRequest()
        call = client.pets.ListPets(request, metadata=(("x-request-id", "my-own"),))
        await call
        assert dict(await call.trailing_metadata())["x-request-id"] == "my-own"
        call = client.pets.ListPets(request, metadata=(("x-request-id", "x" * 200),))
        await call
        assert 10 < len(dict(await call.trailing_metadata())["x-request-id"]) < 40
        told = await client.refused(
            client.pets.GetPet, pets_pb2.GetPetRequest(id="x"), ("x-request-id", "mine")
        )
        assert told.trailing["x-request-id"] == "mine"


async def test_tenants_do_not_see_one_another(node: Node) -> None:
    here, there = new_tenant(), new_tenant()
    async with node.client(node.live.member(Role.STAFF, here)) as staff, node.client(tenant=there) as other:
        pet = await add(staff)
        request = pets_pb2.GetPetRequest(id=pet.id)
        assert (await other.refused(other.pets.GetPet, request)).code is StatusCode.NOT_FOUND
        other.metadata = (("x-tenant-id", here),)
        for _ in range(2):
            assert (await other.call(other.pets.GetPet, request)).tenant_id == here
        other.metadata = (("x-tenant-id", there),)
        assert (await other.refused(other.pets.GetPet, request)).code is StatusCode.NOT_FOUND
        wrong = await staff.refused(staff.pets.GetPet, request, ("x-tenant-id", there))
        assert wrong.code is StatusCode.PERMISSION_DENIED
        other.metadata = (("x-tenant-id", "no-uuid"),)
        assert (await other.refused(other.pets.GetPet, request)).code is StatusCode.INVALID_ARGUMENT
