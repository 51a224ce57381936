"""Runs the benchmarks: `python -m benchmarks [name …]`, all of them by default."""

import argparse
import sys
import time
from collections.abc import Callable

from benchmarks import (
    completions,
    fanout,
    graphql_door,
    grpc_calls,
    latency,
    machine,
    mcp_calls,
    memory,
    mqtt,
    reads,
    socketio_door,
    webhooks,
)
from benchmarks.process import Failed
from benchmarks.report import Outcome, markdown, save, write_document


def main() -> int:
    """Measures, prints, records. Exit status 1: something was lost; 2: it could not be measured."""
    arguments = _arguments()
    try:
        machine.prepare()
        versions = machine.versions()
        outcomes = {name: _benchmarks(arguments)[name]() for name in arguments.names}
    except (machine.Unfit, Failed) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    for outcome in outcomes.values():
        print("\n" + markdown(outcome))
    print(f"Recorded in {save(outcomes, versions)}")
    if arguments.write_docs:
        write_document(outcomes, versions)
    return 1 if any(outcome.lost for outcome in outcomes.values()) else 0


def _benchmarks(arguments: argparse.Namespace) -> dict[str, Callable[[], Outcome]]:
    rounds, seconds = arguments.rounds, arguments.seconds
    return {
        "fanout": lambda: fanout.run(rounds, seconds, _announce, arguments.only),
        "socketio": lambda: socketio_door.run(rounds, seconds, _announce),
        "mqtt": lambda: mqtt.run(rounds, seconds, _announce),
        "grpc": lambda: grpc_calls.run("calls", rounds, seconds, _announce),
        "grpc-events": lambda: grpc_calls.run("events", rounds, seconds, _announce),
        "graphql": lambda: graphql_door.queries(rounds, seconds, _announce),
        "graphql-events": lambda: graphql_door.events(rounds, seconds, _announce),
        "completions": lambda: completions.run(rounds, seconds, _announce),
        "mcp": lambda: mcp_calls.run(rounds, seconds, _announce),
        "webhooks": lambda: webhooks.run(rounds, _announce),
        "reads": lambda: reads.run(rounds, seconds, _announce),
        "memory": lambda: memory.run(rounds, _announce),
        "latency": lambda: latency.run(arguments.orders, _announce),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    known = (
        "fanout",
        "socketio",
        "mqtt",
        "grpc",
        "grpc-events",
        "graphql",
        "graphql-events",
        "completions",
        "mcp",
        "webhooks",
        "reads",
        "memory",
        "latency",
    )
    parser.add_argument("names", nargs="*", metavar="benchmark", help=f"of {', '.join(known)}; default: all")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; their median counts (default 5)")
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="of each run, behind its warm-up (default 4)"
    )
    parser.add_argument("--orders", type=int, default=500, help="orders for the latency (default 500)")
    parser.add_argument(
        "--only", action="append", default=[], help="of the fan-out: servers whose name begins so"
    )
    parser.add_argument("--write-docs", action="store_true", help="put the figures into docs/performance.md")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(known):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    if arguments.write_docs and (arguments.only or len(set(arguments.names)) not in (0, len(known))):
        parser.error("--write-docs wants the whole set")
    arguments.names = arguments.names or known
    return arguments


def _announce(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
