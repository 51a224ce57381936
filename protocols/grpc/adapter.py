"""The gRPC door: what answers each method of each service."""

from collections.abc import Sequence

import grpc
from google.protobuf.descriptor import MethodDescriptor

from core.kernel.limits import Limits
from core.live.sessions import Sessions
from protocols.grpc.advisor import Completions
from protocols.grpc.bindings import BINDINGS, SERVICES, Binding
from protocols.grpc.images import Download, Upload
from protocols.grpc.rpc import CallContext, OnEnd
from protocols.grpc.streams import Conversations, EventStreams
from protocols.grpc.unary import Unary


class GrpcDoor(grpc.GenericRpcHandler):
    """Answers the calls of every service.

    ``on_end`` is told of each call that has ended. ``proxies``: addresses and networks of proxies that are believed
    about their clients.

    Methods are looked up here and not registered with the server one by one: for each that is, grpc.aio has a task
    of its own, and looks at all of them with every call.
    """

    def __init__(
        self,
        sessions: Sessions,
        limits: Limits,
        *,
        on_end: OnEnd = lambda *_: None,
        proxies: Sequence[str] = (),
    ) -> None:
        calls = self._calls = CallContext(sessions, limits, on_end, proxies)
        self._handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            _path(binding.method): _handler(calls, binding) for binding in BINDINGS
        }
        subscribe = SERVICES["EventService"].methods_by_name["Subscribe"]
        self._handlers[_path(subscribe)] = grpc.unary_stream_rpc_method_handler(EventStreams(calls).answer)
        converse = SERVICES["ChatService"].methods_by_name["Converse"]
        self._handlers[_path(converse)] = grpc.stream_stream_rpc_method_handler(Conversations(calls).answer)
        complete = SERVICES["AdvisorService"].methods_by_name["Complete"]
        self._handlers[_path(complete)] = grpc.unary_stream_rpc_method_handler(Completions(calls).answer)

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        """What answers a method; None when there is no such method."""
        return self._handlers.get(handler_call_details.method)

    @property
    def open(self) -> int:
        """How many calls are being served."""
        return self._calls.open

    async def streams_ended(self) -> None:
        """Wait until there is no stream."""
        await self._calls.streams_ended()

    @property
    def services(self) -> tuple[str, ...]:
        """The full names of the services."""
        return tuple(service.full_name for service in SERVICES.values())


def _handler(calls: CallContext, binding: Binding) -> "grpc.RpcMethodHandler[bytes, bytes]":
    if binding.method.client_streaming:
        return grpc.stream_unary_rpc_method_handler(Upload(calls, binding).collect)
    if binding.method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(Download(calls, binding).answer)
    return grpc.unary_unary_rpc_method_handler(Unary(calls, binding).answer)


def _path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"
