"""The example of a program that asks its user in a browser."""

import asyncio
import json
import sys
from pathlib import Path

import httpx

from tests.http_clients import ask
from tests.process import Gateway, environment
from tests.protocols.oauth.person import Page, browser
from tests.waiting import within

EXAMPLE = Path(__file__).parents[3] / "examples" / "web_login.py"


def allowed(url: str, address: str) -> httpx.Response:
    """The user allows it, and their browser goes where it is led."""
    with browser(url) as client:
        page = Page(client.get(address), client).followed().allowed()
        return ask("GET", page.answer.headers["location"])


async def test_the_example_lists_its_users_orders(gateway: Gateway) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLE), env=environment(url=gateway.url), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        line = (await within(process.stdout.readline())).decode()
        shown = await asyncio.to_thread(allowed, gateway.url, line.removeprefix("Open ").strip())
        assert shown.text == "You can close this page.\n"
        assert json.loads(await within(process.stdout.readline()))["data"]
        assert await within(process.wait()) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
