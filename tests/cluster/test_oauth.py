"""OAuth on two nodes: what one of them hands out counts on the other, once."""

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from tests.cluster.conftest import Pair
from tests.http_clients import ask
from tests.protocols.oauth.person import App, browser, code_for, log_in, visit
from tests.waiting import eventually

pytestmark = pytest.mark.slow


def is_refused(url: str, token: str) -> bool:
    """Whether a token no longer counts at a node."""
    answer = ask("GET", f"{url}/v1/orders", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code == 401


async def test_a_code_of_one_node_is_redeemed_once_on_either(pair: Pair) -> None:
    here = await asyncio.to_thread(App.register, pair.a.url)
    there = replace(here, url=pair.b.url)
    for _ in range(4):
        code = await asyncio.to_thread(code_for, here, prompt="x")
        answers = await asyncio.gather(
            *(asyncio.to_thread(app.redeem, code) for app in (here, there) for _ in range(4))
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7
        [tokens] = [answer.json() for answer in answers if answer.status_code == 200]
        # The others replayed it, which ends what came of it, on both nodes.
        for url in (pair.a.url, pair.b.url):
            await eventually(partial(is_refused, url, tokens["access_token"]))


async def test_a_login_at_one_node_is_one_at_the_other(pair: Pair) -> None:
    here = await asyncio.to_thread(App.register, pair.a.url)
    there = replace(here, url=pair.b.url)
    with browser(pair.a.url) as client:
        page = visit(client, here).send(action="login", username="demo", password="demo-password")
        cookie = client.cookies["petstore-pages"]
        assert page.heading.startswith("Allow")
    with browser(pair.b.url) as client:
        client.cookies.set("petstore-pages", cookie, domain="127.0.0.1", path="/v1/oauth")
        back = visit(client, there).send(action="allow")
    tokens = here.redeem(back.led_to["code"]).json()
    me = log_in(pair.b.url, "demo")
    [grant] = ask("GET", f"{pair.b.url}/v1/users/me/grants", headers=me).json()["data"]
    assert ask("DELETE", f"{pair.b.url}/v1/users/me/grants/{grant['id']}", headers=me).status_code == 204
    await eventually(partial(is_refused, pair.a.url, tokens["access_token"]))
