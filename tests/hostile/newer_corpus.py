"""Inputs over HTTP of what came later: the classic API, OAuth, the advisor, webhooks, places in lists, documents."""

import base64
import json
from collections.abc import Iterator

from tests.hostile.inputs import Input, Send, crowd, raw, request
from tests.hostile.wires import head

MIB = 1024 * 1024
_CLIENTS = 50
_FORM = "application/x-www-form-urlencoded"
_XML = "application/xml"

_DOCUMENTS: dict[str, bytes] = {
    "60,000 elements in one another": b"<Pet>" + b"<a>" * 60_000,
    "90,000 attributes": b"<Pet " + b" ".join(b'a%d="1"' % number for number in range(90_000)) + b"/>",
    "an entity": b'<!DOCTYPE Pet [<!ENTITY a "b">]><Pet><name>&a;</name></Pet>',
    "entities of entities": b"<!DOCTYPE Pet ["
    + b"".join(b'<!ENTITY a%d "%b">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 10))
    + b"]><Pet><name>&a9;</name></Pet>",
    "a file as an entity": b'<!DOCTYPE Pet [<!ENTITY a SYSTEM "file:///etc/passwd">]><Pet><name>&a;</name></Pet>',
    "100,000 tags": b"<Pet><name>x</name><tags>" + b"<tag/>" * 100_000 + b"</tags></Pet>",
    "a text of 1 MB": b"<Pet><name>" + b"x" * (MIB - 100) + b"</name></Pet>",
    "a name of 1 MB": b"<" + b"P" * (MIB - 10) + b"/>",
    "200,000 references": b"<Pet><name>" + b"&lt;" * 200_000 + b"</name></Pet>",
    "200,000 comments": b"<Pet>" + b"<!---->" * 140_000 + b"</Pet>",
    "an unknown encoding": b'<?xml version="1.0" encoding="klingon"?><Pet/>',
    "UTF-16": '<?xml version="1.0" encoding="UTF-16"?><Pet><name>x</name></Pet>'.encode("utf-16"),
    "an open element": b"<Pet><name>",
}


def _classic() -> Iterator[Input]:
    for name, document in _DOCUMENTS.items():
        yield Input(f"XML: {name}", "Classic", request("POST", "/api/v3/pet", document, media_type=_XML))
    for name, form in {
        "300,000 percent signs": b"name=" + b"%" * 300_000,
        "60,000 parameters": b"&".join(b"a%d=1" % number for number in range(60_000)),
        "one parameter 100,000 times": b"&".join([b"name=x"] * 100_000),
        "tags nested 10,000 deep": b"name=x&tags=" + b"[" * 10_000,
    }.items():
        yield Input(f"a form: {name}", "Classic", request("POST", "/api/v3/pet", form, media_type=_FORM))
    for name, body in {
        "50,000 tags": b'{"name":"x","tags":[' + b",".join([b"{}"] * 50_000) + b"]}",
        "500,000 blanks as a number": b'{"id":"' + b" " * 500_000 + b'","name":"x"}',
        "a number of 1 MB": b'{"id":' + b"9" * (MIB - 20) + b"}",
    }.items():
        yield Input(f"a pet: {name}", "Classic", request("POST", "/api/v3/pet", body))
    users = b"[" + b",".join(b'{"username":"u%d"}' % number for number in range(10_000)) + b"]"
    yield Input("10,000 users", "Classic", request("POST", "/api/v3/user/createWithList", users))
    target = "/api/v3/pet/findByTags?tags=" + "tag1," * 10_000
    yield Input("10,000 tags asked for", "Classic", raw(head(target, "Connection: close")))
    yield Input(
        "a number of 20,000 digits", "Classic", raw(head("/api/v3/pet/" + "9" * 20_000, "Connection: close"))
    )


def _form(path: str, body: bytes) -> Send:
    return request("POST", path, body, visitor=True, media_type=_FORM)


def _oauth() -> Iterator[Input]:
    for name, body in {
        "60,000 parameters": b"&".join(b"a%d=1" % number for number in range(60_000)),
        "one parameter 100,000 times": b"&".join([b"grant_type=x"] * 100_000),
        "a verifier of 1 MB": b"grant_type=authorization_code&code=x&code_verifier=" + b"v" * (MIB - 100),
        "a refresh token of 1 MB": b"grant_type=refresh_token&client_id=petstore-cli&refresh_token="
        + b"r" * MIB,
        "scopes of 1 MB": b"grant_type=client_credentials&scope=" + b"a+" * (MIB // 2 - 100),
        "nothing": b"",
    }.items():
        yield Input(f"a request for tokens: {name}", "OAuth", _form("/v1/oauth/token", body))
    basic = base64.b64encode(b"a" * 20_000 + b":" + b"%" * 20_000).decode()
    yield Input(
        "an Authorization of 50 kB",
        "OAuth",
        request(
            "POST", "/v1/oauth/token", b"", visitor=True, media_type=_FORM, Authorization=f"Basic {basic}"
        ),
    )
    targets = {
        "60 kB of state": "/v1/oauth/authorize?state=" + "s" * 60_000,
        "15 kB of scopes": "/v1/oauth/authorize?client_id=00000000-0000-7000-8000-0000000000a1&scope="
        + "a+" * 7_000,
        "7,000 parameters": "/v1/oauth/authorize?" + "a=1&" * 3_500,
        "60 kB of user code": "/v1/oauth/device?user_code=" + "B" * 60_000,
    }
    for name, target in targets.items():
        yield Input(f"a page: {name}", "OAuth", raw(head(target, "Connection: close")))
    cookies = "; ".join(f"petstore-pages={number}" for number in range(2_500))
    yield Input(
        "2,500 cookies",
        "OAuth",
        raw(head("/v1/oauth/authorize?client_id=x", f"Cookie: {cookies}", "Connection: close")),
    )
    for name, path, body in (
        ("introspection of 1 MB", "/v1/oauth/introspect", b"token=" + b"t" * (MIB - 100)),
        ("a revocation of 1 MB", "/v1/oauth/revoke", b"token=" + b"t" * (MIB - 100)),
        ("a grant of 40,000 colons", "/v1/oauth/token", b"grant_type=" + b"%3A" * 40_000),
        ("200 devices", "/v1/oauth/device_authorization", b"client_id=petstore-cli"),
    ):
        times = 200 if name.startswith("200") else 1
        yield Input(name, "OAuth", request("POST", path, body, times=times, visitor=True, media_type=_FORM))


def _conversation(text: str) -> bytes:
    messages = [{"role": "USER", "content": (text * 500)[:499]}] * 200
    messages[-1] = {"role": "USER", "content": text * (300 // len(text))}
    return json.dumps({"messages": messages}).encode()


def _advisor() -> Iterator[Input]:
    texts = (
        "dog ",
        "not a dog or ",
        "xqzk ",
        "under 3 ",
        "between one and ",
        "small ",
        "tell me about ",
        "0-",
        "a",
    )
    bodies = {f"'{text}', again and again": _conversation(text) for text in texts}
    part = {"type": "text", "text": "\u1234" * 800}
    bodies["200 parts of a message"] = json.dumps(
        {"messages": [{"role": "USER", "content": [part] * 200}]}
    ).encode()
    bodies["a message of 1 MB"] = b'{"messages":[{"role":"USER","content":"' + b"x" * (MIB - 100) + b'"}]}'
    bodies["100,000 messages"] = b'{"messages":[' + b",".join([b"{}"] * 100_000) + b"]}"
    for name, body in bodies.items():
        yield Input(name, "Advisor", request("POST", "/v1/chat/completions", body))
    streamed = _conversation("dog ")[:-1] + b',"stream":true}'
    yield Input("50 streams at once", "Advisor", request("POST", "/v1/chat/completions", streamed, times=50))


def _webhooks() -> Iterator[Input]:
    for name, url, events in (
        ("an address of 1 MB", "https://example.com/" + "x" * (MIB - 200), ["#"]),
        ("1,900 filters", "https://example.com/", [f"pets/{number}" for number in range(1_900)]),
        ("a filter of 1 MB", "https://example.com/", ["a/" * (MIB // 2 - 200)]),
        ("an address of this machine", "http://127.0.0.1:1/", ["#"]),
        ("a name of 60,000 labels", "https://" + "a." * 60_000 + "com/", ["#"]),
    ):
        body = json.dumps({"url": url, "events": events}).encode()
        yield Input(f"a webhook: {name}", "REST", request("POST", "/v1/webhooks", body))


def _registrations() -> Iterator[Input]:
    """RFC 7591."""
    for name, more in (
        ("1,900 addresses", {"redirect_uris": [f"https://a.example/{number}" for number in range(1_900)]}),
        ("19,000 addresses", {"redirect_uris": [f"https://a.example/{number}" for number in range(19_000)]}),
        ("an address of 1 MB", {"redirect_uris": ["https://a.example/" + "x" * (MIB - 500)]}),
        ("a name of 1 MB", {"client_name": "x" * (MIB - 500)}),
        ("scopes of 1 MB", {"scope": "a " * (MIB // 2 - 300)}),
        ("19,000 members", {str(number): number for number in range(19_000)}),
        ("1,900 kinds of grants", {"grant_types": ["authorization_code"] * 1_900}),
    ):
        body = json.dumps({"redirect_uris": ["https://a.example/"], **more}).encode()
        sent = request("POST", "/v1/oauth/register", body, visitor=True)
        yield Input(f"a registration: {name}", "OAuth", sent)
        yield Input(f"{_CLIENTS} clients: a registration: {name}", "OAuth", crowd(_CLIENTS, sent))


def _lists() -> Iterator[Input]:
    """Places in a list that no list has told."""
    for name, after in (
        ("50 kB", "A" * 50_000),
        ("lists in lists", base64.urlsafe_b64encode(b"[" * 20_000).decode()),
        ("20,000 numbers", base64.urlsafe_b64encode(b"[" + b"1," * 19_999 + b"1]").decode()),
        ("a number of 20,000 digits", base64.urlsafe_b64encode(b"[" + b"9" * 20_000 + b"]").decode()),
        ("no base64", "%ff%00=" * 3_000),
    ):
        sent = raw(head(f"/v1/pets?after={after}", "Connection: close"))
        yield Input(f"a place in a list: {name}", "REST", sent)
        yield Input(f"{_CLIENTS} clients: a place in a list: {name}", "REST", crowd(_CLIENTS, sent))


def _patches() -> Iterator[Input]:
    """RFC 7396."""
    for name, body in (
        ("objects 900 deep", b'{"compatibility":' + b'{"a":' * 900 + b"null" + b"}" * 901),
        ("objects 100 deep", b'{"compatibility":' + b'{"a":' * 100 + b"null" + b"}" * 101),
        (
            "19,000 members that go",
            b"{" + b",".join(b'"%d":null' % number for number in range(19_000)) + b"}",
        ),
        (
            "19,000 members of a member that go",
            b'{"compatibility":{' + b",".join(b'"%d":null' % number for number in range(19_000)) + b"}}",
        ),
    ):
        sent = request("PATCH", "/v1/pets/{pet}", body, media_type="application/merge-patch+json")
        yield Input(f"a patch: {name}", "REST", sent)
        yield Input(f"{_CLIENTS} clients: a patch: {name}", "REST", crowd(_CLIENTS, sent))


def _documents() -> Iterator[Input]:
    """What is the same for all, fetched by many."""
    for path in (
        "/v1/openapi.json", "/v1/openapi-3.1.json", "/v1/asyncapi.json", "/v1/schema.graphql", "/v1/proto.zip", "/",
        "/v1/asyncapi-ui.html",
    ):  # fmt: skip
        yield Input(
            f"{_CLIENTS} clients: {path}", "REST", crowd(_CLIENTS, raw(head(path, "Connection: close")))
        )
    ranges = "Range: bytes=" + ",".join(f"{number}-" for number in range(5_000))
    yield Input("5,000 ranges", "REST", raw(head("/v1/openapi.json", ranges, "Connection: close")))
    yield Input("5,000 ranges of a page", "REST", raw(head("/", ranges, "Connection: close")))


def _chats() -> Iterator[Input]:
    """A chat that waits, in which the advisor answers."""
    said = json.dumps({"text": "not a dog or " * 38}).encode()
    yield Input(
        "200 questions in a chat", "Advisor", request("POST", "/v1/chats/{chat}/messages", said, times=200)
    )


CORPUS: tuple[Input, ...] = (
    *_classic(),
    *_oauth(),
    *_advisor(),
    *_webhooks(),
    *_registrations(),
    *_lists(),
    *_patches(),
    *_documents(),
    *_chats(),
)
