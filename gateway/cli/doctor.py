"""``petstore doctor``: checks everything a node needs, and says how to fix what is wrong."""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from sqlalchemy import text

from core.kernel.ids import new_id
from gateway.preflight import has_control, reach_broker, reach_model, reach_redis, reason, redis_client, shown
from gateway.secret import signing_keys
from gateway.security.keys import signing_key
from gateway.security.remote_keys import FetchFailed, RemoteKeys, issuer_client
from gateway.security.trusted_issuer import TrustedIssuer
from gateway.server.listening import listen
from gateway.settings import PREFIX, Settings, load_settings, misspelt_variables
from gateway.startup_errors import BadSettings, CannotStart
from gateway.storage.migration import is_current
from gateway.storage.opening import open_storage

#: By how much clocks may differ before tokens and leases suffer.
_MAX_CLOCK_SKEW = timedelta(seconds=2)
#: Time for a message to come back over Redis.
_ECHO_TIMEOUT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. ``advice`` is set when something is wrong."""

    what: str
    advice: str | None = None


Check = Callable[[Settings], Awaitable[Finding]]


def run() -> None:
    """Check everything; exit status 1 when something is wrong."""
    console = Console(highlight=False)
    settings = load_settings()
    found = asyncio.run(_examine(settings, console))
    failed = sum(finding.advice is not None for finding in found)
    if failed:
        console.print(f"\n{failed} of {len(found)} checks failed.", style="bold red")
        sys.exit(1)
    console.print("\nAll is well.", style="bold green")


async def _examine(settings: Settings, console: Console) -> list[Finding]:
    checks: dict[str, Check] = {"Settings": _settings, "Data directory": _data_dir, "Database": _database}
    if settings.jwt_keys is not None:
        checks |= {"Signing keys": _keys}
    checks |= {f"Issuer {number}": _issuer(one) for number, one in enumerate(settings.issuers, 1)}
    if settings.redis_url is not None:
        checks |= {"Redis": _redis, "Redis pub/sub": _echo}
    if settings.mqtt_broker is not None:
        checks |= {"MQTT broker": _broker}
    if settings.advisor_url is not None:
        checks |= {"Language model": _model}
    checks |= {"HTTP port": _port("port"), "gRPC port": _port("grpc_port"), "MQTT port": _port("mqtt_port")}
    if settings.tls_certificate is not None:
        checks |= {"MQTT port, TLS": _port("mqtt_tls_port")}
    checks |= {"Clock": _clock}
    found = []
    for name, check in checks.items():
        with console.status(name):
            finding = await check(settings)
        found.append(finding)
        mark = "[green]✓[/]" if finding.advice is None else "[red]✗[/]"
        console.print(f"{mark} {name:<15}", end=" ")
        console.print(finding.what, markup=False, soft_wrap=True)
        if finding.advice is not None:
            console.print(f"  {'':<15} → {finding.advice}", markup=False, soft_wrap=True)
    return found


async def _settings(settings: Settings) -> Finding:
    unknown = misspelt_variables()
    if unknown:
        return Finding(" ".join(unknown), "correct the name, or unset it")
    if settings.insecure_password_hash:
        return Finding(
            f"{PREFIX}INSECURE_PASSWORD_HASH is on: whoever gets at the hashes soon has the passwords",
            "unset it, unless this node is for tests alone",
        )
    return Finding("all values can be used")


async def _data_dir(settings: Settings) -> Finding:
    folder = settings.data_dir.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"doctor")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return Finding(
            f"{folder}: {error.strerror}",
            f"let this user write there, or set {PREFIX}DATA_DIR to another folder",
        )
    return Finding(f"{folder} can be written")


async def _database(settings: Settings) -> Finding:
    url = settings.storage_url
    if _absent(url):
        return Finding(f"{url} is not there yet: the first start makes it")
    storage = None
    try:
        storage = open_storage(url)
        await storage.ping()
        if not await is_current(url):
            return Finding(
                f"{shown(url)} answers, but its tables are not of this version", "run: petstore migrate"
            )
    except Exception as error:  # noqa: BLE001 - the boundary to whichever driver: each has errors of its own
        advice = (
            f"start PostgreSQL, or correct {PREFIX}DATABASE_URL"
            if settings.on_postgresql
            else "see the line above"
        )
        return Finding(f"{shown(url)}: {reason(error)}", advice)
    finally:
        if storage is not None:
            await storage.close()
    return Finding(f"{shown(url)} answers, its tables are up to date")


def _absent(url: str) -> bool:
    """Whether it is a SQLite file that does not exist yet; opening it would create it."""
    return url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists()


async def _keys(settings: Settings) -> Finding:
    try:
        keys = signing_keys(settings)
    except BadSettings as error:
        return Finding(
            str(error), f"correct the file, or {PREFIX}JWT_KEYS: docs/operations.md says what it takes"
        )
    signing = signing_key(keys, datetime.now(UTC))
    return Finding(f"{len(keys)} can be used, {signing.algorithm} with the name {signing.kid} signs")


def _issuer(trusted: TrustedIssuer) -> Check:
    """A check that the keys of an issuer can be fetched."""

    async def check(_: Settings) -> Finding:
        async with issuer_client() as client:
            keys = RemoteKeys(trusted, client)
            try:
                await keys.refresh()
            except FetchFailed as error:
                return Finding(
                    str(error), f"look at it, or correct {PREFIX}ISSUERS; until then its tokens are refused"
                )
        if not keys.names:
            return Finding(f"{trusted.issuer} has no key that signs by RS256, ES256 or EdDSA", "give it one")
        return Finding(f"{trusted.issuer} answers; keys: {', '.join(keys.names)}")

    return check


async def _redis(settings: Settings) -> Finding:
    assert settings.redis_url is not None
    try:
        await reach_redis(settings.redis_url)
    except (CannotStart, BadSettings) as error:
        return Finding(str(error), f"start Redis, or correct {PREFIX}REDIS_URL")
    return Finding(f"{shown(settings.redis_url)} answers")


async def _echo(settings: Settings) -> Finding:
    assert settings.redis_url is not None
    channel, began = f"petstore:doctor:{new_id()}", time.monotonic()
    try:
        async with (
            redis_client(settings.redis_url) as client,
            client.pubsub() as pubsub,
            asyncio.timeout(_ECHO_TIMEOUT_SECONDS),
        ):
            await pubsub.subscribe(channel)
            await client.publish(channel, b"echo")
            async for message in pubsub.listen():
                if message["type"] == "message":
                    break
    except Exception as error:  # noqa: BLE001 - the boundary to the client library and the network
        return Finding(
            f"a message did not come back: {reason(error)}", "look at Redis' ACL: it must allow pub/sub"
        )
    return Finding(f"a message came back in {(time.monotonic() - began) * 1000:.1f} ms")


async def _broker(settings: Settings) -> Finding:
    address = settings.mqtt_broker
    assert address is not None
    try:
        await reach_broker(address)
        if address.username is None or not await has_control(address):
            return Finding(f"{address} answers; devices' accounts there are not the gateway's to keep")
    except CannotStart as error:
        return Finding(str(error), f"start the broker, or correct {PREFIX}MQTT_BROKER_URL")
    return Finding(f"{address} answers, and the gateway keeps the accounts of devices there")


async def _model(settings: Settings) -> Finding:
    try:
        await reach_model(settings)
    except CannotStart as error:
        return Finding(
            str(error), f"look at that server, or correct {PREFIX}ADVISOR_URL and {PREFIX}ADVISOR_API_KEY"
        )
    return Finding(f"{settings.advisor_url} answers; {settings.advisor_model} is to answer for the advisor")


def _port(setting: str) -> Check:
    """A check that the port of a setting is free."""

    async def check(settings: Settings) -> Finding:
        port = getattr(settings, setting)
        if port == 0:
            return Finding("any free one")
        try:
            sockets = listen(settings.host, port)
        except OSError as error:
            return Finding(
                str(error.strerror),
                f"stop what listens there, or set {PREFIX}{setting.upper()}",
            )
        for listener in sockets:
            listener.close()
        return Finding(f"{settings.host}:{port} is free")

    return check


async def _clock(settings: Settings) -> Finding:
    now = datetime.now(UTC)
    if now.year < 2025:
        return Finding(f"it is said to be {now:%Y-%m-%d}", "set the clock: tokens and ids depend on it")
    if not settings.on_postgresql:
        return Finding(f"{now:%Y-%m-%d %H:%M:%S} UTC")
    from sqlalchemy import make_url

    from gateway.storage.postgresql import postgresql_engine

    engine = postgresql_engine(make_url(settings.storage_url), connections=1)
    try:
        async with engine.connect() as connection:
            theirs: datetime = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
    except Exception as error:  # noqa: BLE001 - as above; the database check gives the advice
        return Finding(f"the database's clock cannot be read: {reason(error)}", "fix the database first")
    finally:
        await engine.dispose()
    difference = abs(datetime.now(UTC) - theirs)
    if difference > _MAX_CLOCK_SKEW:
        return Finding(
            f"it differs from the database's by {difference.total_seconds():.1f} s", "run NTP on both"
        )
    return Finding(f"{now:%Y-%m-%d %H:%M:%S} UTC, as the database has it")
