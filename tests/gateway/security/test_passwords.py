"""Passwords are hashed with argon2id, off the event loop, a few at a time."""

import asyncio
from collections.abc import Iterator

import pytest

from core.kernel.errors import Unavailable
from gateway.security import passwords
from gateway.security.passwords import Argon2Hasher


@pytest.fixture
def hasher() -> Iterator[Argon2Hasher]:
    made = Argon2Hasher.insecure()
    yield made
    made.close()


async def test_a_password_is_verified_by_its_hash_only(hasher: Argon2Hasher) -> None:
    hashed = await hasher.hash("correct horse")
    assert hashed.startswith("$argon2id$")
    assert "correct horse" not in hashed
    assert await hasher.verify("correct horse", hashed)
    assert not await hasher.verify("wrong horse", hashed)


async def test_the_same_password_has_another_hash_each_time(hasher: Argon2Hasher) -> None:
    assert await hasher.hash("correct horse") != await hasher.hash("correct horse")


async def test_without_a_hash_nothing_is_right_and_the_same_work_is_done(hasher: Argon2Hasher) -> None:
    assert not await hasher.verify("nobody's password", None)
    mine, nobodys = await hasher.hash("x"), hasher._nobodys
    assert mine.split("$")[:4] == nobodys.split("$")[:4]


async def test_a_broken_hash_matches_nothing(hasher: Argon2Hasher) -> None:
    assert not await hasher.verify("correct horse", "$argon2id$broken")


async def test_a_flood_is_told_to_come_back(hasher: Argon2Hasher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_MAX_WAITING_HASHES", 3)
    answers = await asyncio.gather(*(hasher.hash("x") for _ in range(5)), return_exceptions=True)
    assert [isinstance(answer, Unavailable) for answer in answers] == [False, False, False, True, True]
    assert await hasher.hash("x")


def test_the_default_is_as_strong_as_the_standard_recommends() -> None:
    hasher = Argon2Hasher()
    assert "$m=65536,t=3,p=4$" in hasher._nobodys
    hasher.close()
