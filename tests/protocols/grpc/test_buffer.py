"""What waits for the client of one stream."""

import asyncio

import pytest

from protocols.grpc.buffer import WriteBuffer


async def test_a_buffer_gives_all_that_waits_at_once() -> None:
    buffer = WriteBuffer()
    buffer.write(b"one ")
    buffer.write(b"two")
    assert await buffer.taken() == b"one two"
    taking = asyncio.create_task(buffer.taken())
    await asyncio.sleep(0)
    buffer.write(b"three")
    assert await taking == b"three"


async def test_a_full_buffer_tells_when_it_has_room_again() -> None:
    buffer = WriteBuffer()
    told: list[bool] = []
    buffer.on_writable = lambda: told.append(buffer.writable)
    await buffer.drain()
    buffer.write(b"x" * 70_000)
    assert not buffer.writable
    waiting = asyncio.create_task(buffer.drain())
    await asyncio.sleep(0)
    assert len(await buffer.taken()) == 70_000
    await waiting
    assert told == [True]


async def test_an_ended_buffer_gives_what_waits_and_then_nothing() -> None:
    buffer = WriteBuffer()
    buffer.write(b"x" * 70_000)
    waiting = asyncio.create_task(buffer.drain())
    await asyncio.sleep(0)
    buffer.end()
    with pytest.raises(ConnectionResetError):
        await waiting
    buffer.write(b"late")
    assert not buffer.writable
    assert (len(await buffer.taken()), await buffer.taken()) == (70_000, b"")
