"""Sending to endpoints of others."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


class TargetRefused(Exception):
    """Nothing may be sent to a URL, whatever answers there; the text says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request: the status of the answer, or why there was none, in one line."""

    status: int | None = None
    error: str | None = None

    @property
    def is_success(self) -> bool:
        """Whether the endpoint took it."""
        return self.status is not None and 200 <= self.status < 300


class WebhookSender(Protocol):
    """Posts to endpoints, but to none that is in a private network unless that is allowed."""

    async def admit(self, url: str) -> str:
        """The URL as it is kept, once its host was looked up.

        Raises:
            TargetRefused: it is no URL, or of a host or port that nothing may be sent to.
        """

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send a request once, within a few seconds and without following redirects; never raises."""
