"""The store's operations mean the same at every door that has them."""

import asyncio
import base64
import contextlib
from typing import Any

from core.kernel.ids import new_id
from tests.conformance.conftest import At
from tests.conformance.door import Ability, Refused, refusal
from tests.conformance.manifest import Door
from tests.conformance.people import PASSWORD, Person, World
from tests.conformance.scenario import scenario
from tests.waiting import eventually

DRAFT: dict[str, Any] = {
    "name": "Momo",
    "species": "CAT",
    "breed": "Siamese",
    "ageMonths": 7,
    "size": "SMALL",
    "color": "cream",
    "gender": "FEMALE",
    "goodWithKids": True,
    "goodWithDogs": False,
    "price": "120.50",
    "currency": "EUR",
    "description": "Talks a lot.",
    "medicalInfo": {"vaccinated": True, "spayedNeutered": False, "healthNotes": "none"},
}
_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


def _profile(name: str) -> dict[str, Any]:
    return {
        "username": name,
        "email": f"{name}@example.com",
        "password": PASSWORD,
        "firstName": "Ada",
        "lastName": "Conformance",
        "phone": "+14155550123",
        "preferences": {"newsletter": True, "notifications": False},
    }


@scenario(
    "A pet is created, read, changed and removed", "createPet", "getPet", "updatePet", "deletePet", nodes=True
)
async def test_pet(world: World, at: At, door: Door) -> None:
    staff = at(door, await world.staff(), world.target.first)
    visitor = at(door, world.visitor, world.target.last)
    made = (await staff.call("createPet", body=DRAFT)).value
    assert made == await world.ask("GET", f"/v1/pets/{made['id']}", world.visitor)
    assert {name: made[name] for name in DRAFT} == DRAFT
    assert made["status"] == "AVAILABLE"
    assert (await visitor.call("getPet", id=made["id"])).value == made
    changed = (await staff.call("updatePet", id=made["id"], body={"price": "99.00", "breed": None})).value
    assert changed["price"] == "99.00"
    assert "breed" not in changed
    assert changed["color"] == made["color"]
    assert (await staff.call("getPet", id=made["id"])).value == changed
    await staff.call("deletePet", id=made["id"])
    assert (await refusal(staff.call("getPet", id=made["id"]))).code == "not-found"


@scenario("A pet is replaced: what is left out returns to its default", "replacePet", "getPet")
async def test_replace(world: World, at: At, door: Door) -> None:
    pet = await world.pet(**{**DRAFT, "name": "Old"})
    staff = at(door, await world.staff(), world.target.first)
    body = {"name": "New", "species": "CAT", "ageMonths": 8, "price": "10.00"}
    replaced = (await staff.call("replacePet", id=pet["id"], body=body)).value
    assert "breed" not in replaced
    assert replaced == await world.ask("GET", f"/v1/pets/{pet['id']}", world.visitor)


@scenario(
    "A change on a condition is refused when the pet has changed meanwhile", "updatePet", Ability.IF_MATCH
)
async def test_if_match(world: World, at: At, door: Door) -> None:
    pet = await world.pet()
    staff = at(door, await world.staff(), world.target.first)
    seen = await staff.call("getPet", id=pet["id"])
    assert seen.etag is not None
    after = await staff.call("updatePet", id=pet["id"], body={"name": "Rexy"}, if_match=seen.etag)
    late = await refusal(staff.call("updatePet", id=pet["id"], body={"name": "Roxy"}, if_match=seen.etag))
    assert late.code == "precondition-failed"
    assert (await staff.call("getPet", id=pet["id"])).value == after.value


@scenario(
    "The same request with the same key is done once",
    "placeOrder",
    "listOrders",
    Ability.IDEMPOTENCY,
    nodes=True,
)
async def test_idempotency(world: World, at: At, door: Door) -> None:
    pet, other = await world.pet(), await world.pet()
    customer = at(door, await world.customer(), world.target.first)
    elsewhere = at(door, await world.customer(), world.target.last)
    first = await customer.call("placeOrder", body={"petId": pet["id"]}, key="one order")
    again = await elsewhere.call("placeOrder", body={"petId": pet["id"]}, key="one order")
    assert again.value == first.value
    different = customer.call("placeOrder", body={"petId": other["id"]}, key="one order")
    assert (await refusal(different)).code == "validation-error"
    assert len((await customer.call("listOrders")).value["data"]) == 1


@scenario(
    "Who leaves in the middle of a write learns by its key what became of it",
    "placeOrder",
    "listOrders",
    Ability.IDEMPOTENCY,
    nodes=True,
)
async def test_abandoned(world: World, at: At, door: Door) -> None:
    person = await world.customer()
    here, elsewhere = at(door, person, world.target.first), at(door, person, world.target.last)
    for attempt in range(8):
        request: dict[str, Any] = {"body": {"petId": (await world.pet())["id"]}, "key": f"order {attempt}"}
        first = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(attempt * 0.004):
                first = (await here.call("placeOrder", **request)).value

        async def outcome(request: dict[str, Any] = request) -> Any:
            try:
                return (await elsewhere.call("placeOrder", **request)).value
            except Refused as refused:
                if refused.code != "conflict" or not refused.retry_after:
                    raise
                return None  # The first request still runs; for a reserved pet no time would be told.

        assert first in (None, await eventually(outcome))
    assert len((await here.call("listOrders", limit=100)).value["data"]) == 8


@scenario("Pets are listed by species, age and status, a page at a time", "listPets")
async def test_list(world: World, at: At, door: Door) -> None:
    for age in range(3):
        await world.pet(name=f"Cat {age}", species="CAT", ageMonths=age)
    await world.pet(name="Dog", species="DOG")
    await world.pet(name="Hidden", species="CAT", status="NOT_AVAILABLE")
    visitor = at(door, world.visitor, world.target.last)

    async def names(**filters: Any) -> list[str]:
        found = (await visitor.call("listPets", **filters)).value
        return [pet["name"] for pet in found["data"]]

    assert await names() == ["Cat 0", "Cat 1", "Cat 2", "Dog"]
    assert await names(species=["CAT"]) == ["Cat 0", "Cat 1", "Cat 2"]
    assert await names(species=["CAT"], limit=2, page=2) == ["Cat 2"]
    assert await names(ageMin=1, ageMax=2) == ["Cat 1", "Cat 2"]
    assert await names(status=["ALL"], species=["CAT"]) == ["Cat 0", "Cat 1", "Cat 2", "Hidden"]


@scenario("Pets are searched by criteria, sorted, with totals", "searchPets")
async def test_search(world: World, at: At, door: Door) -> None:
    for number, price in enumerate(("10.00", "30.00", "20.00")):
        await world.pet(name=f"Cat {number}", species="CAT", price=price, description="likes fish")
    await world.pet(name="Dog", species="DOG")
    visitor = at(door, world.visitor, world.target.last)
    body = {
        "criteria": {"species": ["CAT"], "text": "FISH", "priceRange": {"min": "15"}},
        "sort": {"field": "price", "order": "DESC"},
        "pagination": {"page": 1, "limit": 1},
    }
    found = (await visitor.call("searchPets", body=body)).value
    assert [pet["name"] for pet in found["data"]] == ["Cat 1"]
    # HTTP has it in a header, which tests/protocols/rest follows.
    after = found["pagination"].pop("next", None)
    if after is not None:
        rest = await visitor.call("searchPets", body={**body, "pagination": {"limit": 1, "after": after}})
        assert [pet["name"] for pet in rest.value["data"]] == ["Cat 2"]
        assert rest.value["pagination"] == {"page": 2, "limit": 1, "totalItems": 2, "totalPages": 2}
    assert found["pagination"] == {"page": 1, "limit": 1, "totalItems": 2, "totalPages": 2}
    assert found["data"][0] == await world.ask("GET", f"/v1/pets/{found['data'][0]['id']}", world.visitor)


@scenario("An image of a pet is uploaded and named by the pet", "uploadPetImage", "getPet")
async def test_upload(world: World, at: At, door: Door) -> None:
    pet = await world.pet()
    staff = at(door, await world.staff(), world.target.first)
    body = {"file": _PIXEL, "additionalMetadata": "one pixel"}
    image = (await staff.call("uploadPetImage", id=pet["id"], body=body)).value
    assert image["mediaType"] == "image/png"
    assert (await staff.call("getPet", id=pet["id"])).value["photos"] == [image["url"]]


@scenario("A removed image is named by its pet no more", "uploadPetImage", "deletePetImage", "getPet")
async def test_removed_image(world: World, at: At, door: Door) -> None:
    staff, pet = at(door, await world.staff(), world.target.first), await world.pet()
    first, second = [
        (await staff.call("uploadPetImage", id=pet["id"], body={"file": _PIXEL})).value for _ in range(2)
    ]
    await staff.call("deletePetImage", id=pet["id"], imageId=first["id"])
    assert (await staff.call("getPet", id=pet["id"])).value["photos"] == [second["url"]]
    again = staff.call("deletePetImage", id=pet["id"], imageId=first["id"])
    assert (await refusal(again)).code == "not-found"


@scenario("An image of a pet is served", "uploadPetImage", "getPetImage")
async def test_image(world: World, at: At, door: Door) -> None:
    pet = await world.pet()
    staff = at(door, await world.staff(), world.target.first)
    image = (await staff.call("uploadPetImage", id=pet["id"], body={"file": _PIXEL})).value
    served = await at(door, world.visitor, world.target.first).call(
        "getPetImage", id=pet["id"], imageId=image["id"]
    )
    assert served.value == _PIXEL


@scenario("The stock is counted", "getInventory")
async def test_inventory(world: World, at: At, door: Door) -> None:
    for species in ("CAT", "CAT", "DOG"):
        await world.pet(species=species)
    await world.order(await world.customer())
    visitor = at(door, world.visitor, world.target.last)
    stock = (await visitor.call("getInventory")).value
    assert stock == await world.ask("GET", "/v1/inventory", world.visitor)
    assert (stock["available"], stock["pending"], stock["total"]) == (3, 1, 4)
    assert stock["bySpecies"]["CAT"]["available"] == 2


@scenario("Pets are counted by their statuses", "countPets")
async def test_counts(world: World, at: At, door: Door) -> None:
    for _ in range(3):
        await world.pet()
    await world.order(await world.customer())
    visitor = at(door, world.visitor, world.target.last)
    counts = (await visitor.call("countPets", status=["AVAILABLE", "PENDING"])).value
    assert counts == {"AVAILABLE": 3, "PENDING": 1}


@scenario(
    "A user registers, logs in, reads their account, and logs out",
    "registerUser",
    "login",
    "getMe",
    "logout",
    nodes=True,
)
async def test_user(world: World, at: At, door: Door) -> None:
    await world.staff()
    visitor = at(door, world.visitor, world.target.first)
    name = f"ada-{world.tenant[:8]}"
    made = (await visitor.call("registerUser", body=_profile(name))).value
    assert "password" not in made
    tokens = (await visitor.call("login", body={"username": name, "password": PASSWORD})).value
    assert tokens["user"] == {"id": made["id"], "username": name, "email": f"{name}@example.com"}
    assert (tokens["tokenType"], tokens["token"]) == ("Bearer", tokens["accessToken"])
    owner = at(door, Person(world.tenant, tokens["accessToken"]), world.target.last)
    assert (await owner.call("getMe")).value == made
    await owner.call("logout")
    at_first = at(door, Person(world.tenant, tokens["accessToken"]), world.target.last)
    assert (await refusal(at_first.call("getMe"))).code == "unauthorized"


@scenario("A login is refreshed once for each refresh token", "login", "refreshToken")
async def test_refresh(world: World, at: At, door: Door) -> None:
    person = await world.customer()
    visitor = at(door, world.visitor, world.target.first)
    body = {"refreshToken": person.refresh_token}
    fresh = (await visitor.call("refreshToken", body=body)).value
    assert fresh["refreshToken"] != person.refresh_token
    assert (await refusal(visitor.call("refreshToken", body=body))).code == "unauthorized"


@scenario("A user is found, changed and removed by STAFF", "getUser", "listUsers", "updateUser", "deleteUser")
async def test_users(world: World, at: At, door: Door) -> None:
    customer = await world.customer()
    staff = at(door, await world.staff(), world.target.first)
    user = (await staff.call("getUser", id=customer.user_id)).value
    assert user["username"] == customer.username
    assert user in (await staff.call("listUsers")).value["data"]
    changed = (await staff.call("updateUser", id=customer.user_id, body={"firstName": "Grace"})).value
    assert changed["firstName"] == "Grace"
    assert changed["lastName"] == user["lastName"]
    await staff.call("deleteUser", id=customer.user_id)
    assert (await refusal(staff.call("getUser", id=customer.user_id))).code == "not-found"


@scenario("A user's profile is replaced", "replaceUser", "getMe")
async def test_replace_user(world: World, at: At, door: Door) -> None:
    person = await world.customer()
    customer = at(door, person, world.target.first)
    profile = {name: value for name, value in _profile("grace").items() if name not in ("password", "phone")}
    # Another e-mail address takes the present password.
    body = {**profile, "currentPassword": PASSWORD}
    replaced = (await customer.call("replaceUser", id=person.user_id, body=body)).value
    assert replaced["username"] == "grace"
    assert (await customer.call("getMe")).value == replaced


@scenario("An API key is made, listed, and ended", "createApiKey", "listApiKeys", "deleteApiKey")
async def test_api_keys(world: World, at: At, door: Door) -> None:
    staff = at(door, await world.staff(), world.target.first)
    made = (await staff.call("createApiKey", body={"name": "till", "scopes": ["read:pets"]})).value
    assert made.pop("key")
    listed = (await staff.call("listApiKeys")).value["data"]
    assert [key["id"] for key in listed] == [made["id"]]
    assert "key" not in listed[0]
    await staff.call("deleteApiKey", id=made["id"])
    assert (await staff.call("listApiKeys")).value["data"] == []


@scenario(
    "A program takes the scope to read for what it writes, and no user's e-mail address, name or password",
    "updateUser",
    "placeOrder",
)
async def test_programs(world: World, at: At, door: Door) -> None:
    pet, user_id = await world.pet(), (await world.customer()).user_id
    scopes = ("write:user", "write:orders")
    writer = at(door, await world.program(*scopes), world.target.first)
    for call in (
        writer.call("updateUser", id=user_id, body={"firstName": "Grace"}),
        writer.call("placeOrder", body={"petId": pet["id"]}),
    ):
        assert (await refusal(call)).code == "forbidden"
    program = at(door, await world.program(*scopes, "read:user", "read:orders"), world.target.first)
    for change in ({"email": "m@example.com"}, {"username": "mallory"}, {"password": "another good one"}):
        taken = program.call("updateUser", id=user_id, body={**change, "currentPassword": PASSWORD})
        assert (await refusal(taken)).code == "forbidden"
    changed = (await program.call("updateUser", id=user_id, body={"firstName": "Grace"})).value
    assert changed["firstName"] == "Grace"
    assert (await program.call("placeOrder", body={"petId": pet["id"]})).value["petId"] == pet["id"]


@scenario(
    "An OAuth client is registered, shown, and removed",
    "createOauthClient",
    "listOauthClients",
    "getOauthClient",
    "deleteOauthClient",
)
async def test_oauth_clients(world: World, at: At, door: Door) -> None:
    staff = at(door, await world.staff(), world.target.first)
    body = {
        "name": "Paws & Claws blog",
        "redirectUris": ["https://blog.example/callback"],
        "grantTypes": ["AUTHORIZATION_CODE", "REFRESH_TOKEN"],
        "scopes": ["read:pets"],
        "confidential": True,
    }
    made = (await staff.call("createOauthClient", body=body)).value
    assert made.pop("secret")
    assert (await staff.call("getOauthClient", id=made["id"])).value == made
    assert made["id"] in [client["id"] for client in (await staff.call("listOauthClients")).value["data"]]
    await staff.call("deleteOauthClient", id=made["id"])
    assert (await refusal(staff.call("getOauthClient", id=made["id"]))).code == "not-found"


@scenario("Nobody else ends what a user allowed an application", "listGrants", "endGrant")
async def test_grants(world: World, at: At, door: Door) -> None:
    customer = at(door, await world.customer(), world.target.first)
    assert (await customer.call("listGrants")).value["data"] == []
    assert (await refusal(customer.call("endGrant", id=new_id()))).code == "not-found"


@scenario(
    "A device is provisioned, listed, and removed", "createDevice", "listDevices", "getDevice", "deleteDevice"
)
async def test_devices(world: World, at: At, door: Door) -> None:
    pet = await world.pet()
    staff = at(door, await world.staff(), world.target.first)
    made = (await staff.call("createDevice", body={"name": "Collar", "petIds": [pet["id"]]})).value
    assert made.pop("password")
    assert (await staff.call("getDevice", id=made["id"])).value == made
    assert (await staff.call("listDevices")).value["data"] == [made]
    await staff.call("deleteDevice", id=made["id"])
    assert (await refusal(staff.call("getDevice", id=made["id"]))).code == "not-found"


@scenario("A device reports by a call how a pet is", "reportPetHealth")
async def test_report(world: World, at: At, door: Door) -> None:
    pet, other = await world.pet(), await world.pet()
    staff = await world.staff()
    made = await world.ask("POST", "/v1/devices", staff, {"name": "Collar", "petIds": [pet["id"]]})
    login = {name: made[name] for name in ("username", "password")}
    tokens = await world.ask("POST", "/v1/auth/tokens", world.visitor, login)
    device = at(door, Person(world.tenant, tokens["accessToken"]), world.target.first)
    body = {
        "heartRateBpm": 92, "temperatureC": 38.5, "activity": "WALKING", "measuredAt": "2026-03-02T09:30:00.125Z"
    }  # fmt: skip
    assert (await device.call("reportPetHealth", id=pet["id"], body=body)).value == body
    wrong = await refusal(device.call("reportPetHealth", id=pet["id"], body={**body, "heartRateBpm": -1}))
    assert (wrong.code, wrong.fields) == ("validation-error", (("heartRateBpm", "OUT_OF_RANGE"),))
    assert (await refusal(device.call("reportPetHealth", id=other["id"], body=body))).code == "forbidden"
    agent = at(door, staff, world.target.last)
    assert (await refusal(agent.call("reportPetHealth", id=pet["id"], body=body))).code == "forbidden"


@scenario("A tenant is filled with demo data, and emptied", "seedTenant", "resetTenant", "listPets")
async def test_tenant(world: World, at: At, door: Door) -> None:
    staff = at(door, await world.staff(), world.target.first)
    assert (await staff.call("seedTenant")).value["pets"] >= 60
    assert len((await staff.call("listPets", limit=100)).value["data"]) >= 45
    wrong = staff.call("resetTenant", confirm="00000000-0000-4000-8000-000000000000")
    assert (await refusal(wrong)).code == "bad-request"
    await staff.call("resetTenant", confirm=world.tenant)
    assert (await staff.call("listPets", status=["ALL"])).value["data"] == []


_CHAT = ("openChat", "getChat", "listChats", "sendMessage", "listMessages", "assignChat", "closeChat")


@scenario("A chat is opened, taken by an agent, held, and closed by calls", *_CHAT)
async def test_chat(world: World, at: At, door: Door) -> None:
    customer = at(door, await world.customer(), world.target.first)
    agent = at(door, await world.staff(), world.target.last)
    chat = (await customer.call("openChat", body={"subject": "Momo"})).value
    assert chat["status"] == "WAITING"
    taken = (await agent.call("assignChat", id=chat["id"])).value
    assert taken["status"] == "ASSIGNED"
    said = (
        await customer.call("sendMessage", id=chat["id"], body={"text": "Hello", "clientMessageId": "1"})
    ).value
    again = (
        await customer.call("sendMessage", id=chat["id"], body={"text": "Hello", "clientMessageId": "1"})
    ).value
    assert again == said
    answered = (await agent.call("sendMessage", id=chat["id"], body={"text": "Good day"})).value
    messages = (await customer.call("listMessages", id=chat["id"])).value["data"]
    assert [message["text"] for message in messages if message["senderRole"] != "SYSTEM"] == [
        "Hello",
        "Good day",
    ]
    assert answered["senderRole"] == "AGENT"
    assert [found["id"] for found in (await agent.call("listChats")).value["data"]] == [chat["id"]]
    assert (await customer.call("closeChat", id=chat["id"])).value["status"] == "CLOSED"
    assert (await refusal(agent.call("sendMessage", id=chat["id"], body={"text": "?"}))).code == "conflict"
    assert (await agent.call("getChat", id=chat["id"])).value["status"] == "CLOSED"


@scenario("A message is marked as delivered and read by calls", "sendMessage", "markDelivered", "markRead")
async def test_marks(world: World, at: At, door: Door) -> None:
    person = await world.customer()
    customer = at(door, person, world.target.first)
    agent = at(door, await world.staff(), world.target.last)
    chat = await world.ask("POST", "/v1/chats", person, {"subject": "Momo"})
    said = (await customer.call("sendMessage", id=chat["id"], body={"text": "Hello"})).value
    await world.ask("POST", f"/v1/chats/{chat['id']}/assignment", await world.staff(), {})
    delivered = (await agent.call("markDelivered", id=chat["id"], messageId=said["id"])).value
    assert delivered["deliveredAt"] >= said["sentAt"]
    assert "readAt" not in delivered
    read = (await agent.call("markRead", id=chat["id"], messageId=said["id"])).value
    assert read["readAt"] >= delivered["deliveredAt"]
