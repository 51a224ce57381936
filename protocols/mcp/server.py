"""What the store offers to assistants: one handler a method of the protocol, of the official SDK's server."""

from importlib.metadata import version

from mcp.server.caching import CacheHint
from mcp.server.lowlevel import Server
from mcp.types import (
    CallToolRequestParams,
    DiscoverResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    RequestParams,
)
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

from core.live.sessions import Sessions
from protocols.mcp.completion import Completions
from protocols.mcp.listening import Listening
from protocols.mcp.prompts import Prompts
from protocols.mcp.resources import Resources
from protocols.mcp.tools import Tools
from protocols.mcp.visits import RequestContext

INSTRUCTIONS = (
    "A pet store. Find pets with search_pets (criteria such as species, priceRange, size, compatibility; "
    'criteria.status ["AVAILABLE"] for those that are for sale), or let ask_advisor answer a question in plain '
    "English. place_order reserves pets, pay_order pays, cancel_order sets them free again; apply_for_adoption is for "
    "users who are logged in. Prices and states are the store's: read them, never guess them. To learn of changes keep "
    "the cursor of a recent_events answer and ask again after it. A visitor may look, order, and pay or cancel that "
    "order by its id; orders of one's own, applications and the advisor take a login."
)
#: What never changes while the server runs: how long a client may keep it, in milliseconds.
_KEPT = CacheHint(ttl_ms=3_600_000, scope="public")


def build_server(sessions: Sessions) -> Server[None]:
    """The server with all its handlers."""
    store = sessions.store
    tools, resources, prompts = Tools(store), Resources(store), Prompts()
    server: Server[None] = Server(
        "petstore",
        version=version("petstore-gateway"),
        title="Petstore",
        description="Pets, orders, adoptions and events of one pet store.",
        instructions=INSTRUCTIONS,
        website_url=store.public_url,
        cache_hints={
            "server/discover": _KEPT,
            "tools/list": _KEPT,
            "prompts/list": _KEPT,
            "resources/list": _KEPT,
            "resources/templates/list": _KEPT,
        },
        on_list_resources=resources.list,
        on_list_resource_templates=resources.list_templates,
        on_subscriptions_listen=Listening(sessions).listen,
        on_list_prompts=prompts.list,
        on_get_prompt=prompts.get,
        on_completion=Completions(store).complete,
    )
    server.add_request_handler("tools/list", PaginatedRequestParams, tools.list)
    server.add_request_handler("tools/call", CallToolRequestParams, tools.call)
    server.add_request_handler("resources/read", ReadResourceRequestParams, resources.read)
    # Its schemas name no header fields, so that there is nothing to compare them with.
    server.get_tool_input_schema = lambda _: None
    # Spans without an exporter are of no use, and the access log tells of every request.
    server.middleware.clear()
    capabilities = server.get_capabilities(protocol_version=MODERN_PROTOCOL_VERSIONS[-1])
    # Lists stay as they are: a client need not listen for changes of them.
    for lists in (capabilities.tools, capabilities.prompts, capabilities.resources):
        assert lists is not None
        lists.list_changed = False
    discovered = DiscoverResult(
        supported_versions=list(MODERN_PROTOCOL_VERSIONS),
        capabilities=capabilities,
        instructions=INSTRUCTIONS,
    )

    async def discover(_: RequestContext, __: RequestParams) -> DiscoverResult:
        return discovered

    server.add_request_handler("server/discover", RequestParams, discover)
    return server
