"""What an operation may cost, found out before it runs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
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
    get_introspection_query,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
    parse,
)

#: Levels of fields, and fields of the answer at the most.
MAX_DEPTH, MAX_COST = 12, 5_000
#: Who asks for nothing but the schema may ask for so many times what tools ask of it.
_MAX_INTROSPECTION = 1.5
#: Selections that are looked at, where fragments bring the same ones again and again.
_MAX_VISITS = 10_000
#: What a page is taken to hold: by default, and at the most.
_DEFAULT_PAGE_ITEMS, _MAX_PAGE_ITEMS = 20, 100
#: What a list that does not come in pages is taken to hold, as the pets of an order: such lists are short.
_UNPAGED_ITEMS = 5
_LIMIT = "limit"
#: The fields of introspection, and where they lead.
_META_FIELDS = {"__typename": "", "__schema": "__Schema", "__type": "__Type"}
#: A type has a type within when it is a list or not null.
_OF_TYPE, _OF_TYPE_SHARE = ("__Type", "ofType"), 0.5


class _Field(NamedTuple):
    """A field with fields below it: of a type, one or a list.

    ``limit`` is the path to the argument that says how many items there are, if there is one. A field that has it and
    is no list is a page, whose list it counts. ``items``: how many they are without it.
    """

    type_name: str
    is_list: bool
    limit: tuple[str, ...] | None
    items: float


class OperationLimits:
    """The limits of operations on a schema; which fields are lists, and what bounds them, is derived from it."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._roots = {
            operation: "" if root is None else root.name
            for operation in OperationType
            for root in (schema.get_root_type(operation),)
        }
        lists = _lists_of(schema)
        self._fields = {
            name: {
                field_name: _field(field, lists.get((name, field_name)))
                for field_name, field in kind.fields.items()
                if is_composite_type(get_named_type(field.type)) or _is_list(field)
            }
            for name, kind in schema.type_map.items()
            if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType)
        }
        of_tools = parse(get_introspection_query())
        self._max_introspection = math.inf
        self._max_introspection = (
            _MAX_INTROSPECTION * self._measure(of_tools, operations_of(of_tools)[0], {}).cost
        )

    def excess_of(
        self, document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]
    ) -> GraphQLError | None:
        """What an operation has too much of, if anything. The document is known to be valid."""
        measure = self._measure(document, operation, variables)
        if measure.depth > MAX_DEPTH:
            return GraphQLError(f"The operation is nested more than {MAX_DEPTH} levels deep.")
        if measure.cost > measure.most:
            return GraphQLError(
                f"The operation asks for more than {measure.most:.0f} fields: take smaller pages."
            )
        return None

    def _measure(
        self, document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]
    ) -> "_Measure":
        fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        defaults = {
            definition.variable.name.value: definition.default_value
            for definition in operation.variable_definitions or ()
        }
        most = self._max_introspection if introspects_only(operation) else MAX_COST
        measure = _Measure(self._fields, fragments, {**defaults, **variables}, most)
        measure.cost = measure.of(operation.selection_set, 1, self._roots[operation.operation])
        return measure


def operations_of(document: DocumentNode, name: str | None = None) -> list[OperationDefinitionNode]:
    """The operations of a document; those of a name, if one is given."""
    return [
        one
        for one in document.definitions
        if isinstance(one, OperationDefinitionNode)
        and (name is None or (one.name is not None and one.name.value == name))
    ]


def introspects_only(operation: OperationDefinitionNode) -> bool:
    """Whether an operation asks for the schema, and for nothing else."""
    names = {
        one.name.value if isinstance(one, FieldNode) else "..." for one in operation.selection_set.selections
    }
    return names <= _META_FIELDS.keys() and names != {"__typename"}


@dataclass
class _Measure:
    fields: Mapping[str, Mapping[str, _Field]]
    fragments: Mapping[str, FragmentDefinitionNode]
    #: What clients gave, or else the default as it stands in the document.
    variables: Mapping[str, Any]
    #: The cost that is too much when it is exceeded; what comes behind it is not looked at any more.
    most: float
    cost: float = 0
    depth: int = 0
    visits: int = 0

    def of(self, selections: SelectionSetNode, level: int, parent: str, page: float | None = None) -> float:
        """The cost of a selection set: each field is 1, and what is under a list counts for each of its items.

        ``parent`` is the type's name; ``page``: how many items the page holds that it is.
        """
        cost: float = 0
        self.depth = max(self.depth, level)
        if level > MAX_DEPTH:
            return cost
        for selection in selections.selections:
            self.visits += 1
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
            if self.visits > _MAX_VISITS:
                return math.inf
            if cost > self.most:
                break
        return cost

    def _field(self, node: FieldNode, level: int, parent: str, page: float | None) -> float:
        name = node.name.value
        if name in _META_FIELDS:
            # The schema lies deeper than the store's data, so its levels begin further up.
            selections = node.selection_set
            return 1 if selections is None else 1 + self.of(selections, -MAX_DEPTH, _META_FIELDS[name])
        field = self.fields[parent].get(name)
        if field is None:
            return 1
        if node.selection_set is None:
            return 1 + field.items
        items = None if field.limit is None else self._limit(node, field.limit, field.items)
        if not field.is_list:
            # Types that have no type within are most of them: the chains of tools end early.
            share = _OF_TYPE_SHARE if (parent, name) == _OF_TYPE else 1
            return 1 + share * self.of(node.selection_set, level + 1, field.type_name, items)
        if items is None:
            items = field.items if page is None or parent.startswith("__") else page
        return 1 + items * self.of(node.selection_set, level + 1, field.type_name)

    def _limit(self, node: FieldNode, path: tuple[str, ...], default: float) -> float:
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


def _field(field: GraphQLField, items: float | None) -> _Field:
    limit: tuple[str, ...] | None = None
    default = None
    for name, argument in field.args.items():
        kind = get_named_type(argument.type)
        if name == _LIMIT:
            limit, default = (name,), argument.default_value
        elif isinstance(kind, GraphQLInputObjectType) and _LIMIT in kind.fields:
            limit, default = (name, _LIMIT), kind.fields[_LIMIT].default_value
    if limit is not None:
        items = default if isinstance(default, int) else _DEFAULT_PAGE_ITEMS
    return _Field(
        get_named_type(field.type).name,
        _is_list(field),
        limit,
        _UNPAGED_ITEMS if items is None else items,
    )


def _is_list(field: GraphQLField) -> bool:
    return is_list_type(get_nullable_type(field.type))


def _lists_of(schema: GraphQLSchema) -> dict[tuple[str, str], float]:
    """How long the lists of introspection are, by type and field: those of types and fields on average."""
    kinds = list(schema.type_map.values())
    fields = [
        field
        for kind in kinds
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType)
        for field in kind.fields.values()
    ]
    inputs = [kind for kind in kinds if isinstance(kind, GraphQLInputObjectType)]
    enums = [kind for kind in kinds if isinstance(kind, GraphQLEnumType)]
    return {
        ("__Schema", "types"): len(kinds),
        ("__Schema", "directives"): len(schema.directives),
        ("__Type", "fields"): len(fields) / len(kinds),
        ("__Type", "inputFields"): sum(len(kind.fields) for kind in inputs) / len(kinds),
        ("__Type", "enumValues"): sum(len(kind.values) for kind in enums) / len(kinds),
        ("__Type", "interfaces"): 1,
        ("__Type", "possibleTypes"): 1,
        ("__Field", "args"): sum(len(field.args) for field in fields) / len(fields),
    }


def _condition(condition: NamedTypeNode | None, parent: str) -> str:
    """The type within a fragment."""
    return parent if condition is None else condition.name.value


def _number(value: IntValueNode) -> int:
    """The number, as far as it matters: Python does not read numbers of thousands of digits."""
    return int(value.value[:12])
