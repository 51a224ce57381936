"""Chores go on, whatever happens to them."""

import asyncio
import logging

import pytest

from gateway.maintenance import repeat
from tests.waiting import eventually


async def test_a_chore_that_fails_is_tried_again_and_the_log_hears_of_it_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "gateway.maintenance")
    rounds = 0

    async def work() -> None:
        nonlocal rounds
        rounds += 1
        if rounds in (2, 3, 4):
            raise ConnectionError("away")

    task = asyncio.create_task(repeat("the chore", work, 0.001))
    await eventually(lambda: rounds > 10)
    task.cancel()
    assert [record.getMessage() for record in caplog.records] == [
        "the chore failed and will be tried again: ConnectionError('away')",
        "the chore works again after 3 failures",
    ]
