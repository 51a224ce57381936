"""The servers that other tests rely on do what those tests believe of them."""

import asyncio
import subprocess

import asyncpg
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.servers import MosquittoServer, PostgresServer, RedisServer
from tests.waiting import TIMEOUT_SECONDS, eventually


async def ping(server: RedisServer) -> bool:
    async with Redis.from_url(server.url, socket_timeout=0.5, socket_connect_timeout=0.5) as client:
        try:
            return bool(await client.ping())
        except (RedisError, OSError):
            return False


async def test_redis_comes_back_on_the_same_port_after_a_kill(redis_server: RedisServer) -> None:
    url = redis_server.url
    assert await ping(redis_server)
    redis_server.kill()
    assert not await ping(redis_server)
    redis_server.start()
    assert redis_server.url == url
    assert await ping(redis_server)


async def test_a_frozen_redis_answers_nothing_until_it_is_thawed(redis_server: RedisServer) -> None:
    redis_server.freeze()
    reader, writer = await asyncio.open_connection("127.0.0.1", redis_server.port)
    writer.write(b"PING\r\n")
    answer = asyncio.create_task(reader.readline())
    done, _ = await asyncio.wait({answer}, timeout=0.2)
    assert not done
    redis_server.thaw()
    assert await answer == b"+PONG\r\n"
    writer.close()
    await writer.wait_closed()


async def test_a_redis_that_is_frozen_can_still_be_stopped(redis_server: RedisServer) -> None:
    redis_server.freeze()
    redis_server.restart()
    assert await eventually(lambda: ping(redis_server))


@pytest.mark.parametrize("time", ["first", "second"])
async def test_each_test_has_an_empty_database(postgres_url: str, time: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    try:
        tables = await connection.fetch("SELECT 1 FROM pg_tables WHERE schemaname = 'public'")
        await connection.execute("CREATE TABLE left_behind (id int)")
    finally:
        await connection.close()
    assert tables == []


async def test_what_was_committed_outlives_a_kill_of_postgres() -> None:
    server = PostgresServer()
    try:
        server.start()
        url = server.url(server.create_database())
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE kept (id int)")
        connection.terminate()
        server.kill()
        server.start()
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SELECT count(*) FROM kept") == 0
        await connection.close()
    finally:
        server.remove()


def mosquitto(program: str, server: MosquittoServer, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run mosquitto_pub or mosquitto_sub to its end; ``-W 1`` gives up after a second."""
    command = [f"mosquitto_{program}", "-p", str(server.port), "-q", "1", *options]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)


def test_what_mosquitto_retains_outlives_a_restart(mosquitto_server: MosquittoServer) -> None:
    assert mosquitto("pub", mosquitto_server, "-t", "a", "-m", "kept", "-r").returncode == 0
    mosquitto_server.restart()
    assert mosquitto("sub", mosquitto_server, "-t", "a", "-C", "1", "-W", "5").stdout == "kept\n"


def test_a_guarded_mosquitto_knows_nobody_but_its_administrator(
    guarded_mosquitto_server: MosquittoServer,
) -> None:
    server = guarded_mosquitto_server
    assert "not authorised" in mosquitto("sub", server, "-t", "a", "-E").stderr
    account = ("-u", server.administrator, "-P", str(server.password))
    assert mosquitto("sub", server, "-t", "a", "-E", *account).returncode == 0


async def test_a_condition_that_never_holds_is_a_failure_with_its_place() -> None:
    with pytest.raises(AssertionError, match=r"still not so after 0\.05 s: .*test_servers\.py"):
        await eventually(lambda: False, timeout=0.05)
