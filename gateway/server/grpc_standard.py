"""The standard services of a gRPC server, with what the libraries leave out: all of health, and present reflection."""

from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf import descriptor_pool, json_format
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc import aio
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

#: What clients ask first for what there is; the library knows its predecessor, v1alpha, alone.
_REFLECTION = "grpc.reflection.v1.ServerReflection"
#: The stubs do not know all messages of health.
_MESSAGES: Any = health_pb2


class ListedHealth(health.aio.HealthServicer):
    """Health, of which ``services`` can be listed as well."""

    def __init__(self, services: Sequence[str]) -> None:
        super().__init__()
        self._services = services

    async def List(self, _: object, context: Any) -> Any:  # noqa: N802 the protocol's name
        """The status of every service."""
        asked = {service: _MESSAGES.HealthCheckRequest(service=service) for service in self._services}
        statuses = {service: await self.Check(request, context) for service, request in asked.items()}
        return _MESSAGES.HealthListResponse(statuses=statuses)


def add_reflection(server: aio.Server, generated: Any, services: Sequence[str]) -> None:
    """Show what services there are; ``generated`` is the server as generated code may see it."""
    names = (*services, reflection.SERVICE_NAME, _REFLECTION)
    pool: Any = _Symbols()
    shown: Any = reflection.aio.ReflectionServicer(names, pool=pool)
    add: Any = reflection_pb2_grpc.add_ServerReflectionServicer_to_server
    add(shown, generated)
    server.add_generic_rpc_handlers((_present_reflection(shown),))


class _Symbols:
    """The pool of descriptors, with methods among its symbols: it does not find them itself."""

    def __init__(self) -> None:
        self._pool = descriptor_pool.Default()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802 the library's name
        """The file that declares a symbol.

        Raises:
            KeyError: none does.
        """
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            service, _, method = symbol.rpartition(".")
            return self._pool.FindServiceByName(service).methods_by_name[method].containing_service.file


def _present_reflection(shown: Any) -> grpc.GenericRpcHandler:
    """Reflection under its present name; its messages are those of v1alpha, under other names."""
    old = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(old)
    renamed = json_format.MessageToJson(old).replace("v1alpha", "v1")
    descriptor_pool.Default().AddSerializedFile(
        json_format.Parse(renamed, FileDescriptorProto()).SerializeToString()
    )
    answer = grpc.stream_stream_rpc_method_handler(
        shown.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(_REFLECTION, {"ServerReflectionInfo": answer})
