"""``petstore watch``: a live tail of events, from any server."""

import json
import sys
import time
from functools import partial
from typing import Any

from rich.console import Console
from rich.text import Text

from core.kernel.backoff import backoff_seconds
from gateway.cli.event_sources import EventSource, Lost, source_at
from gateway.cli.logins import access_token
from gateway.startup_errors import CannotStart

_MAX_PAUSE_SECONDS = 30.0
_COLOURS = {"pets": "green", "orders": "yellow", "payments": "magenta", "inventory": "blue", "chats": "cyan"}


def run(
    url: str, topics: str, *, token: str | None, tenant: str | None, cursor: str | None, as_json: bool
) -> None:
    """Print events until Ctrl-C.

    Raises:
        CannotStart: the server cannot be reached at the start, or refuses.
    """
    follow(Tail(url, source_of(url, token, tenant), topics, cursor, as_json=as_json))


def source_of(url: str, token: str | None, tenant: str | None) -> EventSource:
    """The source at a URL; over HTTP, without a token, by the login that is kept."""
    return source_at(
        url, token if token or not url.startswith("http") else partial(access_token, url, tenant), tenant
    )


def follow(tail: "Tail") -> None:
    """Follow until Ctrl-C."""
    try:
        tail.follow()
    except KeyboardInterrupt:
        tail.say_goodbye()


class Tail:
    """Follows a stream over any number of connections."""

    def __init__(
        self, url: str, source: EventSource, topics: str, cursor: str | None, *, as_json: bool
    ) -> None:
        self._url = url
        self._source = source
        self._topics = topics
        self._cursor = cursor
        self._as_json = as_json
        self._pause = 2.0
        self._failures = 0
        self._connected = False
        self._out = Console(highlight=False)
        self._aside = Console(stderr=True, highlight=False)

    def follow(self) -> None:
        """Show events; resume at the last cursor whenever the connection is lost."""
        while True:
            lost = "the server closed it"
            try:
                self._listen()
            except Lost as error:
                if not self._connected:
                    raise CannotStart(f"{self._url} cannot be reached: {error}") from None
                lost = str(error)
            self._failures += 1
            pause = backoff_seconds(self._failures, first=self._pause, longest=_MAX_PAUSE_SECONDS)
            self._tell(f"connection lost ({lost}); resuming in {pause:.1f} s")
            time.sleep(pause)

    def _listen(self) -> None:
        with self._source.listen(self._topics, self._cursor) as blocks:
            if not self._connected:
                self._tell(f"watching {self._topics} at {self._url}")
            elif self._failures:
                self._tell("resumed")
            self._connected, self._failures = True, 0
            for block in blocks:
                if block.cursor is not None:
                    self._cursor = block.cursor
                if block.retry is not None:
                    self._pause = block.retry / 1000
                if block.data is not None:
                    self._take(block.name, block.data)

    def _take(self, name: str, data: str) -> None:
        if name == "cursor-expired":
            oldest = json.loads(data)["oldestCursor"]
            raise CannotStart(
                f"the cursor has expired, and events were missed; what is kept begins at --cursor {oldest}"
            )
        if name == "closed":
            close = json.loads(data)
            if not close["resumable"] and not (close["reason"] == "expired" and self._source.renews):
                raise CannotStart(f"the server ended the stream: {close['message'] or close['reason']}")
            self._tell(close["message"] or close["reason"])
        elif name == "cursor":
            pass
        elif self._as_json:
            print(data, flush=True)
        else:
            self._show(data)

    def _show(self, data: str) -> None:
        self._print(json.loads(data))

    def _print(self, event: dict[str, Any], more: str | None = None) -> None:
        line = Text()
        line.append(event["timestamp"][11:23], style="dim")
        line.append(
            f"  {event['eventType']:<26}", style=f"bold {_COLOURS.get(event['topic'].partition('/')[0], '')}"
        )
        line.append(f"  {event['topic']}", style="dim")
        line.append(f"  {summary(event['data']) if more is None else more}")
        self._out.print(line, soft_wrap=True)
        sys.stdout.flush()

    def _tell(self, text: str) -> None:
        self._aside.print(f"· {text}", style="dim", soft_wrap=True, markup=False)

    def say_goodbye(self) -> None:
        """Print how to resume later."""
        if self._cursor is not None and self._cursor != "earliest":
            self._tell(f"go on from here with --cursor {self._cursor}")


#: What an event is about, the most telling first.
_SUBJECTS = ("message", "payment", "order", "adoption", "pet", "chat", "webhook", "reading")
#: Members of it that are shown as they are, and those of whatever else an event holds with their names.
_SHOWN = ("name", "subject", "text", "species", "price", "totalAmount", "amount", "currency", "url")
_NAMED = {
    "available": "available",
    "pending": "pending",
    "adopted": "adopted",
    "heartRateBpm": "heart rate",
    "temperatureC": "temperature",
    "activity": "activity",
    "batteryPercent": "battery",
    "reason": "reason",
}


def summary(data: dict[str, Any]) -> str:
    """A summary of an event, in a few words."""
    subject: dict[str, Any] = next((data[name] for name in _SUBJECTS if name in data), data)
    words = [str(subject[name]) for name in _SHOWN if subject.get(name)]
    if applicant := subject.get("applicant"):
        words.append(str(applicant["name"]))
    old, new = data.get("oldStatus", data.get("previousStatus")), data.get("newStatus", data.get("status"))
    new = new or (subject.get("status") if subject is not data else None)
    if new:
        words.append(f"{old} → {new}" if old else str(new))
    known = data | subject
    words += [f"{label} {known[name]}" for name, label in _NAMED.items() if known.get(name) is not None]
    if not words:  # An event that this knows nothing of shows what it holds.
        words = [f"{name} {value}" for name, value in data.items() if isinstance(value, str | int | float)]
    return " ".join(words)[:120]
