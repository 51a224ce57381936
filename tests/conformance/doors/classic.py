"""The classic door, with httpx: its operations at the method and path that it binds them to."""

import re
from typing import Any

from protocols.classic.adapter import BASE
from protocols.classic.bindings import BINDINGS
from tests.conformance.door import Answer, Driver, Refused
from tests.conformance.people import headers_of
from tests.http_clients import http_client

_BOUND = {binding.operation.name: binding for binding in BINDINGS}
#: What a status means: this door has no word for it.
_CODES = {
    400: "validation-error",
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    409: "conflict",
    429: "rate-limit-exceeded",
}


class ClassicDriver(Driver):
    """Somebody with a client of the Swagger Petstore."""

    operations = frozenset(_BOUND)

    async def call(
        self,
        operation: str,
        /,
        *,
        body: Any = None,
        if_match: str | None = None,
        key: str | None = None,
        **params: Any,
    ) -> Answer:
        binding = _BOUND[operation]
        path = re.sub(r"{(\w+)}", lambda found: str(params.pop(found[1])), binding.path)
        content = {"content": body} if binding.upload else {} if body is None else {"json": body}
        headers = headers_of(self.person)
        if binding.upload:
            headers["Content-Type"] = "application/octet-stream"
        async with http_client(base_url=self.node.url + BASE) as client:
            answer = await client.request(binding.method, path, params=params, headers=headers, **content)
        if not answer.is_success:
            raise Refused(_CODES[answer.status_code])
        in_json = answer.headers.get("content-type") == "application/json"
        return Answer(answer.json() if in_json else answer.text)
