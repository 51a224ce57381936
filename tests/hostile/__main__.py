"""``python -m tests.hostile [WORD …]``: what each input costs; with words, those with one of them in door or name.

A whole run writes its figures into docs/security.md.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from tests.hostile import report
from tests.hostile.corpus import CORPUS
from tests.hostile.inputs import Input, Place, is_internal
from tests.hostile.measure import Cost, measure
from tests.hostile.target import target

_IDLE_SECONDS = 2.0


async def _nothing(_: Place) -> str:
    await asyncio.sleep(_IDLE_SECONDS)
    return "open"


def main() -> int:
    """Measure, and tell; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD")
    words = [word.lower() for word in parser.parse_args().words]
    chosen = [
        one for one in CORPUS if not words or any(word in f"{one.door}: {one.name}".lower() for word in words)
    ]
    load = os.getloadavg()
    sys.stdout.write("    held   held by the wall  /healthz     event  (ms)\n")
    costs: list[Cost] = []
    with tempfile.TemporaryDirectory() as folder, target(Path(folder)) as gateway:
        before = gateway.resident_bytes()
        for cost in measure(gateway, [Input("nothing", "none", _nothing), *chosen]):
            figures = (cost.held, cost.held_wall, cost.health, cost.event)
            told = " ".join(f"{1000 * seconds:9.1f}" for seconds in figures)
            sys.stdout.write(f"{told}  {cost.outcome:<17} {cost.input.door}: {cost.input.name}\n")
            sys.stdout.flush()
            costs.append(cost)
        grown = (gateway.resident_bytes() - before) / 2**20
        faults = gateway.faults()
    idle, *others = costs
    sys.stdout.write(f"\nThe process has grown by {grown:.0f} MiB.\n")
    if not words:
        report.write(report.document(others, idle, load))
    bad = [cost for cost in others if is_internal(cost.outcome) or cost.held > report.BOUND_SECONDS]
    for cost in bad:
        sys.stdout.write(f"{report.row(cost)}\n")
    for fault in faults:
        sys.stdout.write(f"{fault}\n")
    return 1 if bad or faults else 0


if __name__ == "__main__":
    sys.exit(main())
