"""The AsyncAPI document: whole, and true to the tables that the doors work with."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.live.chat_messages import CHAT_FORMS
from core.live.vocabulary import COMMANDS
from core.models.catalogue import EVENTS
from gateway.contracts.asyncapi import asyncapi_document
from tests.asyncapi import DOCUMENT, Contract
from tests.waiting import TIMEOUT_SECONDS

NODE = Path(__file__).parents[2] / "node"
MESSAGES: dict[str, Any] = asyncapi_document()["components"]["messages"]
LIVE_NAMES = {f"chat.{name}" for form in CHAT_FORMS.values() for name in form.names}


@pytest.fixture(scope="module")
def contract() -> Contract:
    """The committed document."""
    return Contract.load()


def test_the_committed_document_is_the_one_that_is_served() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert yaml.safe_load(text) == json.loads(json.dumps(asyncapi_document()))


@pytest.mark.parametrize("key", MESSAGES)
def test_an_example_fits_its_own_message(contract: Contract, key: str) -> None:
    [example] = MESSAGES[key]["examples"]
    assert contract.violations(key, example.get("payload"), example.get("headers")) == []


@pytest.mark.parametrize("door", ["websocket", "socketio"])
def test_every_command_is_named_with_its_acknowledgement(contract: Contract, door: str) -> None:
    assert contract.keys(door, "client") - {"connect"} == set(COMMANDS)
    answers = {"pong" if (door, name) == ("websocket", "ping") else f"{name}.ack" for name in COMMANDS}
    assert answers <= contract.keys(door, "server")


@pytest.mark.parametrize("door", ["sse", "mqtt", "mqtts", "mqttWebsocket"])
def test_every_event_is_named(contract: Contract, door: str) -> None:
    assert set(EVENTS) <= contract.keys(door, "server")


@pytest.mark.parametrize("door", ["websocket", "socketio"])
def test_chat_doors_name_every_event_in_its_own_form(contract: Contract, door: str) -> None:
    named = {f"event.{kind}" for kind in EVENTS if kind not in CHAT_FORMS}
    assert named | LIVE_NAMES <= contract.keys(door, "server")


def parsed(text: str) -> tuple[list[dict[str, Any]], dict[str, int] | None]:
    """What the official parser finds wrong, and how much it found."""
    done = subprocess.run(
        ["node", NODE / "asyncapi.mjs"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT_SECONDS,
    )
    *diagnostics, counts = map(json.loads, done.stdout.splitlines())
    return diagnostics, counts


@pytest.mark.slow
def test_the_official_parser_takes_the_document() -> None:
    diagnostics, counts = parsed(DOCUMENT.read_text(encoding="utf-8"))
    document = asyncapi_document()
    assert counts == {
        "channels": len(document["channels"]),
        "operations": len(document["operations"]),
        "messages": len(MESSAGES),
    }
    # That there is a version 3.1 besides is no error.
    assert [one for one in diagnostics if one["code"] != "asyncapi-latest-version"] == []


@pytest.mark.slow
def test_the_official_parser_finds_an_error() -> None:
    document = asyncapi_document()
    del document["servers"]["mqtt"]["host"]
    diagnostics, _ = parsed(json.dumps(document))
    assert ["servers", "mqtt"] in [one["path"] for one in diagnostics if one["severity"] == 0]


def test_everything_in_the_document_says_what_it_is() -> None:
    """But for references: in AsyncAPI's schemas (JSON Schema draft 7) nothing stands beside them."""
    undescribed = [
        f"{name}.{member}"
        for name, schema in asyncapi_document()["components"]["schemas"].items()
        for member, one in schema.get("properties", {}).items()
        if "$ref" not in one and not one.get("description")
    ]
    assert undescribed == []
