"""Calls with one request and one response: each is one operation."""

from functools import lru_cache
from typing import Any

from google.protobuf.message import Message

from core.kernel.model import Page, Params, Resource
from core.kernel.validation import check_params
from core.models.chats import MessagePage
from core.store.store import Call
from protocols.grpc.bindings import Binding
from protocols.grpc.rpc import Context, Desk, Rpc, parse
from protocols.grpc.wire import write

#: Requests that are remembered for each method, and the bytes that such a request has at most.
_MOST_KEPT, _LARGEST_KEPT = 1_024, 256


class Unary:
    """Answers the calls of one binding.

    What a read asks for is remembered by the bytes of its request, since to read them and to check them is the dearest
    part of an answer that comes from memory. Whether the caller may have it is asked every time.
    """

    def __init__(self, desk: Desk, binding: Binding) -> None:
        self._desk = desk
        self._binding = binding
        self._request = binding.request
        self._blank = binding.request()
        self._names = {name: given for given, name in binding.names.items()}
        self._response = binding.response
        self._first = next(iter(binding.response.DESCRIPTOR.fields_by_name), "")
        self._writes = binding.operation.writes
        result = binding.operation.result
        self._keeps = isinstance(result, type) and issubclass(result, Resource)
        # What changes something may have conditions and a body.
        self._recalls = not binding.operation.writes and binding.operation.body is None
        self._recall = lru_cache(_MOST_KEPT)(self._understand)
        self._method = f"{binding.method.containing_service.name}/{binding.method.name}"

    async def answer(self, data: bytes, context: Context) -> bytes:
        """Answer one call. What writes goes on to its end when the client leaves or his deadline passes."""
        desk = self._desk
        rpc = Rpc(desk, self._method, context)
        rpc.names = self._names
        try:
            caller = rpc.take(await desk.store.admit(rpc.credentials))
            running = desk.store.execute(caller, self._call(rpc, data))
            outcome = await (desk.wholly(running) if self._writes else running)
            if outcome.replayed:
                rpc.trailing = (*rpc.trailing, ("idempotent-replayed", "true"))
            encoded = self._encode(outcome.value)
        except BaseException as fault:
            await rpc.fail(fault)
            raise
        rpc.succeed()
        return encoded

    def _call(self, rpc: Rpc, data: bytes) -> Call:
        if self._recalls and len(data) <= _LARGEST_KEPT:
            rpc.message = self._blank  # For faults; what cannot be read is not remembered.
            rpc.message, params = self._recall(data)
            return Call(self._binding.operation, params, None, rpc.request_id)
        return self._binding.call(rpc.read(self._request, data), rpc.request_id, rpc.idempotency_key)

    def _understand(self, data: bytes) -> tuple[Message, Params]:
        """A request and its parameters; both are shared from now on."""
        message = parse(self._request, data)
        call = self._binding.call(message, "", None)
        params: Params = check_params(self._binding.operation.params, call.params)
        return message, params

    def _encode(self, value: Any) -> bytes:
        if not self._keeps:
            return self._message(value)
        forms: dict[object, bytes] = value.forms
        encoded = forms.get(self._response)
        if encoded is None:
            encoded = forms[self._response] = self._message(value)
        return encoded

    def _message(self, value: Any) -> bytes:
        message: Message = self._response()
        if isinstance(value, Page | MessagePage):
            # A page calls its items data, a response by what they are.
            write(message, {self._first: value.data, "pagination": value.pagination})
        elif isinstance(value, dict):
            write(message, {self._first: value})
        elif value is not None:
            write(message, value)
        return message.SerializeToString()
