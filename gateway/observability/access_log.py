"""The access log: one line per finished request or live connection, written past the logging machinery.

A line costs a few microseconds, where a log record costs ten times as much. It never holds a query string, a body, a
token, or the path itself: an order's id in a path lets whoever reads it see the order.
"""

import contextlib
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson

#: The name under which health and metrics count as a door.
PROBES = "probes"


class AccessLog:
    """Writes to ``stream``, as JSON or in columns."""

    def __init__(self, level: str, *, as_json: bool, stream: TextIO) -> None:
        self._threshold = logging.getLevelNamesMapping()[level.upper()]
        self._as_json = as_json
        self._stream = stream

    def takes(self, door: str, status: int) -> bool:
        """Whether ``write`` would write a line of this: for whom it costs something to gather what belongs there."""
        return self._threshold <= _LEVELS[_level_of(door, status)]

    def write(
        self, door: str, method: str, route: str, status: int, seconds: float, state: Mapping[str, Any]
    ) -> None:
        """Write what is known of a request when it has ended, if the level asks for it.

        Internal errors are errors, what machines ask again and again is for debugging, the rest is information.
        ``route`` is the path's template, empty where nothing answers. ``status`` is the HTTP status, for a
        WebSocket the close code, for gRPC its status code, for MQTT the reason code. ``state`` is what the door
        noted: ``request_id``, ``caller`` (his key), ``tenant``.
        """
        level = _level_of(door, status)
        if self._threshold > _LEVELS[level]:
            return
        entry: dict[str, object] = {
            "event": "request",
            "door": door,
            "method": method,
            "route": route or "(none)",
            "status": status,
            "ms": round(seconds * 1000, 2),
            "caller": str(state.get("caller", "")).partition(":")[0] or "unknown",
            "tenant": state.get("tenant"),
            "request_id": state.get("request_id"),
            "level": level,
            "timestamp": datetime.now(UTC),
        }
        # Whoever read the log may have gone; that is no reason to fail requests.
        with contextlib.suppress(OSError):
            self._stream.write(self._json(entry) if self._as_json else self._columns(entry))

    @staticmethod
    def _json(entry: dict[str, object]) -> str:
        return orjson.dumps(entry, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE).decode()

    @staticmethod
    def _columns(entry: dict[str, Any]) -> str:
        time = entry["timestamp"].strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        what = f"{entry['method']} {entry['route']}"
        rest = " ".join(f"{name}={entry[name]}" for name in ("caller", "tenant", "request_id") if entry[name])
        return f"{time} [{entry['level']:<9}] {what:<46} {entry['status']} {entry['ms']:>8} ms  {rest}\n"


def _level_of(door: str, status: int) -> str:
    return "error" if status in _OUR_FAULTS else "debug" if door == PROBES else "info"


_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "error": logging.ERROR}
#: Internal error, broken WebSocket, gRPC's INTERNAL, MQTT's unspecified error; 503 is told apart by whoever is away.
_OUR_FAULTS = frozenset({500, 1011, 13, 128})
