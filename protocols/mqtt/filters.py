"""What clients ask to listen to, and what they were granted."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from core.kernel.errors import BadRequest
from core.kernel.events import Event
from core.kernel.ids import TenantId, parse_tenant
from core.kernel.topics import matches, parse_filter
from core.services.catalogue import EVENTS

_SHARE, _TENANTS = "$share/", "tenants/"
#: First levels of topics under which events are found besides their own.
_ALIAS_ROOTS = frozenset(topic.partition("/")[0] for kind in EVENTS.values() for topic in kind.topics[1:])


@dataclass(frozen=True, slots=True)
class Address:
    """A topic, or a filter, as a client writes it, taken apart. ``prefix`` is empty where no tenant is named."""

    group: str | None
    tenant: TenantId | None
    prefix: str
    pattern: str


def read_topic(text: str) -> Address:
    """Take the tenant off the name of a topic or filter: ``[tenants/{id}/]…``.

    Raises:
        BadRequest: what is named is no tenant.
    """
    if not text.startswith(_TENANTS):
        return Address(None, None, "", text)
    name, _, rest = text.removeprefix(_TENANTS).partition("/")
    tenant = parse_tenant(name)
    if tenant is None or not rest:
        raise BadRequest("A tenant is named by a UUID of version 4 or 7, with a topic behind it.")
    return Address(None, tenant, f"{_TENANTS}{name}/", rest)


def read_filter(text: str) -> Address:
    """Take a filter apart: ``[$share/{group}/][tenants/{id}/]{filter}`` (MQTT 5.0, section 4.8.2).

    Raises:
        BadRequest: it is malformed.
    """
    group = None
    if text.startswith(_SHARE):
        group, _, text = text.removeprefix(_SHARE).partition("/")
        if not group or "+" in group or "#" in group:
            raise BadRequest("A shared subscription is $share/{name}/{filter}.")
    address = read_topic(text)
    parse_filter(address.pattern)
    return Address(group, address.tenant, address.prefix, address.pattern)


@dataclass(frozen=True, slots=True)
class Grant:
    """A subscription. ``name`` is the filter as the client wrote it, ``pattern`` the store's; ``id`` 0 is none."""

    name: str
    prefix: str
    pattern: str
    group: str | None
    qos: int
    retain_as_published: bool
    id: int

    def stored(self) -> dict[str, Any]:
        """The form in which it is kept."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Shape:
    """What frames look like to a client whose subscriptions are all alike, so that many can share the frames."""

    qos: int
    retain_as_published: bool
    prefixed: bool


def common_shape(grants: Iterable[Grant]) -> Shape | None:
    """The shape that all subscriptions have in common, if events may be shown under their own topic to all.

    An event is found under other topics besides; a filter that matches only one of these must be shown that one.
    """
    shapes = set()
    for grant in grants:
        root = grant.pattern.partition("/")[0]
        if grant.id or root == "+" or root in _ALIAS_ROOTS:
            return None
        shapes.add(Shape(grant.qos, grant.retain_as_published, bool(grant.prefix)))
    return shapes.pop() if len(shapes) == 1 else None


def matching(grants: Iterable[Grant], event: Event) -> tuple[str, list[Grant]]:
    """The topic under which to show an event, and the subscriptions that it matches."""
    for topic in event.topics:
        if any(matches(grant.pattern, topic) for grant in grants):
            found = [g for g in grants if any(matches(g.pattern, name) for name in event.topics)]
            # The one that matches this topic says how it is written.
            found.sort(key=lambda grant: not matches(grant.pattern, topic))
            return topic, found
    return event.topic, []
