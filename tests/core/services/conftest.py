"""Races of many writers, on a machine that may be busy."""

import pytest

from tests.waiting import TIMEOUT_SECONDS


@pytest.fixture(autouse=True)
def _long_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everybody wait for their turn: a client would come back."""
    monkeypatch.setattr("core.store.transactions._DEADLINE_SECONDS", TIMEOUT_SECONDS)
    monkeypatch.setattr("gateway.storage.postgresql._POOL_TIMEOUT_SECONDS", TIMEOUT_SECONDS)
    monkeypatch.setattr("gateway.storage.postgresql._COMMAND_TIMEOUT_SECONDS", TIMEOUT_SECONDS)
