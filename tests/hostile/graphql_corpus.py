"""Inputs of GraphQL: documents, variables, requests, WebSockets and event streams."""

import json
from collections.abc import Callable, Iterator

from tests.gateway.server.serving import masked
from tests.hostile.inputs import For, Input, Send, graphql, raw, request, text, websocket
from tests.hostile.wires import head

_PROTOCOL = "graphql-transport-ws"
_TARGET = "/v1/graphql"
_INIT = For(lambda place: text({"type": "connection_init", "payload": {"token": place.staff}}))
_MIB = 1024 * 1024
_COMPLETION = "subscription{completion(messages:[%s]){id text}}" % (
    '{role:USER,content:"%s"}' % ("not a dog or " * 38) * 10
)


def _fragments(count: int) -> str:
    """Fragments that spread one another, each twice."""
    chain = (f"fragment f{number} on Query {{...f{number + 1} ...f{number + 1}}}" for number in range(count))
    return "{...f0} " + " ".join(chain) + f" fragment f{count} on Query {{__typename}}"


_DOCUMENTS: dict[str, Callable[[], str]] = {
    "nothing": lambda: "",
    "no GraphQL": lambda: "SELECT * FROM pets",
    "an open text": lambda: '{pet(id:"' + "x" * 30_000,
    "32 kB of space": lambda: "{" + " " * 32_000 + "pets{id}}",
    "1 MB of space": lambda: " " * 1_000_000 + "{pets{id}}",
    "a comment of 1 MB": lambda: "#" + "x" * 1_000_000 + "\n{pets{id}}",
    "a name of 30 kB": lambda: "{" + "x" * 30_000 + "}",
    "a text of 30 kB of escapes": lambda: '{pet(id:"' + "\\u0041" * 5_000 + '"){id}}',
    "a block text of 10,000 lines": lambda: '{pet(id:"""' + " \n" * 10_000 + '"""){id}}',
    "a number of 30,000 digits": lambda: "{pets(limit:" + "9" * 30_000 + "){id}}",
    "commas": lambda: "," * 32_000 + "{pets{id}}",
    "halves of characters": lambda: '{pet(id:"\\ud800"){id}}',
    "a null character": lambda: "{pets{id\0}}",
    "950 fields of one name": lambda: "{" + "pets{id} " * 950 + "}",
    "280 fields of one name": lambda: "{" + "pets{id} " * 195 + "}",
    "1,000 fields": lambda: "{pets{" + "id name " * 190 + "}}",
    "1,250 aliases": lambda: "{" + " ".join(f"a{number}:inventory{{totals{{total}}}}" for number in range(1_250)) + "}",
    "30 aliases of lists of 100 pets": lambda: (
        "{" + " ".join(f"a{number}:pets(limit:100){{id}}" for number in range(30)) + "}"
    ),
    "30 aliases of searches": lambda: (
        "{" + " ".join(
            f"a{number}:petSearch(pagination:{{limit:10}}){{__typename}}" for number in range(30)) + "}"
    ),
    "unknown fields with names that are close": lambda: "{" + " ".join(f"pett{number}" for number in range(900)) + "}",
    "unknown arguments": lambda: "{pets(" + " ".join(f"limi{number}:1" for number in range(400)) + "){id}}",
    "unknown directives": lambda: "{pets{id" + "@a" * 200 + "}}",
    "directives that skip": lambda: "{pets{" + "id@skip(if:true) " * 90 + "}}",
    "brackets 10,000 deep": lambda: "{a" * 10_000,
    "lists 10,000 deep": lambda: "{pets(species:" + "[" * 10_000 + "){id}}",
    "objects 5,000 deep": lambda: "{petSearch(criteria:" + "{a:" * 5_000 + "){total}}",
    "a type 10,000 deep": lambda: "query($a:" + "[" * 10_000 + "Int" + "]" * 10_000 + "){pets{id}}",
    "fragments that grow 40 times": lambda: _fragments(40),
    "fragments that grow 12 times": lambda: _fragments(12),
    "a fragment in itself": lambda: "{...a} fragment a on Query{...a}",
    "a ring of fragments": lambda: (
        "{...f0} " + " ".join(f"fragment f{n} on Query{{...f{(n + 1) % 45}}}" for n in range(45))
    ),
    "50 fragments that nobody uses": lambda: (
        "{pets{id}} " + " ".join(f"fragment f{number} on Pet{{id}}" for number in range(49))
    ),
    "50 operations": lambda: " ".join(f"query q{number}{{pets{{id}}}}" for number in range(50)),
    "2,000 operations": lambda: "{pets{id}}" * 2_000,
    "500 variables": lambda: (
        "query(" + " ".join(f"$a{number}:Int" for number in range(240)) + "){pets{id}}"
    ),
    "60,000 undeclared variables": lambda: "{pets(limit:$a){id}}",
    "a default that is large": lambda: 'query($a:String="' + "x" * 30_000 + '"){pets{id}}',
    "a default that is an object": lambda: (
        "query($a:SearchPageInput={limit:100,page:1}){petSearch(pagination:$a){__typename}}"
    ),
    "introspection of everything": lambda: (
        "{__schema{types{name fields{name args{name type{name ofType{name ofType{name}}}} type{name}}}}}"
    ),
    "10 introspections": lambda: "{" + " ".join(f"a{n}:__schema{{types{{name}}}}" for n in range(10)) + "}",
    "30 introspections": lambda: (
        "{" + " ".join(f"a{n}:__schema{{types{{fields{{type{{fields{{name}}}}}}}}}}" for n in range(30)) + "}"
    ),
    "introspection in a ring": lambda: "{__schema{types" + "{fields{type" * 12 + "{name}" + "}}" * 12 + "}}",
    "links in a ring": lambda: "{chats{items{messages{items{chat{messages{items{chat{id}}}}}}}}}",
    "a mutation with 500 fields": lambda: (
        "mutation{" + " ".join(f'a{n}:deletePet(id:"x"){{__typename}}' for n in range(30)) + "}"
    ),
    "a subscription by POST": lambda: 'subscription{events(topics:["#"]){id}}',
    "a subscription of two fields": lambda: 'subscription{events(topics:["#"]){id} a:events(topics:["#"]){id}}',
    "a subscription that is skipped": lambda: 'subscription{events(topics:["#"])@skip(if:true){id}}',
    "a schema": lambda: "type A{a:A} " * 500,
}  # fmt: skip


def _documents() -> Iterator[Input]:
    for name, document in _DOCUMENTS.items():
        yield Input(f"a document: {name}", "GraphQL", graphql(document))
    yield Input(
        "200 distinct documents at once",
        "GraphQL",
        _distinct(200),
    )


def _distinct(count: int) -> Send:
    requests = (
        json.dumps({"query": "{pets(limit:1){id}}" + f"#{number}"}).encode() for number in range(count)
    )
    bodies = list(requests)
    return raw(
        b"".join(
            head(_TARGET, "Content-Type: application/json", f"Content-Length: {len(body)}", method="POST")
            + body
            for body in bodies
        ),
        answers=count,
    )


_ENUM = "query($a:[Species!]){pets(species:$a){id}}"
_PETS = "query($a:Int){pets(limit:$a){id}}"
_SEARCH = "query($a:SearchCriteriaInput){petSearch(criteria:$a){__typename}}"
_CREATE = "mutation($a:PetInput!){createPet(input:$a){id}}"


def _variables() -> Iterator[Input]:
    values: dict[str, tuple[str, Callable[[], object]]] = {
        "an enum's value of 1 MB": (_ENUM, lambda: {"a": ["D" * 1_000_000]}),
        "2,000 wrong values of an enum": (_ENUM, lambda: {"a": ["D" * 400] * 1_900}),
        "40,000 values of an enum": (_ENUM, lambda: {"a": ["CAT"] * 40_000}),
        "an enum's value in an object, of 1 MB": (_SEARCH, lambda: {"a": {"species": ["D" * 1_000_000]}}),
        "an integer as a text of 1 MB": (_PETS, lambda: {"a": "9" * 1_000_000}),
        "an integer of 4,000 digits": (_PETS, lambda: {"a": 10**4_000}),
        "a fraction for an integer": (_PETS, lambda: {"a": 1.5}),
        "an object for an integer": (_PETS, lambda: {"a": {"x": "y" * 1_000_000}}),
        "a list for an integer": (_PETS, lambda: {"a": ["y" * 500] * 1_900}),
        "60,000 that nobody declared": (_PETS, lambda: {f"x{number}": 1 for number in range(60_000)}),
        "2,000 unknown members": (_CREATE, lambda: {"a": {f"m{number}": 1 for number in range(1_900)}}),
        "a member's name of 1 MB": (_CREATE, lambda: {"a": {"m" * 1_000_000: 1}}),
        "a name of 1 MB": (_CREATE, lambda: {"a": {"name": "x" * 1_000_000}}),
        "a price of 1 MB": (_CREATE, lambda: {"a": {"price": "9" * 1_000_000}}),
        "a boolean of 1 MB": (
            "query($a:Boolean!){pets{id@skip(if:$a)}}", lambda: {"a": "x" * 1_000_000}
        ),
        "an id of 1 MB": ("query($a:ID!){pet(id:$a){id}}", lambda: {"a": "x" * 1_000_000}),
        "a list of ids": ("query($a:ID!){pet(id:$a){id}}", lambda: {"a": ["x"] * 1_900}),
        "halves of characters": ("query($a:ID!){pet(id:$a){id}}", lambda: {"a": "\ud800"}),
        "topics of a subscription": (
            "subscription($a:[String!]!){events(topics:$a){id}}", lambda: {"a": ["#"] * 1_900}
        ),
    }  # fmt: skip
    for name, (query, of) in values.items():
        yield Input(f"variables: {name}", "GraphQL", graphql(query, of))
    deep = b'{"query":"{pets{id}}","variables":{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}}"
    many = b'{"query":"{pets{id}}","variables":{"a":[' + b"[]," * 300_000 + b"1]}}"
    yield Input("variables: lists 200,000 deep", "GraphQL", request("POST", _TARGET, deep))
    yield Input("variables: 300,000 lists", "GraphQL", request("POST", _TARGET, many))


def _requests() -> Iterator[Input]:
    bodies = {
        "a batch of 10,000": b"[" + b",".join([b'{"query":"{pets{id}}"}'] * 10_000) + b"]",
        "no object": b"7",
        "no JSON": b"{",
        "a query that is no text": b'{"query":["{pets{id}}"]}',
        "an operation name of 1 MB": b'{"query":"{pets{id}}","operationName":"' + b"x" * (_MIB - 100) + b'"}',
        "a hash of 1 MB": b'{"extensions":{"persistedQuery":{"sha256Hash":"' + b"a" * (_MIB - 100) + b'"}}}',
        "extensions that are large": b'{"query":"{pets{id}}","extensions":{"a":[' + b"1," * 400_000 + b"1]}}",
        "one query after the other": b'{"query":"{pets{id}}","query":"' + b"{" * 100_000 + b'"}',
    }
    for name, body in bodies.items():
        yield Input(f"a request: {name}", "GraphQL", request("POST", _TARGET, body))
    targets = {
        "by GET, of 60 kB": "?query=" + "{pets{id}}".replace("{", "%7B").replace("}", "%7D") + "%20" * 20_000,
        "by GET, a mutation": '?query=mutation%7BdeletePet(id:"x")%7Bid%7D%7D'.replace('"', "%22"),
        "by GET, variables 20,000 deep": "?query=%7Bpets%7Bid%7D%7D&variables=" + "%5B" * 20_000,
        "by GET, a query 5,000 times": "?" + "query=a&" * 5_000,
    }
    for name, query in targets.items():
        yield Input(f"a request: {name}", "GraphQL", raw(head(_TARGET + query)))
    stream = json.dumps(
        {"query": 'subscription{events(topics:["pets/#"],after:"earliest"){id topic data}}'}
    ).encode()
    fields = ("Content-Type: application/json", "Accept: text/event-stream", f"Content-Length: {len(stream)}")
    yield Input(
        "an event stream of all that is kept", "GraphQL", raw(head(_TARGET, *fields, method="POST") + stream)
    )


def _subscribe(mark: str, query: str, **variables: object) -> bytes:
    return text({"type": "subscribe", "id": mark, "payload": {"query": query, "variables": variables}})


def _many(count: int, query: Callable[[int], str]) -> Callable[[], Iterator[bytes]]:
    return lambda: (_subscribe(str(number), query(number)) for number in range(count))


def _sockets() -> Iterator[Input]:
    spread = "{id eventType topic cursor data a%d:id}"
    sent: dict[str, Send] = {
        "no subprotocol": websocket(_TARGET, _INIT),
        "no connection_init": websocket(_TARGET, _subscribe("1", "{pets{id}}"), protocol=_PROTOCOL),
        "connection_init 1,000 times": websocket(
            _TARGET, text({"type": "connection_init"}) * 1_000, protocol=_PROTOCOL
        ),
        "a payload 5,000 deep": websocket(
            _TARGET, text('{"type":"connection_init","payload":' + '{"a":' * 5_000), protocol=_PROTOCOL
        ),
        "no JSON": websocket(_TARGET, text("nonsense"), protocol=_PROTOCOL),
        "binary": websocket(_TARGET, masked(b"\0" * 1_000, 0x2), protocol=_PROTOCOL),
        "pings of the protocol, 5,000": websocket(
            _TARGET, _INIT, text({"type": "ping"}) * 5_000, protocol=_PROTOCOL, silent=True
        ),
        "pings of 60 kB, 50": websocket(
            _TARGET, _INIT, text({"type": "ping", "payload": {"a": "x" * 60_000}}) * 50,
            protocol=_PROTOCOL, silent=True,
        ),
        "an id of 60 kB": websocket(_TARGET, _INIT, _subscribe("x" * 60_000, "{pets{id}}"), protocol=_PROTOCOL),
        "50 completions": websocket(
            _TARGET, _INIT, _many(50, lambda _: _COMPLETION), protocol=_PROTOCOL, silent=True
        ),
        "one id twice": websocket(
            _TARGET, _INIT, _subscribe("1", 'subscription{events(topics:["#"]){id}}') * 2, protocol=_PROTOCOL
        ),
        "complete of what is not there, 5,000 times": websocket(
            _TARGET, _INIT, text({"type": "complete", "id": "x"}) * 5_000, protocol=_PROTOCOL, silent=True
        ),
        "100 queries at once": websocket(
            _TARGET, _INIT, _many(100, lambda _: "{pets(limit:100){id}}"), protocol=_PROTOCOL, silent=True
        ),
        "500 refused documents": websocket(
            _TARGET, _INIT, _many(500, lambda number: f"{{nothing{number}}}"), protocol=_PROTOCOL, silent=True
        ),
        "100 distinct subscriptions": websocket(
            _TARGET, _INIT,
            _many(100, lambda number: 'subscription{events(topics:["pets/#"])' + spread % number + "}"),
            protocol=_PROTOCOL, silent=True,
        ),
        "100 distinct subscriptions to all that is kept": websocket(
            _TARGET, _INIT,
            _many(100, lambda n: 'subscription{events(topics:["pets/#"],after:"earliest")' + spread % n + "}"),
            protocol=_PROTOCOL, silent=True,
        ),
        "begun and ended 1,000 times": websocket(
            _TARGET, _INIT,
            lambda: (
                _subscribe("1", 'subscription{events(topics:["#"]){id}}') + text({"type": "complete", "id": "1"})
                for _ in range(1_000)
            ),
            protocol=_PROTOCOL, silent=True,
        ),
    }  # fmt: skip
    for name, send in sent.items():
        yield Input(f"a WebSocket: {name}", "GraphQL", send)


CORPUS: tuple[Input, ...] = (*_documents(), *_variables(), *_requests(), *_sockets())
