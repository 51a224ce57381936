"""``petstore token``."""

import getpass
import os
import sys

import httpx

from gateway.cli.client import complaint, headers_for
from gateway.cli.logins import access_token
from gateway.startup_errors import CannotStart


def run(url: str, username: str | None, tenant: str | None) -> None:
    """Print a token: of the login that is kept, or of a user who logs in now."""
    if username is None:
        token = access_token(url, tenant)
        if token is None:
            raise CannotStart(
                f"there is no login at {url}: petstore login makes one, petstore token NAME takes a password"
            )
        print(token)
        return
    body = {"username": username, "password": _password(username)}
    try:
        with httpx.Client(base_url=url, headers=headers_for(None, tenant), timeout=30) as client:
            answer = client.post("/v1/auth/tokens", json=body)
            if answer.status_code != 200:
                raise CannotStart(complaint(answer))
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise CannotStart(f"{url} cannot be reached: {error}") from None
    print(answer.json()["accessToken"])


def _password(username: str) -> str:
    given = os.environ.get("PETSTORE_PASSWORD")
    if given is not None:
        return given
    if sys.stdin.isatty():
        return getpass.getpass(f"Password of {username}: ")
    return sys.stdin.readline().rstrip("\r\n")
