"""Clients that others wrote go through every flow."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from authlib.integrations.requests_client import OAuth2Session as Authlib
from playwright.async_api import Browser, Page, expect
from requests_oauthlib import OAuth2Session as Oauthlib

from core.services.oauth.grant_types import challenge_of
from tests.browser import chromium
from tests.http_clients import ask
from tests.process import Gateway
from tests.protocols.oauth.person import App, browser, visit
from tests.protocols.oauth.person import Page as Shown
from tests.servers import free_port
from tests.waiting import TIMEOUT_SECONDS, within

SCRIPT = Path(__file__).parents[2] / "node" / "oauth.mjs"
ALL = ["AUTHORIZATION_CODE", "REFRESH_TOKEN", "CLIENT_CREDENTIALS"]


@pytest.fixture(scope="module")
def app(gateway: Gateway) -> App:
    """A client that may do everything."""
    return App.register(gateway.url, grantTypes=ALL)


def led_back(url: str, address: str) -> str:
    """Where a browser is led back to, whose user allows what the address asks."""
    with browser(url) as client:
        page = Shown(client.get(address), client).followed().allowed()
        assert page.status == 303
        return page.answer.headers["location"]


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_authlib(gateway: Gateway, app: App, method: str) -> None:
    said = ask("GET", f"{gateway.url}/.well-known/oauth-authorization-server").json()
    with Authlib(
        app.id,
        app.secret,
        token_endpoint_auth_method=method,
        redirect_uri=app.redirect_uri,
        scope="read:pets read:orders",
        code_challenge_method="S256",
    ) as client:
        address, state = client.create_authorization_url(
            said["authorization_endpoint"], code_verifier=app.verifier
        )
        token = client.fetch_token(
            said["token_endpoint"],
            authorization_response=led_back(gateway.url, address),
            state=state,
            code_verifier=app.verifier,
        )
        assert token["scope"] == "read:orders read:pets"
        assert client.get(f"{gateway.url}/v1/orders").status_code == 200
        renewed = client.refresh_token(said["token_endpoint"], token["refresh_token"])
        assert renewed["refresh_token"] != token["refresh_token"]
        asked = client.introspect_token(said["introspection_endpoint"], renewed["access_token"])
        assert asked.json()["active"]
        ended = client.revoke_token(said["revocation_endpoint"], renewed["access_token"])
        assert ended.status_code == 200
        assert client.get(f"{gateway.url}/v1/orders").status_code == 401
        own = client.fetch_token(said["token_endpoint"], grant_type="client_credentials")
        assert own["access_token"]


def test_oauthlib(gateway: Gateway, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    token_url = f"{gateway.url}/v1/oauth/token"
    with Oauthlib(
        app.id, redirect_uri=app.redirect_uri, scope=["read:orders", "read:pets"], pkce="S256"
    ) as session:
        address, _ = session.authorization_url(f"{gateway.url}/v1/oauth/authorize")
        token = session.fetch_token(
            token_url,
            authorization_response=led_back(gateway.url, address),
            client_secret=app.secret,
        )
        assert session.get(f"{gateway.url}/v1/orders", timeout=TIMEOUT_SECONDS).status_code == 200
        renewed = session.refresh_token(token_url, auth=(app.id, app.secret))
        assert renewed["refresh_token"] != token["refresh_token"]


async def test_oauth4webapi(gateway: Gateway, app: App) -> None:
    process = await asyncio.create_subprocess_exec(
        "node", str(SCRIPT), gateway.url, app.id, app.secret or "", app.redirect_uri,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        address = (await within(process.stdout.readline())).decode().strip()
        location = await asyncio.to_thread(led_back, gateway.url, address)
        process.stdin.write(f"{location}\n".encode())
        said: dict[str, Any] = json.loads(await within(process.stdout.readline()))
        await within(process.wait())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert said == {
        "mixUp": "refused",
        "scope": "read:orders read:pets",
        "rotated": True,
        "pets": 200,
        "before": True,
        "after": False,
        "own": "read:orders",
    }


# --- a browser ---


@pytest.fixture
async def chrome() -> AsyncIterator[Browser]:
    """A browser of this test alone."""
    async with chromium() as running:
        yield running


async def _serve(port: int) -> asyncio.Server:
    """An application on the user's own machine, which is glad of whatever comes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 12\r\nconnection: close\r\n\r\n<h1>Back</h1"
        )
        await writer.drain()
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", port)


async def test_a_person_allows_an_application_in_a_browser(
    gateway: Gateway, chrome: Browser, tmp_path: Path
) -> None:
    app = await asyncio.to_thread(
        lambda: App.register(gateway.url, redirectUris=["http://127.0.0.1/cb"], confidential=False)
    )
    port = free_port()
    query = app.query(redirect_uri=f"http://127.0.0.1:{port}/cb")
    address = f"{gateway.url}/v1/oauth/authorize?" + "&".join(f"{n}={v}" for n, v in query.items())
    complaints: list[str] = []
    async with await _serve(port):
        # Without scripts, on a telephone, in the dark.
        context = await chrome.new_context(
            java_script_enabled=False, viewport={"width": 360, "height": 740}, color_scheme="dark"
        )
        context.set_default_timeout(TIMEOUT_SECONDS * 1000)
        page = await context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        await page.goto(address)
        await expect(page.get_by_role("heading", name="Log in")).to_be_visible()
        await expect(page.get_by_label("User name")).to_be_focused()
        await page.screenshot(path=tmp_path / "login.png")
        await _no_wider_than_the_screen(page)
        await page.get_by_label("User name").fill("demo")
        await page.get_by_label("Password").fill("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_be_visible()
        await page.screenshot(path=tmp_path / "wrong.png")
        complaints.clear()  # Chromium notes the 403.
        await page.get_by_label("Password").fill("demo-password")
        await page.get_by_role("button", name="Log in").click()
        await expect(page.get_by_role("heading", name="Allow Paws & <b>Claws</b>?")).to_be_visible()
        await page.screenshot(path=tmp_path / "consent.png", full_page=True)
        await _no_wider_than_the_screen(page)
        [cookie] = await context.cookies(f"{gateway.url}/v1/oauth/authorize")
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/v1/oauth")
        assert await context.cookies(f"{gateway.url}/v1/pets") == []
        await page.get_by_role("button", name="Allow", exact=True).click()
        await page.wait_for_url(f"http://127.0.0.1:{port}/cb?*")
        assert complaints == []
        code = page.url.partition("code=")[2].partition("&")[0]
        await context.close()
    answer = await asyncio.to_thread(app.redeem, code, redirect_uri=query["redirect_uri"])
    assert answer.status_code == 200
    assert query["code_challenge"] == challenge_of(app.verifier)


async def _no_wider_than_the_screen(page: Page) -> None:
    box = await page.locator("main").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360


async def test_no_browser_shows_the_page_in_a_frame(
    gateway: Gateway, chrome: Browser, tmp_path: Path
) -> None:
    app = await asyncio.to_thread(App.register, gateway.url)
    with browser(gateway.url) as client:
        address = str(visit(client, app).answer.request.url).replace("&", "&amp;")
    context = await chrome.new_context()
    page = await context.new_page()
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    await page.set_content(f'<iframe src="{address}" width=600 height=600></iframe>')
    await expect(page.frame_locator("iframe").get_by_label("Password")).to_have_count(0)
    frame = page.frames[-1]
    await frame.wait_for_load_state()
    assert "Password" not in await frame.content()
    await context.close()
