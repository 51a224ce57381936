"""What the corpus cost, as tables: in the terminal, and in docs/security.md."""

import os
import platform
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.hostile.measure import Cost

DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"
_BEGIN = "<!-- hostile inputs: begin (written by `make hostile`) -->"
_END = "<!-- hostile inputs: end -->"
#: The worst inputs of each door that are told by name.
_WORST = 5
#: What no input may hold the loop for.
BOUND_SECONDS = 0.05
_COLUMNS = "| input | outcome | loop held | `/healthz` | event |"


def row(cost: Cost) -> str:
    """One input as a row of the table."""
    figures = (cost.held, cost.health, cost.event)
    told = " | ".join(f"{1000 * seconds:.0f} ms" for seconds in figures)
    return f"| {cost.input.name.replace('|', chr(92) + '|')} | {cost.outcome} | {told} |"


def document(costs: Sequence[Cost], idle: Cost, load: Sequence[float]) -> str:
    """The figures of a whole run: the worst of each door, and their sum."""
    now = datetime.now(UTC)
    over = [cost for cost in costs if cost.held > BOUND_SECONDS]
    lines = [
        f"{len(costs)} inputs on {now:%d %B %Y}, on {os.cpu_count()} cores of a {_processor()}, Python "
        f"{platform.python_version()}, Linux {platform.release()}; the load was {load[0]:.1f} when it began, which is "
        f"what other programs took, and {os.getloadavg()[0]:.1f} at its end.",
        f"With no input at all the loop was held for {1000 * idle.held:.0f} ms, "
        f"`/healthz` took {1000 * idle.health:.0f} ms and an event {1000 * idle.event:.0f} ms.",
        f"**{len(over)}** inputs held the loop for more than {1000 * BOUND_SECONDS:.0f} ms.",
        "",
        "| door | inputs | loop held: longest, median | longest `/healthz` | longest event |",
        "|---|---:|---:|---:|---:|",
    ]
    for door, own in _by_door(costs):
        held = sorted(cost.held for cost in own)
        lines.append(
            f"| {door} | {len(own)} | {1000 * held[-1]:.0f}, {1000 * held[len(held) // 2]:.1f} ms"
            f" | {1000 * max(cost.health for cost in own):.0f} ms | {1000 * max(cost.event for cost in own):.0f} ms |"
        )
    for door, own in _by_door(costs):
        worst = sorted(own, key=lambda cost: -cost.held)[:_WORST]
        lines += [
            "",
            f"The {len(worst)} that held the loop for longest at {door}:",
            "",
            _COLUMNS,
            "|---|---|---:|---:|---:|",
        ]
        lines += [row(cost) for cost in worst]
    return "\n".join(lines) + "\n"


def _processor() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _by_door(costs: Iterable[Cost]) -> list[tuple[str, list[Cost]]]:
    doors: dict[str, list[Cost]] = {}
    for cost in costs:
        doors.setdefault(cost.input.door, []).append(cost)
    return list(doors.items())


def write(figures: str) -> None:
    """Put the figures into docs/security.md.

    Raises:
        ValueError: the marks around them are not there.
    """
    before, begin, rest = DOCUMENT.read_text().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{DOCUMENT} lacks the marks around its figures")
    DOCUMENT.write_text(f"{before}{_BEGIN}\n\n{figures}\n{_END}{after}")
