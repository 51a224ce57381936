"""Checks before the start that the configured servers can be reached; its errors are for the operator."""

import asyncio
from typing import TYPE_CHECKING

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from core.ports.language_model import ModelFailed
from gateway.broker.address import BrokerAddress
from gateway.observability.logs import without_secrets
from gateway.secret import signing_keys
from gateway.settings import Settings
from gateway.startup_errors import BadSettings, CannotStart
from gateway.storage.migration import migrate

if TYPE_CHECKING:
    from redis.asyncio import Redis

#: Time for Redis to answer at the start.
_REDIS_TIMEOUT_SECONDS = 3.0
#: Time for the server of the language model to answer at the start.
_MODEL_TIMEOUT_SECONDS = 5.0


def shown(url: str) -> str:
    """An address without its password."""
    return without_secrets(url)


async def migrate_tables(settings: Settings) -> None:
    """Bring the tables up to date, making the data directory if they lie there.

    Raises:
        BadSettings: the address of the database is malformed, or the data directory cannot be made.
        CannotStart: the database cannot be reached or changed.
    """
    url = settings.storage_url
    try:
        make_url(url)
    except (ArgumentError, ValueError):
        raise BadSettings(
            "PETSTORE_DATABASE_URL: not an address of the form postgresql://user@host/database"
        ) from None
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadSettings(f"PETSTORE_DATA_DIR={settings.data_dir}: {error.strerror}") from None
    try:
        await migrate(url)
    except Exception as error:  # noqa: BLE001 - the boundary to whichever driver: each has errors of its own
        raise CannotStart(f"the database {shown(url)} cannot be used: {reason(error)}") from None


def redis_client(url: str) -> "Redis":
    """A client that gives up soon.

    Raises:
        BadSettings: the address is malformed.
    """
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    try:
        return Redis.from_url(
            url,
            socket_timeout=_REDIS_TIMEOUT_SECONDS,
            socket_connect_timeout=_REDIS_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as error:
        raise BadSettings(f"PETSTORE_REDIS_URL: {error}") from None


async def reach_redis(url: str) -> None:
    """Check that Redis answers.

    Raises:
        BadSettings: the address is malformed.
        CannotStart: it does not answer.
    """
    async with redis_client(url) as client:
        try:
            await client.get("petstore:reach")
        except Exception as error:  # noqa: BLE001 - the boundary to the client library and the network
            raise CannotStart(f"Redis at {shown(url)} cannot be reached: {reason(error)}") from None


async def reach_broker(address: BrokerAddress) -> None:
    """Check that the MQTT broker answers and accepts our credentials; the process that serves it is not disturbed.

    Raises:
        CannotStart: it does not.
    """
    from gateway.broker.link import Link, LinkFailed, Refused

    try:
        async with Link(address):
            pass
    except Refused as error:
        raise CannotStart(f"the MQTT broker {address} refuses us: {error}") from None
    except LinkFailed as error:
        raise CannotStart(f"the MQTT broker {address} cannot be reached: {error}") from None


async def reach_model(settings: Settings) -> None:
    """Check that the server of the advisor's language model answers and takes our key.

    Raises:
        CannotStart: it does not.
    """
    from gateway.language_model.opening import open_model
    from gateway.language_model.server import Patience

    model = open_model(settings, Patience(_MODEL_TIMEOUT_SECONDS, _MODEL_TIMEOUT_SECONDS))
    assert model is not None
    try:
        async with asyncio.timeout(_MODEL_TIMEOUT_SECONDS):
            await model.check()
    except (ModelFailed, TimeoutError) as error:
        text = f"the language model's server {settings.advisor_url} cannot be used: "
        raise CannotStart(text + (str(error) or "no answer in time")) from None
    finally:
        await model.close()


async def has_control(address: BrokerAddress) -> bool:
    """Whether we may manage accounts at the broker, through Mosquitto's dynamic security.

    Raises:
        CannotStart: it cannot be reached.
    """
    from gateway.broker.control import NoControl, controlling
    from gateway.broker.link import LinkFailed

    try:
        async with controlling(address) as control:
            await control.ask({"command": "getDefaultACLAccess"})
    except NoControl:
        return False
    except LinkFailed as error:
        raise CannotStart(f"the MQTT broker {address} cannot be reached: {error}") from None
    return True


def reason(error: BaseException) -> str:
    """What went wrong, in one line without secrets: the innermost cause is the most specific."""
    while (inner := getattr(error, "orig", None) or error.__cause__) is not None:
        error = inner
    lines = str(error).strip().splitlines()
    return without_secrets(lines[0]) if lines else type(error).__name__


async def prepare(settings: Settings) -> None:
    """Check the signing keys, bring the tables up to date, and check that all other servers that are needed answer.

    Raises:
        BadSettings, CannotStart: a check failed.
    """
    await asyncio.to_thread(signing_keys, settings)
    await migrate_tables(settings)
    if settings.redis_url is not None:
        await reach_redis(settings.redis_url)
    if settings.mqtt_broker is not None:
        await reach_broker(settings.mqtt_broker)
    if settings.advisor_url is not None:
        await reach_model(settings)
