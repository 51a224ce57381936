"""Who sees the event log, as far as the hub must know."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from core.kernel.events import Event
from core.kernel.topics import matches


def names_subject(pattern: str) -> bool:
    """Whether a filter names its subject, the second level, literally: ``orders/<id>/#`` does."""
    levels = pattern.split("/", 2)
    return len(levels) > 1 and levels[1] not in ("+", "#")


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who may see what. Equal viewers see the same and share their work, so nothing else belongs in here.

    ``user_id`` is set for a ``user`` only. ``grants`` are the topic filters of a ``device``: it may see their
    events whatever the audience, unless they are personal. ``roots`` are the first levels of the topics under which a
    ``user`` sees their own events; None: under all.
    """

    kind: Literal["visitor", "user", "staff", "device"]
    user_id: str | None = None
    grants: frozenset[str] = frozenset()
    roots: frozenset[str] | None = None

    def shows(self, topics: Iterable[str]) -> bool:
        """Whether a user's own events are seen under one of these topics or filters."""
        return self.roots is None or any(topic.partition("/")[0] in self.roots for topic in topics)

    def sees(self, event: Event, filters: Iterable[str]) -> bool:
        """Whether the viewer may see an event. ``filters`` are those of their topic filters that match it."""
        audience = event.audience
        return (
            audience.public
            or self.kind == "staff"
            or (self.user_id in audience.users and self.shows(event.topics))
            or (audience.named and any(map(names_subject, filters)))
            or (
                not audience.personal
                and any(matches(grant, topic) for grant in self.grants for topic in event.topics)
            )
        )
