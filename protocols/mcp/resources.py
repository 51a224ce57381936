"""Resources: which there are, and what one holds."""

from typing import Any

from mcp.types import (
    ListResourcesResult,
    ListResourceTemplatesResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ResourceTemplate,
)
from mcp.types import Resource as ListedResource

from core.kernel.errors import BadRequest, NotFound
from core.kernel.ids import is_id
from core.kernel.model import Resource, encode
from core.store.store import Call, Store
from protocols.mcp.bindings import RESOURCES, ResourceKind
from protocols.mcp.errors import META
from protocols.mcp.tools import refuse_page
from protocols.mcp.visits import RequestContext, answering, visit_of

_JSON = "application/json"


class Resources:
    """What clients may read, and attach to a conversation.

    Those that are many are listed by their templates alone: completion finds their ids.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listed = ListResourcesResult(
            resources=[
                ListedResource.model_validate({"uri": kind.uri, **_told(kind)})
                for kind in RESOURCES
                if not kind.one_of_many
            ]
        )
        self._templates = ListResourceTemplatesResult(
            resource_templates=[
                ResourceTemplate.model_validate({"uriTemplate": kind.uri, **_told(kind)})
                for kind in RESOURCES
                if kind.one_of_many
            ]
        )
        self.list = answering(self._list)
        self.list_templates = answering(self._list_templates)
        self.read = answering(self._read)

    async def _list(self, _: RequestContext, params: PaginatedRequestParams | None) -> ListResourcesResult:
        refuse_page(params)
        return self._listed

    async def _list_templates(
        self, _: RequestContext, params: PaginatedRequestParams | None
    ) -> ListResourceTemplatesResult:
        refuse_page(params)
        return self._templates

    async def _read(self, ctx: RequestContext, params: ReadResourceRequestParams) -> dict[str, Any]:
        kind, resource_id = find(params.uri)
        visit = visit_of(ctx)
        # Taken before it is read: what happens from here on, and is not in it, is behind the cursor.
        cursor = await self._store.cursor_before_reading(visit.caller.tenant)
        given = {} if resource_id is None else {"id": resource_id}
        outcome = await self._store.execute(
            visit.caller, Call(kind.operation, given, request_id=visit.request_id)
        )
        value = outcome.value
        encoded = value.encoded if isinstance(value, Resource) else encode(value)
        content = {
            "uri": params.uri,
            "mimeType": _JSON,
            "text": encoded.decode(),
            "_meta": {f"{META}cursor": cursor},
        }
        return {"resultType": "complete", "contents": [content], "ttlMs": 0, "cacheScope": "private"}


def find(uri: str) -> tuple[ResourceKind, str | None]:
    """What a URI names: a kind of resource, and the id of one of many.

    Raises:
        NotFound: nothing.
        BadRequest: what stands for the id is none.
    """
    for kind in RESOURCES:
        if not kind.one_of_many and uri == kind.uri:
            return kind, None
        beginning = kind.uri.removesuffix("{id}")
        if (
            kind.one_of_many
            and uri.startswith(beginning)
            and "/" not in (rest := uri[len(beginning) :])
            and rest
        ):
            if not is_id(rest):
                raise BadRequest(f"The id in '{uri[:100]}' is not a UUID.")
            return kind, rest
    raise NotFound(f"There is no resource '{uri[:100]}'.")


def _told(kind: ResourceKind) -> dict[str, str]:
    operation = kind.operation
    return {
        "name": kind.name,
        "title": operation.summary,
        "description": operation.description or f"{operation.summary}.",
        "mimeType": _JSON,
    }
