"""Calls with one request and one response: each is one operation."""

from typing import Any

from google.protobuf.message import Message

from core.kernel.caller import Caller
from core.kernel.model import Page, Resource
from core.models.chats import MessagePage
from protocols.grpc.bindings import Binding
from protocols.grpc.rpc import CallContext, Context, Rpc
from protocols.grpc.wire import write


class Unary:
    """Answers the calls of one binding."""

    def __init__(self, calls: CallContext, binding: Binding) -> None:
        self._calls = calls
        self._binding = binding
        self._request = binding.request
        self._names = {name: given for given, name in binding.names.items()}
        self._response = binding.response
        self._first = next((field.json_name for field in binding.response.DESCRIPTOR.fields), "")
        result = binding.operation.result
        self._keeps = isinstance(result, type) and issubclass(result, Resource)
        self._method = f"{binding.method.containing_service.name}/{binding.method.name}"

    async def answer(self, data: bytes, context: Context) -> bytes:
        """Answer one call. What writes goes on to its end when the client leaves or its deadline passes."""
        calls = self._calls
        rpc = Rpc(calls, self._method, context)
        rpc.names = self._names
        try:
            caller = await calls.admit(rpc)
            encoded = await self._run(rpc, caller, rpc.read(self._request, data))
        except BaseException as error:
            await rpc.fail(error)
            raise
        rpc.succeed()
        return encoded

    async def _run(self, rpc: Rpc, caller: Caller, message: Message) -> bytes:
        call = self._binding.call(message, rpc.request_id, rpc.idempotency_key)
        outcome = await self._calls.store.execute(caller, call)
        if outcome.replayed:
            rpc.trailing = (*rpc.trailing, ("idempotent-replayed", "true"))
        if not self._keeps:  # A page takes a millisecond.
            await self._calls.store.slices.begun()
        return self._encode(outcome.value)

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
