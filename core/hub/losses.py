"""Notices events that never reached this node, for tenants to whom nobody listens."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from core.ids import TenantId

#: Tenants watched at a time.
_TENANTS = 1_024
#: Sequences remembered behind a hole; with more, the hole counts as a loss.
_AHEAD = 1_024


@dataclass(slots=True)
class _Seen:
    """What was seen of a tenant: all up to ``upto`` (-1: unknown yet), and ``ahead`` behind a hole.

    ``expected`` is the log's head at the last look.
    """

    upto: int = -1
    expected: int = 0
    ahead: set[int] = field(default_factory=set)

    def advance(self) -> None:
        while self.upto + 1 in self.ahead:
            self.upto += 1
            self.ahead.remove(self.upto)


class Losses:
    """Compares the sequences that were seen with the heads of the logs.

    An event may be on its way when a head is read, so it counts as lost only if it has not come by the next look.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[TenantId, _Seen] = OrderedDict()

    @property
    def tenants(self) -> list[TenantId]:
        """The tenants that are watched."""
        return list(self._seen)

    def watch(self, tenant: TenantId) -> TenantId | None:
        """Begin to watch a tenant, or keep on; gives the one that is no longer watched in its place, if any."""
        if tenant in self._seen:
            self._seen.move_to_end(tenant)
            return None
        self._seen[tenant] = _Seen()
        return self._seen.popitem(last=False)[0] if len(self._seen) > _TENANTS else None

    def saw(self, tenant: TenantId, sequences: Iterable[int]) -> None:
        """Events reached this node; 0 stands for an ephemeral one."""
        seen = self._seen.get(tenant)
        if seen is not None:
            seen.ahead.update(sequence for sequence in sequences if sequence > max(seen.upto, 0))
            seen.advance()

    def compare(self, heads: Mapping[TenantId, int]) -> list[TenantId]:
        """Look at the heads of the logs: the tenants of which something was lost."""
        lost = []
        for tenant, head in heads.items():
            seen = self._seen.get(tenant)
            if seen is None:
                continue
            if seen.upto < seen.expected or len(seen.ahead) > _AHEAD:
                lost.append(tenant)
                seen.upto = head
                seen.ahead = {sequence for sequence in seen.ahead if sequence > head}
                seen.advance()
            seen.expected = head
        return lost
