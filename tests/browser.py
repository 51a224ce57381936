"""A real browser without a window: Debian's Chromium, driven by Playwright.

`tests/setup_servers.sh` installs the browser; the wheel of Playwright brings what drives it.
"""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright, expect

from tests.servers import program
from tests.waiting import TIMEOUT_SECONDS

expect.set_options(timeout=TIMEOUT_SECONDS * 1000)


class Visit:
    """One person's pages, all of one site.

    ``faults`` are what the pages complained of: errors in the console, which tell of breaches of their policy too,
    exceptions that nobody caught, and requests to anybody but the site. Who provokes some clears them.
    """

    def __init__(self, site: str, context: BrowserContext) -> None:
        self._site = urlsplit(site).netloc
        self._context = context
        self.faults: list[str] = []

    async def open(self, url: str) -> Page:
        """Show a page in a tab of its own."""
        page = await self._context.new_page()
        page.on("console", self._told)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", lambda request: self._requested(request.url))
        page.on("websocket", lambda socket: self._requested(socket.url))
        await page.goto(url)
        return page

    def _told(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.faults.append(f"{message.text} ({message.location['url']})")

    def _requested(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"data", "blob"} and parts.netloc != self._site:
            self.faults.append(f"asked another host: {url}")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser; each of its contexts is another person's."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=_executable(),
            # Chromium's sandbox refuses root, which CI and containers are.
            chromium_sandbox=sys.platform == "linux" and os.geteuid() != 0,
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def visit(site: str, browser: Browser, **options: Any) -> AsyncIterator[Visit]:
    """A person who visits one site; no page may have complained at the end. ``options`` are those of the context."""
    context = await browser.new_context(**options)
    context.set_default_timeout(TIMEOUT_SECONDS * 1000)
    visit = Visit(site, context)
    try:
        yield visit
    finally:
        await context.close()
    assert not visit.faults, visit.faults


def _executable() -> str:
    if sys.platform == "darwin":
        return "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
    return program("chromium")
