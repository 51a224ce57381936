"""What an operation costs, by the schema alone."""

from itertools import pairwise
from typing import Any

import pytest
from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInt,
    GraphQLList,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    build_schema,
    get_introspection_query,
    parse,
    validate,
)

from protocols.graphql.limits import MAX_COST, OperationLimits
from protocols.graphql.schema import schema_text

#: Fields that no list in the code knows.
_ADDED = """
    type Shelf { id: ID! toys(limit: Int): [Toy!]! parts: [Toy!]! }
    type Toy { id: ID! name: String shelf: Shelf }
    type ToyPage { data: [Toy!]! total: Int }
    input Paging { limit: Int }
    extend type Query {
      shelves: [Shelf!]!
      toys(limit: Int): [Toy]
      toyPage(paging: Paging): ToyPage
      shelf: Shelf
    }
"""
_SCHEMA = build_schema(schema_text() + _ADDED)


def is_too_dear(query: str, schema: GraphQLSchema = _SCHEMA, **variables: Any) -> bool:
    document = parse(query)
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    return OperationLimits(schema).excess_of(document, operation, variables) is not None


def fields(count: int) -> str:
    return " ".join(["id"] * count)


@pytest.mark.parametrize(
    ("query", "items"),
    [
        ("{ toys(limit: 100) { %s } }", 100),
        ("{ toys { %s } }", 20),
        ("{ toys(limit: 1000) { %s } }", 100),
        ("{ shelves { %s } }", 5),
        ("{ shelf { toys(limit: 50) { %s } } }", 50),
        ("{ shelf { parts { %s } } }", 5),
        ("{ shelf { ... on Shelf { toys(limit: 10) { %s } } } }", 10),
        ("{ toys(limit: 10) { shelf { toys(limit: 10) { %s } } } }", 100),
        ("{ toyPage(paging: {limit: 50}) { data { %s } } }", 50),
        ("{ toyPage { data { %s } } }", 20),
        ("query($n: Int = 40) { toys(limit: $n) { %s } }", 40),
        ("query($p: Paging = {limit: 40}) { toyPage(paging: $p) { data { %s } } }", 40),
        ("query($n: Int) { toyPage(paging: {limit: $n}) { data { %s } } }", 20),
        ("query { shelf { ...F } } fragment F on Shelf { toys { %s } }", 20),
        ("{ orders(limit: 100) { %s } }", 100),
        ("{ order(id: 1) { items { pet { %s } } } }", 5),
    ],
)
def test_a_list_counts_for_each_item_wherever_it_is_in_the_schema(query: str, items: int) -> None:
    assert validate(_SCHEMA, parse(query % "id")) == []
    most = MAX_COST // items
    assert is_too_dear(query % fields(most + 1))
    # Not one field in twenty goes to what stands around the list.
    assert not is_too_dear(query % fields(most * 19 // 20))


def test_variables_say_how_long_a_page_is() -> None:
    query = (
        f"query($n: Int, $p: Paging) {{ toys(limit: $n) {{ {fields(75)} }} toyPage(paging: $p) {{ total }} }}"
    )
    assert is_too_dear(query, n=100)
    assert not is_too_dear(query, n=10)
    paged = f"query($p: Paging) {{ toyPage(paging: $p) {{ data {{ {fields(75)} }} }} }}"
    assert is_too_dear(paged, p={"limit": 100})
    assert not is_too_dear(paged, p={"limit": 10})
    assert not is_too_dear(paged, p=None)


_TYPES = "types { name fields { name args { name } type { name fields { name } } } }"


@pytest.mark.parametrize(
    ("query", "too_dear"),
    [
        (get_introspection_query(), False),
        (get_introspection_query(descriptions=True, specified_by_url=True, schema_description=True), False),
        (f"{{ a: __schema {{ {_TYPES} }} }}", False),
        ("{ " + " ".join(f"a{n}: __schema {{ {_TYPES} }}" for n in range(10)) + " }", True),
        ("{ __schema { " + " ".join(f"a{n}: {_TYPES}" for n in range(10)) + " } }", True),
        ("{ __schema { types { " + " ".join(f"a{n}: name" for n in range(400)) + " } } }", True),
        ("{ shelf { id } __schema { types { name } } }", False),
        (f"{{ shelf {{ id }} ...F ...G }} fragment F on Query {{ a: __schema {{ {_TYPES} }} }} "
         f"fragment G on Query {{ b: __schema {{ {_TYPES} }} }}", True),
    ],
)  # fmt: skip
def test_introspection_counts_what_the_schema_holds(query: str, too_dear: bool) -> None:
    assert validate(_SCHEMA, parse(query)) == []
    assert is_too_dear(query) is too_dear


def test_fragments_that_multiply_one_another_are_not_followed_to_the_end() -> None:
    names = "abcdefghijklmnopqrstuvwxyz"
    chain = " ".join(f"fragment {a} on Query {{ ...{b} ...{b} }}" for a, b in pairwise(names))
    assert is_too_dear(f"{{ ...a }} {chain} fragment z on Query {{ __typename }}")


def test_a_list_of_scalars_is_a_list() -> None:
    photos = " ".join(["photos"] * 10)
    assert is_too_dear(f"{{ pets(limit: 100) {{ {photos} }} }}")
    assert not is_too_dear(f"{{ pets(limit: 50) {{ {photos} }} }}")


def test_a_default_in_the_schema_says_how_long_a_page_is() -> None:
    toy = GraphQLObjectType("Toy", {"id": GraphQLField(GraphQLInt)})
    limit = GraphQLArgument(GraphQLInt, default_value=50)
    toys = GraphQLField(GraphQLList(toy), {"limit": limit})
    schema = GraphQLSchema(GraphQLObjectType("Query", {"toys": toys}))
    assert is_too_dear(f"{{ toys {{ {fields(100)} }} }}", schema)
    assert not is_too_dear(f"{{ toys {{ {fields(99)} }} }}", schema)
