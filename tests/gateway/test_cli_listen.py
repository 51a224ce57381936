"""``petstore listen``: events reach a server on this machine, signed, also when it was away for a while."""

import asyncio
import json
from asyncio.subprocess import PIPE
from pathlib import Path

from standardwebhooks import Webhook as Verifier

from tests.gateway.webhooks.receiver import receiving
from tests.http_clients import http_client
from tests.process import PROGRAM, Gateway, environment, petstore
from tests.waiting import eventually

SECRET = "whsec_bm90IHRoYXQgbXVjaCBvZiBhIHNlY3JldA=="
PET = {"name": "Pixel", "species": "CAT", "ageMonths": 7, "price": "75.00"}


async def test_events_are_forwarded_in_order_once_the_server_is_there(tmp_path: Path) -> None:
    with Gateway(tmp_path, "--demo") as gateway:
        async with http_client(base_url=gateway.url, headers={"X-API-Key": "special-key"}) as client:
            await client.post("/v1/pets", json=PET)
            async with receiving() as receiver:
                answers = iter(("close", "close", "error"))
                receiver.manner = lambda _: next(answers, "good")  # type: ignore[arg-type]
                command = [
                    str(PROGRAM), "listen", "pets/+", "--url", gateway.url, "--forward-to", receiver.url,
                    "--secret", SECRET,
                ]  # fmt: skip
                listening = await asyncio.create_subprocess_exec(
                    *command, stdout=PIPE, stderr=PIPE, env=environment(), cwd=tmp_path
                )
                assert listening.stdout is not None
                assert listening.stderr is not None
                try:
                    assert SECRET in (await listening.stderr.readline()).decode()
                    assert b"watching" in await listening.stderr.readline()
                    pets = [(await client.post("/v1/pets", json=PET)).json()["id"] for _ in range(3)]
                    await eventually(lambda: len(receiver.received) == 5)
                    lines = [(await listening.stdout.readline()).decode() for _ in range(3)]
                finally:
                    listening.terminate()
                    await listening.wait()
    assert [line.rpartition("→ ")[2].strip() for line in lines] == ["500", "200", "200"]
    got = [json.loads(request.body)["data"]["pet"]["id"] for request in receiver.received]
    assert got == [pets[0]] * 3 + pets[1:]
    for request in receiver.received:
        assert Verifier(SECRET).verify(request.body, request.headers)["id"] == request.headers["webhook-id"]


def test_what_cannot_be_forwarded_to_is_told(tmp_path: Path) -> None:
    for more, told in (
        (("--forward-to", "localhost:3000"), "--forward-to"),
        (("--forward-to", "http://localhost:3000", "--secret", "whsec_&"), "--secret"),
        (("--forward-to", "http://localhost:3000", "--secret", "secret"), "--secret"),
    ):
        ended = petstore("listen", "#", *more, cwd=tmp_path)
        assert ended.returncode == 1
        assert told in ended.stderr
