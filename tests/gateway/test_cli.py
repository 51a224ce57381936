"""The command line, run as people run it."""

import contextlib
import json
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.models import examples
from core.models.catalogue import EVENTS
from gateway.cli.watch import summary
from gateway.settings import Settings
from tests.http_clients import ask
from tests.process import PROGRAM, Gateway, environment, petstore
from tests.servers import RedisServer, free_port
from tests.waiting import TIMEOUT_SECONDS, wait_until

SECRET = "a-secret-of-more-than-thirty-two-characters"
TENANT = "019e2d14-2b7c-7a90-8d11-3e5f7a9c1b20"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("demo"), "--demo") as gateway:
        yield gateway


def refused(*arguments: str, cwd: Path, stdin: str = "", **settings: str) -> str:
    """Run a command that must fail with one line, and give the line."""
    done = petstore(*arguments, cwd=cwd, stdin=stdin, **settings)
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("petstore: ")
    assert done.stdout == ""
    return line


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"127.0.0.1:{port}: Address already in use" in refused(
            "serve", "--port", str(port), cwd=tmp_path
        )


def test_a_second_process_on_one_data_directory_is_one_line(tmp_path: Path) -> None:
    with Gateway(tmp_path) as gateway:
        line = refused("serve", "--port", "0", cwd=tmp_path, data_dir=str(tmp_path / "data"))
        assert f"{tmp_path}/data belongs to another process" in line
        gateway.kill()
        gateway.start()  # what died holds nothing
        assert petstore("seed", cwd=tmp_path, data_dir=str(tmp_path / "data")).returncode == 0


def test_what_is_kept_is_for_its_owner_alone(tmp_path: Path) -> None:
    with Gateway(tmp_path, "--demo") as gateway:
        assert ask("GET", f"{gateway.url}/v1/pets").status_code == 200
        data = tmp_path / "data"
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (data, *data.rglob("*"))}
    assert {"petstore.db", "petstore.db-wal", "jwt-secret"} <= modes.keys()
    assert not [name for name, mode in modes.items() if mode & 0o077]


def test_a_database_out_of_reach_is_one_line_without_the_password(tmp_path: Path) -> None:
    url = f"postgresql://petstore:hush@127.0.0.1:{free_port()}/petstore"
    line = refused("serve", "--port", "0", cwd=tmp_path, database_url=url)
    assert "the database postgresql://petstore:***@127.0.0.1:" in line
    assert "refused" in line


def test_a_redis_out_of_reach_is_one_line_without_the_password(tmp_path: Path, postgres_url: str) -> None:
    url = f"redis://:hush@127.0.0.1:{free_port()}/0"
    settings = {"database_url": postgres_url, "redis_url": url, "jwt_secret": SECRET}
    line = refused("serve", "--port", "0", cwd=tmp_path, **settings)
    assert "Redis at redis://:***@127.0.0.1:" in line


def test_more_workers_than_one_ask_for_what_is_missing_in_one_line(tmp_path: Path) -> None:
    line = refused("serve", "--workers", "2", cwd=tmp_path)
    for name in ("REDIS_URL", "DATABASE_URL=postgresql://…", "JWT_SECRET"):
        assert f"PETSTORE_{name}" in line


def test_tls_files_that_are_none_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "some.pem").write_text("no certificate\n")
    files = {"tls_certificate": "some.pem", "tls_key": "some.pem"}
    assert "PETSTORE_TLS_CERTIFICATE" in refused("serve", "--port", "0", cwd=tmp_path, **files)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_port_0_is_any_free_one_which_is_printed_and_a_signal_ends_it_well(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = subprocess.Popen(
        [PROGRAM, "serve", "--port", "0"],
        cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    address = next(word for line in process.stdout for word in line.split() if word.endswith("/v1"))
    assert ask("GET", f"{address}/pets").status_code == 200
    process.send_signal(number)
    _, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 0
    assert "Traceback" not in errors


def test_a_start_names_the_variables_that_are_no_settings(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PETSTORE_CORS_ORIGIN=*\nOTHER=1\n")
    with Gateway(tmp_path, rate_limits="3", quite_different="1", url="http://127.0.0.1:1") as gateway:
        log = gateway.log_file.read_text()
    assert "PETSTORE_RATE_LIMITS: no such setting; did you mean PETSTORE_RATE_LIMIT?" in log
    assert "PETSTORE_CORS_ORIGIN: no such setting; did you mean PETSTORE_CORS_ORIGINS?" in log
    assert '"PETSTORE_QUITE_DIFFERENT: no such setting"' in log
    assert log.count("no such setting") == 3


def test_the_version_is_the_package_s(tmp_path: Path) -> None:
    assert petstore("--version", cwd=tmp_path).stdout == f"petstore {version('petstore-gateway')}\n"


def test_the_help_of_serve_names_every_setting_with_its_default(tmp_path: Path) -> None:
    words = petstore("serve", "--help", cwd=tmp_path).stdout.split()
    assert {f"PETSTORE_{name.upper()}" for name in Settings.model_fields} <= set(words)
    assert "8080]" in words


def test_completion_is_there_for_the_shell(tmp_path: Path) -> None:
    done = petstore("--show-completion", "bash", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "petstore" in done.stdout


def test_commands_find_the_server_of_the_settings(demo: Gateway, tmp_path: Path) -> None:
    done = petstore("token", "demo", cwd=tmp_path, password="demo-password", port=str(demo.port))
    assert done.returncode == 0, done.stderr
    (tmp_path / ".env").write_text(f"PETSTORE_PORT={demo.port}\n")
    assert petstore("token", "demo", cwd=tmp_path, password="demo-password").returncode == 0
    assert "--url" in refused("watch", "#", cwd=tmp_path, port="0")


def test_a_tail_follows_over_grpc_too(tmp_path: Path) -> None:
    port = free_port()
    with (
        Gateway(tmp_path / "node", "--demo", grpc_port=str(port)) as gateway,
        (tmp_path / "out").open("wb") as out,
    ):
        at = ("--url", f"grpc://127.0.0.1:{port}")
        tail = subprocess.Popen(
            [PROGRAM, "watch", "pets/+", *at, "--json"],
            cwd=tmp_path, env=environment(), stdout=out, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert tail.stderr is not None
        assert "watching" in tail.stderr.readline()
        names = ["before", "after"]
        for name in names:
            pet = {"name": name, "species": "CAT", "ageMonths": 7, "price": "1.00"}
            made = ask("POST", f"{gateway.url}/v1/pets", json=pet, headers={"X-API-Key": "special-key"})
            assert made.status_code == 201
            if name == "before":
                gateway.restart()
        wait_until(lambda: "after" in (tmp_path / "out").read_text())
        tail.send_signal(signal.SIGINT)
        _, said = tail.communicate(timeout=TIMEOUT_SECONDS)
        assert "UNAUTHENTICATED" in refused("watch", "#", *at, "--token", "wrong", cwd=tmp_path)
        assert "INVALID_ARGUMENT" in refused("watch", "#", *at, "--cursor", "wrong", cwd=tmp_path)
    assert "UNAVAILABLE" in refused("watch", "#", *at, cwd=tmp_path)
    assert "grpcs://" in refused("watch", "#", "--url", "ftp://127.0.0.1", cwd=tmp_path)
    events = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert [event["data"]["pet"]["name"] for event in events] == names
    assert isinstance(events[0]["data"]["pet"]["ageMonths"], int)
    assert f"--cursor {events[-1]['cursor']}" in said


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (
            {"pet": {"name": "Rex", "species": "DOG", "price": "75.00", "currency": "USD"}},
            "Rex DOG 75.00 USD",
        ),
        ({"order": {"totalAmount": "75.00", "currency": "USD", "status": "PLACED"}}, "75.00 USD PLACED"),
        (
            {"petId": "x", "oldStatus": "PENDING", "newStatus": "ADOPTED", "pet": {"name": "Rex"}},
            "Rex PENDING → ADOPTED",
        ),
        ({"petId": "x"}, "petId x"),
        (
            {"petId": "x", "reading": {"heartRateBpm": 92, "temperatureC": 38.4, "measuredAt": "…"}},
            "heart rate 92 temperature 38.4",
        ),
        ({"adoption": {"applicant": {"name": "Alex"}, "status": "UNDER_REVIEW"}}, "Alex UNDER_REVIEW"),
        (
            {"species": "DOG", "available": 2, "pending": 0, "adopted": 1},
            "DOG available 2 pending 0 adopted 1",
        ),
    ],
)
def test_an_event_is_summed_up_in_a_few_words(data: dict[str, Any], line: str) -> None:
    assert summary(data) == line


@pytest.mark.parametrize("kind", EVENTS)
def test_no_event_is_summed_up_by_nothing(kind: str) -> None:
    assert summary(examples.EVENTS[kind])


def test_a_token_is_printed_alone(demo: Gateway, tmp_path: Path) -> None:
    done = petstore("token", "demo", "--url", demo.url, cwd=tmp_path, password="demo-password")
    assert done.stdout.count("\n") == 1
    me = ask("GET", f"{demo.url}/v1/users/me", headers={"Authorization": f"Bearer {done.stdout.strip()}"})
    assert me.json()["username"] == "demo"
    same = petstore("token", "demo", "--url", demo.url, cwd=tmp_path, stdin="demo-password\n")
    assert same.returncode == 0
    assert "Unauthorized" in refused("token", "demo", "--url", demo.url, cwd=tmp_path, password="wrong")


def test_a_tail_of_the_log_goes_on_after_the_server_was_restarted(tmp_path: Path) -> None:
    with (
        Gateway(tmp_path / "node", "--demo", heartbeat_seconds="1") as gateway,
        (tmp_path / "out").open("wb") as out,
    ):
        tail = subprocess.Popen(
            [PROGRAM, "watch", "pets/+", "--url", gateway.url, "--json"],
            cwd=tmp_path, env=environment(), stdout=out, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert tail.stderr is not None
        assert "watching" in tail.stderr.readline()
        names = ["before", "meanwhile", "after"]
        for name in names:
            pet = {"name": name, "species": "CAT", "ageMonths": 1, "price": "1.00"}
            made = ask("POST", f"{gateway.url}/v1/pets", json=pet, headers={"X-API-Key": "special-key"})
            assert made.status_code == 201
            if name == "before":
                wait_until(lambda: "before" in (tmp_path / "out").read_text())
                gateway.restart()
        wait_until(lambda: "after" in (tmp_path / "out").read_text())
        tail.send_signal(signal.SIGINT)
        _, said = tail.communicate(timeout=TIMEOUT_SECONDS)
    events = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert [event["data"]["pet"]["name"] for event in events] == names
    assert f"--cursor {events[-1]['cursor']}" in said
    assert tail.returncode == 0


def test_a_tail_says_clearly_why_it_cannot_go_on(demo: Gateway, tmp_path: Path) -> None:
    at = ("--url", demo.url)
    assert "Bad Request" in refused("watch", "pets/#/x", *at, cwd=tmp_path)
    assert "Unauthorized" in refused("watch", "pets/#", *at, "--token", "wrong", cwd=tmp_path)
    assert "cannot be reached" in refused(
        "watch", "#", "--url", f"http://127.0.0.1:{free_port()}", cwd=tmp_path
    )


def test_a_tail_whose_cursor_has_expired_ends_and_says_where_the_log_begins(tmp_path: Path) -> None:
    with Gateway(tmp_path / "a", "--demo") as one, Gateway(tmp_path / "b", "--demo") as other:
        with httpx.stream("GET", f"{one.url}/v1/events?topics=%23") as answer:
            cursor = next(
                line.removeprefix("id: ") for line in answer.iter_lines() if line.startswith("id: ")
            )
        line = refused("watch", "#", "--url", other.url, "--cursor", cursor, cwd=tmp_path)
    assert "Cursor Expired" in line
    assert "--cursor" in line


def test_seeding_fills_a_tenant_once(tmp_path: Path) -> None:
    assert petstore("migrate", cwd=tmp_path).returncode == 0
    first = petstore("seed", "--tenant", TENANT, cwd=tmp_path)
    assert first.stderr.startswith("Made 6")
    assert "already" in petstore("seed", "--tenant", TENANT, cwd=tmp_path).stderr
    assert "no tenant" in refused("seed", "--tenant", "mine", cwd=tmp_path)


def test_the_doctor_finds_nothing_where_all_is_well(
    tmp_path: Path, postgres_url: str, redis_server: RedisServer
) -> None:
    settings = {
        "database_url": postgres_url,
        "redis_url": redis_server.url,
        "jwt_secret": SECRET,
        "port": "0",
    }
    assert petstore("migrate", cwd=tmp_path, **settings).returncode == 0
    done = petstore("doctor", cwd=tmp_path, **settings)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("✓") == 9
    assert "All is well." in done.stdout


def test_the_doctor_names_each_problem_and_its_cure(tmp_path: Path, postgres_url: str) -> None:
    redis_url = f"redis://:hush@127.0.0.1:{free_port()}"
    settings = {
        "database_url": postgres_url,
        "redis_url": redis_url,
        "jwt_secret": SECRET,
        "rate_limits": "3",
    }
    ports = ("port", "grpc_port", "mqtt_port")
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in ports]
        numbers = [str(listener.getsockname()[1]) for listener in taken]
        done = petstore("doctor", cwd=tmp_path, **dict(zip(ports, numbers, strict=True)), **settings)
    assert done.returncode == 1
    assert done.stdout.count("✗") == 7
    for name, number in zip(ports, numbers, strict=True):
        assert f"127.0.0.1:{number}: Address already in use" in done.stdout
        assert f"set PETSTORE_{name.upper()}\n" in done.stdout
    for words in (
        "PETSTORE_RATE_LIMITS: no such setting; did you mean PETSTORE_RATE_LIMIT?",
        "run: petstore migrate",
        "start Redis",
    ):
        assert words in done.stdout
    assert "hush" not in done.stdout


def test_the_doctor_finds_that_passwords_are_hashed_for_tests(tmp_path: Path) -> None:
    done = petstore("doctor", cwd=tmp_path, insecure_password_hash="true", port="0")
    assert done.returncode == 1
    assert done.stdout.count("✗") == 1
    assert "PETSTORE_INSECURE_PASSWORD_HASH is on" in done.stdout


def test_a_node_that_is_to_stop_says_so_before_it_refuses_work(tmp_path: Path) -> None:
    with Gateway(tmp_path, "--demo", drain_notice_seconds="1000") as gateway:
        gateway.send(signal.SIGTERM)
        wait_until(lambda: ask("GET", f"{gateway.url}/readyz").json()["status"] == "draining")
        assert ask("GET", f"{gateway.url}/readyz").status_code == 503
        pet = {"name": "Rex", "species": "DOG", "ageMonths": 1, "price": "1.00"}
        made = ask("POST", f"{gateway.url}/v1/pets", json=pet, headers={"X-API-Key": "special-key"})
        assert made.status_code == 201
        gateway.send(signal.SIGTERM)
        assert gateway.wait() == 0


def test_the_notice_of_a_stop_ends_by_itself(tmp_path: Path) -> None:
    with Gateway(tmp_path, drain_notice_seconds="0.1") as gateway:
        gateway.send(signal.SIGTERM)
        assert gateway.wait() == 0


def test_a_second_signal_does_not_wait_for_the_notice_to_end(tmp_path: Path) -> None:
    with Gateway(tmp_path, drain_notice_seconds="1000") as gateway:
        gateway.send(signal.SIGTERM)
        wait_until(lambda: ask("GET", f"{gateway.url}/readyz").status_code == 503)
        gateway.send(signal.SIGTERM)
        assert gateway.wait() == 0
