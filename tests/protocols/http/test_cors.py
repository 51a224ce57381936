"""Which web pages may call."""

import pytest

from protocols.http.cors import Cors

ORIGIN, CREDENTIALS = b"access-control-allow-origin", b"access-control-allow-credentials"


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize(
    ("allowed", "origin", "named", "credentials"),
    [
        ((), b"https://shop.example", None, None),
        (("https://shop.example",), b"https://shop.example", b"https://shop.example", b"true"),
        (("https://shop.example",), b"https://other.example", None, None),
        (("*",), b"https://other.example", b"https://other.example", None),
        (("*", "https://shop.example"), b"https://shop.example", b"https://shop.example", b"true"),
        (("*", "https://shop.example"), b"https://other.example", b"https://other.example", None),
        (("*",), b"null", b"null", None),
    ],
)
def test_an_origin_is_named_and_only_one_of_the_settings_may_send_credentials(
    allowed: tuple[str, ...], origin: bytes, named: bytes | None, credentials: bytes | None, method: str
) -> None:
    added = dict(
        Cors(allowed).headers(method, {b"origin": origin, b"access-control-request-method": b"POST"})
    )
    assert (added.get(ORIGIN), added.get(CREDENTIALS)) == (named, credentials)
    assert dict(Cors(allowed).headers(method, {})) == {}


@pytest.mark.parametrize(
    ("allowed", "origin", "admitted"),
    [
        (("https://shop.example",), None, True),
        (("https://shop.example",), b"https://shop.example", True),
        (("https://shop.example",), b"https://Store.example:8443", True),
        (("https://shop.example",), b"https://store.example", False),
        (("https://shop.example",), b"https://other.example", False),
        (("https://shop.example",), b"null", False),
        (("https://shop.example",), b"", False),
        (("*",), b"https://other.example", True),
        ((), b"https://other.example", True),
    ],
)
def test_a_page_opens_a_websocket_at_its_own_origin_or_where_it_is_let_in(
    allowed: tuple[str, ...], origin: bytes | None, admitted: bool
) -> None:
    headers = {b"host": b"store.example:8443"} | ({} if origin is None else {b"origin": origin})
    assert Cors(allowed).admits(headers) is admitted
