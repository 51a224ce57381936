"""Endpoints of webhooks that are no servers, for tests in core: each answers as it is told, and keeps what it got."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from core.ports.webhooks import Answer, TargetRefused
from core.services.webhooks.deliverer import Deliverer
from core.store.store import Store


@dataclass(frozen=True)
class Post:
    """A request that an endpoint got."""

    url: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The envelope of the event."""
        event: dict[str, Any] = json.loads(self.body)
        return event


@dataclass
class Endpoints:
    """A core.ports.webhooks.WebhookSender. ``answers`` are the statuses of each URL, 204 without one; ``dead`` ones
    never answer."""

    posts: list[Post] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    held: asyncio.Event | None = None

    async def admit(self, url: str) -> str:
        """Refuse what is private by its name."""
        if "private" in url:
            raise TargetRefused("must not lead to a private address")
        return url

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Take a request."""
        self.posts.append(Post(url, headers, body))
        if url in self.dead:
            await asyncio.Event().wait()
        if self.held is not None:
            await self.held.wait()
        return Answer(self.answers.get(url, 204))

    def at(self, url: str) -> list[Post]:
        """What the endpoint of a URL got."""
        return [post for post in self.posts if post.url == url]


@asynccontextmanager
async def delivering(store: Store) -> AsyncIterator[Deliverer]:
    """Deliver, until the block ends."""
    deliverer = Deliverer(store)
    deliverer.start()
    try:
        yield deliverer
    finally:
        await deliverer.stop()
