"""GraphQL over HTTP: what is asked, how it is answered, and what is refused."""

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLObjectType,
    build_client_schema,
    get_introspection_query,
    is_specified_scalar_type,
    print_schema,
)

from core.kernel.errors import ErrorCode
from core.kernel.ids import new_id
from core.services.catalogue import OPERATIONS
from protocols.graphql.bindings import BINDINGS, LEFT_OUT
from protocols.graphql.errors import CODES
from protocols.graphql.schema import executable_schema
from protocols.graphql.shape import MOST
from tests.core.stores import PUBLIC_URL
from tests.pictures import PNG
from tests.protocols.graphql.clients import add_order, add_pet, data_of, errors_of, post
from tests.protocols.live import Live, live, new_tenant

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
RESPONSE_JSON = "application/graphql-response+json"
NOBODY = "019e2d14-2b7c-7a90-8d11-3e5f7a9c1b20"


def often(field: str, times: int = 30) -> str:
    """A field many times, each by another name."""
    return " ".join(f"a{number}: {field}" for number in range(times))


def test_every_operation_has_a_field_or_a_reason() -> None:
    bound = {binding.operation for binding in BINDINGS}
    left_out = {*LEFT_OUT, *(operation for operation in OPERATIONS if operation.classic)}
    assert set(OPERATIONS) - bound == left_out
    assert not bound & left_out


def test_every_error_has_a_code_of_its_own() -> None:
    assert set(CODES) == set(ErrorCode)
    assert len(set(CODES.values())) == len(CODES)


async def test_a_pet_is_made_changed_found_and_removed(node: Live) -> None:
    staff = node.staff_token()
    pet_id = await add_pet(node, staff)
    found = await data_of(
        node,
        """query($id: ID!) { pet(id: $id) { name species price createdAt status etag }
        pets(species: DOG, ageMin: 2, ageMax: 4) { id }
        petSearch(criteria: {text: "rex", priceRange: {min: 70}}, sort: {field: AGE_MONTHS, order: DESC}) {
          data { id } pagination { totalItems totalPages } }
        inventory { available bySpecies { DOG { available } CAT { available } } }
        inventories(status: [AVAILABLE]) { AVAILABLE PENDING } }""",
        variables={"id": pet_id},
    )
    assert found["pet"]["price"] == "75.00"
    assert found["pet"]["createdAt"].endswith("Z")
    assert found["pets"] == [{"id": pet_id}]
    assert found["petSearch"] == {"data": [{"id": pet_id}], "pagination": {"totalItems": 1, "totalPages": 1}}
    assert found["inventory"]["bySpecies"] == {"DOG": {"available": 1}, "CAT": {"available": 0}}
    assert found["inventories"] == {"AVAILABLE": 1, "PENDING": None}
    changed = await data_of(
        node,
        """mutation($id: ID!, $etag: String!) {
        updatePet(id: $id, input: {breed: "Beagle", color: null}, ifMatch: $etag) { breed color name } }""",
        staff,
        variables={"id": pet_id, "etag": found["pet"]["etag"]},
    )
    assert changed["updatePet"] == {"breed": "Beagle", "color": None, "name": "Rex"}
    stale = await errors_of(
        node,
        "mutation($id: ID!, $etag: String!) { deletePet(id: $id, ifMatch: $etag) }",
        staff,
        variables={"id": pet_id, "etag": found["pet"]["etag"]},
    )
    assert [error["extensions"]["code"] for error in stale] == ["PRECONDITION_FAILED"]
    gone = await data_of(node, "mutation($id: ID!) { deletePet(id: $id) }", staff, variables={"id": pet_id})
    assert gone == {"deletePet": True}


async def test_an_order_is_placed_paid_and_delivered(node: Live) -> None:
    staff = node.staff_token()
    order_id = await add_order(node, staff)
    paid = await data_of(
        node,
        """mutation($id: ID!) { payOrder(orderId: $id, input: {amount: "75.00", currency: USD, source:
        {object: CARD, name: "A", number: "4242424242424242", cvc: "123", expMonth: 12, expYear: 2030}}) {
        status receiptId source { __typename ... on MaskedCard { object number } } } }""",
        staff,
        variables={"id": order_id},
    )
    assert paid["payOrder"]["status"] == "SUCCEEDED"
    assert paid["payOrder"]["source"]["__typename"] == "MaskedCard"
    assert paid["payOrder"]["source"]["object"] == "CARD"
    assert paid["payOrder"]["source"]["number"].endswith("4242")
    moved = await data_of(
        node,
        """mutation($id: ID!) { shipped: updateOrder(id: $id, input: {status: SHIPPED}) { status }
        delivered: updateOrder(id: $id, input: {status: DELIVERED}) { status items { pet { status } } } }""",
        staff,
        variables={"id": order_id},
    )
    assert moved["shipped"] == {"status": "SHIPPED"}
    assert moved["delivered"] == {"status": "DELIVERED", "items": [{"pet": {"status": "ADOPTED"}}]}


async def test_a_bank_account_is_charged_by_variables(node: Live) -> None:
    staff = node.staff_token()
    source = {
        "object": "BANK_ACCOUNT",
        "accountHolderName": "A",
        "accountNumber": "000123456789",
        "routingNumber": "110000000",
        "accountType": "CHECKING",
    }
    query = """mutation($id: ID!, $input: PaymentInput!) { payOrder(orderId: $id, input: $input) {
    source { ... on MaskedBankAccount { object } } } }"""
    variables = {
        "id": await add_order(node, staff),
        "input": {"amount": "75.00", "currency": "USD", "source": source},
    }
    paid = await data_of(node, query, staff, variables=variables)
    assert paid["payOrder"]["source"] == {"object": "BANK_ACCOUNT"}
    source["object"] = "GIFT"
    assert (await errors_of(node, query, staff, variables=variables))[0]["extensions"][
        "code"
    ] == "BAD_REQUEST"


async def test_one_bad_argument_leaves_the_rest_of_an_answer(node: Live) -> None:
    query = """{ pets(limit: 0) { id } petSearch(pagination: {page: 0}) { data { id } } inventory { total }
    chatMessages(chatId: "x") { data { id } } }"""
    answer = (await post(node, query, node.staff_token())).json()
    assert answer["data"] == {
        "pets": None,
        "petSearch": None,
        "inventory": {"total": 0},
        "chatMessages": None,
    }
    assert {error["path"][0]: error["message"].partition(":")[0] for error in answer["errors"]} == {
        "pets": "limit",
        "petSearch": "The input has one violation.",
        "chatMessages": "chatId",
    }


async def test_an_order_is_of_one_pet_or_of_several(node: Live) -> None:
    staff, buyer = node.staff_token(), node.member()
    pets = [await add_pet(node, staff) for _ in range(3)]
    query = """mutation($input: OrderInput!, $user: ID) {
    placeOrder(input: $input, userId: $user) { userId items { petId } } }"""
    variables = {"input": {"items": [{"petId": pet} for pet in pets[:2]]}, "user": None}
    several = await data_of(node, query, node.token(buyer), variables=variables)
    assert several["placeOrder"]["items"] == [{"petId": pet} for pet in pets[:2]]
    assert several["placeOrder"]["userId"] == buyer.user_id
    for neither in ({}, {"petId": pets[2], "items": [{"petId": pets[2]}]}, {"petId": None}):
        refused = await errors_of(node, query, staff, variables={"input": neither})
        assert refused[0]["extensions"]["code"] == "BAD_REQUEST"
    refused = await errors_of(
        node, query, node.token(buyer), variables={"input": {"petId": pets[2]}, "user": new_id()}
    )
    assert refused[0]["extensions"]["code"] == "FORBIDDEN"


async def test_a_repeated_key_has_no_second_effect(node: Live) -> None:
    staff = node.staff_token()
    query = """mutation { createPet(input: {name: "Rex", species: DOG, ageMonths: 3, price: 1},
    idempotencyKey: "once") { id } }"""
    assert await data_of(node, query, staff) == await data_of(node, query, staff)
    [refused] = await errors_of(node, query.replace("Rex", "Max"), staff)
    assert [violation["field"] for violation in refused["extensions"]["errors"]] == ["idempotencyKey"]


async def test_an_image_comes_as_base64(node: Live) -> None:
    staff = node.staff_token()
    query = """mutation($id: ID!, $file: Base64!) { uploadPetImage(petId: $id, input: {file: $file}) { url size } }"""
    pet_id = await add_pet(node, staff)
    image = base64.b64encode(PNG).decode()
    answer = await data_of(node, query, staff, variables={"id": pet_id, "file": image})
    assert answer["uploadPetImage"]["url"].startswith(f"{PUBLIC_URL}/v1/pets/{pet_id}/images/")
    refused = await errors_of(node, query, staff, variables={"id": pet_id, "file": "no base64!"})
    assert refused[0]["extensions"]["errors"][0]["field"] == "file"
    node.store.limits = replace(node.store.limits, tenant_image_bytes=len(PNG))
    refused = await errors_of(node, query, staff, variables={"id": pet_id, "file": image})
    assert refused[0]["extensions"]["code"] == "CONFLICT"


async def test_somebody_registers_logs_in_and_reads_himself(node: Live) -> None:
    headers = {"X-Tenant-ID": new_tenant()}
    await data_of(
        node,
        """mutation { registerUser(input: {username: "maria", email: "m@example.com", password: "correct horse",
        firstName: "Maria", lastName: "Lopez"}) { id roles } }""",
        headers=headers,
    )
    login = await data_of(
        node,
        'mutation { login(input: {username: "maria", password: "correct horse"}) { accessToken tokenType } }',
        headers=headers,
    )
    me = await data_of(
        node, "{ me { username roles preferences { newsletter } } }", login["login"]["accessToken"]
    )
    assert me["me"] == {"username": "maria", "roles": ["STAFF"], "preferences": {"newsletter": False}}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (f'{{ pet(id: "{NOBODY}") {{ id }} }}', "NOT_FOUND"),
        ("{ pet(id: \"x\") { id } }", "BAD_REQUEST"),
        ("{ orders { id } }", "UNAUTHENTICATED"),
        ("{ pets { nothing } }", "BAD_REQUEST"),
        ("{ pets {", "BAD_REQUEST"),
        ("query A { __typename } query B { __typename }", "BAD_REQUEST"),
        ("{ pets(status: [SOLD]) { id } }", "BAD_REQUEST"),
        ("{ pets(limit: 101) { id } }", "BAD_REQUEST"),
    ],
)  # fmt: skip
async def test_an_error_has_the_code_of_the_table(node: Live, query: str, code: str) -> None:
    assert [error["extensions"]["code"] for error in await errors_of(node, query)] == [code]


async def test_known_callers_without_the_right_are_forbidden_and_conflicts_told(node: Live) -> None:
    customer, staff = node.token(node.member()), node.staff_token()
    query = 'mutation { createPet(input: {name: "", species: DOG, ageMonths: -1, price: "1.234"}) { id } }'
    assert (await errors_of(node, query, customer))[0]["extensions"]["code"] == "FORBIDDEN"
    error = (await errors_of(node, query, staff))[0]["extensions"]
    assert error["code"] == "VALIDATION_ERROR"
    assert {(one["field"], one["code"]) for one in error["errors"]} == {
        ("name", "INVALID_LENGTH"),
        ("ageMonths", "OUT_OF_RANGE"),
        ("price", "INVALID_FORMAT"),
    }
    pet = await add_pet(node, staff)
    order = "mutation($id: ID!) { placeOrder(input: {petId: $id}) { id } }"
    await data_of(node, order, variables={"id": pet})
    assert (await errors_of(node, order, variables={"id": pet}))[0]["extensions"]["code"] == "CONFLICT"


async def test_one_refused_field_leaves_the_others(node: Live) -> None:
    answer = await post(node, "{ pets { id } orders { id } }")
    assert answer.status_code == 200
    assert answer.json()["data"] == {"pets": [], "orders": None}
    assert answer.json()["errors"][0]["path"] == ["orders"]


@pytest.mark.parametrize(
    ("accept", "kind", "status"),
    [
        (RESPONSE_JSON, RESPONSE_JSON, 400),
        ("application/json", "application/json", 200),
        ("*/*", "application/json", 200),
        (f"application/json;q=0.5, {RESPONSE_JSON}", RESPONSE_JSON, 400),
        (f"application/json, {RESPONSE_JSON};q=0.5", "application/json", 200),
        (f"{RESPONSE_JSON};q=0, */*", "application/json", 200),
        (f"{RESPONSE_JSON}, application/json, text/event-stream", RESPONSE_JSON, 400),
        ("text/event-stream, */*", "text/event-stream", 200),
    ],
)
async def test_the_media_type_asked_for_decides_the_status(
    node: Live, accept: str, kind: str, status: int
) -> None:
    answer = await post(node, "{ nothing }", headers={"Accept": accept})
    assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"method": "POST", "content": b"{ pets }", "headers": {"Content-Type": "text/plain"}}, 415),
        ({"method": "POST", "content": b"query=x", "headers": FORM}, 415),
        ({"method": "POST", "content": b"{}", "headers": {"Content-Type": "application/json; charset=latin-1"}}, 415),
        ({"method": "POST", "json": {"query": "{ __typename }"}, "headers": {"Content-Encoding": "gzip"}}, 415),
        ({"method": "POST", "content": b"{", "headers": {"Content-Type": "application/json"}}, 400),
        ({"method": "POST", "json": [{"query": "{ __typename }"}]}, 400),
        ({"method": "POST", "json": {"query": "{ __typename }", "variables": []}}, 400),
        ({"method": "POST", "json": {"query": "x" * 1_100_000}}, 413),
        ({"method": "POST", "json": {"query": "{ __typename }"}, "headers": {"Accept": "image/png"}}, 406),
        ({"method": "POST", "json": {"query": "subscription { events(topics: []) { id } }"}}, 400),
        ({"method": "POST", "json": {"query": "{ __typename }"}, "headers": {"Authorization": "Bearer x"}}, 401),
        ({"method": "POST", "json": {"query": "{ __typename }"}, "headers": {"X-Tenant-ID": "x"}}, 400),
        ({"method": "GET", "params": {"query": "mutation { logout }"}}, 405),
        ({"method": "GET"}, 400),
        ({"method": "OPTIONS"}, 204),
    ],
)  # fmt: skip
async def test_what_is_no_request_is_refused(node: Live, request_: dict[str, Any], status: int) -> None:
    answer = await node.get("/v1/graphql", **request_)
    assert answer.status_code == status
    if status != 204:
        assert answer.json()["errors"][0]["extensions"]["code"]
    if status in (204, 405):
        assert "POST" in answer.headers["allow"]
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_queries_may_come_by_get(node: Live) -> None:
    params = {"query": "query($n: Int) { pets(limit: $n) { id } }", "variables": '{"n": 1}'}
    answer = await node.get("/v1/graphql", params=params)
    assert answer.json() == {"data": {"pets": []}}


async def test_a_browser_gets_graphiql_with_assets_of_ours_alone(node: Live) -> None:
    page = await node.get("/v1/graphql", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(
        directive.split(" ", 1) for directive in page.headers["content-security-policy"].split("; ")
    )
    assert (policy["default-src"], policy["script-src"], policy["worker-src"]) == (
        "'none'",
        "'self'",
        "'self'",
    )
    assert [name for name, sources in policy.items() if "unsafe-" in sources] == ["style-src-attr"]
    assert "http" not in page.text
    assert 'src="../v1/assets/graphql-' in page.text


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("{ " + often("inventory { total }", MOST["aliases"] + 1) + " }", "aliases"),
        ("{ " + often("orders(limit: 100) { items { pet { owner { id } } } }") + " }", "fields"),
        ("{ " + "pets { id } " * 950 + "}", "one name"),
        ("query($n: Int) { " + often("pets(limit: $n) { id name price status breed }") + " }", "fields"),
        ("query($m: Int = 100) { " + often("pets(limit: $m) { id name price status breed }") + " }", "fields"),
        ("fragment F on Pet { ...F } { pets { ...F } }", "itself"),
        ("{ __schema { " + often("types { name }", MOST["aliases"] + 1) + " } }", "aliases"),
        ("{ pets(limit: " + "9" * 5000 + ") { id } }", "int"),
        ("{ __schema { types " + "{ fields { type " * 4 + "{ name }" + " } }" * 4 + " } }", "introspection"),
    ],
)  # fmt: skip
async def test_what_would_cost_too_much_is_refused_before_it_runs(node: Live, query: str, what: str) -> None:
    answer = await post(node, query, variables={"n": 1000})
    assert answer.status_code == 400
    assert what in answer.text.lower()
    assert "data" not in answer.json()


async def test_ids_may_be_longer_than_numbers(node: Live) -> None:
    query = "query($id: ID = " + "9" * 5000 + ") { pet(id: $id) { id } }"
    assert (await errors_of(node, query))[0]["message"] == "id: must be a UUID"


async def test_introspection_is_open(node: Live) -> None:
    found = await data_of(node, get_introspection_query(descriptions=True))
    assert "petStatusChanged" in print_schema(build_client_schema(found))


async def test_requests_count_against_the_budget_of_every_door(tmp_path: Path) -> None:
    async with live(tmp_path, requests_per_minute=2) as node:
        first = await post(node, "{ __typename }")
        assert first.headers["ratelimit-remaining"] == "1"
        await post(node, "{ __typename }")
        last = await post(node, "{ __typename }")
        assert last.status_code == 429
        assert int(last.headers["retry-after"]) > 0
        assert last.json()["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert last.json()["errors"][0]["extensions"]["retryAfter"] > 0


async def test_a_token_of_another_tenant_is_forbidden(node: Live) -> None:
    answer = await post(node, "{ __typename }", node.staff_token(), headers={"X-Tenant-ID": new_tenant()})
    assert answer.status_code == 403
    assert answer.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_tenants_do_not_see_each_other(node: Live) -> None:
    here, there = new_tenant(), new_tenant()
    pet = await add_pet(node, node.staff_token(here))
    query = "query($id: ID!) { pet(id: $id) { id } }"
    assert await data_of(node, query, variables={"id": pet}, headers={"X-Tenant-ID": here})
    hidden = await errors_of(node, query, variables={"id": pet}, headers={"X-Tenant-ID": there})
    assert hidden[0]["extensions"]["code"] == "NOT_FOUND"


async def test_pages_of_other_origins_are_let_in_where_they_are_named(tmp_path: Path) -> None:
    async with live(tmp_path, origins=("https://shop.example",)) as node:
        answer = await post(node, "{ __typename }", headers={"Origin": "https://shop.example"})
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"


async def test_an_internal_error_tells_nothing(node: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(node.store, "execute", broken)
    answer = await post(node, '{ pet(id: "x") { id } }')
    assert answer.json()["errors"][0]["extensions"] == {"code": "INTERNAL"}
    assert "secret" not in answer.text


async def test_a_client_that_leaves_in_the_middle_of_its_body_leaves_nothing(node: Live) -> None:
    head = b"POST /v1/graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n"
    async with node.raw() as client:
        client.send(head + b"{")
    assert await data_of(node, "{ __typename }") == {"__typename": "Query"}


def test_everything_in_the_schema_says_what_it_is() -> None:
    undescribed = []
    for name, kind in executable_schema().type_map.items():
        if name.startswith("__") or is_specified_scalar_type(kind):
            continue
        members: dict[str, Any] = {}
        if isinstance(kind, GraphQLObjectType | GraphQLInputObjectType):
            members |= kind.fields
        if isinstance(kind, GraphQLObjectType):
            members |= {f"{n}({a})": one for n, field in kind.fields.items() for a, one in field.args.items()}
        if isinstance(kind, GraphQLEnumType):
            members |= kind.values
        undescribed += [name] if not kind.description else []
        undescribed += [f"{name}.{member}" for member, one in members.items() if not one.description]
    assert undescribed == []
