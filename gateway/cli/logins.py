"""Logins that `petstore login` keeps: a file in the user's configuration folder, readable by its owner alone."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import typer
from pydantic import TypeAdapter, ValidationError

from gateway.cli.client import complaint, headers_for
from gateway.startup_errors import CannotStart

CLIENT_ID = "petstore-cli"
#: A token that expires within so many seconds is renewed before it is used.
_MARGIN_SECONDS = 60
_TIMEOUT_SECONDS = 30.0


class Unreachable(CannotStart):
    """The server cannot be asked now; a later attempt may succeed."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """An access token, when it expires (seconds since 1970), and what renews it."""

    access_token: str
    refresh_token: str
    expires_at: float

    @classmethod
    def read(cls, answer: httpx.Response) -> "Tokens":
        """The tokens of a token endpoint's answer."""
        found = answer.json()
        return cls(found["access_token"], found["refresh_token"], time.time() + found["expires_in"])


_LOGINS: TypeAdapter[dict[str, Tokens]] = TypeAdapter(dict[str, Tokens])


def post(url: str, tenant: str | None, path: str, form: dict[str, str]) -> httpx.Response:
    """Send a form of the protocol as this client.

    Raises:
        Unreachable: the server cannot be reached.
    """
    try:
        return httpx.post(
            f"{url.rstrip('/')}/v1/oauth/{path}",
            data={"client_id": CLIENT_ID, **form},
            headers=headers_for(None, tenant),
            timeout=_TIMEOUT_SECONDS,
        )
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise Unreachable(f"{url} cannot be reached: {error}") from None


def refusal(answer: httpx.Response) -> str:
    """Why a request of the protocol was refused, in one line."""
    try:
        return str(answer.json()["error_description"])
    except (ValueError, KeyError, TypeError):
        return complaint(answer)


def keep(url: str, tenant: str | None, tokens: Tokens) -> None:
    """Keep the login at a server, in place of the one before."""
    with _held() as kept:
        kept[_key(url, tenant)] = tokens


def find(url: str, tenant: str | None) -> Tokens | None:
    """The login at a server."""
    with _held() as kept:
        return kept.get(_key(url, tenant))


def forget(url: str, tenant: str | None) -> None:
    """Keep the login at a server no longer."""
    with _held() as kept:
        kept.pop(_key(url, tenant), None)


def access_token(url: str, tenant: str | None) -> str | None:
    """A token of the login at a server that lasts a while, renewed if need be; None without a login.

    Others wait meanwhile: a refresh token counts once, and whoever uses it again ends the login.

    Raises:
        Unreachable: the server cannot be asked.
        CannotStart: the login has ended.
    """
    if not _path().exists():
        return None  # Nor need there be a folder where one could be made.
    with _held() as kept:
        tokens = kept.get(_key(url, tenant))
        if tokens is None or tokens.expires_at > time.time() + _MARGIN_SECONDS:
            return None if tokens is None else tokens.access_token
        form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}
        answer = post(url, tenant, "token", form)
        if answer.status_code == 200:
            tokens = Tokens.read(answer)
            kept[_key(url, tenant)] = tokens
            return tokens.access_token
        if answer.status_code == 400:
            del kept[_key(url, tenant)]
            raise CannotStart(
                f"the login at {url} has ended ({refusal(answer)}): petstore login begins a new one"
            )
        raise Unreachable(refusal(answer))


def _key(url: str, tenant: str | None) -> str:
    return f"{url.rstrip('/')} {tenant.lower()}" if tenant else url.rstrip("/")


def _path() -> Path:
    return Path(typer.get_app_dir("petstore")) / "logins.json"


@contextlib.contextmanager
def _held() -> Iterator[dict[str, Tokens]]:
    """The logins of all servers, for this process alone; what the block changes is written at its end, whole.

    Raises:
        CannotStart: the folder cannot be used.
    """
    path = _path()
    folder = path.parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CannotStart(f"{folder}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = _read(path)
        kept = dict(before)
        try:
            yield kept
        finally:
            if kept != before:
                _write(path, kept)
    finally:
        os.close(lock)


def _read(path: Path) -> dict[str, Tokens]:
    try:
        return _LOGINS.validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError):
        raise CannotStart(f"{path} cannot be read: remove it, and log in anew") from None


def _write(path: Path, kept: dict[str, Tokens]) -> None:
    draft = path.with_suffix(".draft")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            file.write(_LOGINS.dump_json(kept, indent=2))
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
    except OSError as error:
        raise CannotStart(f"{path}: {error.strerror}") from None
