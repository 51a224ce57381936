"""What an operation may cost, found out before it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    IntValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
)

#: Levels of fields, aliases in a document, tokens in it, and fields of the answer at the most.
MAX_DEPTH, MAX_ALIASES, MAX_TOKENS, MAX_COST = 12, 30, 4_000, 10_000
#: What a list is taken to hold where nobody says it: the default, and the most, of a page.
_PAGE, _LARGEST_PAGE = 20, 100
_LISTS = frozenset({"pets", "petSearch", "orders", "users", "chats", "chatMessages", "apiKeys", "devices"})


@dataclass
class _Measure:
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: Mapping[str, Any]
    depth: int = 0
    aliases: int = 0

    def of(self, selections: SelectionSetNode, level: int, *, root: bool = False) -> int:
        """The cost of a selection set: each field is 1, and what is under a list counts for each of its items."""
        cost = 0
        self.depth = max(self.depth, level)
        if level > MAX_DEPTH or self.aliases > MAX_ALIASES:
            return cost
        for selection in selections.selections:
            match selection:
                case FieldNode():
                    cost += self._field(selection, level, root=root)
                case InlineFragmentNode():
                    cost += self.of(selection.selection_set, level, root=root)
                case FragmentSpreadNode():
                    fragment = self.fragments[selection.name.value]
                    cost += self.of(fragment.selection_set, level, root=root)
                case _:
                    pass
            if cost > MAX_COST:
                break
        return cost

    def _field(self, field: FieldNode, level: int, *, root: bool) -> int:
        self.aliases += field.alias is not None
        if field.selection_set is None:
            return 1
        if field.name.value.startswith("__"):
            # The schema lies deeper than the store's data, so its levels begin further up.
            return 1 + self.of(field.selection_set, -MAX_DEPTH)
        items = self._items(field) if root and field.name.value in _LISTS else 1
        return 1 + items * self.of(field.selection_set, level + 1)

    def _items(self, field: FieldNode) -> int:
        for argument in field.arguments or ():
            value: ValueNode | None = argument.value
            if argument.name.value == "pagination" and isinstance(value, ObjectValueNode):
                value = next((one.value for one in value.fields if one.name.value == "limit"), None)
            elif argument.name.value == "pagination" and isinstance(value, VariableNode):
                given = self.variables.get(value.name.value)
                return self._count(given.get("limit") if isinstance(given, dict) else None)
            elif argument.name.value != "limit":
                continue
            if isinstance(value, VariableNode):
                return self._count(self.variables.get(value.name.value))
            if isinstance(value, IntValueNode):
                return self._count(_number(value))
        return _PAGE

    @staticmethod
    def _count(value: object) -> int:
        return max(1, min(value, _LARGEST_PAGE)) if isinstance(value, int) else _PAGE


def _number(value: IntValueNode) -> int:
    """The number, as far as it matters: Python does not read numbers of thousands of digits."""
    return int(value.value[:12])


def excess_of(
    document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]
) -> GraphQLError | None:
    """What an operation has too much of, if anything. The document is known to be valid."""
    fragments = {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    defaults = {
        definition.variable.name.value: _number(definition.default_value)
        for definition in operation.variable_definitions or ()
        if isinstance(definition.default_value, IntValueNode)
    }
    measure = _Measure(fragments, {**defaults, **variables})
    cost = measure.of(operation.selection_set, 1, root=True)
    if measure.depth > MAX_DEPTH:
        return GraphQLError(f"The operation is nested more than {MAX_DEPTH} levels deep.")
    if measure.aliases > MAX_ALIASES:
        return GraphQLError(f"The operation has more than {MAX_ALIASES} aliases.")
    if cost > MAX_COST:
        return GraphQLError(f"The operation asks for more than {MAX_COST} fields: take smaller pages.")
    return None
