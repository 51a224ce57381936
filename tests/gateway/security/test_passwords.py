"""Passwords are hashed with argon2id, off the event loop, a few at a time."""

import asyncio
from collections.abc import Iterator

import pytest

from core.kernel.errors import Unavailable
from gateway.security.passwords import Argon2Hasher

NETWORK = "192.0.2.1"


@pytest.fixture
def hasher() -> Iterator[Argon2Hasher]:
    made = Argon2Hasher.insecure()
    yield made
    made.close()


async def test_a_password_is_verified_by_its_hash_only(hasher: Argon2Hasher) -> None:
    hashed = await hasher.hash("correct horse", NETWORK)
    assert hashed.startswith("$argon2id$")
    assert "correct horse" not in hashed
    assert await hasher.verify("correct horse", hashed, NETWORK)
    assert not await hasher.verify("wrong horse", hashed, NETWORK)


async def test_the_same_password_has_another_hash_each_time(hasher: Argon2Hasher) -> None:
    assert await hasher.hash("correct horse", NETWORK) != await hasher.hash("correct horse", NETWORK)


async def test_without_a_hash_nothing_is_right_and_the_same_work_is_done(hasher: Argon2Hasher) -> None:
    assert not await hasher.verify("nobody's password", None, NETWORK)
    mine, nobodys = await hasher.hash("x", NETWORK), hasher._nobodys
    assert mine.split("$")[:4] == nobodys.split("$")[:4]


async def test_a_broken_hash_matches_nothing(hasher: Argon2Hasher) -> None:
    assert not await hasher.verify("correct horse", "$argon2id$broken", NETWORK)


async def test_a_flood_is_told_to_come_back(hasher: Argon2Hasher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hasher._turns, "most", 1)
    answers = await asyncio.gather(*(hasher.hash("x", NETWORK) for _ in range(5)), return_exceptions=True)
    assert [isinstance(answer, Unavailable) for answer in answers] == [False, False, False, True, True]
    assert await hasher.hash("x", NETWORK)
    monkeypatch.undo()
    monkeypatch.setattr(hasher._turns, "most_of_one", 1)
    networks = [NETWORK] * 4 + ["198.51.100.7"]
    answers = await asyncio.gather(
        *(hasher.hash("x", network) for network in networks), return_exceptions=True
    )
    assert [isinstance(answer, Unavailable) for answer in answers] == [False, False, False, True, False]


async def test_networks_take_turns(hasher: Argon2Hasher) -> None:
    done: list[str] = []

    async def hash_for(network: str) -> None:
        await hasher.hash("x", network)
        done.append(network)

    await asyncio.gather(*(hash_for("flood") for _ in range(20)), hash_for("one"), hash_for("other"))
    # Two threads are at work, and the flood has the next turn: that may be five ahead of the last of the others.
    assert {"one", "other"} <= set(done[:8])


async def test_who_leaves_while_waiting_holds_no_thread(hasher: Argon2Hasher) -> None:
    tasks = [asyncio.create_task(hasher.hash("x", NETWORK)) for _ in range(10)]
    await asyncio.sleep(0)
    for task in tasks[2:6]:
        task.cancel()
    await asyncio.wait(tasks)
    assert await asyncio.gather(*(hasher.hash("x", NETWORK) for _ in range(5)))
    assert hasher._turns.free == 2


def test_the_default_is_as_strong_as_the_standard_recommends() -> None:
    hasher = Argon2Hasher()
    assert "$m=65536,t=3,p=4$" in hasher._nobodys
    hasher.close()
