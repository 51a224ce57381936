"""Who may read an order or an application, and who may listen to what."""

import re
from collections.abc import Iterable

from core.hub import Viewer
from core.kernel.caller import Caller, Role, Scope
from core.kernel.errors import BadRequest, Forbidden, StoreError, Unauthorized
from core.kernel.events import EventKind
from core.kernel.limits import Limits
from core.kernel.topics import covers, parse_filter
from core.models.adoptions import Adoption
from core.models.catalogue import EVENTS
from core.models.chats import Chat
from core.models.orders import Order
from core.models.payments import Payment
from core.ports.records import OneOf, Query, RecordStorage, Transaction


def _roots(kinds: Iterable[EventKind]) -> frozenset[str]:
    return frozenset(topic.partition("/")[0] for kind in kinds for topic in kind.topics)


#: First levels of the topics that anybody may listen to: some of their events are for everybody.
PUBLIC_ROOTS = _roots(kind for kind in EVENTS.values() if kind.public)
#: First levels of the topics whose events are not for everybody.
PRIVATE_ROOTS = _roots(EVENTS.values()) - PUBLIC_ROOTS
#: Topic filters of what tells of a person: no grant shows it.
PERSONAL_TOPICS = frozenset(
    re.sub(r"\{\w+\}", "+", topic) for kind in EVENTS.values() if kind.personal for topic in kind.topics
)
_PUBLIC_GRANTS = tuple(f"{root}/#" for root in PUBLIC_ROOTS)
#: What each scope shows STAFF, and programs of theirs, of the events that are not for everybody.
STAFF_GRANTS = {
    Scope.READ_ORDERS: ("orders/#", "payments/#"),
    Scope.CHAT_AGENT: ("chats/#",),
    Scope.WRITE_WEBHOOKS: ("webhooks/#",),
}
#: A member of the staff who has these sees everything.
_STAFF_VIEW = frozenset({Scope.READ_ORDERS, Scope.CHAT_AGENT})
#: Under which first levels a user's own events are seen with a scope; of pets there are those of an order's.
_OWN_ROOTS = {
    Scope.READ_ORDERS: frozenset({"orders", "payments", "adoptions", "pets"}),
    Scope.CHAT_WRITE: frozenset({"chats"}),
}


def order_topics(order_id: str) -> str:
    """The topic filter of everything that happens to one order: a device that holds it may read the order too."""
    return f"orders/{order_id}/#"


def may_read_order(caller: Caller, order_id: str, owner_id: str | None) -> bool:
    """Whether the caller may read an order and its receipt: STAFF, its owner, a device that was given it.

    What has no owner is readable by whoever knows its id.
    """
    return (
        owner_id is None
        or caller.is_staff
        or owner_id == caller.user_id
        or order_topics(order_id) in caller.topics
    )


def applicant_id_of(caller: Caller) -> str | None:
    """The user whose applications are the caller's own: themselves, or who has allowed an OAuth client to act for them.

    An API key is never the person who made it, and an OAuth client of its own accord is nobody.
    """
    return None if caller.key.startswith("key:") else caller.user_id


def decides_on_adoptions(caller: Caller) -> bool:
    """Whether the caller sees every application and decides on it: STAFF in person, since it tells of a person."""
    return caller.is_staff and not caller.is_program


def may_read_adoption(caller: Caller, adoption: Adoption) -> bool:
    """Whether the caller may read an application: STAFF in person, and the applicant."""
    return decides_on_adoptions(caller) or adoption.user_id == applicant_id_of(caller)


def viewer_of(caller: Caller) -> Viewer:
    """The caller as the hub sees them.

    STAFF with reduced scopes, every API key and every OAuth client see public events and those that their scopes cover;
    a user with reduced scopes sees their own orders or chats, or what a visitor sees.
    """
    if caller.role is Role.DEVICE:
        return Viewer("device", grants=caller.topics)
    if caller.is_staff:
        if caller.scopes >= _STAFF_VIEW and not caller.is_program:
            return Viewer("staff")
        grants = (
            topic for scope, topics in STAFF_GRANTS.items() if scope in caller.scopes for topic in topics
        )
        return Viewer("device", grants=frozenset(grants))
    held = caller.scopes & _OWN_ROOTS.keys()
    if caller.user_id is None or not held:
        return Viewer("visitor")
    if held == _OWN_ROOTS.keys():
        return Viewer("user", caller.user_id)
    return Viewer("user", caller.user_id, roots=frozenset().union(*(_OWN_ROOTS[scope] for scope in held)))


def may_grant(caller: Caller, pattern: str) -> bool:
    """Whether a member of the staff may grant a topic filter to a device: only what they may see themselves."""
    viewer = viewer_of(caller)
    return viewer.kind == "staff" or any(
        covers(grant, pattern) for grant in (*viewer.grants, *_PUBLIC_GRANTS)
    )


async def check_filters(
    storage: RecordStorage, limits: Limits, caller: Caller, filters: Iterable[str]
) -> None:
    """Pass when the caller may subscribe to all of these topic filters at once.

    A filter that also matches what the caller may not see passes: its events are checked one by one. A filter that
    matches nothing they may see does not pass, and neither does the literal id of a resource that they may not read,
    which hides its existence.

    Raises:
        BadRequest: one is malformed, or they are too many.
        Unauthorized: a visitor may not; logging in may help.
        Forbidden: a known caller may not.
    """
    wanted = frozenset(filters)
    most = limits.filters_per_connection
    if len(wanted) > most:
        raise BadRequest(f"At most {most} topic filters per connection.")
    viewer = viewer_of(caller)
    literal: dict[str, dict[str, str]] = {root: {} for root in PRIVATE_ROOTS}
    for pattern in sorted(wanted):
        root, _, rest = parse_filter(pattern).partition("/")
        subject = rest.partition("/")[0]
        granted = viewer.kind == "staff" or any(covers(grant, pattern) for grant in viewer.grants)
        if root == "telemetry" or (caller.role is Role.DEVICE and root not in PUBLIC_ROOTS and not granted):
            raise _refusal(caller, pattern)
        if root not in PRIVATE_ROOTS or granted:
            continue
        if subject and subject not in ("+", "#"):
            literal[root][subject] = pattern
        elif viewer.kind != "user" or not viewer.shows((root,)):
            raise _refusal(caller, pattern)
    if any(literal.values()):
        async with storage.read(caller.tenant) as tx:
            for root, patterns in literal.items():
                owner = viewer.user_id if viewer.shows((root,)) else None
                readable = await _readable(tx, root, tuple(patterns), owner) if patterns else frozenset()
                for subject, pattern in patterns.items():
                    if subject not in readable:
                        raise _refusal(caller, pattern)


async def _readable(tx: Transaction, root: str, ids: tuple[str, ...], user_id: str | None) -> frozenset[str]:
    """Those ids that name something which this user, or anybody (None), may read."""
    if root == "chats":
        chats = await tx.find(Query(Chat, (OneOf("id", ids),)))
        return frozenset(chat.id for chat in chats if chat.customer_id == user_id)
    if root == "adoptions":
        adoptions = await tx.find(Query(Adoption, (OneOf("id", ids),)))
        return frozenset(adoption.id for adoption in adoptions if adoption.user_id == user_id)
    if root == "payments":
        payments = await tx.find(Query(Payment, (OneOf("id", ids),)))
        orders = await _readable(tx, "orders", tuple(payment.order_id for payment in payments), user_id)
        return frozenset(payment.id for payment in payments if payment.order_id in orders)
    if root == "orders":
        found = await tx.find(Query(Order, (OneOf("id", ids),)))
        return frozenset(order.id for order in found if order.user_id in (None, user_id))
    return frozenset()


def _refusal(caller: Caller, pattern: str) -> StoreError:
    detail = f"You may not subscribe to '{pattern}'."
    return Unauthorized(detail) if caller.is_visitor else Forbidden(detail)
