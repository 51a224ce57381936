"""The settings: read from the environment (prefix PETSTORE_) and from a .env file, here and nowhere else."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from core.limits import Limits

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Settings(BaseSettings):
    """Everything that can be configured; names in the environment are these in upper case behind PETSTORE_."""

    model_config = SettingsConfigDict(env_prefix="PETSTORE_", env_file=".env", extra="ignore", frozen=True)

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8080, ge=0, le=65535, description="HTTP port; 0 takes any free one")
    data_dir: Path = Field(default=Path("data"), description="where embedded parts keep their files")
    database_url: str | None = Field(
        default=None, repr=False, description="postgresql://…, sqlite:///path or memory://; default: SQLite in DATA_DIR"
    )
    redis_url: str | None = Field(default=None, repr=False, description="redis://…; needed by more than one node")
    jwt_secret: SecretStr | None = Field(
        default=None, min_length=32, description="signs tokens; made and kept in DATA_DIR when absent and one process serves"
    )
    workers: int = Field(default=1, ge=1, le=64, description="processes that share the ports")
    rate_limit: int = Field(default=100, ge=0, description="requests per minute and caller; 0 is no limit")
    connections_per_caller: int = Field(default=50, ge=1, description="live connections a caller may hold")
    demo: bool = Field(default=False, description="seed the shared pool and make the demo accounts")
    demo_public: bool = Field(default=False, description="let demo mode listen on other than the loopback address")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="origins of browsers that may call, apart by commas; * is any; demo mode: any"
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="addresses or networks whose X-Forwarded-For is believed, apart by commas"
    )
    log_retention_days: float = Field(default=7, gt=0, description="age at which events leave the log")
    log_retention_events: int | None = Field(default=None, ge=1, description="events kept per tenant; none: no bound")
    log_level: str = Field(default="INFO", pattern="(?i)^(debug|info|warning|error|critical)$", description="least severity logged")
    log_format: str = Field(default="auto", pattern="^(auto|json|console)$", description="auto: console on a terminal, else json")
    tls_certificate: Path | None = Field(default=None, description="PEM file with the certificate chain")
    tls_key: Path | None = Field(default=None, description="PEM file with the private key")
    drain_seconds: float = Field(default=25, gt=0, description="how long a stop waits for clients")

    @field_validator("cors_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.demo and self.host not in LOOPBACK and not self.demo_public:
            raise ValueError(
                f"demo mode has well-known passwords and listens on the loopback address only, not on {self.host};"
                " PETSTORE_DEMO_PUBLIC=true overrides this"
            )
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("TLS_CERTIFICATE and TLS_KEY go together")
        if self.workers > 1:
            missing = [
                name
                for name, there in (
                    ("PETSTORE_REDIS_URL", self.redis_url is not None),
                    ("PETSTORE_DATABASE_URL=postgresql://…", self.on_postgresql),
                    ("PETSTORE_JWT_SECRET", self.jwt_secret is not None),
                )
                if not there
            ]
            if missing:
                raise ValueError(f"more than one worker needs {', '.join(missing)}")
        if self.redis_url is not None and not self.on_postgresql:
            raise ValueError("several nodes (REDIS_URL) need PostgreSQL: set DATABASE_URL=postgresql://…")
        if (self.redis_url is not None) and self.jwt_secret is None:
            raise ValueError("several nodes (REDIS_URL) need the same JWT_SECRET on each")
        return self

    @property
    def on_postgresql(self) -> bool:
        """Whether the data lies in PostgreSQL."""
        return (self.database_url or "").startswith(("postgresql://", "postgres://"))

    @property
    def storage_url(self) -> str:
        """Where the data lies."""
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'petstore.db'}"

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """Origins of browsers that may call."""
        return self.cors_origins or (("*",) if self.demo else ())

    @property
    def limits(self) -> Limits:
        """The bounds of the store."""
        return Limits(requests_per_minute=self.rate_limit, connections_per_caller=self.connections_per_caller)
