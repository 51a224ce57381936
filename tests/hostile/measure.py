"""Runs inputs one after the other while the probes go on, and measures what each cost the others."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.hostile.inputs import Input
from tests.hostile.probes import Probes
from tests.hostile.target import Target


@dataclass(frozen=True)
class Cost:
    """What one input cost, in seconds.

    ``held``: the longest time for which it held the loop, of the loop's own thread; ``held_wall``: the same by the
    wall's clock, with what other programs took meanwhile. ``health`` and ``event``: the longest delays of the probes.
    ``processor``: all that the process used meanwhile, for the probes too.
    """

    input: Input
    outcome: str
    held: float
    held_wall: float
    health: float
    event: float
    processor: float
    seconds: float


def measure(target: Target, inputs: Iterable[Input]) -> Iterator[Cost]:
    """Send each input once, and measure."""
    probes = Probes(target.url, target.place.staff, target.place.pet)
    try:
        probes.delays()
        with asyncio.Runner() as runner:
            for one in inputs:
                yield _measured(target, probes, runner, one)
    finally:
        probes.stop()


def _measured(target: Target, probes: Probes, runner: asyncio.Runner, one: Input) -> Cost:
    loop = runner.get_loop()
    target.figures.reset()
    used, began = target.processor_seconds(), loop.time()
    try:
        outcome = runner.run(one.send(target.place))
    except Exception as error:  # noqa: BLE001 the boundary of an input: the others are measured all the same
        outcome = f"failed: {error!r}"
    delays, held = probes.delays(), target.figures.read()
    return Cost(
        one, outcome, held.thread, held.wall, delays.health, delays.event,
        target.processor_seconds() - used, loop.time() - began,
    )  # fmt: skip
