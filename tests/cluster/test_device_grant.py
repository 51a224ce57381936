"""A device asks at one node, its user decides at the other, and the tokens are had once on either."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from gateway.demo import LAMP_ID
from tests.cluster.conftest import Pair
from tests.device_approval import allow
from tests.http_clients import ask
from tests.process import Gateway

pytestmark = pytest.mark.slow

GRANT = "urn:ietf:params:oauth:grant-type:device_code"


def post(node: Gateway, path: str, **form: str) -> httpx.Response:
    return ask("POST", f"{node.url}/v1/oauth/{path}", data={"client_id": LAMP_ID, **form})


def test_a_code_is_redeemed_once_on_two_nodes(pair: Pair) -> None:
    a, b = pair.a, pair.b
    codes: dict[str, Any] = post(a, "device_authorization").json()

    def poll(node: Gateway) -> httpx.Response:
        return post(node, "token", grant_type=GRANT, device_code=codes["device_code"])

    # How often it asked is remembered on both.
    assert [poll(node).json()["error"] for node in (a, b, a)] == [
        "authorization_pending",
        "slow_down",
        "slow_down",
    ]
    allow(f"{b.url}/v1/oauth/device?user_code={codes['user_code']}")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(poll, [a, b] * 4))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7
    token = next(answer.json()["access_token"] for answer in answers if answer.status_code == 200)
    for node in (a, b):
        headers = {"Authorization": f"Bearer {token}"}
        assert ask("GET", f"{node.url}/v1/orders", headers=headers).status_code == 200
