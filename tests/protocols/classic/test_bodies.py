"""Bodies of all kinds, read as leniently as the original reads them, and answers as it writes them."""

from typing import Any

import httpx
import pytest
from lxml import etree  # type: ignore[import-untyped]

from tests.pictures import PNG

FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"id": "10"}, {"id": 10}),
        ({"id": 10.9}, {"id": 10}),
        ({"name": 123}, {"name": "123"}),
        ({"name": 1.5}, {"name": "1.5"}),
        ({"name": True}, {"name": "true"}),
        ({"unknown": {"a": 1}}, {}),
        ({"category": None, "tags": None, "photoUrls": None}, {}),
        ({"category": {}}, {"category": {"id": 0}}),
        ({"category": {"name": "Dogs", "more": 1}}, {"category": {"id": 0, "name": "Dogs"}}),
        ({"tags": [{"id": "7", "name": 8}, {}]}, {"tags": [{"id": 7, "name": "8"}, {"id": 0}]}),
        ({"photoUrls": [1, "https://e.com/a.jpg", "b"]}, {"photoUrls": ["1", "https://e.com/a.jpg", "b"]}),
        ({"status": "sold"}, {"status": "sold"}),
    ],
)
def test_a_pet_in_json(client: httpx.Client, given: dict[str, Any], shown: dict[str, Any]) -> None:
    usual = {"id": 1, "name": "a", "photoUrls": [], "tags": [], "status": "available"}
    assert client.post("/pet", json={"id": 1, "name": "a", **given}).json() == {**usual, **shown}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("2021-02-03T19:43:55.849Z", "2021-02-03T19:43:55.849+00:00"),
        ("2021-02-03T19:43:55.849+0100", "2021-02-03T18:43:55.849+00:00"),
        ("2021-02-03T19:43:55+01:00", "2021-02-03T18:43:55.000+00:00"),
        ("2021-02-03", "2021-02-03T00:00:00.000+00:00"),
        (1612381435849, "2021-02-03T19:43:55.849+00:00"),
        ("1612381435849", "2021-02-03T19:43:55.849+00:00"),
        ("", None),
        ("tomorrow", 400),
        ("0001-01-01T00:00:00+14:00", 400),
        ("9999-12-31T23:59:59-14:00", 400),
        (10**30, 400),
        (-(10**15), 400),
        (True, 400),
    ],
)
def test_a_time(client: httpx.Client, given: object, shown: object) -> None:
    answer = client.post("/store/order", json={"id": 1, "shipDate": given})
    if shown == 400:
        assert answer.status_code == 400
        return
    assert answer.json().get("shipDate") == shown
    assert client.get("/store/order/1").json() == answer.json()


@pytest.mark.parametrize(
    ("given", "shown"), [(0, False), (1, True), ("true", True), ("False", False), ("", False), (None, False)]
)
def test_a_truth_value(client: httpx.Client, given: object, shown: bool) -> None:
    order = {"complete": given, "petId": "7", "quantity": 2.9}
    answer = client.post("/store/order", json=order).json()
    assert (answer["complete"], answer["petId"], answer["quantity"]) == (shown, 7, 2)


def test_xml_both_ways(client: httpx.Client) -> None:
    pet = etree.fromstring(
        b"<pet xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' xsi:schemaLocation='x'><id>10</id>"
        b"<category><id>1</id><name>Dogs</name></category><name>Rex &amp; Co</name>"
        b"<photoUrls><photoUrl>a</photoUrl><photoUrl>b</photoUrl></photoUrls>"
        b"<tags><tag><id>5</id><name>t</name></tag></tags><status>sold</status></pet>"
    )
    for encoding in ("UTF-8", "UTF-16", "ISO-8859-1", "US-ASCII"):
        answer = client.post(
            "/pet",
            content=etree.tostring(pet, xml_declaration=True, encoding=encoding),
            headers={"Content-Type": "application/xml", "Accept": "application/xml"},
        )
        assert answer.headers["content-type"] == "application/xml"
        read = etree.fromstring(answer.content)
        assert read.tag == "Pet"
        assert [child.tag for child in read] == ["id", "category", "name", "photoUrls", "tags", "status"]
        assert [url.text for url in read.iter("photoUrl")] == ["a", "b"]
        assert [(tag.findtext("id"), tag.findtext("name")) for tag in read.iter("tag")] == [("5", "t")]
        assert (read.findtext("name"), read.findtext("status")) == ("Rex & Co", "sold")
        # What came is written back as it came.
        again = client.put("/pet", content=answer.content, headers={"Content-Type": "application/xml"})
        assert again.json() == client.get("/pet/10").json()
        assert again.json()["category"] == {"id": 1, "name": "Dogs"}


def test_xml_of_all_kinds(client: httpx.Client) -> None:
    xml = {"Accept": "application/xml"}
    client.post("/pet", json={"id": 1, "name": "a\x01<", "tags": [{"name": "t"}]})
    found = etree.fromstring(client.get("/pet/findByTags?tags=t", headers=xml).content)
    assert found.tag == "ArrayList"
    assert [item.findtext("name") for item in found.findall("item")] == ["a�<"]
    counts = etree.fromstring(client.get("/store/inventory", headers=xml).content)
    assert {count.tag: count.text for count in counts} == {"available": "1", "pending": "0", "sold": "0"}
    assert counts.tag == "HashMap"
    order = client.post(
        "/store/order",
        content="<Order><id>3</id><petId>1</petId><complete>true</complete></Order>",
        headers={"Content-Type": "application/xml; charset=utf-8", **xml},
    )
    assert etree.fromstring(order.content).findtext("complete") == "true"
    user = client.post(
        "/user",
        content="<User><username>ann</username><userStatus>2</userStatus><email/></User>",
        headers={"Content-Type": "application/xml", **xml},
    )
    assert etree.fromstring(user.content).findtext("userStatus") == "2"
    assert etree.fromstring(user.content).find("email") is None
    users = client.post("/user/createWithList", json=[{"username": "bea"}], headers=xml)
    assert etree.fromstring(users.content).tag == "Users"


@pytest.mark.parametrize(
    "body",
    [
        "<pet><id>1</id><name>a</name><unknown>1</unknown></pet>",
        "<pet><id><a/></id><name>a</name></pet>",
        "<pet><id>x</id><name>a</name></pet>",
        "<pet><name>a</name>",
        "<pet id='1'><name>a</name></pet>",
        "<pet/>",
        "pet",
    ],
)
def test_xml_that_is_no_pet(client: httpx.Client, body: str) -> None:
    answer = client.post("/pet", content=body, headers={"Content-Type": "application/xml"})
    assert answer.status_code == 400
    assert answer.json()["message"].endswith("model.Pet")


def test_forms(client: httpx.Client) -> None:
    pet = {
        "id": "7",
        "name": "Rex",
        "category": '{"id": 1, "name": "Dogs"}',
        "photoUrls": ["a", "b"],
        "tags": '[{"id": 1, "name": "t"}]',
        "status": "pending",
    }
    assert client.post("/pet", data=pet).json() == {
        "id": 7,
        "category": {"id": 1, "name": "Dogs"},
        "name": "Rex",
        "photoUrls": ["a", "b"],
        "tags": [{"id": 1, "name": "t"}],
        "status": "pending",
    }
    order = {"id": "7", "petId": "7", "quantity": "1", "complete": "true", "shipDate": "2026-01-31"}
    assert client.post("/store/order", data=order).json()["shipDate"] == "2026-01-31T00:00:00.000+00:00"
    user = client.post("/user", data={"username": "ann", "password": "secret", "userStatus": "2"})
    assert (user.json()["userStatus"], user.json()["password"]) == (2, "XXXXXXXXXXX")
    for wrong in ("id=x&name=a", "id=1", "name=a&category=x", "name=a&tags=x", "%FF=%FF&name=%FF"):
        answer = client.post("/pet", content=wrong, headers={"Content-Type": FORM})
        assert answer.status_code == 400, wrong


@pytest.mark.parametrize("kind", ["text/plain", "image/png", "application/octet-stream", ""])
def test_other_media_types(client: httpx.Client, kind: str) -> None:
    answer = client.post("/pet", content='{"name": "a"}', headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["message"]) == (415, "HTTP 415 Unsupported Media Type")
    users = client.post("/user/createWithList", content="<a/>", headers={"Content-Type": "application/xml"})
    assert users.status_code == 415


def test_an_image_is_uploaded(client: httpx.Client) -> None:
    client.post("/pet", json={"id": 1, "name": "a", "photoUrls": ["kept"]})
    bare = client.post(
        "/pet/1/uploadImage?additionalMetadata=front",
        content=PNG,
        headers={"Content-Type": "application/octet-stream"},
    )
    assert bare.status_code == 200
    assert bare.json()["code"] == 200
    assert bare.json()["message"].startswith("additionalMetadata: front\nFile uploaded to http")
    form = client.post(
        "/pet/1/uploadImage", files={"file": ("a.png", PNG)}, data={"additionalMetadata": "back"}
    )
    assert form.json()["message"].startswith("additionalMetadata: back\n")
    urls = client.get("/pet/1").json()["photoUrls"]
    assert urls[0] == "kept"
    assert len(urls) == 3
    assert httpx.get(urls[1]).content == PNG
    # An image that is no longer named goes.
    client.put("/pet", json={"id": 1, "name": "a", "photoUrls": urls[1:]})
    assert client.get("/pet/1").json()["photoUrls"] == urls[1:]
    octets = {"Content-Type": "application/octet-stream"}
    assert client.post("/pet/4242/uploadImage", content=PNG, headers=octets).text == "Pet not found"
    assert client.post("/pet/x/uploadImage", content=PNG, headers=octets).status_code == 400
    assert client.post("/pet/1/uploadImage", content=b"text", headers=octets).status_code == 415
    assert client.post("/pet/1/uploadImage", content=PNG[:40], headers=octets).status_code == 400
