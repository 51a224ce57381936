"""Where the classic door asks for credentials, it gives the rights that they give at all other doors."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.http_clients import TLS
from tests.process import Gateway
from tests.protocols.classic.conftest import BASE
from tests.waiting import TIMEOUT_SECONDS

PASSWORD = "correct horse battery"
PET = {"id": 1, "name": "Rex", "photoUrls": []}


@dataclass
class Shop:
    """A private tenant: its owner, a customer, a visitor, and who has an API key that writes pets alone."""

    owner: httpx.Client
    customer: httpx.Client
    visitor: httpx.Client
    key: httpx.Client
    modern: httpx.Client


@pytest.fixture(scope="module")
def shop(guarded: Gateway) -> Iterator[Shop]:
    tenant = {"X-Tenant-ID": str(uuid.uuid4())}

    def client(base: str = BASE, **headers: str) -> httpx.Client:
        return httpx.Client(
            base_url=guarded.url + base, headers={**tenant, **headers}, verify=TLS, timeout=TIMEOUT_SECONDS
        )

    modern, tokens = client("/v1"), []
    for name in ("owner", "customer"):
        draft = {"username": name, "email": f"{name}@example.com", "firstName": "A", "lastName": "B"}
        assert modern.post("/users", json={**draft, "password": PASSWORD}).status_code == 201
        login = modern.post("/auth/tokens", json={"username": name, "password": PASSWORD})
        tokens.append(f"Bearer {login.json()['accessToken']}")
    modern.headers["Authorization"] = tokens[0]
    key = modern.post("/api-keys", json={"name": "Key", "scopes": ["write:pets"]}).json()["key"]
    shop = Shop(
        client(Authorization=tokens[0]),
        client(Authorization=tokens[1]),
        client(),
        client(api_key=key),
        modern,
    )
    yield shop
    for one in (shop.owner, shop.customer, shop.visitor, shop.key, shop.modern):
        one.close()


def test_who_may_write_pets(shop: Shop) -> None:
    for method, path, body in (
        ("POST", "/pet", PET),
        ("PUT", "/pet", PET),
        ("POST", "/pet/1?name=a", None),
        ("DELETE", "/pet/1", None),
        ("POST", "/pet/1/uploadImage", None),
    ):
        refused = shop.visitor.request(method, path, json=body)
        assert (refused.status_code, refused.json()["code"]) == (401, 401)
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert shop.customer.request(method, path, json=body).status_code == 403
    assert shop.owner.post("/pet", json=PET).status_code == 200
    assert shop.key.put("/pet", json={**PET, "name": "by key"}).status_code == 200
    assert shop.visitor.get("/pet/1").json()["name"] == "by key"
    assert shop.visitor.get("/pet/findByStatus?status=available").status_code == 200
    assert shop.visitor.get("/store/inventory").status_code == 200
    for wrong in ({"api_key": "wrong"}, {"Authorization": "Bearer wrong"}):
        assert shop.visitor.get("/pet/1", headers=wrong).status_code == 401


def test_whose_an_order_is(shop: Shop) -> None:
    shop.owner.post("/pet", json=PET)
    assert shop.customer.post("/store/order", json={"id": 1, "petId": 1}).status_code == 200
    assert shop.visitor.post("/store/order", json={"id": 2, "petId": 1}).status_code == 200
    # Only the store says how far an order is.
    assert shop.customer.post("/store/order", json={"id": 1, "status": "delivered"}).status_code == 403
    assert shop.visitor.post("/store/order", json={"id": 3, "status": "approved"}).status_code == 401
    assert shop.owner.post("/store/order", json={"id": 2, "status": "approved"}).status_code == 200
    # An order of somebody else cannot be told from one that is not there, and nobody else changes it.
    assert shop.visitor.get("/store/order/1").text == "Order not found"
    assert shop.customer.get("/store/order/1").status_code == 200
    assert shop.visitor.get("/store/order/2").json()["status"] == "approved"
    assert shop.visitor.post("/store/order", json={"id": 1}).status_code == 401
    assert shop.customer.post("/store/order", json={"id": 2}).status_code == 403
    assert shop.visitor.delete("/store/order/1").status_code == 401
    # A key holds its scopes and no others, though somebody of the staff made it.
    assert shop.key.get("/store/order/2").status_code == 403
    assert shop.key.delete("/store/order/1").status_code == 403
    assert shop.customer.delete("/store/order/1").status_code == 200
    assert shop.customer.get("/store/order/1").status_code == 404


def test_orders_of_other_doors_are_not_found_by_guessing_their_numbers(shop: Shop) -> None:
    pet = shop.modern.post(
        "/pets", json={"name": "B", "species": "CAT", "ageMonths": 1, "price": "5.00"}
    ).json()
    with httpx.Client(
        base_url=shop.modern.base_url, headers={"X-Tenant-ID": shop.modern.headers["x-tenant-id"]}
    ) as visitor:
        order = visitor.post("/orders", json={"petId": pet["id"]}).json()
    number = order["number"]
    assert shop.visitor.get(f"/store/order/{number}").status_code == 404
    assert shop.owner.get(f"/store/order/{number}").json() == {
        "id": number, "petId": pet["number"], "quantity": 1, "status": "placed", "complete": False,
    }  # fmt: skip
    assert shop.owner.post("/store/order", json={"id": number}).status_code == 409
    assert shop.owner.delete(f"/store/order/{number}").status_code == 409
    # What an order has reserved is not for others to change or remove.
    assert shop.owner.post(f"/pet/{pet['number']}?name=C&status=sold").status_code == 409
    assert shop.owner.delete(f"/pet/{pet['number']}").status_code == 409
    assert shop.owner.post(f"/pet/{pet['number']}?name=C").json()["name"] == "C"


def test_whose_a_user_is(shop: Shop) -> None:
    ann = {"username": "ann", "password": "12345", "email": "ann@example.com"}
    assert shop.visitor.post("/user", json=ann).status_code == 200
    assert shop.visitor.post("/user", json={**ann, "password": "other"}).status_code == 401
    assert shop.customer.post("/user", json={**ann, "password": "other"}).status_code == 403
    assert shop.key.post("/user", json={**ann, "firstName": "Not Ann"}).status_code == 403
    assert shop.visitor.get("/user/ann").status_code == 401
    assert shop.customer.get("/user/ann").status_code == 404
    assert shop.customer.put("/user/ann", json=ann).status_code == 404
    assert shop.owner.get("/user/ann").json()["password"] == "XXXXXXXXXXX"
    good = shop.visitor.get("/user/login", params={"username": "ann", "password": "12345"})
    assert good.text.startswith("Logged in user session: ")
    for wrong in ({"username": "ann", "password": "x"}, {"username": "nobody", "password": "x"}):
        refused = shop.visitor.get("/user/login", params=wrong)
        assert (refused.status_code, refused.text) == (400, "Invalid username/password supplied")
    assert shop.visitor.get("/user/login").status_code == 400
    # Her password is too short for the modern doors; the staff may set another.
    login = {"username": "ann", "password": "12345"}
    assert shop.modern.post("/auth/tokens", json=login).status_code == 401
    assert shop.owner.put("/user/ann", json={**ann, "password": PASSWORD}).status_code == 200
    # She is a customer there, and what takes her present password there is not to be had here.
    tokens = shop.modern.post("/auth/tokens", json={**login, "password": PASSWORD}).json()
    own = {"Authorization": f"Bearer {tokens['accessToken']}"}
    assert "write:pets" not in tokens["scope"]
    assert shop.visitor.get("/user/ann", headers=own).json()["email"] == "ann@example.com"
    named = {**ann, "password": "XXXXXXXXXXX", "firstName": "Ann"}
    assert shop.visitor.put("/user/ann", json=named, headers=own).json()["firstName"] == "Ann"
    for change in ({"password": "another"}, {"email": "b@example.com"}):
        assert shop.visitor.put("/user/ann", json={**named, **change}, headers=own).status_code == 403
    # A new password, which the staff may set, ends her login.
    assert shop.owner.put("/user/ann", json={**ann, "password": "renewed"}).status_code == 200
    assert shop.visitor.get("/user/ann", headers=own).status_code == 401
    assert shop.visitor.get("/user/login", params={"username": "ann", "password": "renewed"}).is_success
    assert shop.owner.delete("/user/ann").status_code == 200
    assert shop.owner.get("/user/ann").status_code == 404


def test_accounts_of_other_doors_are_read_and_never_changed(shop: Shop) -> None:
    assert shop.customer.get("/user/customer").json()["email"] == "customer@example.com"
    assert shop.visitor.get("/user/customer").status_code == 401
    assert shop.customer.get("/user/owner").status_code == 404
    for someone in (shop.customer, shop.owner):
        assert someone.put("/user/customer", json={"username": "customer"}).status_code == 404
        assert someone.post("/user", json={"username": "customer"}).status_code == 409
        assert someone.delete("/user/customer").status_code == 200
    assert shop.customer.get("/user/customer").status_code == 200


def test_nobody_owns_a_tenant_by_the_classic_door(guarded: Gateway) -> None:
    tenant = {"X-Tenant-ID": str(uuid.uuid4())}
    first = httpx.post(
        f"{guarded.url}{BASE}/user", json={"username": "first", "password": "x"}, headers=tenant
    )
    assert first.status_code == 200
    draft = {"email": "a@example.com", "firstName": "A", "lastName": "B", "password": PASSWORD}
    owner = httpx.post(f"{guarded.url}/v1/users", json={**draft, "username": "owner"}, headers=tenant)
    assert owner.json()["roles"] == ["STAFF"]


def test_registrations_and_requests_have_their_budgets(guarded: Gateway) -> None:
    tenant = {"X-Tenant-ID": str(uuid.uuid4())}
    with httpx.Client(base_url=guarded.url + BASE, headers=tenant) as client:
        crowd = [{"username": f"user-{number}"} for number in range(40)]
        for size in (40, 21):
            long = client.post("/user/createWithList", json=crowd[:size])
            assert (long.status_code, "retry-after" in long.headers) == (400, False)
            assert long.json() == {"code": 400, "message": "Input error: A list has at most 20 users."}
        client.post("/user/createWithList", json=crowd[:20])
        spent = client.post("/user/createWithList", json=crowd[20:])
        assert spent.status_code == 429
        assert spent.json()["code"] == 429
        assert int(spent.headers["retry-after"]) > 0
        assert spent.headers["ratelimit-limit"] == "1000"
        assert client.get("/user/user-1").status_code == 401


def test_a_name_that_looks_like_another_is_refused(shop: Shop) -> None:
    for name in ("owner\u200b", "\u043ewner", "owner ", "a/b"):
        refused = shop.visitor.post("/user", json={"username": name, "password": PASSWORD})
        assert refused.status_code == 400
        assert refused.json() == {
            "code": 400,
            "message": "Input error: unable to convert input to io.swagger.petstore.model.User",
        }
