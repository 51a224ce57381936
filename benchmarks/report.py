"""What the benchmarks say: tables for people, JSON for the record, and the figures in docs/performance.md."""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import HERE

RESULTS = HERE / "results"
DOCUMENT = HERE.parent / "docs" / "performance.md"
_BEGIN = "<!-- figures: begin (written by `make bench ARGS=--write-docs`) -->"
_END = "<!-- figures: end -->"


@dataclass(frozen=True)
class Goal:
    """An aim, as a lower bound of a ratio (`at_least`), and what came out."""

    text: str
    at_least: float
    value: float

    @property
    def met(self) -> bool:
        """Whether the value reaches the aim."""
        return self.value >= self.at_least


@dataclass(frozen=True)
class Outcome:
    """What one benchmark found. `lost` counts missing and repeated messages and wrong answers: it must be 0."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    goals: tuple[Goal, ...]
    lost: int
    measurements: Any


def median(values: Iterable[float]) -> float:
    """The median; 0 of nothing."""
    listed = list(values)
    return statistics.median(listed) if listed else 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """The value that the share of all values does not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * share))]


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the rounds' ratios: both sides of each were measured within seconds of one another."""
    return median(a / b for a, b in zip(ours, theirs, strict=True) if b)


def markdown(outcome: Outcome) -> str:
    """The outcome as a section of Markdown, which reads well in a terminal too."""
    table = [outcome.columns, *outcome.rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(outcome.columns))]

    def line(row: Sequence[str]) -> str:
        cells = (
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return f"| {' | '.join(cells)} |"

    rule = "|".join("-" * (width + 1) + ("-" if i == 0 else ":") for i, width in enumerate(widths))
    lines = [f"### {outcome.title}", "", outcome.note, "", line(outcome.columns), f"|{rule}|"]
    lines += [line(row) for row in outcome.rows]
    lines += ["", f"Lost, repeated or wrong: **{outcome.lost}**"]
    for goal in outcome.goals:
        verdict = "reached" if goal.met else "**not reached**"
        lines.append(f"* {goal.text}: **{goal.value:.2f}** (aim ≥ {goal.at_least:g}: {verdict})")
    return "\n".join(lines) + "\n"


def save(outcomes: dict[str, Outcome], versions: dict[str, str]) -> Path:
    """Writes everything that was measured to a JSON file of its own; returns its path."""
    RESULTS.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    path = RESULTS / f"{now:%Y%m%dT%H%M%SZ}.json"
    found = {name: asdict(outcome) for name, outcome in outcomes.items()}
    path.write_text(json.dumps({"at": now.isoformat(), "versions": versions, **found}, indent=1) + "\n")
    return path


def write_document(outcomes: dict[str, Outcome], versions: dict[str, str]) -> None:
    """Replaces the figures in docs/performance.md. Raises ValueError when its two marks are not there."""
    old = DOCUMENT.read_text()
    before, begin, rest = old.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{DOCUMENT} lacks the marks around its figures")
    setting = ", ".join(f"{name} {version}" for name, version in versions.items())
    sections = "\n".join(markdown(outcome) for outcome in outcomes.values())
    figures = f"Measured on {datetime.now(UTC):%d %B %Y}: {setting}.\n\n{sections}"
    DOCUMENT.write_text(f"{before}{_BEGIN}\n\n{figures}\n{_END}{after}")
