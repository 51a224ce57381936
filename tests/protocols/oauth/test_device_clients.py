"""The device grant with clients of others, and its page in a real browser."""

import asyncio
import json
from pathlib import Path
from typing import Any

from authlib.integrations.httpx_client import OAuth2Client as Authlib
from playwright.async_api import expect

from gateway.demo import LAMP_ID
from tests.browser import chromium
from tests.device_approval import allow
from tests.http_clients import ask
from tests.process import Gateway
from tests.waiting import TIMEOUT_SECONDS, within

SCRIPT = Path(__file__).parents[2] / "node" / "device.mjs"
GRANT = "urn:ietf:params:oauth:grant-type:device_code"


def test_authlib(gateway: Gateway) -> None:
    said = ask("GET", f"{gateway.url}/.well-known/oauth-authorization-server").json()
    codes = ask("POST", said["device_authorization_endpoint"], data={"client_id": LAMP_ID}).json()
    allow(codes["verification_uri_complete"])
    with Authlib(LAMP_ID, token_endpoint_auth_method="none") as client:
        token = client.fetch_token(said["token_endpoint"], grant_type=GRANT, device_code=codes["device_code"])
        assert token["scope"] == "read:orders"
        assert client.get(f"{gateway.url}/v1/orders").status_code == 200
        renewed = client.refresh_token(said["token_endpoint"], token["refresh_token"])
        assert renewed["refresh_token"] != token["refresh_token"]


async def test_oauth4webapi(gateway: Gateway) -> None:
    process = await asyncio.create_subprocess_exec(
        "node", str(SCRIPT), gateway.url, LAMP_ID, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        page = (await within(process.stdout.readline())).decode().strip()
        await asyncio.to_thread(allow, page)
        said: dict[str, Any] = json.loads(await within(process.stdout.readline()))
        await within(process.wait())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (said["scope"], said["type"]) == ("read:orders", "bearer")
    assert said["errors"] in ([], ["authorization_pending"])


async def test_a_person_allows_a_device_in_a_browser(gateway: Gateway, tmp_path: Path) -> None:
    form = {"client_id": LAMP_ID}
    codes = (
        await asyncio.to_thread(ask, "POST", f"{gateway.url}/v1/oauth/device_authorization", data=form)
    ).json()
    complaints: list[str] = []
    async with chromium() as chrome:
        # Without scripts, on a telephone, in the dark.
        context = await chrome.new_context(
            java_script_enabled=False, viewport={"width": 360, "height": 740}, color_scheme="dark"
        )
        context.set_default_timeout(TIMEOUT_SECONDS * 1000)
        page = await context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        await page.goto(codes["verification_uri"])
        await expect(page.get_by_label("Code")).to_be_focused()
        await page.screenshot(path=tmp_path / "code.png")
        await page.get_by_label("Code").fill(codes["user_code"].lower().replace("-", " "))
        await page.keyboard.press("Enter")
        await page.get_by_label("User name").fill("demo")
        await page.get_by_label("Password").fill("demo-password")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Allow Demo lamp?")).to_be_visible()
        await expect(page.get_by_text(codes["user_code"])).to_be_visible()
        await page.screenshot(path=tmp_path / "consent.png", full_page=True)
        box = await page.locator("main").bounding_box()
        assert box is not None
        assert 0 <= box["x"] <= 360 - box["width"]
        await page.get_by_role("button", name="Allow", exact=True).click()
        await expect(page.get_by_role("heading", name="Done")).to_be_visible()
        await context.close()
    assert complaints == []
    poll = {**form, "grant_type": GRANT, "device_code": codes["device_code"]}
    answer = await asyncio.to_thread(ask, "POST", f"{gateway.url}/v1/oauth/token", data=poll)
    assert answer.status_code == 200
