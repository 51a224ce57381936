"""The peer: sse-starlette on bare Starlette, which streams the chunks of a file, one a line, to whoever asks.

It reads neither the question nor who asks, searches nothing, and has every chunk at hand in JSON.
"""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from benchmarks.control import serve

if __name__ == "__main__":
    chunks = Path(sys.argv[1]).read_text().splitlines()

    async def stream() -> AsyncIterator[dict[str, str]]:
        """Chunk by chunk."""
        for chunk in chunks:
            yield {"data": chunk}

    async def complete(request: Request) -> EventSourceResponse:
        """The same answer to any question."""
        await request.body()
        return EventSourceResponse(stream(), status_code=201, sep="\n")

    serve(Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])]))
