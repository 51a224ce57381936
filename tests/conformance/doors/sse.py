"""Server-Sent Events, with httpx: blocks are read as the HTML standard has it (section 9.2.6)."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import httpx

from tests.conformance.door import Ability, Driver, End, Stream
from tests.conformance.doors.rest import error_of_response
from tests.conformance.people import headers_of
from tests.http_clients import http_client

CHANNEL = "/v1/events"
#: The reasons of a stream's end, as the errors that they are.
_ENDS = {"draining": "service-unavailable", "expired": "unauthorized", "revoked": "unauthorized"}


class SseDriver(Driver):
    """Somebody who follows an event stream."""

    abilities = frozenset({Ability.FOLLOW, Ability.RESUME})

    @contextlib.asynccontextmanager
    async def follow(self, *topics: str, cursor: str | None = None) -> AsyncIterator[Stream]:
        headers = headers_of(self.person)
        if cursor is not None:
            headers["Last-Event-ID"] = cursor
        stream = Stream()
        timeout = httpx.Timeout(20, read=None)
        async with (
            http_client(base_url=self.node.url, timeout=timeout) as client,
            client.stream("GET", CHANNEL, params={"topics": ",".join(topics)}, headers=headers) as answer,
        ):
            if answer.status_code != 200:
                await answer.aread()
                raise error_of_response(answer)
            lines = answer.aiter_lines()
            first = await self._block(lines)
            # Some clients overlook the id of a block without data.
            stream.cursor = json.loads(first["data"])["cursor"]
            assert stream.cursor == first["id"]
            reader = asyncio.create_task(self._read(lines, stream))
            try:
                yield stream
            finally:
                reader.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reader

    async def _read(self, lines: AsyncIterator[str], stream: Stream) -> None:
        place: str | None = None
        try:
            while True:
                await stream.reading.wait()
                block = await self._block(lines)
                place = block.get("id", place)
                data = json.loads(block["data"])
                match block["event"]:
                    case "closed":
                        stream.end(End(_ENDS.get(data["reason"], data["reason"]), place))
                    case "cursor-expired":
                        stream.end(End("cursor-expired", place, data["oldestCursor"]))
                    case "cursor":
                        pass
                    case _:
                        stream.put(data)
        except (EOFError, httpx.TransportError):
            return

    async def _block(self, lines: AsyncIterator[str]) -> dict[str, str]:
        block: dict[str, str] = {}
        async for line in lines:
            if line:
                name, _, value = line.partition(":")
                block[name] = value.removeprefix(" ")
            elif block.keys() - {"retry", ""}:
                self.on_frame("sse", CHANNEL, block)
                return block
        raise EOFError
