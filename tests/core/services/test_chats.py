"""Support chats: who sees them, how they move on, what is said in them once."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from core.kernel.caller import Caller, Role
from core.kernel.errors import BadRequest, Conflict, Forbidden, NotFound, PreconditionFailed, Unauthorized
from core.kernel.ids import new_id
from core.models.chats import Chat, Message, SenderRole
from core.models.users import User
from core.ports.records import Query
from core.services import messages
from core.services.chats import (
    ASSIGN_CHAT,
    ASSIGN_WAITING_CHATS,
    CLOSE_CHAT,
    GET_CHAT,
    LIST_CHATS,
    OPEN_CHAT,
)
from core.services.messages import LIST_MESSAGES, MARK_DELIVERED, MARK_READ, SEND_MESSAGE
from core.store.store import Store
from tests.core.stores import Shop, customer_of, staff_of, user_in


async def agent_in(shop: Shop, name: str) -> Caller:
    """Another agent, who is a user too."""
    user: User = user_in(shop.tenant, username=name, role=Role.STAFF)
    await shop.add(user)
    return staff_of(shop.tenant, user.id)


@pytest.fixture
async def chat(shop: Shop) -> Chat:
    """A waiting chat of the shop's customer; the shop's staff is a user."""
    assert shop.staff.user_id is not None
    await shop.add(user_in(shop.tenant, user_id=shop.staff.user_id, username="staff", role=Role.STAFF))
    opened: Chat = await shop.call(OPEN_CHAT, shop.customer, {"subject": "Cats"})
    return opened


async def say(shop: Shop, chat: Chat, text: str, caller: Caller | None = None, **more: Any) -> Message:
    message: Message = await shop.call(
        SEND_MESSAGE, caller or shop.customer, {"text": text, **more}, id=chat.id
    )
    return message


async def read(shop: Shop, chat: Chat, **where: object) -> tuple[list[str], bool]:
    page = await shop.call(LIST_MESSAGES, shop.customer, id=chat.id, **where)
    return [message.text for message in page.data], page.pagination.has_more


# --- opening, seeing ---


async def test_an_opened_chat_waits_and_is_announced_to_its_customer(shop: Shop, chat: Chat) -> None:
    assert chat.model_dump(mode="json", by_alias=True, exclude_none=True) | {
        "createdAt": None,
        "updatedAt": None,
    } == {
        "id": chat.id,
        "tenantId": shop.tenant,
        "subject": "Cats",
        "customerId": shop.customer.user_id,
        "status": "WAITING",
        "createdAt": None,
        "updatedAt": None,
    }
    [event] = await shop.events()
    assert (event["eventType"], event["topic"]) == ("chat.opened", f"chats/{chat.id}")
    assert event["audience"] == shop.customer.user_id
    assert event["data"] == {"chat": chat.model_dump(mode="json", by_alias=True, exclude_none=True)}


async def test_a_subject_may_be_left_out_and_so_may_the_whole_body(shop: Shop) -> None:
    assert (await shop.call(OPEN_CHAT, shop.customer, {})).subject is None
    assert (await shop.call(OPEN_CHAT, shop.customer)).subject is None
    odd = {"subject": "x" * 201, "customerId": new_id()}
    assert await shop.violations(OPEN_CHAT, shop.customer, odd) == {
        "subject": "INVALID_LENGTH",
        "customerId": "UNKNOWN_FIELD",
    }


async def test_a_repeated_opening_with_its_key_opens_one(shop: Shop) -> None:
    one = await shop.call(OPEN_CHAT, shop.customer, {}, key="k")
    assert (await shop.call(OPEN_CHAT, shop.customer, {}, key="k")).id == one.id
    assert (await shop.call(LIST_CHATS, shop.customer)).pagination.total_items == 1


async def test_a_chat_is_seen_by_its_customer_and_agents(shop: Shop, chat: Chat) -> None:
    for caller in (shop.customer, shop.staff):
        assert (await shop.call(GET_CHAT, caller, id=chat.id)) == chat
        assert [found.id for found in (await shop.call(LIST_CHATS, caller)).data] == [chat.id]


async def test_to_others_it_looks_like_a_missing_one(shop: Shop, chat: Chat) -> None:
    message, other = await say(shop, chat, "Hello"), customer_of(shop.tenant)
    for operation, body in (
        (GET_CHAT, None),
        (CLOSE_CHAT, None),
        (LIST_MESSAGES, None),
        (SEND_MESSAGE, {"text": "x"}),
        (MARK_READ, None),
        (MARK_DELIVERED, None),
    ):
        there = await shop.refusal(NotFound, operation, other, body, id=chat.id, messageId=message.id)
        missing_id = new_id()
        missing = await shop.refusal(NotFound, operation, other, body, id=missing_id, messageId=message.id)
        assert there.detail.replace(chat.id, "") == missing.detail.replace(missing_id, "")
        await shop.refusal(Unauthorized, operation, shop.visitor, body, id=chat.id, messageId=message.id)
    assert (await shop.call(LIST_CHATS, other)).data == []
    await shop.refusal(Forbidden, ASSIGN_CHAT, other, {}, id=chat.id)


async def test_a_chat_of_another_tenant_does_not_exist(store: Store, shop: Shop, chat: Chat) -> None:
    other = Shop(store)
    await other.refusal(NotFound, GET_CHAT, id=chat.id)
    await other.refusal(NotFound, ASSIGN_CHAT, body={}, id=chat.id)
    assert (await other.call(LIST_CHATS)).data == []


async def test_chats_are_listed_newest_first_by_status(shop: Shop, chat: Chat) -> None:
    second = await shop.call(OPEN_CHAT, customer_of(shop.tenant))
    await shop.call(CLOSE_CHAT, id=chat.id)
    assert [found.id for found in (await shop.call(LIST_CHATS)).data] == [second.id, chat.id]
    assert [found.id for found in (await shop.call(LIST_CHATS, status="closed")).data] == [chat.id]
    await shop.refusal(BadRequest, LIST_CHATS, status="LOST")


# --- assigning, closing ---


async def test_an_agent_takes_a_chat_once(shop: Shop, chat: Chat) -> None:
    head = await shop.head()
    taken = await shop.call(ASSIGN_CHAT, id=chat.id)
    assert (taken.status, taken.agent_id) == ("ASSIGNED", shop.staff.user_id)
    assert (await shop.call(ASSIGN_CHAT, body={}, id=chat.id)) == taken
    assert await shop.news(head) == [("chat.assigned", f"chats/{chat.id}")]
    assert (await shop.call(GET_CHAT, shop.customer, id=chat.id)) == taken


async def test_of_many_agents_who_take_a_chat_at_once_one_gets_it(shop: Shop, chat: Chat) -> None:
    agents = [await agent_in(shop, f"agent{number}") for number in range(5)]
    takes = (shop.call(ASSIGN_CHAT, agent, {}, id=chat.id) for agent in agents)
    answers = await asyncio.gather(*takes, return_exceptions=True)
    assert sum(isinstance(answer, Chat) for answer in answers) == 1
    assert sum(isinstance(answer, Conflict) for answer in answers) == 4


async def test_a_chat_is_given_to_a_named_agent_even_if_another_has_it(shop: Shop, chat: Chat) -> None:
    other = await agent_in(shop, "other")
    await shop.call(ASSIGN_CHAT, id=chat.id)
    given = await shop.call(ASSIGN_CHAT, body={"agentId": other.user_id}, id=chat.id)
    assert given.agent_id == other.user_id
    await shop.refusal(Conflict, ASSIGN_CHAT, body={}, id=chat.id)


async def test_only_staff_is_given_chats(shop: Shop, chat: Chat) -> None:
    customer = user_in(shop.tenant)
    await shop.add(customer)
    for agent_id in (customer.id, new_id()):
        assert await shop.violations(ASSIGN_CHAT, body={"agentId": agent_id}, id=chat.id) == {
            "agentId": "INVALID_FORMAT"
        }
    assert await shop.violations(ASSIGN_CHAT, body={"agentId": "x", "a": 1}, id=chat.id) == {
        "agentId": "INVALID_FORMAT",
        "a": "UNKNOWN_FIELD",
    }


async def test_a_closed_chat_moves_no_more(shop: Shop, chat: Chat) -> None:
    head = await shop.head()
    closed = await shop.call(CLOSE_CHAT, shop.customer, id=chat.id)
    assert closed.status == "CLOSED"
    assert await shop.news(head) == [("chat.closed", f"chats/{chat.id}")]
    await shop.refusal(Conflict, CLOSE_CHAT, id=chat.id)
    await shop.refusal(Conflict, ASSIGN_CHAT, body={}, id=chat.id)
    await shop.refusal(Conflict, SEND_MESSAGE, shop.customer, {"text": "Hello?"}, id=chat.id)


async def test_a_stale_move_is_refused(shop: Shop, chat: Chat) -> None:
    await shop.call(ASSIGN_CHAT, id=chat.id, if_match=chat.etag)
    await shop.refusal(PreconditionFailed, ASSIGN_CHAT, body={}, id=chat.id, if_match=chat.etag)
    await shop.refusal(PreconditionFailed, CLOSE_CHAT, id=chat.id, if_match=chat.etag)


# --- agents who are here ---


async def test_a_new_chat_goes_to_the_agent_here_who_has_the_fewest(shop: Shop, chat: Chat) -> None:
    one, two = await agent_in(shop, "one"), await agent_in(shop, "two")
    presence = shop.store.agents
    for agent in (one, two):
        presence.arrive(shop.tenant, str(agent.user_id))
    head = await shop.head()
    opened = [await shop.call(OPEN_CHAT, shop.customer) for _ in range(4)]
    assert Counter(found.agent_id for found in opened) == {one.user_id: 2, two.user_id: 2}
    assert [kind for kind, _ in await shop.news(head)] == ["chat.opened", "chat.assigned"] * 4
    presence.leave(shop.tenant, str(one.user_id))
    assert (await shop.call(OPEN_CHAT, shop.customer)).agent_id == two.user_id
    presence.leave(shop.tenant, str(two.user_id))
    assert (await shop.call(OPEN_CHAT, shop.customer)).status == "WAITING"


async def test_an_agent_who_arrives_is_given_what_waits(shop: Shop, chat: Chat) -> None:
    second = await shop.call(OPEN_CHAT, shop.customer)
    await shop.call(CLOSE_CHAT, id=second.id)
    own = await shop.call(OPEN_CHAT, shop.staff)
    await shop.call(ASSIGN_WAITING_CHATS)
    assert (await shop.call(GET_CHAT, id=chat.id)).status == "WAITING"
    shop.store.agents.arrive(shop.tenant, str(shop.staff.user_id))
    await shop.call(ASSIGN_WAITING_CHATS)
    assert (await shop.call(GET_CHAT, id=chat.id)).agent_id == shop.staff.user_id
    assert (await shop.call(GET_CHAT, id=second.id)).agent_id is None
    assert (await shop.call(GET_CHAT, id=own.id)).status == "WAITING"
    await shop.refusal(Forbidden, ASSIGN_WAITING_CHATS, shop.customer)


async def test_an_agent_is_here_as_long_as_one_of_his_connections(shop: Shop) -> None:
    presence = shop.store.agents
    presence.arrive(shop.tenant, "a")
    presence.arrive(shop.tenant, "a")
    presence.leave(shop.tenant, "a")
    assert presence.agents(shop.tenant) == {"a"}
    presence.leave(shop.tenant, "a")
    assert presence.agents(shop.tenant) == frozenset()


# --- saying something ---


async def test_a_message_is_kept_and_announced(shop: Shop, chat: Chat) -> None:
    head = await shop.head()
    message = await say(shop, chat, "We have two cats.", clientMessageId="m-1")
    shown = message.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert shown | {"sentAt": None} == {
        "id": message.id,
        "tenantId": shop.tenant,
        "chatId": chat.id,
        "senderId": shop.customer.user_id,
        "senderRole": "CUSTOMER",
        "text": "We have two cats.",
        "clientMessageId": "m-1",
        "sentAt": None,
    }
    [event] = await shop.events(head)
    assert (event["eventType"], event["topic"]) == ("chat.message", f"chats/{chat.id}")
    assert event["data"] == {"message": shown}
    assert event["audience"] == shop.customer.user_id


async def test_the_same_message_sent_again_is_one_message(shop: Shop, chat: Chat) -> None:
    first = await say(shop, chat, "Hello", clientMessageId="m-1")
    head = await shop.head()
    again = await asyncio.gather(*(say(shop, chat, "Hello!", clientMessageId="m-1") for _ in range(5)))
    assert {message.id for message in again} == {first.id}
    await shop.call(CLOSE_CHAT, id=chat.id)
    assert (await say(shop, chat, "Hello", clientMessageId="m-1")).id == first.id
    assert await shop.news(head) == [("chat.closed", f"chats/{chat.id}")]


async def test_the_first_of_many_sent_at_once_counts(shop: Shop, chat: Chat) -> None:
    sent = await asyncio.gather(*(say(shop, chat, "Hello", clientMessageId="m-1") for _ in range(8)))
    assert len({message.id for message in sent}) == 1
    assert await read(shop, chat) == (["Hello"], False)


async def test_a_clients_name_for_a_message_is_his_own_and_the_chats(shop: Shop, chat: Chat) -> None:
    other = await shop.call(OPEN_CHAT, shop.customer)
    ids = {(await say(shop, where, "x", who, clientMessageId="m-1")).id
           for where, who in ((chat, shop.customer), (chat, shop.staff), (other, shop.customer))}  # fmt: skip
    assert len(ids) == 3


async def test_an_agent_who_answers_a_waiting_chat_takes_it(shop: Shop, chat: Chat) -> None:
    head = await shop.head()
    message = await say(shop, chat, "How can I help?", shop.staff)
    assert message.sender_role is SenderRole.AGENT
    assert [kind for kind, _ in await shop.news(head)] == ["chat.assigned", "chat.message"]
    assert (await shop.call(GET_CHAT, id=chat.id)).agent_id == shop.staff.user_id
    other = await agent_in(shop, "other")
    assert (await say(shop, chat, "Me too", other)).sender_role is SenderRole.AGENT
    assert (await shop.call(GET_CHAT, id=chat.id)).agent_id == shop.staff.user_id


@pytest.mark.parametrize(
    ("body", "violations"),
    [
        ({}, {"text": "REQUIRED_FIELD"}),
        ({"text": ""}, {"text": "INVALID_LENGTH"}),
        ({"text": "x" * 4001}, {"text": "INVALID_LENGTH"}),
        ({"text": "a\0b"}, {"text": "INVALID_FORMAT"}),
        ({"text": 1, "clientMessageId": "", "senderRole": "SYSTEM"},
         {"text": "INVALID_TYPE", "clientMessageId": "INVALID_LENGTH", "senderRole": "UNKNOWN_FIELD"}),
    ],
)  # fmt: skip
async def test_every_violation_of_a_message_is_told(
    shop: Shop, chat: Chat, body: dict[str, Any], violations: dict[str, str]
) -> None:
    assert await shop.violations(SEND_MESSAGE, shop.customer, body, id=chat.id) == violations


async def test_messages_keep_their_order_though_clocks_differ(
    shop: Shop, chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = iter([new_id() for _ in range(3)][::-1])
    monkeypatch.setattr(messages, "new_id", lambda: next(ids))
    for text in ("one", "two", "three"):
        await say(shop, chat, text)
    assert await read(shop, chat) == (["one", "two", "three"], False)


# --- reading them ---


async def test_messages_are_listed_around_a_message(shop: Shop, chat: Chat) -> None:
    messages = [await say(shop, chat, str(number)) for number in range(5)]
    assert await read(shop, chat) == (["0", "1", "2", "3", "4"], False)
    assert await read(shop, chat, limit=5) == (["0", "1", "2", "3", "4"], False)
    assert await read(shop, chat, limit=2) == (["3", "4"], True)
    assert await read(shop, chat, before=messages[3].id, limit=2) == (["1", "2"], True)
    assert await read(shop, chat, before=messages[2].id, limit=2) == (["0", "1"], False)
    assert await read(shop, chat, before=messages[0].id) == ([], False)
    assert await read(shop, chat, after=messages[1].id, limit=2) == (["2", "3"], True)
    assert await read(shop, chat, after=messages[2].id, limit=2) == (["3", "4"], False)
    assert await read(shop, chat, after=messages[4].id) == ([], False)
    between = new_id()
    assert await read(shop, chat, after=between) == ([], False)
    assert await read(shop, chat, before=between, limit=2) == (["3", "4"], True)


async def test_messages_of_other_chats_are_not_among_them(shop: Shop, chat: Chat) -> None:
    other = await shop.call(OPEN_CHAT, shop.customer)
    await say(shop, other, "elsewhere")
    await say(shop, chat, "here")
    assert await read(shop, chat) == (["here"], False)


async def test_bad_ways_to_list_messages_are_bad_requests(shop: Shop, chat: Chat) -> None:
    for where in ({"before": new_id(), "after": new_id()}, {"before": "x"}, {"limit": 0}, {"limit": 101}):
        await shop.refusal(BadRequest, LIST_MESSAGES, shop.customer, id=chat.id, **where)


async def marks(shop: Shop, chat: Chat) -> list[tuple[bool, bool]]:
    """Of each message whether it is marked as delivered and as read."""
    page = await shop.call(LIST_MESSAGES, shop.customer, id=chat.id)
    return [(message.delivered_at is not None, message.read_at is not None) for message in page.data]


async def test_a_message_is_marked_as_delivered_once_by_the_other_side(shop: Shop, chat: Chat) -> None:
    message = await say(shop, chat, "Hello")
    head = await shop.head()
    own = await shop.call(MARK_DELIVERED, shop.customer, id=chat.id, messageId=message.id)
    assert own.delivered_at is None
    first = await shop.call(MARK_DELIVERED, id=chat.id, messageId=message.id)
    again = await shop.call(MARK_DELIVERED, id=chat.id, messageId=message.id)
    assert first.delivered_at is not None
    assert again == first
    assert await shop.news(head) == [("chat.message_delivered", f"chats/{chat.id}")]


async def test_reading_a_message_marks_all_before_it_too(shop: Shop, chat: Chat) -> None:
    one, two, three = [await say(shop, chat, text) for text in ("one", "two", "three")]
    answer = await say(shop, chat, "answer", shop.staff)
    head = await shop.head()
    await shop.call(MARK_READ, shop.customer, id=chat.id, messageId=two.id)
    assert (await shop.call(MARK_READ, id=chat.id, messageId=two.id)).id == two.id
    await shop.call(MARK_READ, id=chat.id, messageId=one.id)
    assert await marks(shop, chat) == [(True, True), (True, True), (False, False), (False, False)]
    await shop.call(MARK_READ, shop.customer, id=chat.id, messageId=answer.id)
    assert await marks(shop, chat) == [(True, True), (True, True), (False, False), (True, True)]
    [first, second] = await shop.events(head)
    assert (first["eventType"], first["data"]["message"]["id"]) == ("chat.message_read", two.id)
    assert (second["eventType"], second["data"]["message"]["id"]) == ("chat.message_read", answer.id)
    assert three.read_at is None


async def test_a_message_is_marked_in_its_own_chat_only(shop: Shop, chat: Chat) -> None:
    other = await shop.call(OPEN_CHAT, shop.customer)
    message = await say(shop, chat, "Hello")
    for operation in (MARK_READ, MARK_DELIVERED):
        elsewhere = await shop.refusal(NotFound, operation, id=other.id, messageId=message.id)
        missing_id = new_id()
        missing = await shop.refusal(NotFound, operation, id=other.id, messageId=missing_id)
        assert elsewhere.detail.replace(message.id, "") == missing.detail.replace(missing_id, "")
    async with shop.store.storage.read(shop.tenant) as tx:
        [kept] = await tx.find(Query(Message))
    assert kept.read_at is None
