"""``petstore watch``: a live tail of events over SSE, from any server."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from rich.console import Console
from rich.text import Text

from core.kernel.backoff import backoff_seconds
from gateway.cli.client import complaint, headers_for
from gateway.startup_errors import CannotStart

#: Without a byte for so long a connection counts as dead; the server sends a block every 15 seconds.
_READ_TIMEOUT_SECONDS = 45.0
_MAX_PAUSE_SECONDS = 30.0
_COLOURS = {"pets": "green", "orders": "yellow", "payments": "magenta", "inventory": "blue", "chats": "cyan"}


@dataclass(frozen=True, slots=True)
class Block:
    """One block of an event stream (HTML Living Standard, section 9.2.6); what it leaves out is None."""

    cursor: str | None
    name: str
    data: str | None
    retry: int | None


def run(
    url: str, topics: str, *, token: str | None, tenant: str | None, cursor: str | None, as_json: bool
) -> None:
    """Print events until Ctrl-C.

    Raises:
        CannotStart: the server cannot be reached at the start, or refuses.
    """
    tail = Tail(url, topics, headers_for(token, tenant), cursor, as_json=as_json)
    try:
        tail.follow()
    except KeyboardInterrupt:
        tail.say_goodbye()


class Tail:
    """Follows a stream over any number of connections."""

    def __init__(
        self, url: str, topics: str, headers: dict[str, str], cursor: str | None, *, as_json: bool
    ) -> None:
        self._url = url
        self._topics = topics
        self._headers = headers
        self._cursor = cursor
        self._as_json = as_json
        self._pause = 2.0
        self._failures = 0
        self._connected = False
        self._out = Console(highlight=False)
        self._aside = Console(stderr=True, highlight=False)

    def follow(self) -> None:
        """Show events; resume at the last cursor whenever the connection is lost."""
        timeout = httpx.Timeout(10.0, read=_READ_TIMEOUT_SECONDS)
        with httpx.Client(base_url=self._url, headers=self._headers, timeout=timeout) as client:
            while True:
                try:
                    self._listen(client)
                    lost = "the server closed it"
                except (httpx.TransportError, httpx.InvalidURL) as error:
                    if not self._connected:
                        raise CannotStart(f"{self._url} cannot be reached: {error}") from None
                    lost = str(error) or type(error).__name__
                self._failures += 1
                pause = backoff_seconds(self._failures, first=self._pause, longest=_MAX_PAUSE_SECONDS)
                self._tell(f"connection lost ({lost}); resuming in {pause:.1f} s")
                time.sleep(pause)

    def _listen(self, client: httpx.Client) -> None:
        headers = {"Accept": "text/event-stream"}
        if self._cursor is not None:
            headers["Last-Event-ID"] = self._cursor
        with client.stream("GET", "/v1/events", params={"topics": self._topics}, headers=headers) as answer:
            if answer.status_code in (429, 503) and self._connected:
                return
            if answer.status_code != 200:
                answer.read()
                raise CannotStart(_refusal(answer))
            if not self._connected:
                self._tell(f"watching {self._topics} at {self._url}")
            elif self._failures:
                self._tell("resumed")
            self._connected, self._failures = True, 0
            for block in read_blocks(answer.iter_lines()):
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
            if not close["resumable"]:
                raise CannotStart(f"the server ended the stream: {close['message'] or close['reason']}")
            self._tell(close["message"] or close["reason"])
        elif self._as_json:
            print(data, flush=True)
        else:
            self._show(json.loads(data))

    def _show(self, event: dict[str, Any]) -> None:
        line = Text()
        line.append(event["timestamp"][11:23], style="dim")
        line.append(
            f"  {event['eventType']:<26}", style=f"bold {_COLOURS.get(event['topic'].partition('/')[0], '')}"
        )
        line.append(f"  {event['topic']}", style="dim")
        line.append(f"  {summary(event['data'])}")
        self._out.print(line, soft_wrap=True)
        sys.stdout.flush()

    def _tell(self, text: str) -> None:
        self._aside.print(f"· {text}", style="dim", soft_wrap=True, markup=False)

    def say_goodbye(self) -> None:
        """Print how to resume later."""
        if self._cursor is not None and self._cursor != "earliest":
            self._tell(f"go on from here with --cursor {self._cursor}")


def read_blocks(lines: Iterator[str]) -> Iterator[Block]:
    """Read an event stream line by line; a block that the connection cut off is dropped, as the standard says."""
    cursor, name, data, retry = None, "message", list[str](), None
    for line in lines:
        if not line:
            yield Block(cursor, name, "\n".join(data) if data else None, retry)
            cursor, name, data, retry = None, "message", [], None
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "id":
            cursor = value
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field == "retry" and value.isdigit():
            retry = int(value)


def summary(data: dict[str, Any]) -> str:
    """A summary of an event, in a few words."""
    subject = next(
        (data[name] for name in ("message", "payment", "order", "pet", "chat") if name in data), data
    )
    words = [
        str(subject[name])
        for name in ("name", "subject", "text", "species", "totalAmount", "amount", "currency")
        if isinstance(subject, dict) and subject.get(name)
    ]
    old, new = data.get("oldStatus", data.get("previousStatus")), data.get("newStatus", data.get("status"))
    change = (
        f"{old} → {new}" if old and new else new or (subject.get("status") if subject is not data else None)
    )
    if change:
        words.append(str(change))
    words += [f"{name} {data[name]}" for name in ("available", "pending", "adopted") if name in data]
    return " ".join(words)[:120]


def _refusal(answer: httpx.Response) -> str:
    text = complaint(answer)
    if answer.status_code == 410:
        text += f" What is kept begins at --cursor {answer.json().get('oldestCursor')}"
    return text
