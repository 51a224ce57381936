"""Images, which are larger than messages: they come and go in parts."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from google.protobuf.message import Message

from core.kernel.caller import Caller
from core.kernel.errors import Close, Closed, CloseReason, PayloadTooLarge
from core.ports.images import StoredImage
from protocols.grpc._generated.petstore.v1 import pets_pb2
from protocols.grpc.bindings import Binding
from protocols.grpc.rpc import CallContext, Context, Rpc
from protocols.grpc.unary import Unary

#: What a part of an image holds at most, in bytes.
_PART_BYTES = 64 * 1024


class Upload(Unary):
    """``PetService.UploadPetImage``: the parts of an image are one request."""

    async def collect(self, parts: AsyncIterator[bytes], context: Context) -> bytes:
        """Answer one call; whoever may not upload is told before the image has come."""
        calls = self._calls
        async with Rpc(calls, self._method, context) as rpc:
            rpc.names = self._names
            caller = await calls.admit(rpc)
            self._binding.operation.authorise(caller)
            with _counted(calls, caller):
                whole = await self._whole(rpc, parts)
                # The end of a client looks like the end of what they have to send; only writing to them tells.
                await context.send_initial_metadata((("x-request-id", rpc.request_id),))
                return await self._run(rpc, caller, whole)

    async def _whole(self, rpc: Rpc, parts: AsyncIterator[bytes]) -> Message:
        """Take parts until the client has sent all.

        Raises:
            PayloadTooLarge: they are too much for an image.
            Closed: none came for too long.
        """
        limits = self._calls.limits
        whole, file = pets_pb2.UploadPetImageRequest(), bytearray()
        try:
            while True:
                async with asyncio.timeout(limits.stall_seconds):
                    data = await anext(parts, None)
                if data is None:
                    break
                part = rpc.read(pets_pb2.UploadPetImageRequest, data)
                file += part.file
                if len(file) > limits.image_bytes:
                    raise PayloadTooLarge(f"An image has at most {limits.image_bytes} bytes.")
                part.ClearField("file")
                whole.MergeFrom(part)
        except TimeoutError:
            raise Closed(Close(CloseReason.STALLED, "No part of the image came for too long.")) from None
        whole.file = bytes(file)
        rpc.message = whole
        return whole


class Download:
    """``PetService.GetPetImage``."""

    def __init__(self, calls: CallContext, binding: Binding) -> None:
        self._calls = calls
        self._binding = binding
        self._names = {name: given for given, name in binding.names.items()}

    async def answer(self, data: bytes, context: Context) -> None:
        """Answer one call, as fast as the client reads."""
        calls = self._calls
        async with Rpc(calls, "PetService/GetPetImage", context) as rpc:
            rpc.names = self._names
            caller = await calls.admit(rpc)
            message = rpc.read(self._binding.request, data)
            call = self._binding.call(message, rpc.request_id, rpc.idempotency_key)
            with _counted(calls, caller):
                image: StoredImage = (await calls.store.execute(caller, call)).value
                await self._send(image, context)

    async def _send(self, image: StoredImage, context: Context) -> None:
        """Write an image, part by part.

        Raises:
            Closed: the client reads nothing.
        """
        media_type, content = image.media_type, image.content
        try:
            for place in range(0, len(content), _PART_BYTES):
                part = pets_pb2.GetPetImageResponse(
                    media_type=media_type, content=content[place : place + _PART_BYTES]
                )
                async with asyncio.timeout(self._calls.limits.stall_seconds):
                    await context.write(part.SerializeToString())
                media_type = ""
        except TimeoutError:
            raise Closed(Close(CloseReason.STALLED, "The client reads nothing.")) from None


@contextmanager
def _counted(calls: CallContext, caller: Caller) -> Iterator[None]:
    """Count among the caller's connections while there is an image in memory for them.

    Raises:
        RateLimited: they have as many as they may.
    """
    connections = calls.sessions.connections
    connections.enter(caller)
    try:
        yield
    finally:
        connections.leave(caller)
