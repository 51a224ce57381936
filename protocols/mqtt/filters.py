"""Topic names and topic filters as clients write them, and the subscriptions that were granted for them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from core.kernel.errors import BadRequest
from core.kernel.events import Event
from core.kernel.ids import TenantId, parse_tenant
from core.kernel.topics import matches, parse_filter
from core.models.catalogue import EVENTS

_SHARE, _TENANTS = "$share/", "tenants/"
#: First levels of topics under which events are published in addition to their own topic.
_ALIAS_ROOTS = frozenset(topic.partition("/")[0] for kind in EVENTS.values() for topic in kind.topics[1:])


@dataclass(frozen=True, slots=True)
class TopicAddress:
    """A topic name or topic filter of a client, taken apart.

    ``share_name`` is None unless it is a shared subscription. ``tenant`` is None, and ``prefix`` empty, where no tenant
    is named. ``topic`` is what the store knows: a topic or an event filter.
    """

    share_name: str | None
    tenant: TenantId | None
    prefix: str
    topic: str


def parse_topic_name(text: str) -> TopicAddress:
    """Take the tenant off a topic name or topic filter: ``[tenants/{id}/]…``.

    Raises:
        BadRequest: what is named is no tenant.
    """
    if not text.startswith(_TENANTS):
        return TopicAddress(None, None, "", text)
    name, _, rest = text.removeprefix(_TENANTS).partition("/")
    tenant = parse_tenant(name)
    if tenant is None or not rest:
        raise BadRequest("A tenant is named by a UUID of version 4 or 7, with a topic behind it.")
    return TopicAddress(None, tenant, f"{_TENANTS}{name}/", rest)


def parse_topic_filter(text: str) -> TopicAddress:
    """Take a topic filter apart: ``[$share/{share name}/][tenants/{id}/]{filter}`` (MQTT 5.0, section 4.8.2).

    Raises:
        BadRequest: it is malformed.
    """
    share_name = None
    if text.startswith(_SHARE):
        share_name, _, text = text.removeprefix(_SHARE).partition("/")
        if not share_name or "+" in share_name or "#" in share_name:
            raise BadRequest("A shared subscription is $share/{name}/{filter}.")
    address = parse_topic_name(text)
    parse_filter(address.topic)
    return TopicAddress(share_name, address.tenant, address.prefix, address.topic)


@dataclass(frozen=True, slots=True)
class GrantedSubscription:
    """A subscription of a client.

    ``topic_filter`` is the filter as the client wrote it, ``event_filter`` the store's; ``prefix`` is put before the
    topics of its messages. ``share_name`` is None unless it is shared, ``identifier`` 0 where the client gave none.
    """

    topic_filter: str
    event_filter: str
    prefix: str
    share_name: str | None
    qos: int
    retain_as_published: bool
    identifier: int

    def to_state(self) -> dict[str, Any]:
        """The form in which a durable session keeps it."""
        return {
            "name": self.topic_filter,
            "prefix": self.prefix,
            "pattern": self.event_filter,
            "group": self.share_name,
            "qos": self.qos,
            "retain_as_published": self.retain_as_published,
            "id": self.identifier,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "GrantedSubscription":
        """The subscription that ``to_state`` gave."""
        return cls(
            topic_filter=state["name"],
            event_filter=state["pattern"],
            prefix=state["prefix"],
            share_name=state["group"],
            qos=state["qos"],
            retain_as_published=state["retain_as_published"],
            identifier=state["id"],
        )


@dataclass(frozen=True, slots=True)
class FrameShape:
    """What PUBLISH looks like to clients whose subscriptions are all alike, so that they can share the bytes."""

    qos: int
    retain_as_published: bool
    prefixed: bool


def common_shape(subscriptions: Iterable[GrantedSubscription]) -> FrameShape | None:
    """The shape that all subscriptions have in common; None where events cannot go to all under their own topic.

    Some events are published under further topics; a filter that matches only one of these needs that topic.
    """
    shapes = set()
    for subscription in subscriptions:
        root = subscription.event_filter.partition("/")[0]
        if subscription.identifier or root == "+" or root in _ALIAS_ROOTS:
            return None
        shapes.add(FrameShape(subscription.qos, subscription.retain_as_published, bool(subscription.prefix)))
    return shapes.pop() if len(shapes) == 1 else None


def match(
    subscriptions: Iterable[GrantedSubscription], event: Event
) -> tuple[str, list[GrantedSubscription]]:
    """The topic under which to send an event, and the subscriptions that it matches; the first matches that topic."""
    for topic in event.topics:
        if any(matches(subscription.event_filter, topic) for subscription in subscriptions):
            matched = [
                s for s in subscriptions if any(matches(s.event_filter, name) for name in event.topics)
            ]
            # The prefix of the topic is that of the first.
            matched.sort(key=lambda subscription: not matches(subscription.event_filter, topic))
            return topic, matched
    return event.topic, []
