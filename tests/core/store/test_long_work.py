"""Long pieces of work do not hold the loop together."""

import asyncio
from pathlib import Path

from core.kernel.errors import Unavailable
from tests.core.stores import open_store


async def test_one_piece_of_long_work_begins_in_a_turn_of_the_loop(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        turn = 0
        begun: list[int] = []

        async def count() -> None:
            nonlocal turn
            while True:
                turn += 1
                await asyncio.sleep(0)

        async def work(address: str) -> None:
            await store.begin_long_work(address)
            begun.append(turn)

        counting = asyncio.create_task(count())
        await asyncio.gather(*(work(f"192.0.2.{number % 3}") for number in range(30)))
        counting.cancel()
        assert len(set(begun)) == len(begun) == 30


async def test_one_network_cannot_have_all_wait(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        one = [asyncio.create_task(store.begin_long_work("192.0.2.1")) for _ in range(500)]
        other = asyncio.create_task(store.begin_long_work("192.0.2.2"))
        found = await asyncio.gather(*one, return_exceptions=True)
        assert [type(error) for error in found if error is not None] == [Unavailable] * 99
        await other
