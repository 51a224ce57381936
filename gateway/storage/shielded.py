"""Waiting that a cancellation cannot cut short."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def undisturbed(step: Coroutine[Any, Any, T]) -> T:
    """Run one step of talking to a database to its end; a cancellation that arrives meanwhile is raised then.

    A driver that is cut off in the middle of a statement leaves a connection of unknown state behind: SQLite's
    thread goes on and may begin a transaction that nobody ends. Steps are short, and bounded by time-outs.
    """
    task = asyncio.ensure_future(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # Nobody else will look at it.
        raise
