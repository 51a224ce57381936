"""From an event to the webhooks that want it, at a cost that does not depend on the others."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from core.auth.makers import viewer_of_maker
from core.hub import Viewer
from core.kernel.events import Event
from core.kernel.ids import TenantId
from core.kernel.topics import TopicTrie
from core.models.catalogue import EVENTS
from core.models.webhooks import Webhook, WebhookMaker, WebhookRevision, WebhookState, WebhookStatus
from core.ports.records import Equal, OneOf, Query, Transaction
from core.ports.storage import Storage

#: Tenants whose webhooks are kept in memory.
_MAX_TENANTS = 1_000
#: Webhooks that are read at a time, so that a tenant with very many holds up nobody meanwhile.
_LOADED = 100
#: Rights that grew are noticed so late; that they shrank is checked at each attempt.
_FRESH_TIME = timedelta(seconds=60)


@dataclass(slots=True)
class Wanted:
    """The enabled webhooks of one tenant, as they were at a revision."""

    revision: str
    fresh_until: datetime
    #: Those whose makers may have no webhooks any more: they get nothing.
    unauthorized: list[str] = field(default_factory=list)
    _types: dict[str, list[str]] = field(default_factory=dict)
    _filters: TopicTrie[str] = field(default_factory=TopicTrie)
    _viewers: dict[str, Viewer] = field(default_factory=dict)
    _since: dict[str, int] = field(default_factory=dict)

    def add(self, webhook: Webhook, since: int, viewer: Viewer) -> None:
        """Take a webhook in: it gets events behind ``since``."""
        self._viewers[webhook.id] = viewer
        self._since[webhook.id] = since
        for choice in webhook.events:
            if choice in EVENTS:
                self._types.setdefault(choice, []).append(webhook.id)
            else:
                self._filters.add(choice, webhook.id)

    def find(self, event: Event) -> Iterable[str]:
        """The ids of the webhooks that get an event, each once."""
        found = self._filters.find(event.topics)
        found.update(dict.fromkeys(self._types.get(event.event_type, ())))
        return [
            one for one in found if event.sequence > self._since[one] and self._viewers[one].sees(event, ())
        ]


class WantedOfTenants:
    """What is wanted in each tenant; the least recently used are forgotten."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._known: OrderedDict[TenantId, Wanted] = OrderedDict()

    async def of(self, tenant: TenantId, now: datetime) -> Wanted | None:
        """What is wanted in a tenant at present; None where there never was a webhook."""
        async with self._storage.read(tenant) as tx:
            found = await tx.get(WebhookRevision, tenant)
            if found is None:
                self._known.pop(tenant, None)
                return None
            wanted = self._known.get(tenant)
            if wanted is None or wanted.revision != found.revision or wanted.fresh_until <= now:
                wanted = self._known[tenant] = await _load(tx, tenant, found.revision, now)
        self._known.move_to_end(tenant)
        if len(self._known) > _MAX_TENANTS:
            self._known.popitem(last=False)
        return wanted


async def _load(tx: Transaction, tenant: TenantId, revision: str, now: datetime) -> Wanted:
    wanted = Wanted(revision, now + _FRESH_TIME)
    viewers: dict[WebhookMaker, Viewer | None] = {}
    enabled = (Equal("status", WebhookStatus.ENABLED),)
    behind: tuple[object, str] | None = None
    while page := await tx.find(Query(Webhook, enabled, limit=_LOADED, behind=behind)):
        ids = tuple(webhook.id for webhook in page)
        states = {state.id: state for state in await tx.find(Query(WebhookState, (OneOf("id", ids),)))}
        for webhook in page:
            if (state := states.get(webhook.id)) is None:
                continue
            if state.maker not in viewers:
                viewers[state.maker] = await viewer_of_maker(tx, tenant, state.maker, now)
            if (viewer := viewers[state.maker]) is not None:
                wanted.add(webhook, state.since, viewer)
            else:
                wanted.unauthorized.append(webhook.id)
        behind = (ids[-1], ids[-1])
    return wanted
