"""The schema: a field for each operation, links between resources, and what can be followed live."""

import base64
import binascii
import inspect
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Annotated, Any, cast

import orjson
import strawberry
from graphql import GraphQLSchema
from pydantic.alias_generators import to_camel
from strawberry.scalars import JSON
from strawberry.types import Info

from core.kernel import events
from core.kernel.describing import texts_of
from core.kernel.errors import BadRequest, ValidationFailed, Violation, ViolationCode
from core.models.adoptions import Adoption
from core.models.advisor import CompletionDraft, CompletionPart
from core.models.chats import Message
from core.models.images import ImageUpload
from core.models.orders import Order, OrderEvent, OrderItem
from core.models.pets import Pet, PetStatusEvent
from core.models.users import User
from core.store.operation import AnyOperation
from protocols.graphql.bindings import BINDINGS, Binding
from protocols.graphql.completions import COMPLETION, COMPLETION_ARGUMENTS
from protocols.graphql.context import RequestContext
from protocols.graphql.types import CONFIG, TypeBook, optional, plain, prose

KEY, IF_MATCH = "idempotency_key", "if_match"
_KEY = "A key of the client's own: sending the same again has no second effect for 24 hours."
_IF_MATCH = "The `etag` of the resource as the client knows it; if it is another by now, nothing happens."
_INPUT = "What to write."
_ROOTS = {
    "Query": "What can be read.",
    "Mutation": "What can be written.",
    "Subscription": "What can be followed.",
}


# --- fields of operations ---


def _resolver(book: TypeBook, binding: Binding) -> Callable[..., Any]:
    """A resolver whose signature is the operation's: from arguments to a call, and from its value to the field's."""
    operation, items_only = binding.operation, binding.items_only
    names = {
        _argument_of(binding, name): field.alias or name
        for name, field in operation.params.model_fields.items()
    }
    arguments_of = {alias: to_camel(argument) for argument, alias in names.items()}
    members = {} if operation.body is None else operation.body.model_fields
    apart = {name: field.alias or name for name, field in members.items() if _is_apart(binding, name)}
    silent = operation.result is None

    async def resolve(info: Info[RequestContext, None], **arguments: Any) -> Any:
        given = {name: plain(value) for name, value in arguments.items() if value is not strawberry.UNSET}
        # null means what absence means, save in bodies.
        params = {names[name]: value for name, value in given.items() if name in names and value is not None}
        body: Any = None
        if members:
            whole = given.get("input", {})
            own = {alias: given[name] for name, alias in apart.items() if given.get(name) is not None}
            body = {**whole, **own} if whole is not None else None
        if operation.body is ImageUpload:
            body = _with_bytes(body)
        try:
            value = await info.context.execute(
                operation, params, body, key=given.get(KEY), if_match=given.get(IF_MATCH)
            )
        except BadRequest as error:
            raise _in_arguments(error, arguments_of) from None
        if items_only:
            return value.data
        return True if silent else value

    return _signed(resolve, _parameters(book, binding), _result(book, binding))


def _argument_of(binding: Binding, parameter: str) -> str:
    """The argument that is one of the operation's parameters."""
    return binding.of if parameter == "id" else parameter


def _is_apart(binding: Binding, member: str) -> bool:
    """Whether a member of the body is an argument, not part of the ``input``."""
    return binding.spread or bool(binding.choice and member not in binding.choice)


def _in_arguments(error: BadRequest, names: Mapping[str, str]) -> BadRequest:
    """The error with the names of arguments in the place of parameters'."""
    violations = tuple(replace(one, field=names.get(one.field, one.field)) for one in error.violations)
    if not violations:
        return error
    return BadRequest("; ".join(f"{one.field}: {one.message}" for one in violations), violations)


def _signed(
    function: Callable[..., Any], parameters: list[inspect.Parameter], result: Any
) -> Callable[..., Any]:
    """The function with the signature that strawberry shall read."""
    function.__signature__ = inspect.Signature(parameters, return_annotation=result)  # type: ignore[attr-defined]
    function.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": result}
    return function


def _parameters(book: TypeBook, binding: Binding) -> list[inspect.Parameter]:
    operation, body = binding.operation, binding.operation.body
    found = []
    for name in operation.params.model_fields:
        made, default, text = book.argument(operation.params, name)
        argument = _argument_of(binding, name)
        if argument != name:
            text = f"The id of the {argument.removesuffix('_id')}."
        found.append(_parameter(argument, made, default, text))
    if body is not None and binding.choice:
        found.append(_parameter("input", book.choice(body, binding.choice), strawberry.UNSET, _INPUT))
    elif body is not None and not binding.spread:
        made = book.patch(body) if operation.patch else book.input(body)
        needed = operation.patch or any(field.is_required() for field in body.model_fields.values())
        found.append(_parameter("input", made if needed else optional(made), strawberry.UNSET, _INPUT))
    if body is not None:
        apart = (name for name in body.model_fields if _is_apart(binding, name))
        found += [_parameter(name, *book.argument(body, name)) for name in apart]
    if operation.idempotent:
        found.append(_parameter(KEY, str | None, strawberry.UNSET, _KEY))
    if binding.conditional and operation.writes:
        found.append(_parameter(IF_MATCH, str | None, strawberry.UNSET, _IF_MATCH))
    return [inspect.Parameter("info", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Info), *found]


def _parameter(name: str, made: Any, default: Any, description: str) -> inspect.Parameter:
    """A parameter of a resolver, of which strawberry makes an argument.

    It is needed when its default is UNSET and it cannot be null.
    """
    needed = default is strawberry.UNSET and type(None) not in getattr(made, "__args__", ())
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        annotation=Annotated[made, strawberry.argument(description=description)],
        default=inspect.Parameter.empty if needed else default,
    )


def _result(book: TypeBook, binding: Binding) -> Any:
    operation = binding.operation
    if operation.result is None:
        return bool | None
    result = operation.result
    if binding.items_only:
        result = result.model_fields["data"].annotation
    return optional(book.output(result, "pet_counts" if binding.name == "inventories" else ""))


def _with_bytes(body: dict[str, Any]) -> dict[str, Any]:
    try:
        return {**body, "file": base64.b64decode(body["file"], validate=True)}
    except (binascii.Error, ValueError, TypeError):
        raise ValidationFailed((Violation("file", "must be base64", ViolationCode.INVALID_FORMAT),)) from None


def _description(operation: AnyOperation) -> str:
    return f"{operation.summary}. {operation.description}".strip()


def _root(book: TypeBook, name: str) -> Any:
    fields = {
        binding.name: strawberry.field(
            resolver=_resolver(book, binding),
            name=binding.name,
            description=_description(binding.operation),
        )
        for binding in BINDINGS
        if binding.root == name
    }
    made = type(name, (), {"__annotations__": {}, **fields})
    return strawberry.type(made, name=name, description=_ROOTS[name])


# --- links ---


def _link(kind: Any, find: Callable[[Any, RequestContext], Any], description: str) -> Any:
    async def resolve(root: strawberry.Parent[Any], info: Info[RequestContext, None]) -> Any:
        return await find(root, info.context)

    resolve.__annotations__["return"] = optional(kind)
    return strawberry.field(resolver=resolve, description=description)


async def _user(user_id: str | None, context: RequestContext) -> Any:
    return None if user_id is None else await context.users.load(user_id)


def _cursor() -> Any:
    def cursor(info: Info[RequestContext, None]) -> str | None:
        return None if info.context.event is None else info.context.event.cursor

    return strawberry.field(
        resolver=cursor, description="In a subscription: the position in the log to resume from."
    )


# --- what can be followed ---


_EVENT = {name: prose(text) for name, text in texts_of(events.Event).items()}


def _tenant_of(root: strawberry.Parent[events.Event]) -> strawberry.ID:
    return strawberry.ID(root.tenant)


def _data_of(root: strawberry.Parent[events.Event]) -> JSON:
    return cast(JSON, orjson.Fragment(root.data))


@strawberry.type(description="An event; the envelope is the same on every door.")
class Event:
    """The GraphQL type of an event."""

    id: strawberry.ID = strawberry.field(description=_EVENT["id"])
    event_type: str = strawberry.field(description=_EVENT["event_type"])
    timestamp: datetime = strawberry.field(description=_EVENT["timestamp"])
    topic: str = strawberry.field(description=_EVENT["topic"])
    cursor: str | None = strawberry.field(
        description="The position after this event in the log; ephemeral events have none."
    )

    tenant_id: strawberry.ID = strawberry.field(resolver=_tenant_of, description=_EVENT["tenant"])
    data: JSON = strawberry.field(resolver=_data_of, description=_EVENT["data"])


_COMPLETION = "The advisor's answer to a conversation, as it is made, in the caller's rights."
_AFTER = "A cursor from any door, to get the events since then first; or `earliest`."


def _subscription(book: TypeBook) -> Any:
    after = _parameter("after", str | None, None, _AFTER)

    def made(name: str, result: Any, description: str, *arguments: inspect.Parameter) -> Any:
        def follow(**_: Any) -> None:
            raise AssertionError("subscriptions are followed by the door, which shares their execution")

        resolver = _signed(follow, [*arguments], AsyncGenerator[result, None])
        return strawberry.subscription(resolver=resolver, name=name, description=description)

    def field(name: str, result: Any, description: str, *arguments: inspect.Parameter) -> Any:
        return made(name, result, description, *arguments, after)

    optional_id = strawberry.ID | None
    fields = {
        "events": field(
            "events",
            Event,
            "Every event that matches the MQTT topic filters (`+`, `#`) and that the caller may see.",
            _parameter("topics", list[str], strawberry.UNSET, "MQTT topic filters."),
        ),
        "pet_status_changed": field(
            "petStatusChanged",
            book.output(PetStatusEvent),
            "The status of a pet changed: of one pet, or of any.",
            _parameter("pet_id", optional_id, None, "The id of the pet; without it any."),
        ),
        "order_status_changed": field(
            "orderStatusChanged",
            book.output(OrderEvent),
            "An order was placed, or its status changed: one order, or any that the caller may see.",
            _parameter("order_id", optional_id, None, "The id of the order; without it any."),
        ),
        "chat_messages": field(
            "chatMessages",
            book.output(Message),
            "The messages of a chat.",
            _parameter("chat_id", strawberry.ID, strawberry.UNSET, "The id of the chat."),
        ),
        COMPLETION: made(
            COMPLETION,
            book.output(CompletionPart),
            _COMPLETION,
            *(_parameter(name, *book.argument(CompletionDraft, name)) for name in COMPLETION_ARGUMENTS),
        ),
    }
    root = type("Subscription", (), {"__annotations__": {}, **fields})
    return strawberry.type(root, name="Subscription", description=_ROOTS["Subscription"])


@cache
def strawberry_schema() -> strawberry.Schema:
    """The schema; made once a process."""
    book = TypeBook({PetStatusEvent: "PetStatusChange", OrderEvent: "OrderStatusChange"})
    user = book.output(User)
    book.more[Pet] = {
        "owner": _link(
            user,
            lambda pet, context: _user(pet.owner_id, context),
            "The user who adopted or bought it; visible to that user and to STAFF.",
        )
    }
    pet = book.output(Pet)
    book.more[OrderItem] = {
        "pet": _link(
            pet, lambda item, context: context.pets.load(item.pet_id), "The pet in its current state."
        )
    }
    book.more[Order] = {
        "user": _link(
            user,
            lambda order, context: _user(order.user_id, context),
            "The user who placed it; visible to that user and to STAFF.",
        )
    }
    book.more[Adoption] = {
        "pet": _link(
            pet,
            lambda adoption, context: context.pets.load(adoption.pet_id),
            "The pet in its current state; null once it has been removed.",
        ),
        "user": _link(
            user,
            lambda adoption, context: _user(adoption.user_id, context),
            "The user who applies; visible to that user and to STAFF.",
        ),
    }
    for followed in (PetStatusEvent, OrderEvent, Message):
        book.more[followed] = {"cursor": _cursor()}
    return strawberry.Schema(
        query=_root(book, "Query"),
        mutation=_root(book, "Mutation"),
        subscription=_subscription(book),
        config=CONFIG,
    )


def executable_schema() -> GraphQLSchema:
    """The schema as graphql-core executes it."""
    return strawberry_schema()._schema


def schema_text() -> str:
    """The schema in the schema definition language."""
    return strawberry_schema().as_str() + "\n"
