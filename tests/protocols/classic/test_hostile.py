"""Bodies made to do harm: refused clearly, soon, and with no harm to anybody else."""

import contextlib
import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import pytest

from protocols.classic import forms, wire, xml
from tests.process import Gateway
from tests.protocols.classic.conftest import BASE, ClientOf

MEBIBYTE = 1 << 20
#: Of processor time, on whatever machine: what is read on the event loop holds up everybody else.
HELD_SECONDS = 0.1
ENTITIES = (
    b'<!DOCTYPE pet [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><pet><name>&b;</name></pet>'
)
FILE = b'<!DOCTYPE pet [<!ENTITY a SYSTEM "file:///etc/passwd">]><pet><name>&a;</name></pet>'

XML = {
    "nested": b"<a>" * 60_000,
    "nested and closed": b"<a>" * 60_000 + b"</a>" * 60_000,
    "nested where a tag is": b"<pet><name>a</name><tags>" + b"<tag>" * 60_000,
    "very many elements": b"<pet>" + b"<a/>" * 250_000 + b"</pet>",
    "very many attributes": b"<pet " + b" ".join(b'a%d="1"' % i for i in range(90_000)) + b"/>",
    "very many namespaces": b"<pet " + b" ".join(b'xmlns:a%d="1"' % i for i in range(50_000)) + b"/>",
    "entities": ENTITIES,
    "an external entity": FILE,
    "an external document type": b'<!DOCTYPE pet SYSTEM "http://127.0.0.1:9/x"><pet><name>a</name></pet>',
    "an unknown entity": b"<pet><name>&x;</name></pet>",
    "an unknown encoding": b'<?xml version="1.0" encoding="utf-7"?><pet><name>a</name></pet>',
    "broken UTF-8": b"<pet><name>\xff</name></pet>",
    "two roots": b"<pet><name>a</name></pet><pet/>",
    "cut off": b"<pet><name>a</na",
    "nothing but a declaration": b'<?xml version="1.0"?>',
    "a null character": b"<pet><name>a&#0;</name></pet>",
}
LONG_XML = {
    "comments": b"<pet><name>" + b"a<!---->" * (MEBIBYTE // 9) + b"</name></pet>",
    "CDATA": b"<pet><name>" + b"<![CDATA[a]]>" * (MEBIBYTE // 14) + b"</name></pet>",
    "characters": b"<pet><name>" + b"&#65;" * (MEBIBYTE // 6) + b"</name></pet>",
    "a name": b"<" + b"a" * (MEBIBYTE - 3) + b"/>",
}
JSON = {
    "nested": b'{"name":"a","tags":' + b"[" * 60_000,
    "very many tags": b'{"name":"a","tags":[' + b",".join([b"{}"] * 300_000) + b"]}",
    "a number without end": b'{"id":' + b"1" * (MEBIBYTE - 20) + b"}",
    "a name of digits without end": b'{"name":' + b"1" * 4301 + b"}",
    "a text of blanks as a number": b'{"id":"' + b" " * (MEBIBYTE - 20) + b'x"}',
    "no finite number": b'{"id":NaN}',
    "a lone surrogate": b'{"name":"\\ud800"}',
    "a null character": b'{"name":"a\\u0000"}',
    "broken UTF-8": b'{"name":"\xff"}',
    "too many tags": b'{"name":"a","tags":[' + b",".join([b"{}"] * 51) + b"]}",
    "too many photos": b'{"name":"a","photoUrls":[' + b",".join([b'"a"'] * 51) + b"]}",
    "a long name": b'{"name":"' + b"a" * 51 + b'"}',
}
FORMS = {
    "very many fields": b"name=a&" + b"&".join([b"a=1"] * 15_000),
    "nested": b"name=a&tags=" + b"[" * 60_000,
    "a part that is no JSON": b"name=a&category={",
}


def sent(client: httpx.Client, body: bytes, kind: str) -> httpx.Response:
    return client.post("/pet", content=body, headers={"Content-Type": kind})


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        *(pytest.param("application/xml", body, id=f"XML: {name}") for name, body in XML.items()),
        *(pytest.param("application/json", body, id=f"JSON: {name}") for name, body in JSON.items()),
        *(
            pytest.param("application/x-www-form-urlencoded", body, id=f"form: {name}")
            for name, body in FORMS.items()
        ),
    ],
)
def test_a_bad_body_is_refused_and_nobody_else_is_harmed(
    client: httpx.Client, kind: str, body: bytes
) -> None:
    answer = sent(client, body, kind)
    assert answer.status_code == 400
    assert answer.json()["message"] == "Input error: unable to convert input to io.swagger.petstore.model.Pet"
    assert client.get("/store/inventory").json() == {"available": 0, "pending": 0, "sold": 0}


@pytest.mark.parametrize("kind", ["application/json", "application/xml", "application/x-www-form-urlencoded"])
def test_a_body_that_is_too_large(client: httpx.Client, kind: str) -> None:
    answer = sent(client, b"a" * (MEBIBYTE + 1), kind)
    assert (answer.status_code, answer.json()["message"]) == (413, "HTTP 413 Payload Too Large")


def test_a_form_that_lies_about_its_length(gateway: Gateway, client: httpx.Client) -> None:
    """More is announced than comes: nothing is made of what came."""
    where = urlsplit(gateway.url)
    head = (
        f"POST {BASE}/pet HTTP/1.1\r\nHost: x\r\nX-Tenant-ID: {client.headers['x-tenant-id']}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 4000\r\n\r\nid=1&name=a"
    )
    with socket.create_connection((where.hostname, where.port or 80)) as connection:
        connection.sendall(head.encode())
        connection.shutdown(socket.SHUT_WR)
        assert b" 200 " not in connection.recv(4096)
    assert client.get("/pet/1").status_code == 404


@pytest.mark.parametrize(
    "read",
    [
        *(pytest.param(lambda b=b: xml.read(b, None), id=n) for n, b in (XML | LONG_XML).items()),
        *(
            pytest.param(lambda b=b: wire.of_json(wire.PET, wire.parse_json(b)), id=f"JSON: {n}")
            for n, b in JSON.items()
        ),
        *(pytest.param(lambda b=b: forms.read_form(wire.PET, b), id=f"form: {n}") for n, b in FORMS.items()),
        pytest.param(
            lambda: forms.read_form(wire.PET, b"name=" + b"%41" * (forms.MAX_BYTES // 3)), id="percents"
        ),
    ],
)
def test_reading_holds_up_nobody(read: Callable[[], object]) -> None:
    def seconds() -> float:
        begun = time.thread_time()
        with contextlib.suppress(xml.BadXml, wire.BadInput):
            read()
        return time.thread_time() - begun

    assert min(seconds() for _ in range(3)) < HELD_SECONDS


def test_numbers_of_another_tenant_are_nobodys(client_of: ClientOf, client: httpx.Client) -> None:
    other = client_of(**{"X-Tenant-ID": "0190e6f4-1a2b-7c3d-8e4f-5a6b7c8d9e0f"})
    other.post("/pet", json={"id": 77, "name": "theirs"})
    other.post("/store/order", json={"id": 77})
    other.post("/user", json={"username": "theirs"})
    assert client.get("/pet/77").status_code == client.get("/store/order/77").status_code == 404
    assert client.get("/user/theirs").status_code == 404
    client.delete("/pet/77")
    client.delete("/store/order/77")
    client.delete("/user/theirs")
    client.post("/pet", json={"id": 77, "name": "mine"})
    assert other.get("/pet/77").json()["name"] == "theirs"
    assert other.get("/store/order/77").status_code == other.get("/user/theirs").status_code == 200


def test_accounts_of_other_doors_are_out_of_reach(gateway: Gateway, public: httpx.Client) -> None:
    assert public.get("/user/demo-staff").text == "User not found"
    assert public.put("/user/demo-staff", json={"username": "mine"}).text == "User not found"
    assert public.delete("/user/demo-staff").status_code == 200
    taken = public.post("/user", json={"username": "Demo-Staff", "password": "mine"})
    assert (taken.status_code, taken.text) == (409, "This user name is taken.")
    assert public.post("/user", json={"username": "for-a-moment"}).status_code == 200
    renamed = public.put("/user/for-a-moment", json={"username": "demo-staff"})
    assert renamed.status_code == 409
    public.delete("/user/for-a-moment")
    login = {"username": "demo-staff", "password": "demo-staff-password"}
    assert httpx.post(f"{gateway.url}/v1/auth/tokens", json=login).json()["user"]["username"] == "demo-staff"


def test_numbers_that_clients_choose_are_in_nobodys_way(gateway: Gateway, client: httpx.Client) -> None:
    """The store counts on past them, and every door can show them."""
    headers = {"X-Tenant-ID": client.headers["x-tenant-id"]}
    for number in (1, 2, 3, 2**63 - 1, -(2**63)):
        client.post("/pet", json={"id": number, "name": "chosen"})
        client.post("/store/order", json={"id": number, "petId": 1, "shipDate": "2026-01-31"})
    pet = client.post("/pet", json={"name": "counted"}).json()
    assert pet["id"] == 4
    asked = "{ pets(limit: 100) { number } petSearch { data { number } } }"
    answer = httpx.post(f"{gateway.url}/v1/graphql", json={"query": asked}, headers=headers).json()
    assert {found["number"] for found in answer["data"]["pets"]} >= {2**63 - 1, -(2**63)}
    listed = httpx.get(f"{gateway.url}/v1/pets?limit=100", headers=headers).json()
    assert {found["number"] for found in listed["data"]} >= {2**63 - 1, -(2**63)}
