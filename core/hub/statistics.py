"""A hub's figures, for metrics and tests."""

from dataclasses import dataclass


@dataclass(slots=True)
class HubCounters:
    """What has happened at a hub since it began; events, unless the name says otherwise."""

    published: int = 0
    received: int = 0
    repeated: int = 0
    malformed_messages: int = 0
    wakeups: int = 0
    failed_polls: int = 0


@dataclass(frozen=True, slots=True)
class HubStatistics:
    """What a hub holds at the moment, and what has happened there since it began."""

    rings: int
    selections: int
    subscriptions: int
    behind: int
    kept_events: int
    kept_bytes: int
    parked_events: int
    missing_events: int
    page_reads: int
    gap_reads: int
    counters: HubCounters
