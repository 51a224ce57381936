"""The pages for people, in a browser."""

import json
import re
from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser import Visit, chromium, visit
from tests.http_clients import http_client
from tests.process import Gateway
from tests.protocols.live import new_tenant
from tests.waiting import eventually

STAFF = {"username": "demo-staff", "password": "demo-staff-password"}
# What GraphiQL's editors show, as their models are named.
_OPERATION = "operation.graphql"
_HEADERS = "request-headers.json"


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


async def test_swagger_ui_shows_the_classic_document_in_its_own_name(
    gateway: Gateway, browser: Browser
) -> None:
    async with visit(gateway.url, browser) as somebody:
        page = await somebody.open(f"{gateway.url}/v1/swagger-ui.html?classic")
        await expect(page).to_have_title("Petstore Gateway: Classic Petstore API")
        await expect(page.locator("nav [aria-current=page]")).to_have_text("Classic Petstore")


async def test_swagger_ui_is_authorized_by_oauth_and_calls(gateway: Gateway, browser: Browser) -> None:
    async with visit(gateway.url, browser) as somebody:
        page = await somebody.open(f"{gateway.url}/v1/swagger-ui.html")
        await expect(page.locator("nav [aria-current=page]")).to_have_text("REST")
        await page.get_by_role("button", name="Authorize").first.click()
        flow = page.locator(".auth-container", has_text="authorizationCode")
        await flow.get_by_text("read:orders", exact=True).first.click()
        async with page.expect_popup() as opened:
            await flow.get_by_role("button", name="Apply given OAuth2 credentials").click()
        popup = await opened.value
        await popup.get_by_label("User name").fill("demo")
        await popup.get_by_label("Password").fill("demo-password")
        await popup.get_by_role("button", name="Log in").click()
        await expect(popup.get_by_text("Read your orders, receipts")).to_be_visible()
        async with popup.expect_event("close"):
            await popup.get_by_role("button", name="Allow", exact=True).click()
        await expect(flow.get_by_role("button", name="Remove authorization")).to_be_visible()
        await flow.get_by_role("button", name="Close").click()
        await page.locator("#operations-Orders-listOrders .opblock-summary-control").click()
        await page.get_by_role("button", name="Execute", exact=True).click()
        await expect(
            page.locator(".live-responses-table .response .response-col_status").first
        ).to_contain_text("200")


async def test_swagger_ui_shows_the_beginning_of_the_event_stream(gateway: Gateway, browser: Browser) -> None:
    async with visit(gateway.url, browser) as somebody:
        page = await somebody.open(f"{gateway.url}/v1/swagger-ui.html")
        operation = page.locator(".opblock", has_text="/v1/events").first
        await operation.locator(".opblock-summary-control").click()
        await operation.get_by_placeholder("topics").fill("pets/#")
        await operation.get_by_role("button", name="Execute", exact=True).click()
        answer = operation.locator(".live-responses-table .response").first
        await expect(answer).to_contain_text("event: cursor")
        await expect(answer).to_contain_text("The stream goes on")


async def test_asyncapi_ui_shows_every_operation_of_every_channel(gateway: Gateway, browser: Browser) -> None:
    async with visit(gateway.url, browser) as somebody, http_client(base_url=gateway.url) as client:
        document = (await client.get("/v1/asyncapi.json")).json()
        page = await somebody.open(f"{gateway.url}/v1/asyncapi-ui.html")
        parts = await page.get_by_role("navigation", name="Channels").locator("a[href^='?']").all()
        shown = ""

        async def drawn() -> bool:
            return "Operation ID" in await page.evaluate("document.body.textContent")

        for part in [await part.get_attribute("href") for part in parts]:
            await page.goto(f"{gateway.url}/v1/asyncapi-ui.html{part}")
            await eventually(drawn)
            shown += await page.evaluate("document.body.textContent")
        channels = {operation["channel"]["$ref"] for operation in document["operations"].values()}
        assert len(channels) == len(document["channels"])
        assert [name for name in document["operations"] if f"Operation ID{name}" not in shown] == []


async def test_a_visit_tells_what_a_page_complains_of(gateway: Gateway, browser: Browser) -> None:
    async with visit(gateway.url, browser) as somebody:
        page = await somebody.open(f"{gateway.url}/v1/schema.graphql")
        await page.evaluate("console.error('not good')")
        await page.evaluate("fetch('http://127.0.0.1:9/').catch(() => {})")
        elsewhere = "asked another host: http://127.0.0.1:9/"
        await eventually(
            lambda: elsewhere in somebody.faults and any("not good" in fault for fault in somebody.faults)
        )
        somebody.faults.clear()


async def test_graphiql_runs_a_query_and_a_mutation(gateway: Gateway, browser: Browser) -> None:
    async with visit(gateway.url, browser) as somebody:
        page = await _graphiql(somebody, gateway)
        await _told(page, '"pets"')
        await _show(page, "LogIn")
        await _told(page, '"accessToken"')


async def test_graphiql_sends_the_headers_of_its_editor(gateway: Gateway, browser: Browser) -> None:
    async with visit(gateway.url, browser) as somebody, http_client(base_url=gateway.url) as client:
        token = (await client.post("/v1/auth/tokens", json=STAFF)).json()["accessToken"]
        page = await _graphiql(somebody, gateway)
        await _show(page, "AddPet")
        await _write(page, _HEADERS, json.dumps({"Authorization": f"Bearer {token}"}))
        await _told(page, '"createPet"')


async def test_graphiql_subscribes_as_the_headers_say(gateway: Gateway, browser: Browser) -> None:
    async with visit(gateway.url, browser) as somebody, http_client(base_url=gateway.url) as client:
        token = (await client.post("/v1/auth/tokens", json=STAFF)).json()["accessToken"]
        client.headers["Authorization"] = f"Bearer {token}"
        page = await _graphiql(somebody, gateway)
        await _show(page, "Events")
        await _write(page, _HEADERS, json.dumps({"Authorization": f"Bearer {token}"}))
        (pet,) = (await client.get("/v1/pets", params={"status": "AVAILABLE", "limit": 1})).json()["data"]
        (await client.post("/v1/orders", json={"petId": pet["id"]})).raise_for_status()
        # Of orders only their buyers and STAFF hear.
        await _write(
            page,
            _OPERATION,
            'subscription Events { events(topics: ["orders/#"], after: "earliest") { topic } }',
        )
        await _told(page, "orders/")


async def test_graphiql_subscribes_in_the_tenant_of_the_headers(gateway: Gateway, browser: Browser) -> None:
    headers = {"X-Tenant-ID": new_tenant()}
    async with (
        visit(gateway.url, browser) as somebody,
        http_client(base_url=gateway.url, headers=headers) as client,
    ):
        account = {"username": "first", "password": "first-password"}
        person = {**account, "email": "a@example.com", "firstName": "A", "lastName": "B"}
        (await client.post("/v1/users", json=person)).raise_for_status()
        token = (await client.post("/v1/auth/tokens", json=account)).json()["accessToken"]
        client.headers["Authorization"] = f"Bearer {token}"
        page = await _graphiql(somebody, gateway)
        await _show(page, "Events")
        await _write(page, _HEADERS, json.dumps(headers))
        pet = {"name": "Nora", "species": "DOG", "ageMonths": 18, "price": "120.00"}

        async def arrived() -> bool:
            """Pets are added until one is heard of: nothing tells when the subscription has begun."""
            (await client.post("/v1/pets", json=pet)).raise_for_status()
            return await _tells(page, "pets/")

        await eventually(arrived)


async def _graphiql(somebody: Visit, gateway: Gateway) -> Page:
    """GraphiQL, once its editors take part."""
    page = await somebody.open(f"{gateway.url}/v1/graphql")
    await _shown(page, "Pets")
    return page


async def _show(page: Page, tab: str) -> None:
    await page.get_by_role("tab", name=tab).click()
    await _shown(page, tab)


async def _shown(page: Page, tab: str) -> None:
    """Wait until the editors have what the tab has, which is named after its operation."""
    operation = re.compile(rf"(query|mutation|subscription)\s{tab}\b")
    await expect(page.locator(".graphiql-query-editor .view-lines")).to_contain_text(operation)


async def _tells(page: Page, text: str) -> bool:
    """Whether a text is in the result, of an operation that runs or is run now.

    After a change of tabs GraphiQL needs a moment to know which operation is meant, and until then gets an error.
    """
    button = page.get_by_role("button", name="Execute query")
    if await button.count():  # While it runs the button is another.
        await button.click()
    # The window of the result is not there before there is something.
    return text in " ".join(await page.get_by_label("Result Window").all_inner_texts())


async def _told(page: Page, text: str) -> None:
    """Wait until a text is in the result."""
    await eventually(lambda: _tells(page, text))


async def _write(page: Page, model: str, text: str) -> None:
    """Put a text in an editor instead of what it has."""
    await page.evaluate(
        """([name, text]) => {
            __MONACO.editor.getModels().find((model) => model.uri.path.endsWith(name)).setValue(text);
        }""",
        [model, text],
    )
