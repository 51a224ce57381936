"""From a request's text to an answer: parse, validate, measure, execute. What is valid is remembered."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from inspect import isawaitable
from typing import Any, NamedTuple, TypeVar

import orjson
from graphql import (
    Executor,
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    parse,
    validate,
)
from graphql.execution import get_argument_values
from graphql.execution.collect_fields import collect_fields
from graphql.type import definition
from graphql.validation import recommended_rules, specified_rules
from graphql.validation.rules import overlapping_fields_can_be_merged

from core.kernel.addresses import network_of
from core.kernel.errors import RateLimited
from core.kernel.turns import FairTurns, TooManyWait
from core.kernel.validation import MAX_VALUES, has_more_values
from protocols.graphql.context import RequestContext
from protocols.graphql.documents import Document, Documents, trim, weigh
from protocols.graphql.errors import entries_of, refusals_of
from protocols.graphql.limits import OperationLimits, introspects_only, operations_of
from protocols.graphql.shape import size_of

T = TypeVar("T")


#: The rule about fields that can be merged compares them pair by pair; so many comparisons take some hundredths of a
#: second, and no client's document needs as many.
overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = 5_000
#: Values of enums are looked for among those that there are, also where nobody is told which are like it. That of a
#: longer text takes long, and no value is like it.
_MAX_CHARACTERS_OF_LIKENESS = 100
_enum_values_like = definition.did_you_mean_enum_value
definition.did_you_mean_enum_value = lambda enum_type, unknown_value_str: (
    _enum_values_like(enum_type, unknown_value_str)
    if len(unknown_value_str) <= _MAX_CHARACTERS_OF_LIKENESS
    else ""
)
_RULES = tuple(dict.fromkeys((*specified_rules, *recommended_rules)))
#: Errors of a document that are told; those about unknown names look for similar ones.
_MAX_ERRORS = 10
#: What the documents that are remembered may take in all.
_MAX_BYTES = 16 * 1024 * 1024
#: What may wait for the thread, of all and of one network address.
_MAX_WAITING = 200
_MAX_WAITING_OF_NETWORK = 50


class Refused(Exception):
    """A request that cannot be executed; ``errors`` are the entries of the answer."""

    def __init__(self, *errors: GraphQLError) -> None:
        super().__init__()
        self.errors = refusals_of(errors)


class NotPersisted(Refused):
    """A request by the hash of a document, none of which are kept; clients send the document then."""

    def __init__(self) -> None:
        super().__init__()
        code = "PERSISTED_QUERY_NOT_SUPPORTED"
        self.errors = [{"message": "PersistedQueryNotSupported", "extensions": {"code": code}}]


class Request(NamedTuple):
    """What a client asks for (GraphQL over HTTP, section 5.1); ``query`` is None where it gives a document's hash."""

    query: str | None
    operation_name: str | None = None
    variables: Mapping[str, Any] = {}


class Prepared(NamedTuple):
    """A valid document, and the operation of it that is meant."""

    document: Document
    operation: OperationDefinitionNode
    request: Request

    @property
    def kind(self) -> OperationType:
        """Whether it is a query, a mutation or a subscription."""
        return self.operation.operation


class Bound(NamedTuple):
    """A subscription that is bound to its variables: its one field, and the field's arguments."""

    executor: Executor[RequestContext]
    node: FieldNode
    arguments: dict[str, Any]


class Engine:
    """Executes requests on a schema.

    What takes long and waits for nothing (to parse and check a document that is new, to answer who asks for the schema)
    is done in a thread of its own, one thing after the other.
    """

    def __init__(self, schema: GraphQLSchema) -> None:
        self.schema = schema
        self.documents = Documents(_MAX_BYTES)
        self._limits = OperationLimits(schema)
        self._thread = ThreadPoolExecutor(1, "graphql")
        self._turns = FairTurns(1, most=_MAX_WAITING, most_of_one=_MAX_WAITING_OF_NETWORK)

    def follows(self, request: Request) -> bool:
        """Whether a request is known to be a subscription, without any work."""
        known = None if request.query is None else self.documents.get(request.query)
        operations = [] if known is None else operations_of(known.tree, request.operation_name)
        return len(operations) == 1 and operations[0].operation is OperationType.SUBSCRIPTION

    async def prepare(self, request: Request, address: str) -> Prepared:
        """Parse and check a request of a client at an address.

        Raises:
            Refused: it is no valid document, has no such operation, or asks for too much.
            RateLimited: too many wait for that already.
        """
        query = request.query
        if query is None:
            raise NotPersisted
        document = self.documents.get(query)
        if document is None:
            try:
                tokens = size_of(query)
            except GraphQLError as error:
                raise Refused(error) from None
            document = await self._aside(address, self._checked, query, tokens)
        named = operations_of(document.tree, request.operation_name)
        if len(named) != 1:
            wanted = "Name one of the operations." if named else "There is no such operation in the document."
            raise Refused(GraphQLError(wanted))
        request = request._replace(variables=_declared(named[0], request.variables))
        if (excess := self._limits.excess_of(document.tree, named[0], request.variables)) is not None:
            raise Refused(excess)
        # The operation may be another tree's that was made of the same text meanwhile; nothing depends on it.
        return Prepared(self.documents.remember(query, document), named[0], request)

    def _checked(self, query: str, tokens: int) -> Document:
        try:
            tree = parse(query)
        except GraphQLError as error:
            raise Refused(error) from None
        if errors := validate(self.schema, tree, _RULES, max_errors=_MAX_ERRORS):
            raise Refused(*errors)
        trim(tree)
        return weigh(tree, query, tokens)

    async def _aside(self, address: str, work: Callable[..., T], *arguments: Any) -> T:
        """Let the thread do a piece of work; network addresses take turns.

        Raises:
            RateLimited: too much waits for it already.
        """
        try:
            async with self._turns.turn(network_of(address)):
                return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        except TooManyWait:
            raise RateLimited(1, "Too many new documents at once.") from None

    def build(self, prepared: Prepared, context: RequestContext) -> Executor[RequestContext]:
        """Bind an operation to its variables.

        Raises:
            Refused: they are not what it declares.
        """
        request = prepared.request
        executor = Executor.build(
            self.schema,
            prepared.document.tree,
            None,
            context,
            dict(request.variables),
            request.operation_name,
            # To look for names that are like a text of a megabyte takes long.
            hide_suggestions=True,
        )
        if isinstance(executor, list):
            raise Refused(*executor)
        return executor

    def bind(self, prepared: Prepared, context: RequestContext) -> Bound:
        """Bind a subscription to its variables.

        Raises:
            Refused: they are not what it declares, or a directive leaves its field out.
        """
        executor = self.build(prepared, context)
        return Bound(executor, *root_field(executor))

    async def run(self, executor: Executor[RequestContext]) -> dict[str, Any]:
        """Execute a query or a mutation; gives the members of the answer."""
        if introspects_only(executor.operation):
            address = executor.context_value.caller.address
            return members_of(await self._aside(address, executor.execute_operation))
        result = executor.execute_operation()
        return members_of(await result if isawaitable(result) else result)


def _declared(operation: OperationDefinitionNode, given: Mapping[str, Any]) -> dict[str, Any]:
    """The variables that an operation declares; others are ignored (GraphQL over HTTP, section 5.1).

    Raises:
        Refused: they have too many values.
    """
    names = [one.variable.name.value for one in operation.variable_definitions or ()]
    declared = {name: given[name] for name in names if name in given}
    if has_more_values(declared, MAX_VALUES):
        raise Refused(GraphQLError(f"The variables have more than {MAX_VALUES} members and items."))
    return declared


def members_of(result: Any) -> dict[str, Any]:
    """The members of an execution's result. ``errors`` stand first, so that people see them."""
    if result.errors:
        return {"errors": entries_of(result.errors), "data": result.data}
    return {"data": result.data}


def encode(members: Mapping[str, Any]) -> bytes:
    """An answer as JSON."""
    return orjson.dumps(members, option=orjson.OPT_NON_STR_KEYS)


def root_field(executor: Executor[RequestContext]) -> tuple[FieldNode, dict[str, Any]]:
    """The one field of a subscription's root, and its arguments by their names in the schema.

    Raises:
        Refused: a directive leaves it out.
    """
    root = executor.schema.subscription_type
    assert root is not None
    fields = collect_fields(
        executor.schema, executor.fragments, executor.variable_values, root, executor.operation, False
    ).grouped_field_set
    if not fields:
        raise Refused(GraphQLError("The subscription selects nothing."))
    node = next(iter(fields.values()))[0].node
    values = get_argument_values(root.fields[node.name.value], node, executor.variable_values)
    return node, values
