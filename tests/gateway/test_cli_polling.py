"""`petstore login` and a server that answers in every way: how long it waits, and what it lets a server do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.cli import logins
from gateway.cli.login import run_login
from gateway.startup_errors import CannotStart

URL = "https://store.example"
CODES: dict[str, Any] = {
    "device_code": "d", "user_code": "BCDF-GHJK", "verification_uri": f"{URL}/device", "expires_in": 600, "interval": 5,
    "verification_uri_complete": f"{URL}/device?user_code=BCDF-GHJK",
}  # fmt: skip
TOKENS = {"access_token": "a", "refresh_token": "r", "expires_in": 3600}


def error(name: str) -> httpx.Response:
    return httpx.Response(400, json={"error": name, "error_description": f"{name} it is"})


class Server:
    """What it answers in turn, an exception being no answer; and what the command did meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: Iterator[httpx.Response | Exception] = iter(())
        self.slept: list[float] = []
        self.opened: list[str] = []
        monkeypatch.setattr("gateway.cli.login.post", self._post)
        monkeypatch.setattr("time.sleep", self.slept.append)
        monkeypatch.setattr("webbrowser.open", self.opened.append)

    def _post(self, *_: object) -> httpx.Response:
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def log_in(self, *answers: httpx.Response | Exception, browser: bool = False, **codes: object) -> None:
        self.answers = iter((httpx.Response(200, json=CODES | codes), *answers))
        run_login(URL, None, scope=None, browser=browser)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return Server(monkeypatch)


def test_it_waits_as_the_server_wants(server: Server) -> None:
    server.log_in(
        error("authorization_pending"), error("slow_down"), logins.Unreachable("away"), httpx.Response(503),
        error("authorization_pending"), httpx.Response(200, json=TOKENS),
    )  # fmt: skip
    assert server.slept == [5, 5, 10, 15, 20, 20]
    assert logins.access_token(URL, None) == "a"


@pytest.mark.parametrize("name", ["access_denied", "expired_token", "invalid_grant"])
def test_it_ends_when_there_is_nothing_to_wait_for(server: Server, name: str) -> None:
    with pytest.raises(CannotStart, match=f"{name} it is"):
        server.log_in(error(name))
    assert logins.find(URL, None) is None


def test_it_ends_when_nobody_enters_the_code(server: Server) -> None:
    with pytest.raises(CannotStart, match="in time"):
        server.log_in(expires_in=0)


def test_it_opens_web_pages_alone(server: Server) -> None:
    for page, opened in (
        (CODES["verification_uri_complete"], True),
        ("file:///etc/passwd", False),
        ("-new-window", False),
    ):
        server.opened.clear()
        server.log_in(httpx.Response(200, json=TOKENS), browser=True, verification_uri_complete=page)
        assert server.opened == ([page] if opened else [])


def test_a_server_says_nothing_to_the_terminal_itself(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.log_in(
        httpx.Response(200, json=TOKENS), user_code="\x1b]0;title\x07BCDF", verification_uri="\x1b[2Jx"
    )
    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "BCDF" in shown
