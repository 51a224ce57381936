"""The live console at `/`, in a browser, with a client of each door."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.browser import Visit, chromium, visit
from tests.firefox import firefox
from tests.http_clients import http_client
from tests.process import Gateway
from tests.waiting import eventually

DOORS = ("sse", "websocket", "socketio", "graphql", "mqtt")
STAFF = {"username": "demo-staff", "password": "demo-staff-password"}
_AXE = Path(__file__).parents[1] / "node" / "node_modules" / "axe-core" / "axe.min.js"
#: What the page may load, compressed, every client included.
_MOST_BYTES = 150_000
_PHONE: Any = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The demo store."""
    with Gateway(tmp_path_factory.mktemp("console"), "--demo") as running:
        yield running


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A browser of this test alone."""
    async with chromium() as running:
        yield running


async def test_one_order_is_shown_by_every_door(gateway: Gateway, browser: Browser) -> None:
    async with visit(gateway.url, browser) as somebody:
        page = await _console(somebody, gateway, "demo")
        await _order(page)
        placed = page.locator("[data-event='order.created']").first
        for door in DOORS:
            await expect(placed.locator(f".dot[data-door={door}]")).to_have_class(re.compile(r"\bon\b"))
            await expect(_door(page, door).locator(".delay")).to_have_text(re.compile(r"^\d+ ms$"))
        await expect(page.locator(".order").first.locator("[aria-current=step]")).to_have_text("placed")


async def test_a_visitor_sees_on_every_door_what_is_public(gateway: Gateway, browser: Browser) -> None:
    async with visit(gateway.url, browser) as somebody:
        page = await _console(somebody, gateway, "Visitor")
        await _order(page)
        changed = page.locator("[data-event='pet.status_changed']").first
        await expect(changed.locator(".dot.on")).to_have_count(len(DOORS))
        order = page.locator(".order").first
        await order.get_by_role("button", name=re.compile("^Pay order")).click()
        await expect(order.locator("[aria-current=step]")).to_have_text("approved")
        await expect(page.locator("[data-event^='order.']")).to_have_count(0)


async def test_an_order_moves_on_through_its_states(gateway: Gateway, browser: Browser) -> None:
    async with visit(gateway.url, browser) as somebody:
        page = await _console(somebody, gateway, "demo-staff")
        await _order(page)
        order = page.locator(".order").first
        await order.get_by_role("button", name="Pay with a bad card").click()
        await expect(page.get_by_role("status")).to_contain_text("declined")
        for what, status in (("Pay order", "approved"), ("Ship", "shipped"), ("Deliver", "delivered")):
            await order.get_by_role("button", name=what).click()
            await expect(order.locator("[aria-current=step]")).to_have_text(status)


@pytest.mark.parametrize("door", DOORS)
async def test_a_door_that_was_cut_catches_up_on_what_it_missed(
    gateway: Gateway, browser: Browser, door: str
) -> None:
    async with visit(gateway.url, browser) as somebody:
        page = await _console(somebody, gateway, "demo")
        row = _door(page, door)
        await row.get_by_role("button", name="Cut").click()
        await expect(row.locator(".door-state")).to_have_text("cut")
        await _order(page)
        # The order, the pet's status, its availability, and the stock.
        await expect(row.locator(".behind")).to_have_text("4 behind. ")
        await expect(row.locator(".taken")).to_have_text("0")
        await row.get_by_role("button", name="Join").click()
        await expect(row.locator(".caught-up")).to_contain_text("Caught up on 4")
        await expect(row.locator(".taken")).to_have_text("4")
        await expect(row.locator(".behind")).to_have_count(0)
        assert await page.locator(f".dot.late[data-door={door}]").count() == 4


async def test_doors_come_back_by_themselves_when_the_gateway_does(
    tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> None:
    with Gateway(tmp_path_factory.mktemp("restarted"), "--demo") as restarted:
        async with visit(restarted.url, browser) as somebody:
            page = await _console(somebody, restarted, "demo-staff")
            await _order(page)
            restarted.stop()
            for door in DOORS:
                await expect(_door(page, door).locator(".door-state")).to_have_text("reconnecting…")
            restarted.start()
            await _all_joined(page)
            await _order(page)
            newest = page.locator("[data-event='order.created']").first
            await expect(newest.locator(".dot.on")).to_have_count(len(DOORS))
            for door in DOORS:
                await expect(_door(page, door).locator(".taken")).to_have_text("8")
            # Browsers complain of a host that is away.
            somebody.faults.clear()


async def test_a_login_is_kept_by_the_tab_and_renewed(gateway: Gateway, browser: Browser) -> None:
    async with visit(gateway.url, browser) as somebody:
        page = await _console(somebody, gateway, "demo")
        first = await _kept_token(page)
        # As if it were about to end.
        await page.evaluate("""
            const kept = JSON.parse(sessionStorage.getItem("petstore-console"));
            kept.seats.customer.expiresAt = Date.now() + 61_000;
            sessionStorage.setItem("petstore-console", JSON.stringify(kept));
        """)
        await page.reload()
        seat = page.get_by_role("button", name="demo", exact=True)
        await expect(seat).to_have_attribute("aria-pressed", "true")

        async def renewed() -> bool:
            return await _kept_token(page) != first

        await eventually(renewed)
        await _all_joined(page)
        await _order(page)
        await expect(page.locator("[data-event='order.created'] .dot.on")).to_have_count(len(DOORS))


async def test_a_login_that_the_store_no_longer_knows_is_forgotten(
    gateway: Gateway, browser: Browser
) -> None:
    async with visit(gateway.url, browser) as somebody:
        page = await _console(somebody, gateway, "demo")
        await page.evaluate("""
            const kept = JSON.parse(sessionStorage.getItem("petstore-console"));
            kept.seats.customer.token = "gone";
            sessionStorage.setItem("petstore-console", JSON.stringify(kept));
        """)
        await page.reload()
        await expect(page.get_by_role("button", name="Visitor")).to_have_attribute("aria-pressed", "true")
        await _all_joined(page)
        await expect(page.locator(".pet").first).to_be_visible()
        # Browsers complain of requests that are refused.
        somebody.faults.clear()


@pytest.mark.parametrize("door", ["websocket", "mqtt"])
async def test_a_slow_door_is_behind_and_catches_up(gateway: Gateway, browser: Browser, door: str) -> None:
    async with visit(gateway.url, browser) as somebody:
        page = await _console(somebody, gateway, "demo")
        row = _door(page, door)
        await row.get_by_role("button", name="Slow").click()
        await _order(page)
        await expect(row.locator(".behind")).to_be_visible()
        await row.get_by_role("button", name="Slow").click()
        await expect(row.locator(".taken")).to_have_text("4")
        await expect(row.locator(".behind")).to_have_count(0)


async def test_a_private_store_is_made_reset_seeded_and_deleted(gateway: Gateway, browser: Browser) -> None:
    async with visit(gateway.url, browser) as somebody, http_client(base_url=gateway.url) as client:
        page = await _console(somebody, gateway, "Visitor")
        await page.get_by_role("button", name="Make a private store").click()
        await expect(page.get_by_role("button", name="owner")).to_have_attribute("aria-pressed", "true")
        tenant = await page.locator(".tenant code").get_attribute("title") or ""
        assert UUID(tenant).version == 4
        await expect(page.locator(".pet").first).to_be_visible()
        await _all_joined(page)
        await _order(page)
        created = page.locator("[data-event='order.created']").first
        await expect(created.locator(".dot.on")).to_have_count(len(DOORS))

        await page.get_by_role("button", name="Reset").click()
        await expect(page.get_by_text("No pets here.")).to_be_visible()
        assert await _pets_of(client, tenant) == 0
        await _all_joined(page)
        await page.get_by_role("button", name="Seed").click()
        await expect(page.locator(".pet").first).to_be_visible()
        assert await _pets_of(client, tenant) > 0

        await page.get_by_role("button", name="Delete").click()
        await expect(page.get_by_text("Shared pool")).to_be_visible()
        assert await _pets_of(client, tenant) == 0


async def test_a_customer_and_an_agent_chat(gateway: Gateway, browser: Browser) -> None:
    async with visit(gateway.url, browser) as somebody:
        page = await _console(somebody, gateway, "Visitor")
        await page.get_by_role("button", name=re.compile("^Chat")).click()
        customer, agent = page.locator("[data-side=customer]"), page.locator("[data-side=agent]")
        await customer.get_by_role("button", name="Open a chat").click()
        await _say(customer, "Does Biscuit like cats?")
        # In demo mode, while the chat waits for an agent.
        await expect(customer.get_by_role("log")).to_contain_text("The store's advisor")
        await agent.get_by_role("button", name="Come as agent").click()
        await expect(agent.get_by_role("log")).to_contain_text("Does Biscuit like cats?")
        await _say(agent, "He does.")
        await expect(customer.get_by_role("log")).to_contain_text("He does.")
        await expect(customer.locator(".message.own").first).to_contain_text("read")


async def test_the_inspector_shows_an_event_and_how_to_follow_it(gateway: Gateway, browser: Browser) -> None:
    async with visit(gateway.url, browser) as somebody:
        page = await _console(somebody, gateway, "demo")
        await _order(page)
        await page.locator("[data-event='order.created'] button").first.click()
        dialog = page.get_by_role("dialog", name="order.created")
        envelope = json.loads(await dialog.locator("pre").first.inner_text())
        await expect(dialog.locator(".facts")).to_contain_text(envelope["cursor"])
        await expect(dialog.locator(".facts")).to_contain_text("the order's buyer")
        for title in ("Server-Sent Events", "WebSocket", "Socket.IO", "GraphQL", "MQTT", "gRPC"):
            command = dialog.get_by_role("button", name=f"Copy: {title}")
            await expect(command).to_be_visible()
            assert envelope["topic"] in await command.locator("xpath=..").locator("pre").inner_text()
        await page.keyboard.press("Escape")
        await expect(dialog).to_be_hidden()


async def test_other_doors_show_what_they_did(gateway: Gateway, browser: Browser) -> None:
    async with visit(gateway.url, browser) as somebody, http_client(base_url=gateway.url) as client:
        (await client.get("/api/v3/pet/1")).raise_for_status()
        page = await _console(somebody, gateway, "Visitor")
        await expect(page.locator("[data-door=classic] strong")).to_have_text(re.compile(r"^[1-9]"))


async def test_somebody_signs_in_with_an_account_of_their_own(gateway: Gateway, browser: Browser) -> None:
    async with visit(gateway.url, browser) as somebody, http_client(base_url=gateway.url) as client:
        account = {"username": "console-user", "password": "console-password"}
        person = {**account, "email": "c@example.com", "firstName": "A", "lastName": "B"}
        (await client.post("/v1/users", json=person)).raise_for_status()
        page = await _console(somebody, gateway, "Visitor")
        await page.get_by_role("button", name="Other account").click()
        dialog = page.get_by_role("dialog", name="Sign in")
        await dialog.get_by_label("User name").fill(account["username"])
        await dialog.get_by_label("Password").fill(account["password"])
        await dialog.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("button", name="console-user")).to_have_attribute(
            "aria-pressed", "true"
        )
        await _all_joined(page)
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("button", name="Visitor")).to_have_attribute("aria-pressed", "true")


async def test_a_store_that_is_no_demo_offers_no_accounts(
    tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> None:
    with Gateway(tmp_path_factory.mktemp("no-demo")) as plain:
        async with visit(plain.url, browser) as somebody:
            page = await somebody.open(f"{plain.url}/")
            await _all_joined(page)
            await expect(page.get_by_role("button", name="Sign in")).to_be_visible()
            assert await page.get_by_text("demo").count() == 0


async def test_it_loads_less_than_150_kilobytes(gateway: Gateway, browser: Browser) -> None:
    async with visit(gateway.url, browser) as somebody:
        page = await _console(somebody, gateway, "Visitor")
        async with http_client(base_url=gateway.url) as client:
            loaded: list[str] = await page.evaluate("""
                performance.getEntries()
                    .filter((entry) => entry.name.includes("/v1/assets/") || entry.entryType === "navigation")
                    .map((entry) => entry.name)
            """)
            sizes = {
                url: int(
                    (await client.head(url, headers={"Accept-Encoding": "gzip"})).headers["content-length"]
                )
                for url in set(loaded)
            }
        assert any("mqtt" in url for url in sizes)
        assert sum(sizes.values()) < _MOST_BYTES, sizes


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_of_it_keeps_anybody_out(
    gateway: Gateway, browser: Browser, scheme: Literal["light", "dark"]
) -> None:
    async with visit(gateway.url, browser, color_scheme=scheme, reduced_motion="reduce") as somebody:
        page = await _console(somebody, gateway, "demo-staff")
        await _order(page)
        await _door(page, "sse").get_by_role("button", name="Cut").click()
        await page.get_by_role("button", name=re.compile("^Chat")).click()
        await page.locator("[data-side=customer]").get_by_role("button", name="Open a chat").click()
        await _say(page.locator("[data-side=customer]"), "Hello")
        assert await _barriers(page) == []
        await page.get_by_role("button", name=re.compile("^Chat")).click()
        await page.locator("[data-event='order.created'] button").first.click()
        assert await _barriers(page) == []


async def test_it_fits_a_phone(gateway: Gateway, browser: Browser) -> None:
    async with visit(gateway.url, browser, viewport=_PHONE) as somebody:
        page = await _console(somebody, gateway, "demo-staff")
        await _order(page)
        await page.get_by_role("button", name=re.compile("^Chat")).click()
        assert await page.evaluate("document.documentElement.scrollWidth") == _PHONE["width"]
        await page.get_by_role("button", name=re.compile("^Chat")).click()
        await page.locator("[data-event='order.created'] button").first.click()
        assert await page.evaluate("document.documentElement.scrollWidth") == _PHONE["width"]
        box = await page.get_by_role("dialog").bounding_box()
        assert box is not None
        assert box["width"] <= _PHONE["width"]


async def test_the_keyboard_reaches_what_matters(gateway: Gateway, browser: Browser) -> None:
    async with visit(gateway.url, browser) as somebody:
        page = await _console(somebody, gateway, "demo")
        await _focus(page, "^Order ")
        await page.keyboard.press("Enter")
        await _focus(page, "^Pay order")
        await _focus(page, "^Cut Server-Sent Events")
        await page.keyboard.press("Space")
        await expect(_door(page, "sse").locator(".door-state")).to_have_text("cut")
        await _focus(page, "order.created")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("dialog")).to_be_visible()
        await page.keyboard.press("Escape")
        # The focus is where it was.
        assert "order.created" in await _focused(page)
        await _focus(page, "^Chat")


async def test_firefox_shows_an_order_on_every_door(gateway: Gateway, tmp_path: Path) -> None:
    async with firefox(gateway.url, tmp_path) as tab:
        await tab.open(f"{gateway.url}/")
        every = f"document.querySelectorAll('.door.is-open').length === {len(DOORS)}"
        await tab.holds(f"{every} && document.querySelector('.pet button') !== null")
        await tab.evaluate("document.querySelector('.pet button').click()")
        shown = "document.querySelectorAll('[data-event=\"pet.status_changed\"] .dot.on').length"
        await tab.holds(f"{shown} === {len(DOORS)}")
        # EventSource is left and comes back with its cursor.
        await tab.evaluate("document.querySelector('[data-door=sse] button').click()")
        await tab.holds("document.querySelector('.door-sse .door-state').textContent === 'cut'")
        await tab.evaluate("document.querySelector('.pet button').click()")
        await tab.holds("document.querySelector('.door-sse .behind')?.textContent.startsWith('3 ') === true")
        await tab.evaluate("document.querySelector('.door-sse button').click()")
        await tab.holds(
            "document.querySelector('.door-sse .caught-up')?.textContent.includes('on 3') === true"
        )


async def _console(somebody: Visit, gateway: Gateway, who: str) -> Page:
    """The console as somebody uses it, once each door is joined."""
    page = await somebody.open(f"{gateway.url}/")
    seat = page.get_by_role("button", name=re.compile(f"^{who}(STAFF)?$"))
    await seat.click()
    await expect(seat).to_have_attribute("aria-pressed", "true")
    await _all_joined(page)
    await expect(page.locator(".pet").first).to_be_visible()
    return page


async def _all_joined(page: Page) -> None:
    for door in DOORS:
        await expect(_door(page, door).locator(".door-state")).to_have_text("connected")


def _door(page: Page, door: str) -> Locator:
    return page.locator(f".door[data-door={door}]")


async def _order(page: Page) -> None:
    """Order the first pet that is for sale, and wait until the page shows it."""
    button = page.get_by_role("button", name=re.compile("^Order ")).first
    await button.click()
    await expect(page.get_by_role("status")).to_contain_text("is reserved")
    await expect(page.locator("[data-event='pet.status_changed']").first).to_be_visible()


async def _say(side: Locator, text: str) -> None:
    await side.get_by_role("textbox").fill(text)
    await side.get_by_role("button", name="Send").click()
    await expect(side.get_by_role("log")).to_contain_text(text)


async def _pets_of(client: Any, tenant: str) -> int:
    answer = await client.get("/v1/pets", params={"status": "ALL"}, headers={"X-Tenant-ID": tenant})
    total: int = answer.json()["pagination"]["totalItems"]
    return total


async def _barriers(page: Page) -> list[str]:
    """What axe finds that keeps people out, serious or worse."""
    await page.evaluate(_AXE.read_text())
    found = await page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{rule['id']}: {rule['help']}: {[node['html'][:200] for node in rule['nodes']]}"
        for rule in found["violations"]
        if rule["impact"] in {"serious", "critical"}
    ]


async def _kept_token(page: Page) -> str:
    token: str = await page.evaluate(
        "JSON.parse(sessionStorage.getItem('petstore-console')).seats.customer.token"
    )
    return token


async def _focused(page: Page) -> str:
    name: str = await page.evaluate(
        "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
    )
    return name


async def _focus(page: Page, name: str) -> None:
    """Press Tab until something of that name has the focus."""
    for _ in range(300):
        await page.keyboard.press("Tab")
        if re.search(name, await _focused(page)):
            return
    pytest.fail(f"Tab does not reach {name}")
