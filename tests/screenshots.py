"""Takes the pictures that README and docs show: `make screenshots`."""

import asyncio
import io
import re
import tempfile
from pathlib import Path
from typing import Any, Literal

from PIL import Image
from playwright.async_api import Browser, Page, expect

from tests.browser import chromium
from tests.process import Gateway

_FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
_DESKTOP: Any = {"width": 1360, "height": 850}
_PHONE: Any = {"width": 360, "height": 740}
#: WebP's own scale; flat colours stay clean.
_QUALITY = 82


async def take() -> None:
    """Take each of them, of a demo store of their own."""
    _FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, Gateway(Path(directory), "--demo") as gateway:
        async with chromium() as browser:
            await _console(browser, gateway.url, "console", _DESKTOP, "light")
            await _console(browser, gateway.url, "console-dark", _DESKTOP, "dark")
            await _console(browser, gateway.url, "console-phone", _PHONE, "light")


async def _console(
    browser: Browser, url: str, name: str, size: Any, scheme: Literal["light", "dark"]
) -> None:
    context = await browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
    page = await context.new_page()
    await page.goto(f"{url}/")
    await page.get_by_role("button", name=re.compile("^demo-staff")).click()
    doors = page.locator(".door")
    await expect(page.locator(".door.is-open")).to_have_count(await doors.count())
    for _ in range(2):
        await page.get_by_role("button", name=re.compile("^Order ")).first.click()
        await expect(page.get_by_role("status")).to_contain_text("is reserved")
    await page.get_by_role("button", name=re.compile("^Pay order")).first.click()
    await expect(page.get_by_role("status")).to_contain_text("is paid")
    await expect(page.get_by_role("status")).to_be_empty()
    if size is _DESKTOP:
        # One door shows how it is behind.
        await doors.last.get_by_role("button", name="Cut").click()
        await page.get_by_role("button", name=re.compile("^Order ")).first.click()
        await expect(page.get_by_role("status")).to_contain_text("is reserved")
        await expect(doors.last.locator(".behind")).to_be_visible()
        await expect(page.get_by_role("status")).to_be_empty()
    await page.evaluate("scrollTo(0, 0)")
    await page.mouse.move(0, 0)
    await _save(page, name)
    await context.close()


async def _save(page: Page, name: str) -> None:
    taken = Image.open(io.BytesIO(await page.screenshot()))
    taken.save(_FOLDER / f"{name}.webp", quality=_QUALITY, method=6)


if __name__ == "__main__":
    asyncio.run(take())
