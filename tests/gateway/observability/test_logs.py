"""Logs are lines of JSON or columns, and hold no secrets."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from gateway.observability.access_log import PROBES, AccessLog
from gateway.observability.logs import configure_logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def write(access: AccessLog, door: str = "rest", status: int = 200) -> None:
    state = {"caller": "user:019e", "tenant": "t", "request_id": "r"}
    access.write(door, "GET", "/v1/pets/{id}", status, 0.0123, state)


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("cannot reach postgresql://petstore:hush@db/petstore", "hush"),
        ("redis://:hush@cache:6379/0 is away", "hush"),
        ("GET /v1/events?topics=a&token=hush.hush.hush&x=1", "hush"),
        ("Authorization: Bearer hush.hush-hush_", "hush"),
    ],
)
def test_secrets_are_blotted_out_wherever_they_turn_up(form: str, text: str, secret: str) -> None:
    stream = io.StringIO()
    configure_logs("info", form, stream)
    logging.getLogger("library").warning("it said: %s", text)
    try:
        raise RuntimeError(text)
    except RuntimeError:
        logging.getLogger("library").exception("failed", extra={"detail": text})
    shown = stream.getvalue()
    assert "RuntimeError" in shown
    assert "***" in shown
    assert secret not in shown


def test_a_record_of_the_standard_library_is_a_line_of_json_with_its_extras() -> None:
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    logging.getLogger("core.store.store").info("done %d", 1, extra={"operation": "getPet", "request_id": "r"})
    logging.getLogger("core.store.store").debug("not asked for")
    (line,) = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert entry | {"timestamp": ""} == {
        "event": "done 1",
        "logger": "core.store.store",
        "operation": "getPet",
        "request_id": "r",
        "level": "info",
        "timestamp": "",
    }


def test_the_access_log_says_what_was_done_and_for_whom_but_no_path() -> None:
    stream = io.StringIO()
    write(configure_logs("info", "json", stream))
    entry = json.loads(stream.getvalue())
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {
        "event": "request",
        "door": "rest",
        "method": "GET",
        "route": "/v1/pets/{id}",
        "status": 200,
        "ms": 12.3,
        "caller": "user",
        "tenant": "t",
        "request_id": "r",
        "level": "info",
    }


def test_the_access_log_in_columns_is_one_line_too() -> None:
    stream = io.StringIO()
    write(configure_logs("info", "console", stream))
    (line,) = stream.getvalue().splitlines()
    assert "GET /v1/pets/{id}" in line
    assert "caller=user" in line


@pytest.mark.parametrize(
    ("level", "doors"),
    [
        ("debug", ["rest", "probes", "rest"]),
        ("info", ["rest", "rest"]),
        ("warning", ["rest"]),
        ("critical", []),
    ],
)
def test_the_level_decides_which_requests_are_logged(level: str, doors: list[str]) -> None:
    stream = io.StringIO()
    access = configure_logs(level, "json", stream)
    write(access)
    write(access, PROBES)
    write(access, status=500)
    assert [json.loads(line)["door"] for line in stream.getvalue().splitlines()] == doors


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
@pytest.mark.parametrize(("door", "status"), [("grpc", 0), ("grpc", 13), ("rest", 500), (PROBES, 200)])
def test_the_access_log_takes_what_it_then_writes(level: str, door: str, status: int) -> None:
    stream = io.StringIO()
    access = AccessLog(level, as_json=True, stream=stream)
    write(access, door, status)
    assert access.takes(door, status) is bool(stream.getvalue())
