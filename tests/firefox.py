"""Debian's Firefox without a window, driven by WebDriver BiDi (W3C), which it speaks itself.

`tests/setup_servers.sh` installs the browser. Playwright drives a Firefox of its own make, and no other.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect

from tests.servers import program
from tests.waiting import eventually, within

#: Nothing of it is to ask anybody anything.
_PREFERENCES = """\
user_pref("app.normandy.enabled", false);
user_pref("browser.startup.page", 0);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
"""


class Firefox:
    """A tab that visits one site. ``faults`` are what its pages complained of, as for `tests.browser.Visit`."""

    def __init__(self, connection: ClientConnection, site: str) -> None:
        self._connection = connection
        self._site = urlsplit(site).netloc
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = count(1)
        self._context = ""
        self.faults: list[str] = []

    async def begin(self) -> None:
        """Open the tab."""
        await self._call("session.new", capabilities={})
        await self._call("session.subscribe", events=["log.entryAdded", "network.beforeRequestSent"])
        self._context = (await self._call("browsingContext.create", type="tab"))["context"]

    async def open(self, url: str) -> None:
        """Show a page, and wait until it is loaded."""
        await self._call("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page: a text, a number or a truth value; None for anything else."""
        answer = await self._call(
            "script.evaluate", expression=expression, target={"context": self._context}, awaitPromise=True
        )
        assert answer["type"] == "success", answer["exceptionDetails"]["text"]
        return answer["result"].get("value")

    async def holds(self, expression: str) -> None:
        """Wait until an expression is true."""

        async def true() -> bool:
            return await self.evaluate(expression) is True

        await eventually(true)

    async def listen(self) -> None:
        """Hear what the browser tells, until the connection ends."""
        async for text in self._connection:
            message = json.loads(text)
            if message["type"] == "event":
                self._told(message["method"], message["params"])
            elif (waiting := self._answers.pop(message["id"], None)) is not None:
                waiting.set_result(message)

    async def _call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        waiting = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._connection.send(json.dumps({"id": number, "method": method, "params": params}))
        answer = await within(waiting)
        assert answer["type"] == "success", answer
        result: dict[str, Any] = answer["result"]
        return result

    def _told(self, method: str, params: dict[str, Any]) -> None:
        if method == "log.entryAdded":
            if params["level"] == "error":
                self.faults.append(params["text"])
        elif params["context"] == self._context:
            parts = urlsplit(params["request"]["url"])
            if parts.scheme not in {"data", "blob", "about"} and parts.netloc != self._site:
                self.faults.append(f"asked another host: {params['request']['url']}")


@asynccontextmanager
async def firefox(site: str, directory: Path) -> AsyncIterator[Firefox]:
    """A Firefox of its own, with its profile in a folder; no page may have complained at the end."""
    profile = directory / "firefox"
    profile.mkdir()
    (profile / "user.js").write_text(_PREFERENCES)
    address = profile / "WebDriverBiDiServer.json"
    options = ("--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0")
    with (directory / "firefox.log").open("wb") as log:
        browser = await asyncio.create_subprocess_exec(_executable(), *options, stdout=log, stderr=log)
    try:
        await eventually(lambda: address.exists() and address.read_text().endswith("}"))
        port = json.loads(address.read_text())["ws_port"]
        async with connect(f"ws://127.0.0.1:{port}/session", max_size=None) as connection:
            tab = Firefox(connection, site)
            listening = asyncio.create_task(tab.listen())
            try:
                await tab.begin()
                yield tab
            finally:
                listening.cancel()
    finally:
        browser.terminate()
        await browser.wait()
    assert not tab.faults, tab.faults


def _executable() -> str:
    if sys.platform == "darwin":
        return "/Applications/Firefox.app/Contents/MacOS/firefox"
    return program("firefox-esr")
