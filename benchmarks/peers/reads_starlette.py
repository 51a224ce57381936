"""The peer: bare Starlette whose GET /v1/pets/{id} answers the bytes of a file, named by the first argument."""

import sys
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.control import serve

if __name__ == "__main__":
    body = Path(sys.argv[1]).read_bytes()

    async def get_pet(_: Request) -> Response:
        """The same bytes for every id."""
        return Response(body, media_type="application/json")

    serve(Starlette(routes=[Route("/v1/pets/{pet_id}", get_pet)]))
