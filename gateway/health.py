"""Whether this node lives and whether it should get work."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

#: Seconds that a server has to answer, and for which its answer is used again: anybody may ask.
_ANSWER_TIMEOUT_SECONDS = 2.0
_FRESH_SECONDS = 0.5

Check = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Readiness:
    """What /readyz answers: the state of each door and each needed server."""

    status: str
    doors: Mapping[str, Mapping[str, str]]
    servers: Mapping[str, Mapping[str, str]]

    def without(self, names: frozenset[str]) -> bool:
        """Whether work may come, whatever the state of the servers named."""
        up = all(entry["state"] == "up" for name, entry in self.servers.items() if name not in names)
        return self.status != "draining" and bool(self.doors) and up


@dataclass
class Health:
    """Knows the doors that listen, and asks the servers that are needed.

    ``doors`` leads from a listener's name to its address. A check raises when its server is away.
    """

    checks: Mapping[str, Check]
    doors: dict[str, str] = field(default_factory=dict)
    draining: bool = False
    _asked_at: float = -_FRESH_SECONDS
    _asking: asyncio.Task[dict[str, dict[str, str]]] | None = None

    async def readiness(self) -> Readiness:
        """Ask every server, at most a few times a second whoever asks."""
        now = asyncio.get_running_loop().time()
        if self._asking is None or (self._asking.done() and now - self._asked_at >= _FRESH_SECONDS):
            self._asked_at = now
            self._asking = asyncio.create_task(self._ask())
        servers = await asyncio.shield(self._asking)
        doors = {name: {"state": "listening", "address": address} for name, address in self.doors.items()}
        ready = bool(doors) and all(entry["state"] == "up" for entry in servers.values())
        status = "draining" if self.draining else "ready" if ready else "unready"
        return Readiness(status, doors, servers)

    async def _ask(self) -> dict[str, dict[str, str]]:
        answers = await asyncio.gather(*(_state(check) for check in self.checks.values()))
        return dict(zip(self.checks, answers, strict=True))


async def _state(check: Check) -> dict[str, str]:
    try:
        async with asyncio.timeout(_ANSWER_TIMEOUT_SECONDS):
            await check()
    except TimeoutError:
        return {"state": "down", "reason": f"no answer within {_ANSWER_TIMEOUT_SECONDS:g} s"}
    except Exception as error:  # noqa: BLE001 - the boundary to whatever client library asks; it is the answer
        return {"state": "down", "reason": type(error).__name__}
    return {"state": "up"}
