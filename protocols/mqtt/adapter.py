"""Where clients on TCP and TLS arrive; those on WebSocket arrive at `socket`."""

from collections.abc import Callable

from core.kernel.caller import Credentials
from protocols.mqtt.connection import Connection
from protocols.mqtt.server import MqttServer
from protocols.mqtt.writer import NetworkConnection


class MqttDoor:
    """Accepts the connections of a TCP server; ``on_end`` is called when one has ended."""

    def __init__(self, server: MqttServer, on_end: Callable[[Connection], None] | None = None) -> None:
        self._server = server
        self._on_end = on_end

    def connect(self, network: NetworkConnection, address: str) -> Connection:
        """A client has connected from an address; its bytes go to the connection."""
        return Connection(self._server, network, Credentials(address), self._on_end)
