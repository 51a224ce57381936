"""Addresses in resources are under PUBLIC_URL, or where the port listens: never where a request says that it went."""

import asyncio
import uuid
from pathlib import Path

import httpx
import pytest

from tests.http_clients import http_client
from tests.pictures import PNG
from tests.process import Gateway

_LIES = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}


async def _photo_of(gateway: Gateway) -> tuple[str, bytes]:
    """The address of a new photo in a private tenant, and what a browser without headers gets there."""
    draft = {"username": "owner", "email": "o@example.com", "password": "correct horse", "firstName": "A"}
    headers = {"X-Tenant-ID": str(uuid.uuid4())}
    async with http_client(base_url=gateway.url, headers={**headers, **_LIES}) as client:
        await client.post("/v1/users", json={**draft, "lastName": "B"})
        login = await client.post("/v1/auth/tokens", json={"username": "owner", "password": "correct horse"})
        client.headers["Authorization"] = f"Bearer {login.json()['accessToken']}"
        pet = {"name": "Bo", "species": "CAT", "ageMonths": 3, "price": "75.00"}
        path = (await client.post("/v1/pets", json=pet)).headers["location"]
        await client.post(f"{path}/images", files={"file": ("a.png", PNG)})
        [address] = (await client.get(path)).json()["photos"]
    url = httpx.URL(address)
    async with http_client(base_url=gateway.url) as browser:
        return address, (await browser.get(url.raw_path.decode())).content


@pytest.mark.parametrize("public_url", [None, "https://store.example", "http://store.example:81/"])
def test_a_photo_is_where_clients_find_the_gateway(tmp_path: Path, public_url: str | None) -> None:
    settings = {} if public_url is None else {"public_url": public_url}
    with Gateway(tmp_path, **settings) as gateway:
        address, content = asyncio.run(_photo_of(gateway))
        assert address.startswith(f"{(public_url or gateway.url).rstrip('/')}/v1/pets/")
    assert content == PNG
