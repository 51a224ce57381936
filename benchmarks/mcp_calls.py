"""MCP: calls of a tool, beside the official SDK with a tool that gives back its argument."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mcp.types.version import LATEST_MODERN_VERSION

from benchmarks import servers
from benchmarks.process import Server, requests, serving
from benchmarks.reads import CONNECTIONS, WARMUP
from benchmarks.report import Goal, Outcome, median, ratio
from benchmarks.store import Store

GATEWAY, ECHO = "gateway, get_pet", "SDK, echo"


def run(rounds: int, seconds: float, announce: Callable[[str], None]) -> Outcome:
    """Measures both, interleaved, with the same client."""
    runs: dict[str, list[dict[str, Any]]] = {GATEWAY: [], ECHO: []}
    with TemporaryDirectory(prefix="petstore-bench-") as folder, ExitStack() as stack:
        gateway = stack.enter_context(serving(servers.gateway(Path(folder) / "data")))
        running = {
            GATEWAY: (gateway, "get_pet", {"id": Store(gateway.port).a_pet_id()}),
            ECHO: (stack.enter_context(serving(servers.mcp_sdk())), "echo", {"text": "hello"}),
        }
        for number in range(1, rounds + 1):
            for name, (server, tool, arguments) in running.items():
                found = _measure(server, tool, arguments, seconds)
                announce(
                    f"MCP {number}/{rounds}: {name}: {found['rate']:,.0f} calls a second, errors {found['errors']}"
                )
                runs[name].append(found)
    rates = {name: [found["rate"] for found in mine] for name, mine in runs.items()}
    return Outcome(
        title="MCP: calls of a tool",
        note=f"`tools/call` of protocol {LATEST_MODERN_VERSION} over {CONNECTIONS} keep-alive connections, one in "
        "flight on each. The gateway asks its store, in the caller's rights and budget, and answers the pet as text "
        "and as data.",
        columns=("server", "calls/s", "range", "per CPU s", "p50 ms", "p99 ms", "errors"),
        rows=tuple(
            (
                name,
                f"{median(rates[name]):,.0f}",
                f"{min(rates[name]):,.0f}–{max(rates[name]):,.0f}",
                f"{median(found['per_cpu'] for found in mine):,.0f}",
                f"{median(found['p50_us'] for found in mine) / 1000:.2f}",
                f"{median(found['p99_us'] for found in mine) / 1000:.2f}",
                f"{sum(found['errors'] for found in mine)}",
            )
            for name, mine in runs.items()
        ),
        goals=(Goal(f"{GATEWAY} : {ECHO}", 0.6, ratio(rates[GATEWAY], rates[ECHO])),),
        lost=sum(found["errors"] for mine in runs.values() for found in mine),
        measurements=runs,
    )


def _measure(server: Server, tool: str, arguments: dict[str, str], seconds: float) -> dict[str, Any]:
    meta = {
        "io.modelcontextprotocol/protocolVersion": LATEST_MODERN_VERSION,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": tool, "arguments": arguments, "_meta": meta}
    headers = (
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        f"MCP-Protocol-Version: {LATEST_MODERN_VERSION}",
        "Mcp-Method: tools/call",
        f"Mcp-Name: {tool}",
    )
    used = server.cpu()
    counted = requests(
        server.port,
        "/mcp",
        connections=CONNECTIONS,
        seconds=seconds,
        warmup=WARMUP,
        header="\r\n".join(headers),
        post=json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}),
    )
    used = server.cpu() - used
    return {**counted, "per_cpu": counted["all"] / used if used else 0.0}
