"""The pages for people, in a browser."""

from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Browser, expect

from tests.browser import chromium, visit
from tests.process import Gateway
from tests.waiting import eventually


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The demo store."""
    with Gateway(tmp_path_factory.mktemp("pages"), "--demo") as running:
        yield running


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A browser of this test alone."""
    async with chromium() as running:
        yield running


async def test_swagger_ui_shows_the_operations(gateway: Gateway, browser: Browser) -> None:
    async with visit(gateway.url, browser) as somebody:
        page = await somebody.open(f"{gateway.url}/v1/swagger-ui.html")
        await expect(page.get_by_role("heading", name="Petstore Gateway")).to_be_visible()
        await expect(page.locator("#operations-tag-pets, .opblock-tag").first).to_be_visible()


async def test_a_visit_tells_what_a_page_complains_of(gateway: Gateway, browser: Browser) -> None:
    async with visit(gateway.url, browser) as somebody:
        page = await somebody.open(f"{gateway.url}/v1/swagger-ui.html")
        assert somebody.faults == []
        await page.evaluate("console.error('not good')")
        await page.evaluate("fetch('http://127.0.0.1:9/').catch(() => {})")
        await eventually(lambda: len(somebody.faults) >= 2)
        assert "not good" in somebody.faults
        somebody.faults.clear()
