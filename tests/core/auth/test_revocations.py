"""Rights that end before their time, on every node."""

from datetime import timedelta

from core.auth.revocations import LONGEST_TOKEN, Revocations
from core.kernel.clock import utc_now
from gateway.storage.memory import MemoryStorage


async def test_what_is_revoked_ends_here_at_once_and_elsewhere_after_a_look() -> None:
    storage, now = MemoryStorage(), utc_now()
    here, there = Revocations(storage, lambda: now), Revocations(storage, lambda: now)
    told: list[frozenset[str]] = []
    there.watchers.append(told.append)
    await here.revoke(["user:1", "session:2"])
    assert here.is_revoked(("user:1",), now)
    assert here.is_revoked(("user:9", "session:2"), now)
    assert not here.is_revoked(("user:1",), now + timedelta(milliseconds=1))
    assert not here.is_revoked(("user:9",), now)
    assert not there.is_revoked(("user:1",), now)
    await there.refresh()
    assert there.is_revoked(("user:1",), now)
    await there.refresh()
    assert told == [frozenset({"user:1", "session:2"})]


async def test_a_revocation_is_forgotten_when_its_last_token_has_expired() -> None:
    times = [utc_now()]
    revocations = Revocations(MemoryStorage(), lambda: times[0])
    issued = times[0]
    await revocations.revoke(["user:1"])
    times[0] += LONGEST_TOKEN
    await revocations.refresh()
    assert revocations.is_revoked(("user:1",), issued)
    times[0] += timedelta(seconds=1)
    await revocations.refresh()
    assert not revocations.is_revoked(("user:1",), issued)
