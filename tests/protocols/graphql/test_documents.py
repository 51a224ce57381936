"""Documents are checked beside the event loop, remembered within bounds, and paid for first."""

import asyncio
import gc
import json
import threading
import tracemalloc
import weakref
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from graphql import Executor, get_introspection_query, parse, validate
from graphql.type import definition

from core.kernel.turns import FairTurns, TooManyWait
from protocols.graphql import execution
from protocols.graphql.documents import Documents, trim, weigh
from protocols.graphql.shape import size_of
from tests.protocols.graphql.clients import EVENTS, answers, data_of, errors_of, member, post, subscribed
from tests.protocols.live import Live, live
from tests.waiting import within

BAD = "{ nothing }"


def test_documents_are_forgotten_when_they_take_too_much() -> None:
    texts = [f"{{ a{number} }}" for number in range(10)]
    trees = {text: weigh(parse(text), text, size_of(text)) for text in texts}
    each = trees[texts[0]].bytes
    documents = Documents(3 * each)
    for text in texts[:3]:
        documents.remember(text, trees[text])
        documents.remember(text, trees[text])
    assert documents.get(texts[0]) is trees[texts[0]]
    for text in texts[3:5]:
        documents.remember(text, trees[text])
        assert documents.bytes == 3 * each
    assert [text for text in texts if documents.get(text)] == [texts[0], *texts[3:5]]
    large = "{ " + "a " * 20 + "}"
    documents.remember(large, weigh(parse(large), large, size_of(large)))
    assert (len(documents), documents.bytes) == (0, 0)


@pytest.mark.parametrize(
    "text",
    [
        get_introspection_query(),
        "{ pets { " + "id " * 190 + "} }",
        "{ pets(species: [" + "CAT " * 900 + "]) { id } }",
        "{ pets { " + " ".join(f"a{number}: id" for number in range(30)) + " } }",
        "{ " + " ".join(f"name{number} {{ id }}" for number in range(190)) + " }",
        '{ pet(id: "' + "x" * 30_000 + '") { id } }',
    ],
)
def test_a_document_takes_no_more_than_is_counted(text: str) -> None:
    gc.collect()
    tracemalloc.start()
    try:
        tree = parse(text)
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert taken < weigh(tree, text, size_of(text)).bytes + 4096


@pytest.mark.parametrize(
    "query",
    [
        BAD,
        "{ pets(limit: 100) { " + "id " * 100 + "} }",
        "{ pets { id } } query Other { pets { id } }",
        "query Q($limit: Int) { pets(limit: $limit) { " + "id " * 100 + "} }",
    ],
)
async def test_what_is_refused_is_not_remembered(node: Live, query: str) -> None:
    for number in range(3):
        assert await errors_of(node, query + " " * number, variables={"limit": 100})
    assert len(node.graphql.engine.documents) == 0
    await data_of(node, "{ __typename }")
    assert len(node.graphql.engine.documents) == 1


async def test_new_documents_are_checked_beside_the_loop(node: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are answered while one is checked."""
    begun, checked = threading.Event(), threading.Event()

    def slow(*arguments: Any, **more: Any) -> Any:
        begun.set()
        assert checked.wait(60)
        return validate(*arguments, **more)

    await data_of(node, "{ __typename }")
    monkeypatch.setattr(execution, "validate", slow)
    try:
        async with member(node) as client:
            await client.subscribe("1", "{ pets { id } }")
            await within(happened(begun))
            await data_of(node, "{ __typename }")
            checked.set()
            assert await client.payload("1") == {"data": {"pets": []}}
    finally:
        checked.set()


async def happened(event: threading.Event) -> None:
    """Wait for another thread."""
    await asyncio.to_thread(event.wait, 60)


async def test_the_schema_is_told_beside_the_loop(node: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []
    members_of = Executor.execute_operation

    def noted(*arguments: Any) -> Any:
        threads.append(threading.current_thread().name)
        return members_of(*arguments)

    monkeypatch.setattr(Executor, "execute_operation", noted)
    await data_of(node, get_introspection_query())
    await data_of(node, "{ pets { id } }")
    told, answered = threads
    assert told.startswith("graphql")
    assert answered == threading.main_thread().name


async def test_a_subscription_that_is_ended_while_it_is_checked_does_not_begin(
    node: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, checked = threading.Event(), threading.Event()

    def slow(*arguments: Any, **more: Any) -> Any:
        begun.set()
        assert checked.wait(60)
        return validate(*arguments, **more)

    monkeypatch.setattr(execution, "validate", slow)
    try:
        async with member(node) as client:
            await client.subscribe("1", topics=["pets/#"])
            await within(happened(begun))
            await client.say("complete", "1")
            await client.say("ping")
            assert (await client.hear())["type"] == "pong"
            checked.set()
            await client.subscribe("2", "{ __typename }")
            await client.payload("2")
            assert node.store.hub.statistics().subscriptions == 0
    finally:
        checked.set()


async def test_only_so_many_wait_to_be_checked(node: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: FairTurns, __: str) -> AbstractAsyncContextManager[None]:
        raise TooManyWait

    monkeypatch.setattr(FairTurns, "turn", full)
    answer = await post(node, "{ __typename }")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")


async def test_fields_are_compared_only_so_often(node: Live) -> None:
    found = await errors_of(node, "{ " + "pets { id } " * 150 + "}")
    assert "abort" in found[-1]["message"]


# --- the budget ---


async def test_refused_documents_cost_a_request(tmp_path: Path) -> None:
    async with live(tmp_path, requests_per_minute=3) as node:
        for left in ("2", "1", "0"):
            assert (await post(node, BAD)).headers["ratelimit-remaining"] == left
        assert (await post(node, BAD)).status_code == 429


async def test_refused_documents_cost_a_request_at_an_event_stream(tmp_path: Path) -> None:
    async with live(tmp_path, requests_per_minute=3) as node:
        for _ in range(3):
            async with answers(node, BAD) as stream:
                assert (await stream.answer())["errors"]
        async with answers(node, BAD) as stream:
            assert stream.response.status_code == 429


async def test_refused_documents_cost_a_request_at_a_websocket_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with live(tmp_path, requests_per_minute=4) as node, member(node) as client:
        for mark in range(3):
            await client.subscribe(str(mark), BAD)
            assert (await client.hear())["payload"][0]["extensions"]["code"] == "BAD_REQUEST"
        monkeypatch.setattr(execution, "size_of", None)
        await client.subscribe("last", BAD)
        assert (await client.hear())["payload"][0]["extensions"]["code"] == "RATE_LIMITED"


async def test_a_subscription_whose_document_is_known_costs_no_request(tmp_path: Path) -> None:
    async with live(tmp_path, requests_per_minute=2) as node, member(node) as client:
        for mark in range(5):
            await client.subscribe(str(mark), EVENTS, topics=[f"pets/{mark}"])
            await subscribed(node, mark + 1)


# --- variables ---


@pytest.mark.parametrize(
    "value", [["CAT"] * 2_001, [1] * 9_000, {f"a{n}": n for n in range(2_001)}, [[[]] * 1_001] * 2]
)
async def test_variables_have_a_bound(node: Live, monkeypatch: pytest.MonkeyPatch, value: object) -> None:
    monkeypatch.setattr(Executor, "build", None)
    found = await errors_of(
        node, "query($s: [Species!]) { pets(species: $s) { id } }", variables={"s": value}
    )
    assert "2000 members and items" in found[0]["message"]


async def test_variables_that_nothing_declares_are_left_aside(node: Live) -> None:
    deep: list[Any] = []
    for _ in range(500):
        deep = [deep]
    other: dict[str, Any] = {"deep": deep, "many": list(range(10_000))}
    assert await data_of(node, "{ __typename }", variables=other) == {"__typename": "Query"}
    async with answers(node, topics=["pets/#"], **other), answers(node, topics=["pets/#"]):
        await subscribed(node, 2)
        assert node.graphql.shared_executions.statistics().documents == 1


async def test_messages_repeat_only_the_beginning_of_what_was_sent(node: Live) -> None:
    found = await errors_of(node, "{ " + "x" * 30_000 + " }")
    assert len(found[0]["message"]) < 600


@pytest.mark.parametrize("part", [b"[],", b"{},", b"0,"])
async def test_a_body_of_very_many_parts_is_not_read(
    node: Live, monkeypatch: pytest.MonkeyPatch, part: bytes
) -> None:
    monkeypatch.setattr("protocols.graphql.wire.request_of", None)
    body = b'{"query": "{ __typename }", "other": [' + part * 300_000 + b"0]}"
    headers = {"Content-Type": "application/json"}
    answer = await node.get("/v1/graphql", "POST", content=body, headers=headers)
    assert answer.status_code == 400
    assert "20000 members and items" in answer.json()["errors"][0]["message"]


async def test_a_long_text_where_a_name_is_due_is_compared_with_none(node: Live) -> None:
    query = "query($s: [Species!]) { pets(species: $s) { id } }"
    for text in ("x" * 900_000, "CATT"):
        found = await errors_of(node, query, variables={"s": [text]})
        assert "does not exist" in found[0]["message"] or text[:9] in found[0]["message"]
        assert "mean" not in found[0]["message"]


async def test_what_one_request_asks_for_is_looked_up_in_turns_of_the_loop(
    node: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = 0
    turns: list[int] = []
    execute = node.store.execute

    async def count() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    async def noted(*arguments: Any) -> Any:
        try:
            return await execute(*arguments)
        finally:
            turns.append(turn)

    monkeypatch.setattr(node.store, "execute", noted)
    query = "{ " + " ".join(f"a{number}: pets {{ id }}" for number in range(30)) + " }"
    counting = asyncio.create_task(count())
    for _ in range(2):  # The second time all of it is remembered.
        await data_of(node, query)
    counting.cancel()
    assert len(set(turns)) == len(turns) == 60


async def test_the_documents_of_a_connections_subscriptions_have_a_bound(node: Live) -> None:
    async with member(node) as client:
        texts = [EVENTS + "\n#" * 180 + str(mark) for mark in range(30)]
        fit = 1536 * 1024 // weigh(parse(texts[-1]), texts[-1], size_of(texts[-1])).bytes
        for text in texts:
            await client.subscribe(text[-9:], text, topics=["pets/#"])
        refused = [await client.hear() for _ in texts[fit:]]
        assert {one["payload"][0]["extensions"]["code"] for one in refused} == {"RATE_LIMITED"}
        await subscribed(node, fit)
        await client.say("complete", texts[0][-9:])
        await client.subscribe("again", EVENTS, topics=["pets/#"])
        await subscribed(node, fit)
        for mark in range(40):
            await client.subscribe(f"same-{mark}", EVENTS, topics=["pets/#"])
        await subscribed(node, fit + 40)


# --- the hash of a document ---

HASH = {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}
NOT_SUPPORTED = {"PERSISTED_QUERY_NOT_SUPPORTED"}


def codes_of(errors: list[dict[str, Any]]) -> set[str]:
    return {one["extensions"]["code"] for one in errors}


async def test_no_document_is_found_by_its_hash(node: Live) -> None:
    body = {"extensions": HASH, "variables": {}}
    posted = await node.get("/v1/graphql", "POST", json=body)
    got = await node.get("/v1/graphql", params={"extensions": json.dumps(HASH)})
    for answer in (posted, got):
        assert answer.status_code == 200
        assert codes_of(answer.json()["errors"]) == NOT_SUPPORTED
    async with member(node) as client:
        await client.say("subscribe", "1", body)
        assert codes_of((await client.hear())["payload"]) == NOT_SUPPORTED
    assert await data_of(node, "{ __typename }", extensions=HASH) == {"__typename": "Query"}


def test_a_tree_that_is_remembered_is_let_go_without_the_collector() -> None:
    text = EVENTS
    tree = parse(text)
    trim(tree)
    gc.collect()
    kept = weakref.ref(tree)
    gc.disable()
    try:
        del tree
        assert kept() is None
    finally:
        gc.enable()


async def test_errors_of_an_execution_say_where_they_are(node: Live) -> None:
    (error,) = await errors_of(node, '{ pets { id } pet(id: "nobody") { id } }')
    assert error["locations"] == [{"line": 1, "column": 15}]
    (error,) = await errors_of(
        node, "query ($a: [Species!]) { pets(species: $a) { id } }", variables={"a": ["COW"]}
    )
    assert error["locations"] == [{"line": 1, "column": 8}]


async def test_no_value_of_an_enum_is_looked_for_that_is_like_a_long_text(
    node: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_for: list[str] = []

    def suggestions(given: str, options: object) -> list[str]:
        looked_for.append(given)
        return []

    monkeypatch.setattr(definition, "suggestion_list", suggestions)
    for value in ("D" * 1_000_000, "DOGG"):
        query = "query ($a: [Species!]) { pets(species: $a) { id } }"
        (error,) = await errors_of(node, query, variables={"a": [value]})
        assert "has invalid value" in error["message"]
    assert set(looked_for) <= {"DOGG"}
