"""The schema: a field for each operation, links between resources, and what can be followed live."""

import base64
import binascii
import inspect
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Annotated, Any, NamedTuple, cast

import orjson
import strawberry
from graphql import GraphQLSchema
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from strawberry.scalars import JSON
from strawberry.types import Info

from core.kernel import events
from core.kernel.errors import BadRequest, ValidationFailed, Violation, ViolationCode
from core.models.chats import Message, MessageEvent
from core.models.images import ImageUpload
from core.models.orders import Order, OrderEvent, OrderItem
from core.models.pets import Pet, PetStatusEvent
from core.models.users import User
from core.store.operation import AnyOperation
from protocols.graphql.bindings import BINDINGS, Binding
from protocols.graphql.context import RequestContext
from protocols.graphql.types import CONFIG, TypeBook, optional, plain

KEY, IF_MATCH = "idempotency_key", "if_match"


# --- fields of operations ---


def _resolver(book: TypeBook, binding: Binding) -> Callable[..., Any]:
    """A resolver whose signature is the operation's: from arguments to a call, and from its value to the field's."""
    operation, items_only = binding.operation, binding.items_only
    names = {argument: alias for argument, alias, _ in _params(binding)}
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


def _params(binding: Binding) -> list[tuple[str, str, FieldInfo]]:
    """The operation's parameters: the name of the argument, that of the parameter, and what it is."""
    return [
        (binding.of if name == "id" else name, field.alias or name, field)
        for name, field in binding.operation.params.model_fields.items()
    ]


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
    operation = binding.operation
    found: list[tuple[str, Any, Any]] = [
        (name, *book.argument(field, name)) for name, _, field in _params(binding)
    ]
    if operation.body is not None and binding.choice:
        found.append(("input", book.choice(operation.body, binding.choice), strawberry.UNSET))
    elif operation.body is not None and not binding.spread:
        made = book.patch(operation.body) if operation.patch else book.input(operation.body)
        needed = operation.patch or any(field.is_required() for field in operation.body.model_fields.values())
        found.append(("input", made if needed else optional(made), strawberry.UNSET))
    if operation.body is not None:
        found += [
            (name, *book.argument(field, name))
            for name, field in operation.body.model_fields.items()
            if _is_apart(binding, name)
        ]
    if operation.idempotent:
        found.append((KEY, str | None, strawberry.UNSET))
    if binding.conditional and operation.writes:
        found.append((IF_MATCH, str | None, strawberry.UNSET))
    keyword = inspect.Parameter.KEYWORD_ONLY
    return [
        inspect.Parameter("info", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Info),
        *(
            inspect.Parameter(
                name,
                keyword,
                annotation=made,
                default=inspect.Parameter.empty if _is_required(made, default) else default,
            )
            for name, made, default in found
        ),
    ]


def _is_required(made: Any, default: Any) -> bool:
    return default is strawberry.UNSET and type(None) not in getattr(made, "__args__", ())


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
    return strawberry.type(type(name, (), {"__annotations__": {}, **fields}), name=name)


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


@strawberry.type(description="An event; the envelope is the same on every door.")
class Event:
    """The GraphQL type of an event."""

    id: strawberry.ID
    event_type: str
    timestamp: datetime
    topic: str
    cursor: str | None = strawberry.field(
        description="The position after this event in the log; ephemeral events have none."
    )

    @strawberry.field
    def tenant_id(root: strawberry.Parent[events.Event]) -> strawberry.ID:  # noqa: N805 - no method
        """The tenant in which it happened."""
        return strawberry.ID(root.tenant)

    @strawberry.field
    def data(root: strawberry.Parent[events.Event]) -> JSON:  # noqa: N805 - no method
        """The payload; its shape depends on the event type."""
        return cast(JSON, orjson.Fragment(root.data))


class Feed(NamedTuple):
    """What a subscription field follows: its topic filters, and how an event of them becomes the field's value.

    ``value`` gives None for an event that the field does not show.
    """

    topics: tuple[str, ...]
    value: Callable[[events.Event], Any]


def _whole(event: events.Event) -> Any:
    return event


def _pet_status(event: events.Event) -> Any:
    return (
        PetStatusEvent.model_validate_json(event.data) if event.event_type == "pet.status_changed" else None
    )


def _order_status(event: events.Event) -> Any:
    if event.event_type not in ("order.created", "order.status_changed"):
        return None
    return OrderEvent.model_validate_json(event.data)


def _message(event: events.Event) -> Any:
    return (
        MessageEvent.model_validate_json(event.data).message if event.event_type == "chat.message" else None
    )


def _one(name: str, subject: object) -> str:
    """The part of a topic filter that names a resource; a wildcard when none is named."""
    text = "+" if subject is None else str(subject)
    if subject is not None and any(mark in text for mark in "+#/"):
        raise BadRequest(f"{name}: is no id")
    return text.lower()


#: What each subscription field follows, by its arguments.
FEEDS: dict[str, Callable[[dict[str, Any]], Feed]] = {
    "events": lambda given: Feed(tuple(given["topics"]), _whole),
    "petStatusChanged": lambda given: Feed(
        (f"pets/{_one('petId', given.get('petId'))}/status",), _pet_status
    ),
    "orderStatusChanged": lambda given: Feed(
        (f"orders/{_one('orderId', given.get('orderId'))}/status",), _order_status
    ),
    "chatMessages": lambda given: Feed((f"chats/{_one('chatId', given['chatId'])}",), _message),
}

_AFTER = strawberry.argument(
    description="A cursor from any door, to get the events since then first; or `earliest`."
)


def _subscription(book: TypeBook) -> Any:
    after = inspect.Parameter(
        "after",
        inspect.Parameter.KEYWORD_ONLY,
        annotation=Annotated[str | None, _AFTER],
        default=None,
    )

    def field(name: str, result: Any, description: str, **arguments: Any) -> Any:
        def follow(**_: Any) -> None:
            raise AssertionError("subscriptions are followed by the door, which shares their execution")

        parameters = [
            inspect.Parameter(
                argument,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=made,
                default=inspect.Parameter.empty if _is_required(made, strawberry.UNSET) else None,
            )
            for argument, made in arguments.items()
        ]
        resolver = _signed(follow, [*parameters, after], AsyncGenerator[result, None])
        return strawberry.subscription(resolver=resolver, name=name, description=description)

    optional_id = strawberry.ID | None
    fields = {
        "events": field(
            "events",
            Event,
            "Every event that matches the MQTT topic filters (`+`, `#`) and that the caller may see.",
            topics=list[str],
        ),
        "pet_status_changed": field(
            "petStatusChanged",
            book.output(PetStatusEvent),
            "The status of a pet changed: of one pet, or of any.",
            pet_id=optional_id,
        ),
        "order_status_changed": field(
            "orderStatusChanged",
            book.output(OrderEvent),
            "An order was placed, or its status changed: one order, or any that the caller may see.",
            order_id=optional_id,
        ),
        "chat_messages": field(
            "chatMessages", book.output(Message), "The messages of a chat.", chat_id=strawberry.ID
        ),
    }
    return strawberry.type(type("Subscription", (), {"__annotations__": {}, **fields}), name="Subscription")


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
