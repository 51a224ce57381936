"""Documents for everybody are made once, however many ask for them before they are there."""

import asyncio
import os
from threading import Lock

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from core.kernel.caller import operator
from core.kernel.ids import SHARED_TENANT
from protocols.http.cors import Cors
from protocols.http.downloads import Download
from protocols.http.exchange import Exchange
from protocols.http.response import Response
from protocols.rest.pages import Pages


class Maker:
    """Makes a document, and notices when it is asked to while it does."""

    def __init__(self) -> None:
        self.made = 0
        self._busy = Lock()

    def document(self) -> dict[str, int]:
        assert self._busy.acquire(blocking=False), "two are made at a time"
        for _ in range(200):
            os.sched_yield()  # Others run meanwhile.
        self._busy.release()
        self.made += 1
        return {"made": self.made}

    def text(self) -> bytes:
        return str(self.document()).encode()


async def asked(app: ASGIApp, *paths: str) -> list[httpx.Response]:
    """Fifty clients ask for each of them at once."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://store") as client:
        return await asyncio.gather(*(client.get(path) for path in paths * 50))


async def test_a_download_is_made_once() -> None:
    maker = Maker()
    found = await asked(Download("/v1/it", b"text/plain", maker.text), "/v1/it")
    assert {(one.status_code, one.text) for one in found} == {(200, "{'made': 1}")}


async def test_documents_are_made_once_each_and_one_at_a_time() -> None:
    maker = Maker()
    pages = Pages({"one": maker.document, "other": maker.document})

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(exchange: Exchange) -> Response:
            return await pages(operator(SHARED_TENANT), exchange, [])

        await Exchange(scope, receive, send, Cors(())).run(answer)

    paths = ("/v1/one.json", "/v1/other.json", "/v1/one.yaml")
    found = await asked(app, *paths)
    assert {one.status_code for one in found} == {200}
    assert maker.made == len(paths)
