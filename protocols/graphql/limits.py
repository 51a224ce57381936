"""What an operation may cost, found out before it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    NamedTypeNode,
    ObjectValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
)

#: Levels of fields, aliases in a document, tokens in it, and fields of the answer at the most.
MAX_DEPTH, MAX_ALIASES, MAX_TOKENS, MAX_COST = 12, 30, 4_000, 10_000
#: What a page is taken to hold: by default, and at the most.
_DEFAULT_PAGE_ITEMS, _MAX_PAGE_ITEMS = 20, 100
#: What a list that does not come in pages is taken to hold, as the pets of an order: such lists are short.
_UNPAGED_ITEMS = 5
_LIMIT = "limit"


class _Field(NamedTuple):
    """A field with fields below it: of a type, one or a list.

    ``limit`` is the path to the argument that says how many items there are, if there is one. A field that has it and
    is no list is a page, whose list it counts.
    """

    type_name: str
    is_list: bool
    limit: tuple[str, ...] | None
    default_items: int


class OperationLimits:
    """The limits of operations on a schema; which fields are lists, and what bounds them, is derived from it."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._roots = {
            operation: "" if root is None else root.name
            for operation in OperationType
            for root in (schema.get_root_type(operation),)
        }
        self._fields = {
            name: {
                field_name: _field(field)
                for field_name, field in kind.fields.items()
                if is_composite_type(get_named_type(field.type))
            }
            for name, kind in schema.type_map.items()
            if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType)
        }

    def excess_of(
        self, document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]
    ) -> GraphQLError | None:
        """What an operation has too much of, if anything. The document is known to be valid."""
        fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        defaults = {
            definition.variable.name.value: definition.default_value
            for definition in operation.variable_definitions or ()
        }
        measure = _Measure(self._fields, fragments, {**defaults, **variables})
        cost = measure.of(operation.selection_set, 1, self._roots[operation.operation])
        if measure.depth > MAX_DEPTH:
            return GraphQLError(f"The operation is nested more than {MAX_DEPTH} levels deep.")
        if measure.aliases > MAX_ALIASES:
            return GraphQLError(f"The operation has more than {MAX_ALIASES} aliases.")
        if cost > MAX_COST:
            return GraphQLError(f"The operation asks for more than {MAX_COST} fields: take smaller pages.")
        return None


@dataclass
class _Measure:
    fields: Mapping[str, Mapping[str, _Field]]
    fragments: Mapping[str, FragmentDefinitionNode]
    #: What clients gave, or else the default as it stands in the document.
    variables: Mapping[str, Any]
    depth: int = 0
    aliases: int = 0

    def of(
        self, selections: SelectionSetNode, level: int, parent: str | None, page: int | None = None
    ) -> int:
        """The cost of a selection set: each field is 1, and what is under a list counts for each of its items.

        ``parent`` is the type's name, None within introspection; ``page``: how many items the page holds that it is.
        """
        cost = 0
        self.depth = max(self.depth, level)
        if level > MAX_DEPTH or self.aliases > MAX_ALIASES:
            return cost
        for selection in selections.selections:
            match selection:
                case FieldNode():
                    cost += self._field(selection, level, parent, page)
                case InlineFragmentNode():
                    within = _condition(selection.type_condition, parent)
                    cost += self.of(selection.selection_set, level, within, page)
                case FragmentSpreadNode():
                    fragment = self.fragments[selection.name.value]
                    within = _condition(fragment.type_condition, parent)
                    cost += self.of(fragment.selection_set, level, within, page)
                case _:
                    pass
            if cost > MAX_COST:
                break
        return cost

    def _field(self, node: FieldNode, level: int, parent: str | None, page: int | None) -> int:
        self.aliases += node.alias is not None
        if node.selection_set is None:
            return 1
        name = node.name.value
        if name.startswith("__"):
            # The schema lies deeper than the store's data, so its levels begin further up.
            return 1 + self.of(node.selection_set, -MAX_DEPTH, None)
        if parent is None:
            return 1 + self.of(node.selection_set, level + 1, None)
        field = self.fields[parent][name]
        items = None if field.limit is None else self._limit(node, field.limit, field.default_items)
        if not field.is_list:
            return 1 + self.of(node.selection_set, level + 1, field.type_name, items)
        if items is None:
            items = _UNPAGED_ITEMS if page is None else page
        return 1 + items * self.of(node.selection_set, level + 1, field.type_name)

    def _limit(self, node: FieldNode, path: tuple[str, ...], default: int) -> int:
        name, *rest = path
        given = next((one.value for one in node.arguments or () if one.name.value == name), None)
        found = self._value(given, rest)
        return max(1, min(found, _MAX_PAGE_ITEMS)) if isinstance(found, int) else default

    def _value(self, given: object, path: list[str]) -> object:
        """What lies at a path of a value, which a client wrote in the document or gave as a variable."""
        match given:
            case VariableNode():
                return self._value(self.variables.get(given.name.value), path)
            case IntValueNode() if not path:
                return _number(given)
            case ObjectValueNode() if path:
                members: dict[str, ValueNode] = {one.name.value: one.value for one in given.fields}
                return self._value(members.get(path[0]), path[1:])
            case Mapping() if path:
                return self._value(given.get(path[0]), path[1:])
            case int() if not path:
                return given
            case _:
                return None


def _field(field: GraphQLField) -> _Field:
    limit: tuple[str, ...] | None = None
    default = None
    for name, argument in field.args.items():
        kind = get_named_type(argument.type)
        if name == _LIMIT:
            limit, default = (name,), argument.default_value
        elif isinstance(kind, GraphQLInputObjectType) and _LIMIT in kind.fields:
            limit, default = (name, _LIMIT), kind.fields[_LIMIT].default_value
    return _Field(
        get_named_type(field.type).name,
        is_list_type(get_nullable_type(field.type)),
        limit,
        default if isinstance(default, int) else _DEFAULT_PAGE_ITEMS,
    )


def _condition(condition: NamedTypeNode | None, parent: str | None) -> str | None:
    """The type within a fragment; whatever it says, introspection stays that."""
    return parent if condition is None or parent is None else condition.name.value


def _number(value: IntValueNode) -> int:
    """The number, as far as it matters: Python does not read numbers of thousands of digits."""
    return int(value.value[:12])
