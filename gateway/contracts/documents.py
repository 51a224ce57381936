"""The committed documents: `make contracts` writes them, `make check` compares them.

They are generated from the code that runs, so that a difference is a change that was not recorded.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from gateway import well_known
from gateway.contracts.asyncapi import asyncapi_document
from gateway.contracts.protobuf import generated_code
from gateway.contracts.webhooks import with_webhooks
from protocols.advisor import openapi as advisor
from protocols.classic import openapi as classic
from protocols.graphql.schema import schema_text
from protocols.oauth import openapi as oauth
from protocols.rest.openapi import counted, edition_3_1, openapi_document
from protocols.rest.pages import dump_yaml
from protocols.sse import openapi as sse

_ROOT = Path(__file__).resolve().parents[2]


def http_document() -> dict[str, Any]:
    """The OpenAPI document of the HTTP port: REST, and beside it the advisor, the event stream, OAuth and what is well
    known."""
    document = openapi_document(
        {**counted({**advisor.paths(), **sse.PATHS, **oauth.PATHS}), **well_known.PATHS},
        {**advisor.schemas(), **sse.SCHEMAS, **oauth.SCHEMAS},
    )
    return with_webhooks(document)


def http_document_3_1() -> dict[str, Any]:
    """The same for tools that know OpenAPI 3.1 only."""
    return edition_3_1(http_document())


#: The documents that are served, by name.
DOCUMENTS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "openapi": http_document,
    "openapi-3.1": http_document_3_1,
    "asyncapi": asyncapi_document,
}


def classic_documents(public_url: str) -> dict[str, Callable[[], bytes]]:
    """The documents of the classic door, by the ends of their paths."""
    return {
        "openapi.json": lambda: to_json(classic.document(public_url)),
        "openapi.yaml": lambda: dump_yaml(classic.document(public_url)).encode(),
    }


def contracts() -> dict[str, str]:
    """Each committed document, by its path in the repository."""
    return {
        **{f"{name.partition('-')[0]}/{name}.yaml": dump_yaml(make()) for name, make in DOCUMENTS.items()},
        "openapi/openapi-classic.yaml": dump_yaml(classic.document()),
        "protocols/graphql/schema.graphql": schema_text(),
        **generated_code(_ROOT),
    }


def main(arguments: Sequence[str]) -> int:
    """Write the documents, or compare them with ``--check``; the exit status is 1 when one differs."""
    differing = 0
    for name, text in contracts().items():
        path = _ROOT / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        if "--check" in arguments:
            sys.stderr.write(f"{name} differs from the code: run `make contracts`\n")
            differing += 1
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{name} written\n")
    return 1 if differing else 0
