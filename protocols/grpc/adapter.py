"""The gRPC door: what answers each method of each service."""

from collections.abc import Mapping, Sequence

import grpc
from grpc import RpcMethodHandler

from core.limits import Limits
from core.session import Sessions
from protocols.grpc.bindings import BINDINGS, SERVICES
from protocols.grpc.rpc import Desk, OnEnd
from protocols.grpc.streams import Conversations, EventStreams
from protocols.grpc.unary import Unary


class GrpcDoor:
    """Answers the calls of every service.

    ``on_end`` is told of each call that has ended. ``proxies``: addresses and networks of proxies that are believed
    about their clients.
    """

    def __init__(
        self,
        sessions: Sessions,
        limits: Limits,
        *,
        on_end: OnEnd = lambda *_: None,
        proxies: Sequence[str] = (),
    ) -> None:
        self._desk = Desk(sessions, limits, on_end, proxies)

    @property
    def open(self) -> int:
        """How many calls are being served."""
        return self._desk.open

    async def streams_ended(self) -> None:
        """Wait until there is no stream."""
        await self._desk.streams_ended()

    @property
    def services(self) -> tuple[str, ...]:
        """The full names of the services."""
        return tuple(service.full_name for service in SERVICES.values())

    @property
    def handlers(self) -> "Mapping[str, dict[str, RpcMethodHandler[bytes, bytes]]]":
        """What answers the methods, by the services' full names."""
        handlers: dict[str, dict[str, RpcMethodHandler[bytes, bytes]]] = {name: {} for name in self.services}

        def add(service: str, method: str, handler: "RpcMethodHandler[bytes, bytes]") -> None:
            handlers[SERVICES[service].full_name][method] = handler

        for binding in BINDINGS:
            method = binding.method
            answer = Unary(self._desk, binding).answer
            add(method.containing_service.name, method.name, grpc.unary_unary_rpc_method_handler(answer))
        add(
            "EventService", "Subscribe", grpc.unary_stream_rpc_method_handler(EventStreams(self._desk).answer)
        )
        add(
            "ChatService", "Converse", grpc.stream_stream_rpc_method_handler(Conversations(self._desk).answer)
        )
        return handlers
