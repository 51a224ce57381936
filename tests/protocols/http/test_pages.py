"""Pages and what they load, as they are served."""

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from protocols.http import pages
from protocols.http.pages import Assets, Page


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=Assets())
    async with httpx.AsyncClient(transport=transport, base_url="http://store") as client:
        yield client


def test_each_response_has_a_nonce_of_its_own_in_page_and_policy() -> None:
    nonces = set()
    for _ in range(2):
        response = Page("v1/graphql.html", more=b"worker-src 'self'").response()
        policy = dict(response.headers)[b"content-security-policy"].decode()
        (nonce,) = re.findall("'nonce-([^']{20,})'", policy)
        assert set(re.findall('nonce="([^"]*)"', response.body.decode())) == {nonce}
        assert "script-src 'self';" in policy
        assert policy.endswith("; worker-src 'self'")
        nonces.add(nonce)
    assert len(nonces) == 2


def test_a_page_that_was_not_built_says_so() -> None:
    response = Page("v1/none.html").response()
    assert (response.status, b"make pages" in response.body) == (503, True)


async def test_assets_are_kept_for_ever_and_come_compressed_to_who_takes_that(
    client: httpx.AsyncClient,
) -> None:
    for path in Assets().paths:
        plain = await client.get(path, headers={"Accept-Encoding": "identity"})
        packed = await client.get(path, headers={"Accept-Encoding": "br, gzip;q=0.5"})
        assert (plain.status_code, packed.status_code) == (200, 200)
        assert plain.content == packed.content
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip"
        assert plain.headers["etag"] != packed.headers["etag"]
        for answer in (plain, packed):
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert "accept-encoding" in answer.headers["vary"].lower()
            assert answer.headers["x-content-type-options"] == "nosniff"
        again = await client.get(
            path, headers={"Accept-Encoding": "gzip", "If-None-Match": packed.headers["etag"]}
        )
        assert (again.status_code, again.content) == (304, b"")


async def test_assets_are_what_their_names_say(client: httpx.AsyncClient) -> None:
    types = {Path(path).suffix: (await client.head(path)).headers["content-type"] for path in Assets().paths}
    assert types[".js"] == "text/javascript; charset=utf-8"
    assert types[".css"] == "text/css; charset=utf-8"
    assert types[".ttf"] == "font/ttf"
    assert types[".svg"] == "image/svg+xml"


def test_every_asset_that_pages_name_is_there() -> None:
    built = Path(pages.__file__).with_name("built")
    there = set(Assets().paths)
    for page in built.rglob("*.html"):
        named = re.findall('<(?:script|link|img)[^>]* (?:src|href)="([^"]+)"', page.read_text())
        assert named
        for reference in named:
            assert f"/{(page.parent / reference).resolve().relative_to(built)}" in there


def test_compressed_copies_are_the_files() -> None:
    for file in Path(pages.__file__).with_name("built").rglob("*.gz"):
        assert gzip.decompress(file.read_bytes()) == file.with_suffix("").read_bytes()
