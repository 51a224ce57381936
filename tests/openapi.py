"""The OpenAPI document as a judge of real answers: does what came back fit what the document says?

    await check(response)

is for the event hooks of an httpx client. It raises `Misfit`, an AssertionError, for an answer whose status, media
type, body or headers the document does not have. What is for no operation of the document is not judged.
"""

import json
import re
from functools import cache
from typing import Any

import httpx
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

from gateway.contracts.documents import http_document


class Misfit(AssertionError):
    """An answer is not what the document says."""


@cache
def _document() -> dict[str, Any]:
    return http_document()


@cache
def _operations() -> list[tuple[re.Pattern[str], str, dict[str, Any]]]:
    """Those with the fewest parameters first: `/v1/users/me` is no `/v1/users/{id}`."""
    paths = sorted(_document()["paths"].items(), key=lambda item: item[0].count("{"))
    return [
        (re.compile(re.sub(r"{\w+}", "[^/]+", path)), method.upper(), operation)
        for path, item in paths
        for method, operation in item.items()
    ]


def _operation(request: httpx.Request) -> dict[str, Any] | None:
    here = next((path for path, *_ in _operations() if path.fullmatch(request.url.path)), None)
    # Another method at this path is for this path alone.
    return next(
        (one for path, method, one in _operations() if (path, method) == (here, request.method)), None
    )


@cache
def _validator(schema: str) -> Any:
    made = {**json.loads(schema), "components": _document()["components"]}
    return Draft202012Validator(made, format_checker=FormatChecker())


async def check(response: httpx.Response) -> None:
    """Pass when an answer is what the document says."""
    request = response.request
    operation = _operation(request)
    # No operation describes that its path has others.
    if operation is None or response.status_code == httpx.codes.METHOD_NOT_ALLOWED:
        return
    place = f"{request.method} {request.url.path} {response.status_code}"
    described = operation["responses"].get(str(response.status_code))
    if described is None:
        raise Misfit(f"{place}: the document has only {', '.join(operation['responses'])}")
    if "$ref" in described:
        described = _document()["components"]["responses"][described["$ref"].rpartition("/")[2]]
    if unknown := {"etag", "location", "link", "retry-after"} & set(response.headers) - {
        name.lower() for name in described.get("headers", ())
    }:
        raise Misfit(f"{place}: the document has no header {', '.join(unknown)}")
    media_type = response.headers.get("content-type", "").partition(";")[0]
    content = described.get("content", {})
    if media_type not in content and (media_type or content):
        raise Misfit(
            f"{place}: the document has {', '.join(content) or 'no body'}, not {media_type or 'none'}"
        )
    if "json" not in media_type or "schema" not in content[media_type]:
        return
    value = json.loads(await response.aread())
    errors = [
        error.message for error in _validator(json.dumps(content[media_type]["schema"])).iter_errors(value)
    ]
    if errors:
        raise Misfit(f"{place}: {'; '.join(errors)[:1000]}")
