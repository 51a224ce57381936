"""The tags of the OpenAPI document: what each is about, and which belong together."""

from collections.abc import Iterable
from typing import Any, NamedTuple


class _Tag(NamedTuple):
    """``parent`` is the tag that it belongs under (OpenAPI 3.2)."""

    summary: str
    description: str
    parent: str | None = None


_TAGS = {
    "Store": _Tag("The store", "Pets, and how they find a home."),
    "Pets": _Tag(
        "Pets and their images", "The pets of the store: lists, searches, changes, images.", "Store"
    ),
    "Inventory": _Tag("Stock", "How many pets there are, by species and status.", "Store"),
    "Orders": _Tag(
        "Orders, payments, receipts",
        "An order reserves its pets; once it is paid they are shipped. Payments are simulated.",
        "Store",
    ),
    "Adoptions": _Tag(
        "Applications for pets", "Users apply for pets, STAFF decides; exactly one application wins.", "Store"
    ),
    "People": _Tag("Who is who", "Accounts, logins, and the programs that act for people."),
    "Users": _Tag("Accounts", "Registration, and what an account holds.", "People"),
    "Authentication": _Tag(
        "Logins", "Access tokens for a user name and password, refreshed and ended.", "People"
    ),
    "API keys": _Tag("Keys of programs", "Keys with chosen scopes, made by STAFF and shown once.", "People"),
    "OAuth": _Tag(
        "OAuth 2.0",
        "Applications act for users who allow it: authorization code with PKCE, device authorization, client "
        "credentials. STAFF registers clients, users end what they allowed.",
        "People",
    ),
    "Live": _Tag("What happens, as it happens", "Events and conversations, and who else is told of them."),
    "Events": _Tag(
        "The event stream",
        "Every event as Server-Sent Events. The same go over WebSocket, Socket.IO, MQTT, GraphQL and gRPC; the "
        "AsyncAPI document (`/v1/asyncapi.json`) describes them.",
        "Live",
    ),
    "Webhooks": _Tag(
        "Events posted to endpoints",
        "The store posts events to a server of yours: signed, at least once, in the order of each resource. What it "
        "posts is under `webhooks`.",
        "Live",
    ),
    "Chats": _Tag(
        "Support chats", "Customers and agents talk; WebSocket and Socket.IO have the same live.", "Live"
    ),
    "Advisor": _Tag(
        "Advice on pets", "Answers in everyday English, in the shape of OpenAI's chat completions.", "Live"
    ),
    "Operation": _Tag("Running a store", "Devices, and the tenant as a whole."),
    "Devices": _Tag("Accounts of devices", "Devices that report by MQTT, provisioned by STAFF.", "Operation"),
    "Readings": _Tag("What devices report", "Readings of a pet's health.", "Operation"),
    "Tenant": _Tag(
        "The whole tenant", "A tenant is emptied, or filled with the pets of the demo.", "Operation"
    ),
}


def described_tags(used: Iterable[str]) -> list[dict[str, Any]]:
    """The Tag Objects of the tags in use and of those above them, in the order of this file.

    Raises:
        KeyError: one is not described here.
    """
    wanted = set(used)
    for name in tuple(wanted):
        parent = _TAGS[name].parent
        if parent is not None:
            wanted.add(parent)
    return [
        {
            "name": name,
            "summary": tag.summary,
            "description": tag.description,
            "kind": "nav",
            **({} if tag.parent is None else {"parent": tag.parent}),
        }
        for name, tag in _TAGS.items()
        if name in wanted
    ]
