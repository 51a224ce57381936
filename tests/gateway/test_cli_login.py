"""`petstore login`: a login that is kept, used and renewed by the commands, and ended; and the example of a device."""

import json
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.cli import logins
from gateway.cli.event_sources import Block
from gateway.cli.watch import Tail
from gateway.demo import ACCOUNTS
from gateway.startup_errors import CannotStart
from tests.device_approval import Person, allow
from tests.http_clients import ask
from tests.process import PROGRAM, Gateway, environment, petstore
from tests.servers import free_port
from tests.waiting import TIMEOUT_SECONDS

EXAMPLE = Path(__file__).parents[2] / "examples" / "order_lamp.py"
STAFF = {"username": ACCOUNTS[0][0], "password": ACCOUNTS[0][1]}
_PAGE = re.compile(r"Open (\S+) .*?(?:code|enter) ([A-Z]{4}-[A-Z]{4})")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("store"), "--demo", mqtt_port=str(free_port())) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration folder of the commands, and of this process."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "petstore"


@contextmanager
def running(command: list[str], cwd: Path, **variables: str) -> Iterator[Any]:
    """A program whose lines are read while it runs, from both of its outputs."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, cwd=cwd,
        env=environment() | variables,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def page_of(process: Any) -> str:
    """The address with the code that a program prints."""
    found = _PAGE.search(process.stdout.readline())
    assert found is not None
    return f"{found[1]}?user_code={found[2]}"


def log_in(store: Gateway, cwd: Path, *options: str) -> None:
    with running([str(PROGRAM), "login", "--url", store.url, *options], cwd) as process:
        allow(page_of(process))
        assert process.wait(TIMEOUT_SECONDS) == 0, process.stdout.read()


def me(store: Gateway, token: str) -> httpx.Response:
    return ask("GET", f"{store.url}/v1/users/me", headers={"Authorization": f"Bearer {token}"})


def kept(home: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((home / "logins.json").read_text())
    return found


def make_old(home: Path) -> None:
    """Have the access token count as expired."""
    found = kept(home)
    for tokens in found.values():
        tokens["expires_at"] = time.time()
    (home / "logins.json").write_text(json.dumps(found))


def test_a_login_is_kept_used_renewed_and_ended(store: Gateway, tmp_path: Path, home: Path) -> None:
    log_in(store, tmp_path)
    assert stat.S_IMODE((home / "logins.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    first = petstore("token", cwd=tmp_path, url=f"{store.url}/")
    assert me(store, first.stdout.strip()).json()["username"] == "demo"
    # It is renewed when it has expired, and others who want it at the same time get the same one.
    make_old(home)
    commands = [
        subprocess.Popen(
            [PROGRAM, "token", "--url", store.url], stdout=subprocess.PIPE, text=True, cwd=tmp_path
        )
        for _ in range(3)
    ]
    tokens = {command.communicate(timeout=TIMEOUT_SECONDS)[0].strip() for command in commands}
    assert len(tokens) == 1
    assert tokens != {first.stdout.strip()}
    [token] = tokens
    assert me(store, token).status_code == 200
    assert petstore("logout", cwd=tmp_path, url=store.url).returncode == 0
    assert kept(home) == {}
    assert me(store, token).status_code == 401
    done = petstore("token", cwd=tmp_path, url=store.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no login" in done.stderr
    assert petstore("logout", cwd=tmp_path, url=store.url).returncode == 1


def test_who_says_no_keeps_nothing(store: Gateway, tmp_path: Path, home: Path) -> None:
    with running([str(PROGRAM), "login", "--url", store.url, "--scope", "read:orders"], tmp_path) as process:
        with Person(page_of(process)) as person:
            person.submit("deny")
        assert process.wait(TIMEOUT_SECONDS) == 1
        assert process.stdout.read() == "petstore: The user said no.\n"
    assert not (home / "logins.json").exists()


def test_a_login_that_has_ended_is_forgotten(store: Gateway, tmp_path: Path, home: Path) -> None:
    log_in(store, tmp_path)
    refresh = next(iter(kept(home).values()))["refresh_token"]
    ask("POST", f"{store.url}/v1/oauth/revoke", data={"client_id": "petstore-cli", "token": refresh})
    make_old(home)
    done = petstore("token", cwd=tmp_path, url=store.url)
    assert done.returncode == 1
    assert "petstore login" in done.stderr
    assert kept(home) == {}


def test_watch_uses_the_login_and_goes_on_when_its_token_has_expired(
    store: Gateway, tmp_path: Path, home: Path
) -> None:
    log_in(store, tmp_path, "--scope", "read:orders read:user write:orders")
    token = petstore("token", cwd=tmp_path, url=store.url).stdout.strip()
    make_old(home)
    with running([str(PROGRAM), "watch", "orders/#", "--json", "--url", store.url], tmp_path) as watch:
        assert "watching orders/#" in watch.stdout.readline()
        order = place_order(store, token)
        assert json.loads(watch.stdout.readline())["data"]["order"]["id"] == order


class Stream:
    """A source of events whose first connection ends as a token does."""

    def __init__(self, reason: str, *, renews: bool) -> None:
        self.renews = renews
        self.cursors: list[str | None] = []
        self._close = json.dumps({"reason": reason, "message": "", "resumable": False})

    @contextmanager
    def listen(self, topics: str, cursor: str | None) -> Iterator[Iterator[Block]]:
        self.cursors.append(cursor)
        if len(self.cursors) > 1:
            raise KeyboardInterrupt
        yield iter([Block("c1", "cursor", None, None), Block(None, "closed", self._close, None)])


@pytest.mark.parametrize(
    ("reason", "renews", "goes_on"),
    [("expired", True, True), ("expired", False, False), ("revoked", True, False)],
)
def test_a_stream_that_ends_with_its_token_goes_on_with_the_next_one(
    monkeypatch: pytest.MonkeyPatch, reason: str, *, renews: bool, goes_on: bool
) -> None:
    monkeypatch.setattr("gateway.cli.watch.time.sleep", lambda _: None)
    stream = Stream(reason, renews=renews)
    with pytest.raises(KeyboardInterrupt if goes_on else CannotStart):
        Tail("http://a.example", stream, "#", None, as_json=False).follow()
    assert stream.cursors == ([None, "c1"] if goes_on else [None])


def test_a_login_in_a_tenant_of_ones_own(store: Gateway, tmp_path: Path) -> None:
    tenant = "019e2d14-2b7c-7a90-8d11-3e5f7a9c1b20"
    person = {"username": "owner", "password": "correct horse battery"}
    draft = {**person, "email": "o@example.com", "firstName": "O", "lastName": "W"}
    ask("POST", f"{store.url}/v1/users", headers={"X-Tenant-ID": tenant}, json=draft)
    with running([str(PROGRAM), "login", "--url", store.url, "--tenant", tenant], tmp_path) as process:
        page = page_of(process)
        with Person(page) as stranger:
            stranger.log_in()  # The demo's user is of the shared pool.
            assert stranger.answer.status_code == 403
        allow(page, person["username"], person["password"])
        assert process.wait(TIMEOUT_SECONDS) == 0
    token = petstore("token", cwd=tmp_path, url=store.url, tenant=tenant).stdout.strip()
    assert me(store, token).json()["tenantId"] == tenant
    assert petstore("token", cwd=tmp_path, url=store.url).returncode == 1
    assert petstore("logout", cwd=tmp_path, url=store.url, tenant=tenant).returncode == 0
    assert me(store, token).status_code == 401


@pytest.mark.parametrize(
    "content", ["", "{", "5", "[1]", '{"http://127.0.0.1:9": 5}', '{"http://127.0.0.1:9": {}}', "\xff"]
)
def test_a_file_that_is_none_is_told_in_one_line(tmp_path: Path, home: Path, content: str) -> None:
    home.mkdir(parents=True)
    (home / "logins.json").write_bytes(content.encode("latin-1"))
    done = petstore("token", cwd=tmp_path, url="http://127.0.0.1:9")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "logins.json" in line


def test_a_server_that_is_away_keeps_the_login(tmp_path: Path, home: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    logins.keep(nowhere, None, logins.Tokens("access", "refresh", 0.0))
    for command in ("token", "logout"):
        done = petstore(command, cwd=tmp_path, url=nowhere)
        assert done.returncode == 1
        assert "cannot be reached" in done.stderr
    with pytest.raises(CannotStart):
        logins.access_token(nowhere, None)
    assert list(kept(home)) == [nowhere]


def test_each_server_and_tenant_has_a_login_of_its_own(home: Path) -> None:
    later = time.time() + 3600
    logins.keep("http://a.example/", None, logins.Tokens("one", "r", later))
    logins.keep("http://a.example", "AB", logins.Tokens("two", "r", later))
    logins.keep("http://b.example", None, logins.Tokens("three", "r", later))
    assert logins.access_token("http://a.example", None) == "one"
    assert logins.access_token("http://a.example/", "ab") == "two"
    assert logins.access_token("http://b.example", None) == "three"
    assert logins.access_token("http://c.example", None) is None
    logins.forget("http://a.example", None)
    assert logins.access_token("http://a.example", None) is None
    assert (home / "logins.json").stat().st_mode & 0o077 == 0


# --- the example ---


def place_order(store: Gateway, token: str) -> str:
    pets = ask("GET", f"{store.url}/v1/pets?limit=1").json()["data"]
    headers = {"Authorization": f"Bearer {token}"}
    answer = ask("POST", f"{store.url}/v1/orders", headers=headers, json={"petId": pets[0]["id"]})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_a_device_without_keyboard_hears_of_its_users_orders(store: Gateway, tmp_path: Path) -> None:
    port = ask("GET", f"{store.url}/readyz").json()["doors"]["mqtt"]["address"].rpartition(":")[2]
    variables = {"PETSTORE_URL": store.url, "MQTT_PORT": port, "PYTHONUNBUFFERED": "1"}
    with running([sys.executable, str(EXAMPLE)], tmp_path, **variables) as lamp:
        allow(page_of(lamp))
        demo = ask(
            "POST", f"{store.url}/v1/login", json={"username": "demo", "password": "demo-password"}
        ).json()
        staff = ask("POST", f"{store.url}/v1/login", json=STAFF).json()
        strangers = place_order(store, staff["accessToken"])
        order = place_order(store, demo["accessToken"])
        lines: list[str] = []
        while f"orders/{order}/status: PLACED\n" not in lines:
            lines.append(lamp.stdout.readline())
            assert lines[-1], lines
        headers = {"Authorization": f"Bearer {demo['accessToken']}"}
        ask("DELETE", f"{store.url}/v1/orders/{order}", headers=headers)
        while f"orders/{order}/status: CANCELLED\n" not in lines:
            lines.append(lamp.stdout.readline())
            assert lines[-1], lines
    assert not any(strangers in line for line in lines)
