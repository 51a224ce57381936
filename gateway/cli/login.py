"""``petstore login`` and ``petstore logout``: the user allows it in a browser, wherever that is (RFC 8628)."""

import sys
import time
import webbrowser
from typing import Any

import typer

from gateway.cli.logins import Tokens, Unreachable, find, forget, keep, post, refusal
from gateway.startup_errors import CannotStart

_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
#: By how much longer to wait when the server says so (RFC 8628, section 3.5).
_SLOWER_SECONDS = 5


def run_login(url: str, tenant: str | None, *, scope: str | None, browser: bool | None) -> None:
    """Log in, and keep the login. ``browser``: open one; None asks, where there is somebody to ask.

    Raises:
        CannotStart: the user says no or does nothing, or the server refuses or cannot be reached.
    """
    answer = post(url, tenant, "device_authorization", {} if scope is None else {"scope": scope})
    if answer.status_code != 200:
        raise CannotStart(refusal(answer))
    codes: dict[str, Any] = answer.json()
    address, whole = (_printable(codes[name]) for name in ("verification_uri", "verification_uri_complete"))
    _tell(f"Open {address} in a browser, on any device, and enter the code {_printable(codes['user_code'])}")
    if browser is None and sys.stdin.isatty() and sys.stderr.isatty():
        browser = typer.confirm("Open it in a browser here?", default=True, err=True)
    # What a browser is asked to open is a web page, whatever the server says.
    if browser and whole.startswith(("http://", "https://")):
        webbrowser.open(whole)
    keep(url, tenant, _wait(url, tenant, codes))
    _tell(f"Logged in at {url}: petstore token and petstore watch use this login; petstore logout ends it.")


def run_logout(url: str, tenant: str | None) -> None:
    """End the login at the server, with all its tokens, and forget it.

    Raises:
        CannotStart: there is none, or the server cannot be told, so that it is kept.
    """
    tokens = find(url, tenant)
    if tokens is None:
        raise CannotStart(f"there is no login at {url}")
    answer = post(url, tenant, "revoke", {"token": tokens.refresh_token})
    if answer.status_code != 200:
        raise CannotStart(f"{refusal(answer)} The login is kept.")
    forget(url, tenant)
    _tell(f"Logged out at {url}.")


def _wait(url: str, tenant: str | None, codes: dict[str, Any]) -> Tokens:
    interval = max(1, int(codes.get("interval", _SLOWER_SECONDS)))
    until = time.monotonic() + int(codes["expires_in"])
    while time.monotonic() < until:
        time.sleep(interval)
        try:
            answer = post(url, tenant, "token", {"grant_type": _GRANT, "device_code": codes["device_code"]})
        except Unreachable:
            interval += _SLOWER_SECONDS
            continue
        if answer.status_code == 200:
            return Tokens.read(answer)
        if answer.status_code in (429, 503) or _error(answer) == "slow_down":
            interval += _SLOWER_SECONDS
        elif _error(answer) != "authorization_pending":
            raise CannotStart(refusal(answer))
    raise CannotStart("nobody entered the code in time")


def _error(answer: Any) -> str | None:
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return None


def _printable(text: object) -> str:
    """What a server says, without what a terminal would take for a command."""
    return "".join(char for char in str(text) if char.isprintable())


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
