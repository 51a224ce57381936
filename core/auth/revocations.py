"""Rights that ended before their time, known on every node within a second or two."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from core.kernel.clock import Clock
from core.ports.security import RevocationStorage

#: No token that is signed now outlives this.
LONGEST_TOKEN = timedelta(hours=2)


class Revocations:
    """The subjects whose tokens no longer count, kept in memory and refreshed from storage.

    ``watchers`` are called with the subjects that are newly revoked, so that streams can end with their rights.
    """

    def __init__(self, storage: RevocationStorage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._revoked: dict[str, datetime] = {}
        self._since: datetime | None = None
        self.watchers: list[Callable[[frozenset[str]], None]] = []

    def is_revoked(self, subjects: Sequence[str], issued_at: datetime) -> bool:
        """Whether a credential of these subjects, made at ``issued_at``, no longer counts."""
        return any((at := self._revoked.get(subject)) is not None and issued_at <= at for subject in subjects)

    async def revoke(self, subjects: Sequence[str]) -> None:
        """End the rights of the subjects, here at once and on the other nodes soon."""
        now = self._clock()
        await self._storage.revoke(subjects, now, now + LONGEST_TOKEN)
        self._note(dict.fromkeys(subjects, now))

    async def refresh(self) -> None:
        """Read what other nodes have revoked since the last look, with an overlap for clocks that differ."""
        now = self._clock()
        since = self._since or now - LONGEST_TOKEN
        found = await self._storage.revocations(since - timedelta(seconds=10))
        self._since = now
        self._note({item.subject: item.revoked_at for item in found})
        expired = [subject for subject, at in self._revoked.items() if at < now - LONGEST_TOKEN]
        for subject in expired:
            del self._revoked[subject]

    def _note(self, found: dict[str, datetime]) -> None:
        fresh = frozenset(subject for subject, at in found.items() if self._revoked.get(subject) != at)
        self._revoked.update(found)
        if fresh:
            for watcher in self.watchers:
                watcher(fresh)
