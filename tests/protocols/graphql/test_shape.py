"""What a document holds is counted on its tokens, before anything is made of it."""

from typing import Any

import pytest
from graphql import GraphQLError, Lexer, get_introspection_query

from protocols.graphql import execution
from protocols.graphql.shape import MAX_CHARACTERS, MOST, size_of
from tests.protocols.graphql.clients import EVENTS, PET, errors_of
from tests.protocols.live import Live


def numbered(text: str, times: int) -> str:
    return " ".join(text.replace("#", str(number)) for number in range(times))


HOSTILE = {
    "one name": "{" + "pets{id} " * 950 + "}",
    "one name by alias": "{" + "a:pets{id} " * 20 + "a{id} " * 270 + "}",
    "one name in fragments": numbered("fragment F# on Pet{" + "id " * 100 + "}", 10),
    "introspections": "{" + numbered("a#:__schema{types{fields{name}}}", 30) + "}",
    "types": "{" + '__type(name:"Pet"){name} ' * 11 + "}",
    "aliases": "{pets{" + numbered("a#:id", 1_250) + "}}",
    "selections": "{" + numbered("a#", 1_001) + "}",
    "fragments": "{...F0}" + numbered("fragment F# on Query{...F#}", 51),
    "operations": numbered("query Q#{__typename}", 51),
    "anonymous operations": "{__typename}" * 51,
    "spreads": "{" + "...F " * 101 + "}",
    "inline fragments": "{" + "...on Query{...@include(if:true){__typename}} " * 60 + "}",
    "directives": "{__typename" + " @include(if:true)" * 101 + "}",
    "directives of a fragment": "fragment F on Pet" + " @a" * 101 + "{id}",
    "list": "{pets(species:[" + "CAT " * 1_001 + "]){id}}",
    "object": "{petSearch(criteria:{" + numbered("a#:1", 400) + "}){totalItems}}",
    "variables": "query(" + numbered("$v#:Int=1", 300) + "){pets(limit:$v1){id}}",
    "default": "query($v:[Int]=[" + "1 " * 1_001 + "]){pets(limit:$v){id}}",
    "types of a schema": "type A{" + numbered("a#:Int", 700) + "}",
    "deep selections": "{pets" * 40 + "}" * 40,
    "deep list": "{pets(species:" + "[" * 4_000,
    "deep object": "{pets(species:" + "{a:" * 40,
    "deep type": "query($v:" + "[" * 40 + "Int" + "]" * 40 + "){__typename}",
    "comments": "{__typename}" + "#\n" * 15_000,
    "characters": "{__typename}#" + "x" * MAX_CHARACTERS,
    "newlines": "{__typename}" + "\n" * MAX_CHARACTERS,
    "long name": "{" + "x" * 1_000_000 + "}",
    "long text": '{pet(id:"' + "x" * 1_000_000 + '"){id}}',
    "nothing closed": "{" * 4_000,
    "nothing opened": "}" * 4_000,
    "no document": ") ! ! $ @" * 2_000,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_document_with_too_much_is_refused_before_it_is_parsed(
    node: Live, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    done: list[object] = []
    read = 0
    read_next_token = Lexer.read_next_token

    def counted(lexer: Lexer, start: int) -> Any:
        nonlocal read
        read += 1
        return read_next_token(lexer, start)

    monkeypatch.setattr(execution, "parse", done.append)
    monkeypatch.setattr(execution, "validate", done.append)
    monkeypatch.setattr(Lexer, "read_next_token", counted)
    found = await errors_of(node, HOSTILE[name])
    assert [one["extensions"]["code"] for one in found] == ["BAD_REQUEST"]
    assert len(found[0]["message"]) < 200
    assert read <= MOST["tokens"] + 1
    assert not done
    assert len(node.graphql.engine.documents) == 0


@pytest.mark.parametrize(
    "document",
    [
        get_introspection_query(descriptions=True, specified_by_url=True, input_value_deprecation=True),
        EVENTS,
        PET,
        "{" + numbered("a#:pet(id:1){id name species price status __typename}", 30) + "}",
        "{" + numbered("p#{data{id name __typename items{id __typename}}}", 60) + "}",
        "{pets{" + "id name species " * 60 + "}}",
    ],
)
def test_what_clients_ask_is_let_through(document: str) -> None:
    assert size_of(document)


def test_tokens_are_counted_and_comments_with_them() -> None:
    assert size_of("query Q($a: Int = 1) { b: pets(limit: $a) @skip(if: true) { ... on Pet { id } } }") == 36
    assert size_of("{ a } # b") == 4


@pytest.mark.parametrize("text", ['"', '"""', "?", "\0", "1a", "..", '"\\u{FFFFFFFFFFF}"'])
def test_what_is_no_token_is_told(text: str) -> None:
    with pytest.raises(GraphQLError) as refusal:
        size_of("{ a " + text)
    assert refusal.value.locations
