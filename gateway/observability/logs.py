"""Structured logs: one line per event, JSON for machines or columns for people, and never a secret in them.

Everything that logs through the standard library, ours and the libraries', goes through here.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import orjson
import structlog

from gateway.observability.access_log import AccessLog

#: Passwords in addresses, bearer tokens and tokens in query strings, wherever a library may put them.
_SECRETS_PATTERN = re.compile(
    r"(?P<address>\w+://[^\s:/@]*:)[^\s@]+(?=@)"
    r"|(?P<bearer>[Bb]earer\s+)[\w.~+/=-]+"
    r"|(?P<query>[?&](?:token|access_token|api_key)=)[^&\s\"']+"
)


def configure_logs(level: str, form: str, stream: TextIO | None = None) -> AccessLog:
    """Send all logs of this process to ``stream`` (standard error); returns the access log, which writes there too.

    ``form`` is ``json``, ``console``, or ``auto``: console on a terminal, else json. Calling it again replaces
    what was configured.
    """
    out = stream or sys.stderr
    as_json = form == "json" or (form == "auto" and not out.isatty())
    # Plain tracebacks: prettier ones show local variables, and passwords among them.
    plain = structlog.dev.plain_traceback
    console = structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=plain)
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                _without_secrets,
                _json if as_json else console,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Their lines below a warning are about their internals.
    for name in ("alembic", "asyncio", "httpx", "httpcore", "aiosqlite", "redis", "sqlalchemy"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    # It warns of what clients send, which any of them may repeat for ever.
    logging.getLogger("mcp").setLevel(max(logging.ERROR, root.level))
    return AccessLog(level, as_json=as_json, stream=out)


def without_secrets(text: str) -> str:
    """The text with everything that looks like a secret replaced by ``***``."""
    return _SECRETS_PATTERN.sub(lambda found: f"{found[found.lastgroup or 0]}***", text)


def _without_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = without_secrets(value)
    return event


def _json(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    return orjson.dumps(event, default=str).decode()
