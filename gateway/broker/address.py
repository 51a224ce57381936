"""The address of an MQTT broker, with the gateway's credentials there."""

from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote, urlsplit

_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """An address of the form ``mqtt://user:password@host:port``, or ``mqtts://`` for TLS."""

    host: str
    port: int
    tls: bool
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read an address; without a port it is 1883, and 8883 with TLS. Names and passwords may be percent-encoded.

        Raises:
            ValueError: it is malformed; the message holds no part of the address.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError("is not an address of the form mqtt://user:password@host:port") from None
        if parts.scheme not in _PORTS:
            raise ValueError("begins with neither mqtt:// nor mqtts://")
        if not parts.hostname or parts.path not in ("", "/") or parts.query or parts.fragment or port == 0:
            raise ValueError("is not an address of the form mqtt://user:password@host:port")
        if parts.password is not None and not parts.username:
            raise ValueError("has a password and no user name")
        return cls(
            host=parts.hostname,
            port=port or _PORTS[parts.scheme],
            tls=parts.scheme == "mqtts",
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password is not None else None,
        )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt{'s' if self.tls else ''}://{host}:{self.port}"
