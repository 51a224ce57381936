"""The example of a program that asks its user in a browser."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.http_clients import ask
from tests.process import Gateway, environment
from tests.protocols.oauth.person import Page, browser
from tests.servers import free_port
from tests.waiting import TIMEOUT_SECONDS, within

EXAMPLE = Path(__file__).parents[3] / "examples" / "web_login.py"


def allowed(url: str, address: str) -> httpx.Response:
    """The user allows it, and their browser goes where it is led."""
    with browser(url) as client:
        page = Page(client.get(address), client).followed().allowed()
        location = page.answer.headers["location"]
        # A browser may ask for an icon, before anything else.
        assert (
            ask("GET", str(httpx.URL(location).copy_with(path="/favicon.ico", query=None))).status_code == 404
        )
        return ask("GET", location)


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


@pytest.mark.parametrize("name", ["web_login.py", "order_lamp.py"])
def test_without_a_gateway_the_examples_ask_whether_it_runs(name: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = subprocess.run(
        [sys.executable, str(EXAMPLE.with_name(name))],
        env=environment(url=url), capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, f"Is the gateway running at {url}?\n")
