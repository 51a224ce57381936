"""What endpoints check signatures with takes what the store sends, and nothing else: standardwebhooks, and Svix's
libraries for Python and JavaScript."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks
import svix.webhooks

from core.services.webhooks.signing import new_secret, signed_headers
from gateway.webhooks import HttpWebhookSender
from tests.gateway.webhooks.receiver import Received, receiving
from tests.waiting import within

SCRIPT = Path(__file__).parents[2] / "node" / "webhooks.mjs"
#: Not only ASCII, so that whoever decodes and encodes it finds out.
EVENT_ID = "019e2d18-0000-7000-8000-000000000000"
BODY = '{"eventType": "pet.created", "data": {"name": "Mücke"}}'.encode()
#: The seconds by which a clock may differ, by the specification.
TOLERANCE = timedelta(minutes=5)

#: Takes a secret and requests, and says of each whether it was signed by it.
Verify = Callable[[str, list[Received]], Awaitable[list[bool]]]


async def by_standardwebhooks(secret: str, requests: list[Received]) -> list[bool]:
    return [_in_python(standardwebhooks.Webhook(secret), request) for request in requests]


async def by_svix(secret: str, requests: list[Received]) -> list[bool]:
    return [_in_python(svix.webhooks.Webhook(secret), request) for request in requests]


def _in_python(webhook: Any, request: Received) -> bool:
    try:
        webhook.verify(request.body, request.headers)
    except standardwebhooks.WebhookVerificationError:
        return False
    return True


async def by_svix_in_javascript(secret: str, requests: list[Received]) -> list[bool]:
    given = {
        "secret": secret,
        "requests": [{"headers": one.headers, "body": one.body.decode()} for one in requests],
    }
    process = await asyncio.create_subprocess_exec(
        "node", str(SCRIPT), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        output, _ = await within(process.communicate(json.dumps(given).encode()))
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0
    taken: list[bool] = json.loads(output)
    return taken


async def received(at: datetime, *secrets: str) -> Received:
    """What an endpoint gets of an attempt at a time."""
    sender = HttpWebhookSender(allow_private=True)
    async with receiving() as receiver:
        headers = signed_headers(EVENT_ID, BODY, at, secrets)
        answer = await sender.post(receiver.url, headers, BODY)
        await sender.close()
        assert answer.is_success
        [request] = receiver.received
    return request


@pytest.mark.parametrize("verify", [by_standardwebhooks, by_svix, by_svix_in_javascript])
async def test_a_delivery_is_taken_and_nothing_that_only_looks_like_one(verify: Verify) -> None:
    now, (old, new, other) = datetime.now(UTC), (new_secret() for _ in range(3))
    good = await received(now, new, old)
    assert good.headers["webhook-id"] == EVENT_ID
    for secret in (new, old):
        assert await verify(secret, [good]) == [True]
    assert await verify(other, [good]) == [False]
    forged = [
        replace(good, body=good.body.replace(b"pet.created", b"pet.deleted")),
        replace(good, headers={**good.headers, "webhook-id": "another"}),
        replace(good, headers={**good.headers, "webhook-timestamp": str(int(now.timestamp()) + 1)}),
        replace(good, headers={**good.headers, "webhook-signature": "v1,AAAA"}),
        await received(now - 2 * TOLERANCE, new),
        await received(now + 2 * TOLERANCE, new),
    ]
    assert await verify(new, forged) == [False] * len(forged)
