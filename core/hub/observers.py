"""What observes every event on this node, whether or not anybody subscribes."""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from core.kernel.events import Event
from core.kernel.ids import TenantId

log = logging.getLogger(__name__)


class EventObserver(Protocol):
    """Observes every event on this node: a cache, or a consumer that is to be woken."""

    def on_events(self, tenant: TenantId, events: Sequence[Event]) -> None:
        """Events happened. The same one may come twice, and events out of order."""

    def on_lost(self, tenant: TenantId | None) -> None:
        """Events of a tenant (None: of any) may have happened that did not come here."""


class Observers:
    """The observers of a hub. One that fails is logged, and harms nobody else."""

    def __init__(self) -> None:
        self._observers: list[EventObserver] = []

    def add(self, *observers: EventObserver) -> None:
        """From now on, tell these too."""
        self._observers += observers

    def remove(self, observer: EventObserver) -> None:
        """Tell it no longer."""
        self._observers.remove(observer)

    def announce(self, tenant: TenantId, events: Sequence[Event]) -> None:
        """Tell all that events happened."""
        self._tell(lambda observer: observer.on_events(tenant, events))

    def lose(self, tenant: TenantId | None) -> None:
        """Tell all that events of a tenant (None: of any) may have been missed."""
        self._tell(lambda observer: observer.on_lost(tenant))

    def _tell(self, call: Callable[[EventObserver], None]) -> None:
        for observer in self._observers:
            try:
                call(observer)
            except Exception:
                log.exception("an observer of events failed")
