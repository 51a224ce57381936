"""What the door holds, and what has happened there: figures for metrics and tests."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """What has happened at this door so far."""

    connected: int = 0
    refused_connections: int = 0
    taken_over: int = 0
    malformed_packets: int = 0
    published: int = 0
    refused_messages: int = 0


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the door holds at the moment; ``groups`` are shared subscriptions."""

    clients: int
    kept_sessions: int
    groups: int
    counters: Counters
