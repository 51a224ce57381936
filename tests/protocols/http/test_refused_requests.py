"""Requests that are refused before anybody is admitted: at every door on HTTP they count as others do."""

from pathlib import Path

import pytest

from tests.protocols.live import live

_EVENTS = {"accept": "text/event-stream"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("PUT", "/v1/pets", {}, 405),
        ("GET", "/v1/nothing", {}, 404),
        ("PUT", "/v1/events", {}, 405),
        ("GET", "/v1/events", {"accept": "image/png"}, 406),
        ("GET", "/v1/events", _EVENTS, 400),
        ("PUT", "/v1/graphql", {}, 405),
        ("GET", "/v1/graphql?query={a}", {"accept": "image/png"}, 406),
        ("POST", "/v1/graphql", {"content-type": "text/plain"}, 415),
        ("GET", "/v1/chat/completions", {}, 405),
        ("POST", "/v1/models", {}, 405),
        ("DELETE", "/socket.io/", {}, 405),
        ("GET", "/socket.io/", {}, 400),
        ("GET", "/socket.io/?EIO=4&transport=polling&sid=nobody", {}, 400),
        ("GET", "/mcp", {}, 405),
        ("PUT", "/mcp/login", {}, 405),
    ],
)
async def test_they_count(
    tmp_path: Path, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    async with live(tmp_path, requests_per_minute=2) as node:
        statuses = [(await node.get(path, method, headers=headers)).status_code for _ in range(3)]
        assert statuses == [status, status, 429]


async def test_what_was_wrong_first_is_told_to_who_has_bad_credentials(tmp_path: Path) -> None:
    async with live(tmp_path, requests_per_minute=2) as node:
        headers = {"authorization": "Bearer nonsense"}
        statuses = [(await node.get("/v1/events", "PUT", headers=headers)).status_code for _ in range(3)]
        assert statuses == [405, 405, 429]
