"""Every error of the table is the same error at every door."""

import uuid
from dataclasses import replace

from core.kernel.cursor import Cursor
from core.kernel.ids import TenantId
from tests.conformance.conftest import At
from tests.conformance.door import Ability, Refused, refusal
from tests.conformance.manifest import Door
from tests.conformance.people import PASSWORD, Person, World
from tests.conformance.scenario import scenario
from tests.conformance.target import Target
from tests.conformance.test_orders import payment

PET = {"name": "Rex", "species": "DOG", "ageMonths": 12, "price": "75.00"}


@scenario("bad-request: the tenant is no UUID", "searchPets")
async def test_bad_tenant(world: World, at: At, door: Door) -> None:
    nobody = at(door, Person("nonsense"), world.target.first)
    assert (await refusal(nobody.call("searchPets", body={}))).code == "bad-request"


@scenario("unauthorized: no token, or a bad one", "placeOrder", "listOrders", "searchPets")
async def test_unauthorized(world: World, at: At, door: Door) -> None:
    visitor = at(door, world.visitor, world.target.first)
    assert (await refusal(visitor.call("listOrders"))).code == "unauthorized"
    impostor = at(door, Person(world.tenant, "not.a.token"), world.target.first)
    order = impostor.call("placeOrder", body={"petId": (await world.pet())["id"]})
    for call in (impostor.call("searchPets", body={}), order):
        assert (await refusal(call)).code == "unauthorized"


@scenario("unauthorized: a wrong password", "login")
async def test_wrong_password(world: World, at: At, door: Door) -> None:
    customer = await world.customer()
    visitor = at(door, world.visitor, world.target.first)
    for name in (customer.username, "nobody at all"):
        body = {"username": name, "password": PASSWORD + "!"}
        assert (await refusal(visitor.call("login", body=body))).code == "unauthorized"


@scenario("unauthorized and forbidden: STAFF alone keeps pets", "createPet")
async def test_staff_alone(world: World, at: At, door: Door) -> None:
    for person, code in ((world.visitor, "unauthorized"), (await world.customer(), "forbidden")):
        caller = at(door, person, world.target.first)
        assert (await refusal(caller.call("createPet", body=PET))).code == code


@scenario(
    "forbidden: a token is for its own tenant, and for what was granted", "listOrders", "placeOrder", "searchPets"
)  # fmt: skip
async def test_forbidden(world: World, at: At, door: Door) -> None:
    person, pet = await world.customer(), await world.pet()
    abroad = at(door, replace(person, tenant=str(uuid.uuid4())), world.target.first)
    assert (await refusal(abroad.call("searchPets", body={}))).code == "forbidden"
    reader = at(door, await world.program("read:orders"), world.target.first)
    assert (await reader.call("listOrders")).value["data"] == []
    assert (await refusal(reader.call("placeOrder", body={"petId": pet["id"]}))).code == "forbidden"


@scenario("not-found: another tenant's pet looks like a missing one", "getPet")
async def test_not_found(world: World, at: At, door: Door) -> None:
    pet = await world.pet()
    for person, pet_id in (
        (world.visitor, "019e2d15-51aa-7c36-9e02-7d4b6f8a0c12"),
        (Person(str(uuid.uuid4())), pet["id"]),
    ):
        missing = await refusal(at(door, person, world.target.last).call("getPet", id=pet_id))
        assert missing.code == "not-found"


@scenario("conflict: the pet is reserved", "placeOrder")
async def test_conflict(world: World, at: At, door: Door) -> None:
    order = await world.order(await world.customer())
    other = at(door, await world.customer("other"), world.target.last)
    assert (await refusal(other.call("placeOrder", body={"petId": order["petId"]}))).code == "conflict"


@scenario("conflict: the name is taken, in whatever case", "registerUser")
async def test_taken(world: World, at: At, door: Door) -> None:
    person = await world.customer()
    assert person.username is not None
    body = {
        "username": person.username.upper(), "email": "new@example.com", "password": PASSWORD,
        "firstName": "A", "lastName": "B",
    }  # fmt: skip
    visitor = at(door, world.visitor, world.target.last)
    assert (await refusal(visitor.call("registerUser", body=body))).code == "conflict"


@scenario("validation-error: every violation of the body with its field and code", "createPet")
async def test_validation(world: World, at: At, door: Door) -> None:
    staff = at(door, await world.staff(), world.target.first)
    body = {"name": "x" * 51, "species": "DOG", "ageMonths": -1, "price": "cheap"}
    error = await refusal(staff.call("createPet", body=body))
    assert error.code == "validation-error"
    assert sorted(error.fields) == [
        ("ageMonths", "OUT_OF_RANGE"),
        ("name", "INVALID_LENGTH"),
        ("price", "INVALID_FORMAT"),
    ]


@scenario("validation-error: a violation within a list, by its path", "placeOrder", "payOrder")
async def test_nested_validation(world: World, at: At, door: Door) -> None:
    person = await world.customer()
    customer = at(door, person, world.target.first)
    nested = await refusal(customer.call("placeOrder", body={"items": [{"petId": "rex"}, {"petId": "tom"}]}))
    assert sorted(nested.fields) == [
        ("items[0].petId", "INVALID_FORMAT"),
        ("items[1].petId", "INVALID_FORMAT"),
    ]
    order = await world.order(person)
    wrong = {**payment(number="4242", expMonth=13), "amount": "cheap"}
    unpaid = await refusal(customer.call("payOrder", id=order["id"], body=wrong))
    assert sorted(unpaid.fields) == [
        ("amount", "INVALID_FORMAT"),
        ("source.expMonth", "OUT_OF_RANGE"),
        ("source.number", "INVALID_FORMAT"),
    ]


@scenario("payload-too-large: more than a mebibyte", "searchPets")
async def test_too_large(world: World, at: At, door: Door) -> None:
    visitor = at(door, world.visitor, world.target.first)
    large = visitor.call("searchPets", body={"criteria": {"text": "x" * (2 << 20)}})
    assert (await refusal(large)).code == "payload-too-large"
    assert (await visitor.call("searchPets", body={})).value["data"] == []


@scenario("rate-limit-exceeded: after too many requests, with the time to wait", "searchPets", own=True)
async def test_rate_limit(strict: Target, at: At, door: Door) -> None:
    async with World(strict) as world:
        customer = at(door, await world.customer(), strict.first)

        async def until_refused() -> Refused:
            for _ in range(50):
                try:
                    await customer.call("searchPets", body={})
                except Refused as error:
                    return error
            raise AssertionError("never refused")

        error = await until_refused()
    assert error.code == "rate-limit-exceeded"
    assert error.retry_after is not None
    assert 1 <= error.retry_after <= 60


@scenario("A stream is refused to a bad token, a token of elsewhere, and a bad filter", Ability.FOLLOW)
async def test_refused_stream(world: World, at: At, door: Door) -> None:
    person = await world.customer()
    first = world.target.first
    impostor = at(door, Person(world.tenant, "not.a.token"), first)
    assert (await refusal(impostor.follow("pets/#"))).code in impostor.says("unauthorized")
    abroad = at(door, replace(person, tenant=str(uuid.uuid4())), first)
    assert (await refusal(abroad.follow("pets/#"))).code in abroad.says("forbidden")
    for bad in ("pets/#/more", "pets/+x", ""):
        code = (await refusal(at(door, person, first).follow(bad))).code
        assert code in door.driver.says("bad-request"), bad


@scenario("A stream of what one may not see is refused, whether it exists or not", Ability.FOLLOW)
async def test_forbidden_stream(world: World, at: At, door: Door) -> None:
    order = await world.order(await world.customer())
    others = at(door, await world.customer("other"), world.target.last)
    for order_id in (order["id"], "019e2d15-51aa-7c36-9e02-7d4b6f8a0c12"):
        code = (await refusal(others.follow(f"orders/{order_id}/status"))).code
        assert code in door.driver.says("forbidden")
    visitor = at(door, world.visitor, world.target.last)
    for topic in ("orders/+/status", "chats/#", f"orders/{order['id']}/status"):
        code = (await refusal(visitor.follow(topic))).code
        assert code in door.driver.says("forbidden") | {"unauthorized"}, topic


@scenario("A stream with too many filters is refused", Ability.FOLLOW)
async def test_too_many_filters(world: World, at: At, door: Door) -> None:
    topics = [f"pets/{number}" for number in range(101)]
    many = at(door, world.visitor, world.target.first).follow(*topics)
    assert (await refusal(many)).code in door.driver.says("bad-request")


@scenario("A cursor that is broken, of another tenant, or no longer in the log is refused", Ability.RESUME)
async def test_bad_cursor(world: World, at: At, door: Door) -> None:
    visitor = at(door, world.visitor, world.target.first)
    assert (await refusal(visitor.follow("pets/#", cursor="nonsense"))).code == "bad-request"
    async with World(world.target) as other:
        await other.pet()
        async with at(door, other.visitor, world.target.first).follow("pets/#") as stream:
            theirs = stream.cursor
    assert (await refusal(visitor.follow("pets/#", cursor=theirs))).code == "bad-request"
    await world.pet()
    async with visitor.follow("pets/#") as stream:
        here = Cursor.decode(stream.cursor, TenantId(world.tenant))
    for gone in (replace(here, sequence=here.sequence + 1000), replace(here, epoch=here.epoch ^ 1)):
        error = await refusal(visitor.follow("pets/#", cursor=gone.encode()))
        assert error.code == "cursor-expired"
        assert error.oldest_cursor is not None
        async with visitor.follow("pets/#", cursor=error.oldest_cursor) as again:
            assert (await again.next())["eventType"] == "pet.created"
