"""From a request's text to an answer: parse, validate, measure, execute. What is valid is remembered."""

from collections import OrderedDict
from collections.abc import Mapping
from inspect import isawaitable
from typing import Any, NamedTuple

import orjson
from graphql import (
    DocumentNode,
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
from graphql.validation import recommended_rules, specified_rules

from protocols.graphql.context import RequestContext
from protocols.graphql.errors import entries_of, refusals_of
from protocols.graphql.limits import MAX_TOKENS, OperationLimits

_RULES = (*specified_rules, *recommended_rules)
#: Valid documents that are remembered, and how long each of them may be.
_MAX_DOCUMENTS, _MAX_DOCUMENT_CHARACTERS = 500, 20_000


class Refused(Exception):
    """A request that cannot be executed; ``errors`` are the entries of the answer."""

    def __init__(self, *errors: GraphQLError) -> None:
        super().__init__()
        self.errors = refusals_of(errors)


class Request(NamedTuple):
    """What a client asks for (GraphQL over HTTP, section 5.1)."""

    query: str
    operation_name: str | None = None
    variables: Mapping[str, Any] = {}


class Prepared(NamedTuple):
    """A valid document, and the operation of it that is meant."""

    document: DocumentNode
    operation: OperationDefinitionNode
    request: Request

    @property
    def kind(self) -> OperationType:
        """Whether it is a query, a mutation or a subscription."""
        return self.operation.operation


class Engine:
    """Executes requests on a schema."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self.schema = schema
        self._limits = OperationLimits(schema)
        self._valid: OrderedDict[str, DocumentNode] = OrderedDict()

    def prepare(self, request: Request) -> Prepared:
        """Parse and check a request.

        Raises:
            Refused: it is no valid document, has no such operation, or asks for too much.
        """
        document = self._document(request.query)
        named = [
            definition
            for definition in document.definitions
            if isinstance(definition, OperationDefinitionNode)
            and (
                request.operation_name is None
                or (definition.name is not None and definition.name.value == request.operation_name)
            )
        ]
        if len(named) != 1:
            wanted = "Name one of the operations." if named else "There is no such operation in the document."
            raise Refused(GraphQLError(wanted))
        if (excess := self._limits.excess_of(document, named[0], request.variables)) is not None:
            raise Refused(excess)
        return Prepared(document, named[0], request)

    def _document(self, query: str) -> DocumentNode:
        known = self._valid.get(query)
        if known is not None:
            self._valid.move_to_end(query)
            return known
        try:
            document = parse(query, max_tokens=MAX_TOKENS)
        except GraphQLError as error:
            raise Refused(error) from None
        if errors := validate(self.schema, document, _RULES, max_errors=20):
            raise Refused(*errors)
        if len(query) <= _MAX_DOCUMENT_CHARACTERS:
            self._valid[query] = document
            if len(self._valid) > _MAX_DOCUMENTS:
                self._valid.popitem(last=False)
        return document

    def build(self, prepared: Prepared, context: RequestContext) -> Executor[RequestContext]:
        """Bind an operation to its variables.

        Raises:
            Refused: they are not what it declares.
        """
        request = prepared.request
        executor = Executor.build(
            self.schema,
            prepared.document,
            None,
            context,
            dict(request.variables),
            request.operation_name,
        )
        if isinstance(executor, list):
            raise Refused(*executor)
        return executor

    async def run(self, executor: Executor[RequestContext]) -> dict[str, Any]:
        """Execute a query or a mutation; gives the members of the answer."""
        result = executor.execute_operation()
        return members_of(await result if isawaitable(result) else result)


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
