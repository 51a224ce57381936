"""gRPC, with grpcio's asyncio client and the generated stubs: messages are made and read by their descriptors."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC
from itertools import count
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode, aio

from core.kernel.clock import rfc3339
from core.kernel.errors import CloseReason
from protocols.grpc._generated.petstore.v1.adoptions_pb2_grpc import AdoptionServiceStub
from protocols.grpc._generated.petstore.v1.advisor_pb2 import CompleteRequest, SpeakerRole
from protocols.grpc._generated.petstore.v1.advisor_pb2_grpc import AdvisorServiceStub
from protocols.grpc._generated.petstore.v1.api_keys_pb2_grpc import ApiKeyServiceStub
from protocols.grpc._generated.petstore.v1.chats_pb2 import ConverseRequest, ConverseResponse
from protocols.grpc._generated.petstore.v1.chats_pb2_grpc import ChatServiceStub
from protocols.grpc._generated.petstore.v1.devices_pb2_grpc import DeviceServiceStub
from protocols.grpc._generated.petstore.v1.events_pb2 import SubscribeRequest
from protocols.grpc._generated.petstore.v1.events_pb2_grpc import EventServiceStub
from protocols.grpc._generated.petstore.v1.inventory_pb2_grpc import InventoryServiceStub
from protocols.grpc._generated.petstore.v1.oauth_pb2_grpc import OauthServiceStub
from protocols.grpc._generated.petstore.v1.orders_pb2_grpc import OrderServiceStub
from protocols.grpc._generated.petstore.v1.pets_pb2_grpc import PetServiceStub
from protocols.grpc._generated.petstore.v1.tenants_pb2_grpc import TenantServiceStub
from protocols.grpc._generated.petstore.v1.users_pb2_grpc import UserServiceStub
from protocols.grpc._generated.petstore.v1.webhooks_pb2_grpc import WebhookServiceStub
from protocols.grpc.bindings import BINDINGS, Binding
from tests.conformance.door import Ability, Answer, Conversation, Driver, End, Refused, Stream, Told
from tests.conformance.people import Person
from tests.waiting import TIMEOUT_SECONDS, within

_BOUND: dict[str, Binding] = {
    operation.name: binding for binding in BINDINGS for operation in binding.operations
}
_STUBS: dict[str, Any] = {
    "AdoptionService": AdoptionServiceStub,
    "ApiKeyService": ApiKeyServiceStub,
    "DeviceService": DeviceServiceStub,
    "TenantService": TenantServiceStub,
    "ChatService": ChatServiceStub,
    "InventoryService": InventoryServiceStub,
    "OauthService": OauthServiceStub,
    "OrderService": OrderServiceStub,
    "PetService": PetServiceStub,
    "UserService": UserServiceStub,
    "WebhookService": WebhookServiceStub,
}
#: The reasons of a stream's end, as the errors that they are.
_ENDS = {
    CloseReason.DRAINING.value: "service-unavailable",
    CloseReason.EXPIRED.value: "unauthorized",
    CloseReason.REVOKED.value: "unauthorized",
}
#: What REST says elsewhere, or otherwise.
_NOT_SHOWN = {"etag", "adoption_fee"}
#: A number that no enumeration has: how a client sends a value that the contract doesn't know.
_UNKNOWN = 999
#: Channels to one address share a connection, unless they are told not to.
_OPTIONS = (("grpc.use_local_subchannel_pool", 1),)


class GrpcDriver(Driver):
    """Somebody who speaks gRPC."""

    operations = frozenset(_BOUND)
    abilities = frozenset(
        {
            Ability.FOLLOW,
            Ability.RESUME,
            Ability.CONVERSE,
            Ability.IF_MATCH,
            Ability.IDEMPOTENCY,
            Ability.ASK,
            Ability.DECIDE,
        }
    )

    async def call(
        self,
        operation: str,
        /,
        *,
        body: Any = None,
        if_match: str | None = None,
        key: str | None = None,
        **params: Any,
    ) -> Answer:
        binding = _BOUND[operation]
        request: Any = _request(binding, params, body or {}, if_match)
        if binding.replacing is not None and operation == binding.replacing.name:
            request.update_mask.paths[:] = ["*"]
        metadata = _metadata(self.person)
        if key is not None:
            metadata.append(("idempotency-key", key))
        service = binding.method.containing_service
        assert service is not None
        async with aio.insecure_channel(self.node.grpc, options=_OPTIONS) as channel:
            method = getattr(_STUBS[service.name](channel), binding.method.name)
            streams = binding.method.client_streaming
            call = method(_parts(request) if streams else request, metadata=metadata, timeout=TIMEOUT_SECONDS)
            try:
                if binding.method.server_streaming:
                    return Answer(b"".join([part.content async for part in call]))
                response = await call
            except aio.AioRpcError as error:
                raise _refused(error) from None
            trailing = dict(await call.trailing_metadata())
        replayed = trailing.get("idempotent-replayed") == "true"
        return Answer(_value(response), getattr(response, "etag", None), replayed)

    async def ask(self, body: dict[str, Any]) -> Told:
        request = CompleteRequest()
        for turn in body.get("messages", ()):
            role = f"SPEAKER_ROLE_{turn['role']}"
            request.messages.add(role=SpeakerRole.Value(role), content=turn.get("content", ""))
        if "maxTokens" in body:
            request.max_tokens = body["maxTokens"]
        async with aio.insecure_channel(self.node.grpc, options=_OPTIONS) as channel:
            call: Any = AdvisorServiceStub(channel).Complete(
                request, metadata=_metadata(self.person), timeout=TIMEOUT_SECONDS
            )
            try:
                parts = [part async for part in call]
            except aio.AioRpcError as error:
                raise _refused(error) from None
        usage = parts[-1].usage
        told = {
            "promptTokens": usage.prompt_tokens,
            "completionTokens": usage.completion_tokens,
            "totalTokens": usage.total_tokens,
        }
        texts = [part.text for part in parts]
        return Told("".join(texts), parts[-1].finish_reason, told, sum(map(bool, texts)))

    @contextlib.asynccontextmanager
    async def follow(self, *topics: str, cursor: str | None = None) -> AsyncIterator[Stream]:
        stream = Stream()
        async with aio.insecure_channel(self.node.grpc, options=_OPTIONS) as channel:
            request = SubscribeRequest(topics=topics, cursor=cursor or "")
            call: Any = EventServiceStub(channel).Subscribe(request, metadata=_metadata(self.person))
            initial = dict(await within(call.initial_metadata()))
            if "x-cursor" not in initial:  # It has ended instead.
                try:
                    await call.read()
                except aio.AioRpcError as error:
                    raise _refused(error) from None
            stream.cursor = initial["x-cursor"]
            reader = asyncio.create_task(_read(call, stream))
            try:
                yield stream
            finally:
                await _stop(reader)
                call.cancel()

    @contextlib.asynccontextmanager
    async def converse(self) -> AsyncIterator[Conversation]:
        async with aio.insecure_channel(self.node.grpc, options=_OPTIONS) as channel:
            call = ChatServiceStub(channel).Converse(metadata=_metadata(self.person))
            conversation = GrpcConversation(call)
            reader = asyncio.create_task(conversation.listen())
            try:
                await within(conversation.greeted)
                yield conversation
            finally:
                await _stop(reader)
                call.cancel()


class GrpcConversation(Conversation):
    """Somebody who converses: commands have marks, by which their replies are found."""

    def __init__(self, call: Any) -> None:
        super().__init__()
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._call = call
        self._marks = count(1)
        self._writing = asyncio.Lock()
        self._answers: dict[str, asyncio.Future[Any]] = {}

    async def join(self, chat_id: str | None = None, subject: str | None = None) -> dict[str, Any]:
        joined = await self._ask(join_chat={"chat_id": chat_id, "subject": subject})
        return _shown(joined.chat)

    async def leave(self, chat_id: str) -> None:
        await self._ask(leave_chat={"chat_id": chat_id})

    async def say(self, chat_id: str, text: str, client_message_id: str | None = None) -> dict[str, Any]:
        said = {"chat_id": chat_id, "text": text, "client_message_id": client_message_id}
        return _shown((await self._ask(chat_message=said)).message)

    async def typing(self, chat_id: str, started: bool) -> None:
        await self._ask(**{"typing_started" if started else "typing_stopped": {"chat_id": chat_id}})

    async def read(self, chat_id: str, message_id: str) -> None:
        await self._ask(message_read={"chat_id": chat_id, "message_id": message_id})

    async def listen(self) -> None:
        """Read to the end."""
        try:
            while isinstance(response := await self._call.read(), ConverseResponse):
                self._take(response)
        except aio.AioRpcError as error:
            for waiting in (self.greeted, *self._answers.values()):
                if not waiting.done():
                    waiting.set_exception(_refused(error))

    async def _ask(self, **command: Any) -> Any:
        mark = str(next(self._marks))
        answer = self._answers[mark] = asyncio.get_running_loop().create_future()
        async with self._writing:
            await self._call.write(ConverseRequest(id=mark, **command))
        return await within(answer)

    def _take(self, response: ConverseResponse) -> None:
        name = response.WhichOneof("message")
        assert name is not None
        message = getattr(response, name)
        if response.reply_to and name == "error":
            self._answers.pop(response.reply_to).set_exception(
                Refused(
                    message.code,
                    fields=[(_camel(violation.field), violation.code) for violation in message.errors],
                    oldest_cursor=message.oldest_cursor or None,
                    retry_after=message.retry_after or None,
                )
            )
        elif response.reply_to:
            self._answers.pop(response.reply_to).set_result(message)
        elif name == "connected":
            self.greeted.set_result(None)
        else:
            around = {"chatId": response.chat_id, "cursor": response.cursor}
            self.tell(
                _camel(name), {**_shown(message), **{name: value for name, value in around.items() if value}}
            )


def _metadata(person: Person) -> list[tuple[str, str]]:
    metadata = [] if person.tenant is None else [("x-tenant-id", person.tenant)]
    return metadata if person.token is None else [*metadata, ("authorization", f"Bearer {person.token}")]


async def _read(call: Any, stream: Stream) -> None:
    place = stream.cursor
    try:
        while True:
            await stream.reading.wait()
            batch = await call.read()
            if batch is aio.EOF:
                return
            place = batch.cursor or place
            for event in batch.events:
                place = event.cursor or place
                stream.put(_shown(event))
    except aio.AioRpcError as error:
        refused = _refused(error)
        place = dict(error.trailing_metadata() or ()).get("x-cursor", place)
        stream.end(End(_ENDS.get(refused.code, refused.code), place, refused.oldest_cursor))


async def _stop(reader: "asyncio.Task[None]") -> None:
    reader.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reader


# --- requests ---


def _request(binding: Binding, params: dict[str, Any], body: dict[str, Any], etag: str | None) -> Message:
    request: Any = binding.request()
    values = dict(params)
    for flag, meant in binding.flags.items():
        if all(values.get(name) in (value, [value]) for name, value in meant.items()):
            values = {name: value for name, value in values.items() if name not in meant} | {flag: True}
    names = {name: field for field, name in binding.names.items()}
    _fill(request, {**{names.get(name, name): value for name, value in values.items()}, **body})
    if "update_mask" in request.DESCRIPTOR.fields_by_name and _needs_mask(body):
        request.update_mask.paths.extend(_paths(body))
    if etag is not None:
        request.etag = etag
    return request  # type: ignore[no-any-return] # made of a descriptor


def _parts(request: Any) -> Iterator[Any]:
    """A request with a file in two messages: what it is of comes with the first half of it."""
    rest = type(request)(file=request.file[len(request.file) // 2 :])
    request.file = request.file[: len(request.file) // 2]
    yield from (request, rest)


def _fill(message: Any, values: dict[str, Any]) -> None:
    descriptor = message.DESCRIPTOR
    for name, value in values.items():
        if value is None:
            continue
        if name in descriptor.oneofs_by_name:
            _put(message, value["object"], {key: one for key, one in value.items() if key != "object"})
        else:
            _put(message, _snake(name), value)


def _put(message: Any, name: str, value: Any) -> None:
    field = message.DESCRIPTOR.fields_by_name[name]
    part = getattr(message, name)
    if field.is_repeated and field.message_type is not None:
        for item in value:
            _fill(part.add(), item)
    elif field.is_repeated:
        part.extend(_plain(field, item) for item in value)
    elif field.message_type is not None and field.message_type.full_name == "google.protobuf.Timestamp":
        part.FromJsonString(value)
    elif field.message_type is not None:
        part.SetInParent()
        _fill(part, value)
    else:
        (one,) = value if isinstance(value, list) else (value,)
        setattr(message, name, _plain(field, one))


def _plain(field: FieldDescriptor, value: Any) -> Any:
    if field.enum_type is None:
        return value
    wanted = _snake(str(value)).upper()
    return next((number for number, name in _names(field.enum_type) if name == wanted), _UNKNOWN)


def _needs_mask(body: Any) -> bool:
    """Whether a change holds what a message can't: something to be removed."""
    return body in (None, []) or (isinstance(body, dict) and any(map(_needs_mask, body.values())))


def _paths(body: dict[str, Any]) -> Iterator[str]:
    for name, value in body.items():
        if isinstance(value, dict) and value:
            yield from (f"{_snake(name)}.{path}" for path in _paths(value))
        else:
            yield _snake(name)


# --- responses ---


def _value(response: Message) -> Any:
    """A response as REST shows it: a page is one by its form, counts have a map of their own."""
    fields: list[Any] = list(response.DESCRIPTOR.fields)
    if not fields:
        return None
    shown = _shown(response)
    if "pagination" in response.DESCRIPTOR.fields_by_name:
        return {"data": shown[fields[0].json_name], "pagination": shown["pagination"]}
    return shown[fields[0].json_name] if len(fields) == 1 else shown


def _shown(message: Any) -> dict[str, Any]:
    """A message as REST shows it; a text without presence that is empty is no text."""
    values: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.name in _NOT_SHOWN or (field.has_presence and not message.HasField(field.name)):
            continue
        oneof = field.containing_oneof
        # Each optional field has a oneof of its own.
        if oneof is not None and not oneof.name.startswith("_"):
            values[oneof.name] = {"object": field.name, **_shown(value)}
        elif (
            field.is_repeated and field.message_type is not None and field.message_type.GetOptions().map_entry
        ):
            is_whole = field.message_type.fields_by_name["value"].message_type is not None
            values[field.json_name] = {key: _shown(value[key]) if is_whole else value[key] for key in value}
        elif field.is_repeated:
            values[field.json_name] = [_one(field, item) for item in value]
        elif field.has_presence or (value != "" and (field.enum_type is None or value)):
            values[field.json_name] = _one(field, value)
    return values


def _one(field: FieldDescriptor, value: Any) -> Any:
    if field.enum_type is not None:
        return dict(_names(field.enum_type))[value]
    if field.message_type is None:
        return value
    match field.message_type.full_name:
        case "google.protobuf.Timestamp":
            return rfc3339(value.ToDatetime(tzinfo=UTC))
        case "google.protobuf.Struct":
            return MessageToDict(value)
        case _:
            return _shown(value)


def _refused(error: aio.AioRpcError) -> Refused:
    """What a status and its details say."""
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    if not isinstance(details, bytes):
        # Messages that are too big are refused by gRPC itself.
        assert error.code() is StatusCode.RESOURCE_EXHAUSTED, error
        return Refused("payload-too-large")
    info, violations, retry = ErrorInfo(), BadRequest(), RetryInfo()
    for packed in Status.FromString(details).details:
        for part in (info, violations, retry):
            packed.Unpack(part)
    return Refused(
        info.reason.lower().replace("_", "-"),
        fields=[(_path(one.field), one.reason) for one in violations.field_violations if one.reason],
        oldest_cursor=info.metadata.get("oldestCursor"),
        retry_after=retry.retry_delay.seconds or None,
    )


# --- names ---


def _names(enum: EnumDescriptor) -> list[tuple[int, str]]:
    """The values of an enumeration without the prefix that most of them have."""
    prefix = _snake(enum.name).upper().removeprefix("_") + "_"
    return [(value.number, value.name.removeprefix(prefix)) for value in enum.values]


def _path(path: str) -> str:
    """A field's path as REST has it: a member of a oneof goes by the oneof's name."""
    first, dot, rest = path.partition(".")
    return _camel(f"source{dot}{rest}" if first in ("card", "bank_account") else path)


def _camel(name: str) -> str:
    return re.sub("_([a-z])", lambda found: found[1].upper(), name)


def _snake(name: str) -> str:
    return re.sub("(?<=[a-z0-9])[A-Z]", lambda found: f"_{found[0]}", name).lower()
