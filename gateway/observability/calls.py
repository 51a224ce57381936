"""What is counted and logged of gRPC calls and MQTT connections: they do not come by the router."""

from time import perf_counter

from gateway.observability.access_log import AccessLog
from gateway.observability.metrics import Metrics
from protocols.grpc.rpc import Rpc
from protocols.mqtt.connection import Connection


class CallRecorder:
    """Called with each call or connection that has ended."""

    def __init__(self, metrics: Metrics, access: AccessLog) -> None:
        self._metrics = metrics
        self._access = access

    def grpc(self, rpc: Rpc, status: int) -> None:
        """A call has ended with the number of a status."""
        seconds, caller = perf_counter() - rpc.started, rpc.caller
        self._metrics.count("grpc", "RPC", rpc.method, status, None if rpc.streams else seconds)
        if self._access.takes("grpc", status):
            state = {"request_id": rpc.request_id}
            if caller is not None:
                state |= {"caller": caller.key, "tenant": caller.tenant}
            self._access.write("grpc", "RPC", rpc.method, status, seconds, state)

    def mqtt(self, connection: Connection) -> None:
        """A connection has ended."""
        seconds, session = perf_counter() - connection.started, connection.session
        self._metrics.count("mqtt", "MQTT", connection.protocol, connection.code, None)
        state = {} if session is None else {"caller": session.caller.key, "tenant": session.caller.tenant}
        self._access.write("mqtt", "MQTT", connection.protocol, connection.code, seconds, state)
