"""Inputs over HTTP: REST and event streams."""

import gzip
import struct
import zlib
from collections.abc import Callable, Iterator
from urllib.parse import quote

from tests.hostile.inputs import Input, Send, as_staff, raw, request
from tests.hostile.wires import head

MIB = 1024 * 1024
_PET = b'{"name":"Biscuit","species":"DOG","ageMonths":12,"price":"75.00"}'
_FORM = "multipart/form-data; boundary=x"


def _body(text: bytes) -> Send:
    return request("POST", "/v1/pets", text)


def _members(count: int) -> bytes:
    return b"{" + b",".join(b'"%d":1' % number for number in range(count)) + b"}"


def _named(name: str, text: bytes) -> bytes:
    return b'{"species":"DOG","ageMonths":12,"price":"75.00","%b":"%b"}' % (name.encode(), text)


_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "white space of 1 MB": b" " * (MIB - 1),
    "no JSON": b"nonsense",
    "an open text of 1 MB": b'"' + b"x" * (MIB - 2),
    "invalid UTF-8": b'{"name":"\xff\xfe"}',
    "UTF-16": '{"name":"x"}'.encode("utf-16"),
    "half a character": b'{"name":"\\ud800","species":"DOG"}',
    "50,000 halves of characters": b'{"name":"' + b"\\ud800" * 50_000 + b'"}',
    "lists 10,000 deep": b"[" * 10_000 + b"]" * 10_000,
    "lists 500,000 deep": b"[" * 500_000,
    "objects 150,000 deep": b'{"a":' * 150_000,
    "340,000 empty lists": b"[" + b"[]," * 340_000 + b"[]]",
    "500,000 numbers": b"[" + b"1," * 500_000 + b"1]",
    "80,000 unknown members": _members(80_000),
    "2,000 unknown members": _members(1_999),
    "one member 60,000 times": b"{" + b",".join([b'"name":"x"'] * 60_000) + b"}",
    "a number of 1 MB": b'{"ageMonths":' + b"9" * (MIB - 20) + b"}",
    "a fraction of 1 MB": b'{"price":0.' + b"1" * (MIB - 20) + b"}",
    "a price of 1 MB as text": _named("price", b"9" * (MIB - 100)),
    "an exponent of 9 digits": b'{"price":1e999999999}',
    "a price with an exponent, as text": _named("price", b"1e999999999"),
    "a name of 1 MB": _named("name", b"x" * (MIB - 100)),
    "a name of 300,000 line ends": _named("name", b"\\n" * 300_000),
    "a name of combining marks": _named("name", "é".encode() * 200_000),
    "a name of ligatures that NFKC widens": _named("name", "ﷺ".encode() * 300_000),
    "an enum's value of 1 MB": b'{"species":"' + b"D" * (MIB - 100) + b'"}',
    "a date of 1 MB": b'{"adoptedAt":"' + b"2026-" * 200_000 + b'"}',
    "NaN and infinity": b'{"ageMonths":NaN,"price":Infinity}',
    "a key of 1 MB": b'{"' + b"k" * (MIB - 10) + b'":1}',
    "2,000 photos": b'{"photos":[' + b",".join([b'"http://x/' + b"y" * 400 + b'"'] * 1_990) + b"]}",
    "a body of 1 MB and one byte": b" " * (MIB + 1),
    "a body of 8 MB": b" " * (8 * MIB),
}


def _bodies() -> Iterator[Input]:
    for name, body in _BODIES.items():
        yield Input(f"a body: {name}", "REST", _body(body))
    for name in ("2,000 photos", "2,000 unknown members", "340,000 empty lists"):
        yield Input(
            f"50 bodies at once: {name}", "REST", request("POST", "/v1/pets", _BODIES[name], times=50)
        )


def _registration(name: str, text: str) -> Input:
    fields = b'"password":"a password","email":"%b@example.com"' % name.encode().replace(b" ", b"-")[:40]
    body = b'{"username":"%b",%b}' % (text.encode(), fields)
    return Input(f"a user name: {name}", "REST", request("POST", "/v1/users", body, visitor=True))


def _queries() -> Iterator[Input]:
    targets = {
        "40,000 species": "/v1/pets?species=" + "CAT," * 10_000,
        "one species 10,000 times": "/v1/pets?" + "species=CAT&" * 5_000,
        "5,000 unknown parameters": "/v1/pets?" + "&".join(f"a{number}=1" for number in range(5_000)),
        "20,000 ampersands": "/v1/pets?" + "&" * 60_000,
        "a page of a billion": "/v1/pets?page=1000000000",
        "a page of 1,000 digits": "/v1/pets?page=" + "9" * 1_000,
        "a limit of 50,000 digits": "/v1/pets?limit=" + "9" * 50_000,
        "a limit of minus one": "/v1/pets?limit=-1",
        "null characters": "/v1/pets?species=%00%00&status=%00",
        "half a percent sign": "/v1/pets?species=%E0%80%ff&%=%",
        "60 kB of percent signs": "/v1/pets?species=" + "%41" * 20_000,
        "other digits": "/v1/pets?limit=" + quote("٣"),
        "a cursor of 50 kB": "/v1/pets?after=" + "x" * 50_000,
        "an id of 50 kB": "/v1/pets/" + "x" * 50_000,
        "an id of control characters": "/v1/pets/%00%0d%0a",
        "5,000 parts of a path": "/v1" + "/.." * 5_000,
        "slashes": "/" * 60_000,
        "an encoded slash": "/v1/pets%2f..%2f..%2fetc%2fpasswd",
    }
    for name, target in targets.items():
        yield Input(f"a query: {name}", "REST", raw(head(target, "Connection: close")))


_SEARCHES: dict[str, bytes] = {
    "20 of each list": b'{"criteria":{"species":[' + b",".join([b'"DOG"'] * 20) + b"]}}",
    "2,000 species": b'{"criteria":{"species":[' + b",".join([b'"DOG"'] * 1_900) + b"]}}",
    "wildcards of LIKE": b'{"criteria":{"text":"' + b"%_" * 50 + b'"}}',
    "quotes of full text": b'{"criteria":{"text":"' + b'\\" OR * NEAR( ' * 10 + b'"}}',
    "a text of 1 MB": b'{"criteria":{"text":"' + b"a " * 500_000 + b'"}}',
    "a page beyond all": b'{"pagination":{"page":2147483647,"limit":100}}',
    "ranges that are empty": b'{"criteria":{"ageMonths":{"min":9,"max":1},"price":{"min":"9","max":"1"}}}',
}


def _form(*parts: bytes, end: bool = True) -> bytes:
    return b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + (b"--x--\r\n" if end else b"")


def _file(content: bytes, name: bytes = b"a.png", kind: bytes = b"image/png") -> bytes:
    disposition = b'Content-Disposition: form-data; name="file"; filename="%b"\r\nContent-Type: %b' % (
        name,
        kind,
    )
    return disposition + b"\r\n\r\n" + content


def png(width: int, height: int, rows: bytes | None = None) -> bytes:
    """An image of one colour with these measures, whatever its rows are."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack("!I", len(content)) + kind + content + struct.pack("!I", zlib.crc32(kind + content))
        )

    data = zlib.compress(bytes(width + 1) * height if rows is None else rows, 9)
    measures = struct.pack("!IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", measures) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


_FORMS: dict[str, Callable[[], bytes]] = {
    "no part": lambda: _form(),
    "no end": lambda: _form(_file(png(4, 4)), end=False),
    "no boundary at all": lambda: b"x" * MIB,
    "50,000 empty parts": lambda: _form(*[b"\r\n"] * 50_000),
    "10,000 fields": lambda: _form(*[b'Content-Disposition: form-data; name="a"\r\n\r\n1'] * 10_000),
    "a part's head of 1 MB": lambda: _form(b"X: " + b"y" * MIB + b"\r\n\r\n1"),
    "20,000 fields of a part's head": lambda: _form(b"X: y\r\n" * 20_000 + b"\r\n1"),
    "a file name of 100 kB": lambda: _form(_file(png(4, 4), b"a" * 100_000)),
    "a file name with a path": lambda: _form(_file(png(4, 4), b"../../../../etc/passwd")),
    "boundaries that almost match": lambda: _form(_file(b"\r\n--" * 500_000)),
    "5 MB of nothing": lambda: _form(_file(bytes(5 * MIB - 1_000))),
    "6 MB": lambda: _form(_file(bytes(6 * MIB))),
    "an image of 30,000 x 30,000": lambda: _form(_file(png(30_000, 30_000, b"\0"))),
    "an image of 6,000 x 6,000 in 40 kB": lambda: _form(_file(png(6_000, 6_000))),
    "an image with far more rows than it says": lambda: _form(_file(png(10, 10, bytes(64 * MIB)))),
    "an image cut in half": lambda: _form(_file(png(2_000, 2_000)[:1_000])),
    "HTML as an image": lambda: _form(_file(b"<script>alert(1)</script>")),
    "SVG": lambda: _form(_file(b"<svg onload='alert(1)'/>", b"a.svg", b"image/svg+xml")),
}

_HEADS: dict[str, bytes] = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no Host": b"GET /v1/pets HTTP/1.1\r\n\r\n",
    "two Hosts": head("/v1/pets", "Host: other"),
    "1,000 fields": head("/v1/pets", *["A: b"] * 1_000),
    "a field of 60 kB": head("/v1/pets", "A: " + "b" * 60_000),
    "a field of 1 MB": head("/v1/pets", "A: " + "b" * MIB),
    "empty lines of 200 kB": b"\r\n" * 100_000,
    "a field folded 5,000 times": head("/v1/pets", "A: b" + "\r\n b" * 5_000),
    "control characters": head("/v1/pets", "A: \x01\x02"),
    "a space before the colon": head("/v1/pets", "A : b"),
    "two lengths": head("/v1/pets", "Content-Length: 1", "Content-Length: 2", method="POST") + b"12",
    "a length and chunks": head(
        "/v1/pets", "Content-Length: 4", "Transfer-Encoding: chunked", method="POST"
    ) + b"0\r\n\r\n",
    "a length of 40 digits": head("/v1/pets", "Content-Length: " + "9" * 40, method="POST"),
    "a negative length": head("/v1/pets", "Content-Length: -1", method="POST"),
    "an unknown method": head("/v1/pets", method="BREW"),
    "HTTP/2 begun without a word": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a target that is no path": head("pets"),
    "a token of 50 kB": head("/v1/pets", "Authorization: Bearer " + "x." * 25_000),
    "a token with 10,000 dots": head("/v1/pets", "Authorization: Bearer " + "." * 10_000),
    "an API key of 50 kB": head("/v1/pets", "X-API-Key: " + "x" * 50_000),
    "an unknown scheme": head("/v1/pets", "Authorization: Basic " + "eA==" * 5_000),
    "a tenant of 50 kB": head("/v1/pets", "X-Tenant-ID: " + "x" * 50_000),
    "an Accept of 10,000 types": head("/v1/pets", "Accept: " + "a/b;q=0.1," * 5_000),
    "an Accept of semicolons": head("/v1/pets", "Accept: " + ";" * 60_000),
    "5,000 ETags": head("/v1/pets", "If-None-Match: " + '"a",' * 12_000),
    "commas as ETags": head("/v1/pets", "If-None-Match: " + "," * 60_000),
    "a Range of 10,000 parts": head("/v1/pets", "Range: bytes=" + "0-0," * 12_000),
    "an Origin of 50 kB": head("/v1/pets", "Origin: http://" + "x" * 50_000),
    "a preflight of 10,000 fields": head(
        "/v1/pets", "Origin: http://a", "Access-Control-Request-Method: GET",
        "Access-Control-Request-Headers: " + "a," * 20_000, method="OPTIONS",
    ),
    "a Cookie of 60 kB": head("/v1/pets", "Cookie: " + "a=b;" * 15_000),
    "10,000 forwarders": head("/v1/pets", "X-Forwarded-For: " + "1.2.3.4," * 7_000),
    "a media type of 50 kB": head(
        "/v1/pets", "Authorization: Bearer {staff}", "Content-Type: application/json;" + "a=b;" * 12_000,
        "Content-Length: 2", method="POST",
    ) + b"{}",
    "an idempotency key of 50 kB": head(
        "/v1/pets", "Authorization: Bearer {staff}", "Idempotency-Key: " + "k" * 50_000,
        "Content-Type: application/json", "Content-Length: 2", method="POST",
    ) + b"{}",
    "a trace of 50 kB": head("/v1/pets", "traceparent: 00-" + "a" * 50_000, "X-Request-ID: " + "b" * 8_000),
}  # fmt: skip

_CHUNKED = head("/v1/pets", "Transfer-Encoding: chunked", "Authorization: Bearer {staff}", method="POST")
_UNFINISHED = head("/v1/pets", "Content-Length: 100", "Authorization: Bearer {staff}", method="POST")


def _drip(text: bytes, every: int = 1) -> Callable[[], Iterator[bytes]]:
    return lambda: (text[start : start + every] for start in range(0, len(text), every))


def _streams_of_bytes() -> Iterator[Input]:
    sent: dict[str, Send] = {
        "chunks: 100,000 of one byte": raw(as_staff(_CHUNKED), b"1\r\n{\r\n" * 100_000 + b"0\r\n\r\n"),
        "chunks: one byte in each packet": raw(as_staff(_CHUNKED), _drip(b"1\r\n \r\n" * 200), b"0\r\n\r\n"),
        "chunks: a size of 40 digits": raw(as_staff(_CHUNKED), b"f" * 40 + b"\r\n"),
        "chunks: no size": raw(as_staff(_CHUNKED), b"xyz\r\n"),
        "chunks: an extension of 100 kB": raw(as_staff(_CHUNKED), b"1;x=" + b"y" * 100_000),
        "chunks: 20,000 trailers": raw(as_staff(_CHUNKED), b"0\r\n" + b"X: y\r\n" * 20_000),
        "chunks: a trailer of 100 kB": raw(as_staff(_CHUNKED), b"0\r\nX: " + b"y" * 100_000),
        "chunks: 8 MB": raw(as_staff(_CHUNKED), b"10000\r\n" + b" " * 65_536 + b"\r\n", b"10000\r\n" + b" " * 8 * MIB),
        "slow: a head, byte by byte": raw(_drip(head("/v1/pets", "A: " + "b" * 200)), pause_seconds=0.001),
        "slow: a head that ends nowhere": raw(b"GET /v1/pets HTTP/1.1\r\nHost: a\r\nA: ", unfinished=True),
        "slow: a body that does not come": raw(as_staff(_UNFINISHED), b"{", unfinished=True),
        "slow: a body, byte by byte": raw(as_staff(_UNFINISHED), _drip(b" " * 100), pause_seconds=0.001),
        "pipelined: 2,000 requests": raw(head("/v1/pets?limit=1") * 2_000, answers=2_000),
        "pipelined: 20,000 requests for nothing": raw(head("/x") * 20_000, answers=1_000),
        "pipelined: 2,000 lists of 100 pets": raw(head("/v1/pets?limit=100") * 2_000, answers=200),
        "pipelined: 500 bodies that are refused": raw(
            as_staff(
                (head("/v1/pets", "Content-Length: 2", "Authorization: Bearer {staff}", method="POST") + b"[]") * 500
            ),
            answers=500,
        ),
        "pipelined: a request behind a stream": raw(
            head("/v1/events?topics=%23") + head("/v1/pets") * 5_000, answers=1
        ),
        "expected: a body that never comes": raw(
            as_staff(head(
                "/v1/pets", "Expect: 100-continue", "Content-Length: 9", "Authorization: Bearer {staff}", method="POST"
            )),
            unfinished=True,
        ),
    }  # fmt: skip
    for name, send in sent.items():
        yield Input(name, "REST", send)


def _others() -> Iterator[Input]:
    many = {
        "200 lists of 100 pets at once": request("GET", "/v1/pets?limit=100", times=200),
        "50 pets created at once": request("POST", "/v1/pets", _PET, times=50),
        "100 logins with a wrong password at once": request(
            "POST", "/v1/auth/tokens", b'{"username":"demo","password":"wrong"}', times=100, visitor=True
        ),
        "a password of 1 MB": request(
            "POST", "/v1/auth/tokens",
            b'{"username":"demo","password":"' + b"p" * (MIB - 100) + b'"}', visitor=True,
        ),
        "100 writes of one pet at once": request("PATCH", "/v1/pets/{pet}", b'{"ageMonths":500}', times=100),
        "a compressed body that is not asked for": request(
            "POST", "/v1/pets", lambda: gzip.compress(bytes(64 * MIB)), Content_Encoding="gzip"
        ),
        "a form where JSON is wanted": request("POST", "/v1/pets", b"a=b&" * 100_000, media_type="a/b"),
        "an order of 2,000 pets": request(
            "POST", "/v1/orders", b'{"items":[' + b",".join([b'{"petId":"x"}'] * 900) + b"]}"
        ),
        "an API key with 2,000 scopes": request(
            "POST", "/v1/api-keys", b'{"name":"k","scopes":[' + b",".join([b'"read:pets"'] * 1_900) + b"]}"
        ),
        "a device with 2,000 grants": request(
            "POST", "/v1/devices", b'{"name":"d","topics":[' + b",".join([b'"pets/+/#"'] * 1_900) + b"]}"
        ),
        "a message of 1 MB": request(
            "POST", "/v1/chats/{chat}/messages", b'{"text":"' + b"x" * (MIB - 100) + b'"}'
        ),
        "50 messages at once": request("POST", "/v1/chats/{chat}/messages", b'{"text":"hello"}', times=50),
    }  # fmt: skip
    for name, send in many.items():
        yield Input(name, "REST", send)
    for name, body in _SEARCHES.items():
        yield Input(f"a search: {name}", "REST", request("QUERY", "/v1/pets", body))
    for name, content in _FORMS.items():
        send = request("POST", "/v1/pets/{pet}/images", content, media_type=_FORM)
        yield Input(f"a form: {name}", "REST", send)
    boundary = "multipart/form-data; boundary=" + "x" * 50_000
    yield Input(
        "a form: a boundary of 50 kB",
        "REST",
        request(
            "POST", "/v1/pets/{pet}/images", b"--" + b"x" * 50_000 + b"\r\n" * 1_000, media_type=boundary
        ),
    )
    for name, fields in _HEADS.items():
        yield Input(f"a head: {name}", "REST", raw(as_staff(fields)))
    for name, text in {
        "1 MB": "u" * 1_000_000,
        "Cyrillic": "dеmo-staff",
        "full width": "ｄｅｍｏ",
        "right to left": "\u202edemo",
        "50,000 combining marks": "a" + "\u0301" * 50_000,
        "of many scripts": "aбγאقक中ひ" * 8,
    }.items():
        yield _registration(name, text)


def _event_streams() -> Iterator[Input]:
    targets = {
        "no topic": "/v1/events",
        "5,000 topics": "/v1/events?topics=" + "a%2Fb," * 5_000,
        "100 wide topics": "/v1/events?topics=" + ",".join(f"pets/+/{number}" for number in range(100)),
        "topics given 3,000 times": "/v1/events?" + "topics=a&" * 3_000,
        "a topic of 50 kB": "/v1/events?topics=" + "a" * 50_000,
        "a topic of 20,000 levels": "/v1/events?topics=" + "%2F" * 20_000,
        "a topic of 10,000 pluses": "/v1/events?topics=" + "%2B%2F" * 10_000,
        "wildcards amid a level": "/v1/events?topics=a%23%2F%2Bb",
        "null characters": "/v1/events?topics=%00",
        "a cursor that is none": "/v1/events?topics=pets/%23&cursor=" + "A" * 10_000,
        "a cursor of another epoch": "/v1/events?topics=pets/%23&cursor=MTIzNDU2Nzg5MA",
        "everything that is kept": "/v1/events?topics=pets/%23&cursor=earliest",
        "an unknown parameter": "/v1/events?topics=pets/%23&" + "x=y&" * 5_000,
    }
    for name, target in targets.items():
        yield Input(name, "SSE", raw(head(target, "Accept: text/event-stream")))
    last = "Last-Event-ID: " + "x" * 50_000
    yield Input("a Last-Event-ID of 50 kB", "SSE", raw(head("/v1/events?topics=pets/%23", last)))
    yield Input(
        "another media type",
        "SSE",
        raw(head("/v1/events?topics=pets/%23", "Accept: image/png", "Connection: close")),
    )
    yield Input(
        "a stream by POST with a body",
        "SSE",
        raw(head("/v1/events?topics=pets/%23", "Content-Length: 5", method="POST") + b"hello"),
    )


CORPUS: tuple[Input, ...] = (
    *_bodies(), *_queries(), *_streams_of_bytes(), *_others(), *_event_streams()
)  # fmt: skip
