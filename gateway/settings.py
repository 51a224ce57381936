"""The settings: read from the environment (prefix PETSTORE_) and from a .env file, here and nowhere else."""

import ipaddress
import os
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from core.kernel.limits import Limits
from gateway.broker.address import BrokerAddress
from gateway.security.trusted_issuer import TrustedIssuer, read_issuers
from gateway.startup_errors import BadSettings

PREFIX = "PETSTORE_"
#: Variables that commands read, beside the settings.
_COMMAND_VARIABLES = frozenset({"URL", "TOKEN", "TENANT", "PASSWORD"})
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

_DEFAULTS = Limits()


class Settings(BaseSettings):
    """All settings; the environment variables are these names in upper case after PETSTORE_."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8080, ge=0, le=65535, description="HTTP port; 0 takes any free one")
    grpc_port: int = Field(default=50051, ge=0, le=65535, description="gRPC port; 0 takes any free one")
    mqtt_port: int = Field(default=1883, ge=0, le=65535, description="MQTT port; 0 takes any free one")
    mqtt_tls_port: int = Field(
        default=8883, ge=0, le=65535, description="MQTT port with TLS, open when there is a certificate"
    )
    public_url: str | None = Field(
        default=None,
        description="what clients find the gateway under, such as `https://store.example`; addresses in resources "
        "begin with it; without it where the HTTP port listens",
    )
    workers: int = Field(default=1, ge=1, le=64, description="processes that share the ports")
    data_dir: Path = Field(default=Path("data"), description="where embedded parts keep their files")
    database_url: str | None = Field(
        default=None,
        repr=False,
        description="`postgresql://…`, `sqlite:///path` or `memory://`; without it SQLite in the data directory",
    )
    redis_url: str | None = Field(
        default=None, repr=False, description="`redis://…`, needed by more than one worker or node"
    )
    mqtt_broker_url: str | None = Field(
        default=None,
        repr=False,
        description="`mqtt://user:password@host:port` or `mqtts://…` of an MQTT 5 broker to be fed",
    )
    jwt_secret: SecretStr | None = Field(
        default=None,
        description="signs tokens: 32 characters or more, the same on every node; a lone process makes its own",
    )
    jwt_keys: Path | None = Field(
        default=None,
        description="keys that sign access tokens in place of the secret: a PEM file, or a folder of `*.pem` of which "
        "the last by name signs; a lone process makes the first one of a folder",
    )
    issuers: Annotated[tuple[TrustedIssuer, ...], NoDecode] = Field(
        default=(),
        description='others whose access tokens count here, in JSON: `[{"issuer": "https://login.example", '
        '"audience": "petstore"}]`, with `jwksUrl` and `tenant` where needed',
    )
    insecure_password_hash: bool = Field(
        default=False,
        description="hash passwords with next to no work, for tests; on the loopback address only",
    )
    rate_limit: int = Field(default=100, ge=0, description="requests per minute and caller; 0 is no limit")
    network_rate_limit: int | None = Field(
        default=None,
        ge=0,
        description=(
            "requests per minute and network address, over all tenants; without it ten times `PETSTORE_RATE_LIMIT`"
        ),
    )
    network_registrations: int = Field(
        default=_DEFAULTS.network_registrations_per_minute,
        ge=0,
        description="registrations per minute and network address; 0 is no limit",
    )
    network_failed_logins: int = Field(
        default=_DEFAULTS.network_failed_logins_per_minute,
        ge=0,
        description="failed logins per minute and network address; 0 is no limit",
    )
    network_connections: int = Field(
        default=_DEFAULTS.network_connections,
        ge=0,
        description="live connections a network address may hold; 0 is no limit",
    )
    connections_per_caller: int = Field(
        default=_DEFAULTS.connections_per_caller, ge=1, description="live connections a caller may hold"
    )
    filters_per_connection: int = Field(
        default=_DEFAULTS.filters_per_connection, ge=1, description="topic filters on one live connection"
    )
    messages_per_second: int = Field(
        default=_DEFAULTS.messages_per_second,
        ge=0,
        description="inbound live messages, read more slowly when they come faster; 0 is no limit",
    )
    message_burst: int = Field(
        default=_DEFAULTS.message_burst, ge=1, description="inbound live messages that may come at once"
    )
    frame_bytes: int = Field(
        default=_DEFAULTS.frame_bytes, ge=1024, description="largest message a live client may send"
    )
    ping_seconds: float = Field(default=_DEFAULTS.ping_seconds, gt=0, description="between WebSocket pings")
    heartbeat_seconds: float = Field(
        default=_DEFAULTS.heartbeat_seconds, gt=0, description="between the cursors of a quiet event stream"
    )
    stall_seconds: float = Field(
        default=_DEFAULTS.stall_seconds, gt=0, description="how long a live client may read nothing at all"
    )
    demo: bool = Field(default=False, description="seed the shared pool and make the demo accounts")
    demo_public: bool = Field(
        default=False, description="let demo mode listen on other than the loopback address"
    )
    classic_auth: Literal["open", "required"] | None = Field(
        default=None,
        description="who may use the classic door: `open` (everybody may do everything, as at the public Petstore) or "
        "`required` (as at all other doors); without it `required`, in demo mode `open`",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="origins of pages that may call, WebSockets too, separated by commas; `*` is any; demo mode: any",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="addresses or networks whose X-Forwarded-For is believed, separated by commas; `*` is any",
    )
    mqtt_proxy_protocol: bool = Field(
        default=False,
        description="trusted proxies must name MQTT clients by the PROXY protocol, version 2",
    )
    metrics_token: SecretStr | None = Field(
        default=None,
        description="with it as their bearer token others than this machine see /metrics and the details of /readyz",
    )
    oauth_registration: bool = Field(
        default=False, description="OAuth clients may register themselves (RFC 7591) at /v1/oauth/register"
    )
    unpaid_order_minutes: float = Field(
        default=60, ge=0, description="time after which an order that is not paid is cancelled; 0 is never"
    )
    cancelled_order_days: float = Field(
        default=90,
        ge=0,
        description="age at which a cancelled order that was never paid is removed; 0 is never",
    )
    tenant_image_bytes: int = Field(
        default=_DEFAULTS.tenant_image_bytes,
        ge=0,
        description="bytes of images a tenant may hold, the shared pool too; 0 is no limit",
    )
    tenant_records: int = Field(
        default=_DEFAULTS.tenant_records,
        ge=0,
        description="pets, orders, users, applications, chats, devices, API keys, webhooks a private tenant may hold, "
        "of each; 0 is no limit",
    )
    tenant_idle_days: float = Field(
        default=_DEFAULTS.tenant_idle_days,
        ge=0,
        description="time after which a private tenant that nobody uses is removed; 0 is never",
    )
    allow_private_webhooks: bool = Field(
        default=False,
        description="let webhooks lead to private and loopback addresses too: for development, and for networks in "
        "which STAFF may reach whatever the gateway can",
    )
    advisor_url: str | None = Field(
        default=None,
        description="base URL of an OpenAI-compatible server whose model answers for the advisor, such as "
        "`https://api.openai.com/v1`; without it the embedded engine answers",
    )
    advisor_api_key: SecretStr | None = Field(
        default=None, description="API key for that server, where it takes one"
    )
    advisor_model: str | None = Field(
        default=None, min_length=1, max_length=200, description="name of the model there; needed with the URL"
    )
    advisor_in_chats: bool | None = Field(
        default=None,
        description="the advisor answers in support chats until an agent has them; without it in demo mode only",
    )
    log_retention_days: float = Field(default=7, gt=0, description="age at which events leave the log")
    log_retention_events: int | None = Field(
        default=None, ge=1, description="events kept per tenant; without it no bound but age"
    )
    log_level: str = Field(
        default="INFO",
        pattern="(?i)^(debug|info|warning|error|critical)$",
        description="least severity logged",
    )
    log_format: str = Field(
        default="auto",
        pattern="^(auto|json|console)$",
        description="`json`, `console`, or `auto`: console on a terminal, else json",
    )
    tls_certificate: Path | None = Field(default=None, description="PEM file with the certificate chain")
    tls_key: Path | None = Field(default=None, description="PEM file with the private key")
    drain_notice_seconds: float = Field(
        default=0, ge=0, description="how long a stop only says so at /readyz, for proxies to look elsewhere"
    )
    drain_seconds: float = Field(default=25, gt=0, description="how long a stop waits for clients")

    @field_validator("cors_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("issuers", mode="before")
    @classmethod
    def _read_issuers(cls, value: object) -> object:
        return read_issuers(value) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for part in value:
            if part != "*":
                try:
                    ipaddress.ip_network(part)
                except ValueError:
                    raise ValueError(f"'{part}' is neither an address, a network nor *") from None
        return value

    @field_validator("public_url", "advisor_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        url = urlsplit(value)
        if (
            url.scheme not in ("http", "https")
            or not url.hostname
            or url.query
            or url.fragment
            or url.username
        ):
            raise ValueError("is no http:// or https:// address")
        return value.rstrip("/")

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str | None) -> str | None:
        if value and not value.startswith(("postgresql://", "postgres://", "sqlite:///", "memory://")):
            raise ValueError("begins with none of postgresql://, sqlite:/// and memory://")
        return value.replace("postgres://", "postgresql://", 1) if value else value

    @field_validator("jwt_secret", "metrics_token")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 32:
            raise ValueError("needs at least 32 characters")
        return value

    @field_validator("redis_url")
    @classmethod
    def _known_redis(cls, value: str | None) -> str | None:
        if value and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("begins with none of redis://, rediss:// and unix://")
        return value

    @field_validator("mqtt_broker_url")
    @classmethod
    def _known_broker(cls, value: str | None) -> str | None:
        if value:
            BrokerAddress.parse(value)
        return value

    @field_validator("tls_certificate", "tls_key")
    @classmethod
    def _readable(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"there is no file {value}")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.demo and self.host not in LOOPBACK and not self.demo_public:
            raise ValueError(
                f"demo mode has well-known passwords and listens on the loopback address only, not on {self.host};"
                " PETSTORE_DEMO_PUBLIC=true overrides this"
            )
        if self.insecure_password_hash and self.host not in LOOPBACK:
            raise ValueError(
                "PETSTORE_INSECURE_PASSWORD_HASH is for tests on the loopback address,"
                f" and {self.host} is none: passwords hashed so are soon guessed"
            )
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("PETSTORE_TLS_CERTIFICATE and PETSTORE_TLS_KEY go together")
        if self.mqtt_proxy_protocol and not self.trusted_proxies:
            raise ValueError(
                "PETSTORE_MQTT_PROXY_PROTOCOL needs PETSTORE_TRUSTED_PROXIES, whose word alone is taken"
            )
        if self.public_url in [trusted.issuer for trusted in self.issuers]:
            raise ValueError("PETSTORE_ISSUERS names this store itself, PETSTORE_PUBLIC_URL")
        if (self.advisor_url is None) != (self.advisor_model is None):
            raise ValueError("PETSTORE_ADVISOR_URL and PETSTORE_ADVISOR_MODEL go together")
        if self.advisor_api_key is not None and self.advisor_url is None:
            raise ValueError("PETSTORE_ADVISOR_API_KEY needs PETSTORE_ADVISOR_URL, the server that it is for")
        several = self.several_processes
        if several is not None:
            wanted = {
                "PETSTORE_REDIS_URL=redis://…": self.redis_url is not None,
                "PETSTORE_DATABASE_URL=postgresql://…": self.on_postgresql,
                "PETSTORE_JWT_SECRET (the same for each)": self.jwt_secret is not None,
            }
            missing = [name for name, there in wanted.items() if not there]
            if missing:
                raise ValueError(f"{several} needs {', '.join(missing)}")
        return self

    @property
    def several_processes(self) -> str | None:
        """Why there is more than this one process, in words; None when it is alone."""
        if self.workers > 1:
            return f"PETSTORE_WORKERS={self.workers}: more than one worker"
        return None if self.redis_url is None else "PETSTORE_REDIS_URL: more than one node"

    @property
    def on_postgresql(self) -> bool:
        """Whether the data lies in PostgreSQL."""
        return (self.database_url or "").startswith("postgresql://")

    @property
    def storage_url(self) -> str:
        """Where the data lies."""
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'petstore.db'}"

    @property
    def mqtt_broker(self) -> BrokerAddress | None:
        """The MQTT broker to be fed, if there is one."""
        return None if self.mqtt_broker_url is None else BrokerAddress.parse(self.mqtt_broker_url)

    @property
    def classic_open(self) -> bool:
        """Whether everybody may do everything at the classic door."""
        return (self.classic_auth or ("open" if self.demo else "required")) == "open"

    @property
    def advised_chats(self) -> bool:
        """Whether the advisor answers in support chats."""
        return self.demo if self.advisor_in_chats is None else self.advisor_in_chats

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """Origins of browsers that may call."""
        return self.cors_origins or (("*",) if self.demo else ())

    @property
    def socket_origins(self) -> tuple[str, ...]:
        """Origins of browsers that may open WebSockets: where some are named, the public address is among them."""
        if not self.allowed_origins or self.public_url is None:
            return self.allowed_origins
        url = urlsplit(self.public_url)
        return (*self.allowed_origins, f"{url.scheme}://{url.netloc}")

    @property
    def limits(self) -> Limits:
        """The bounds of the store."""
        return Limits(
            requests_per_minute=self.rate_limit,
            network_requests_per_minute=(
                10 * self.rate_limit if self.network_rate_limit is None else self.network_rate_limit
            ),
            network_registrations_per_minute=self.network_registrations,
            network_failed_logins_per_minute=self.network_failed_logins,
            network_connections=self.network_connections,
            network_sockets=2 * self.network_connections,
            connections_per_caller=self.connections_per_caller,
            tenant_image_bytes=self.tenant_image_bytes,
            tenant_records=self.tenant_records,
            tenant_idle_days=self.tenant_idle_days,
            filters_per_connection=self.filters_per_connection,
            messages_per_second=self.messages_per_second,
            message_burst=self.message_burst,
            frame_bytes=self.frame_bytes,
            ping_seconds=self.ping_seconds,
            heartbeat_seconds=self.heartbeat_seconds,
            stall_seconds=self.stall_seconds,
        )


def load_settings(**given: Any) -> Settings:
    """Read the settings; what is given and not None goes before the environment.

    Raises:
        BadSettings: one of them cannot be used, or the file cannot be read.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise BadSettings("; ".join(_complaint(violation) for violation in error.errors())) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f".env: {error}") from None


def misspelt_variables() -> list[str]:
    """Name the variables with the settings' prefix, in the environment and in .env, that are no settings."""
    known = {name.upper() for name in Settings.model_fields} | _COMMAND_VARIABLES
    given = {name.upper() for name in (*os.environ, *dotenv_values(".env"))}
    unknown = {name.removeprefix(PREFIX) for name in given if name.startswith(PREFIX)} - known
    return [
        f"{PREFIX}{name}: no such setting"
        + "".join(f"; did you mean {PREFIX}{near}?" for near in get_close_matches(name, known, 1, 0.7))
        for name in sorted(unknown)
    ]


def _complaint(violation: Any) -> str:
    message = str(violation["msg"]).removeprefix("Value error, ")
    if not violation["loc"]:
        return message
    name = str(violation["loc"][0])
    field = Settings.model_fields[name]
    secret = not field.repr or SecretStr in get_args(field.annotation)
    shown = "" if secret else f"={str(violation['input'])[:100]}"
    return f"{PREFIX}{name.upper()}{shown}: {message}"
