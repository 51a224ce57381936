"""Support chats over the chat socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from core.kernel.caller import Role
from core.kernel.ids import SHARED_TENANT
from core.services.chats import CLOSE_CHAT, GET_CHAT
from core.services.messages import LIST_MESSAGES
from gateway.storage.migration import migrate
from tests.core.stores import Shop
from tests.protocols.live import Live, Socket, live
from tests.waiting import eventually


@pytest.fixture(params=["memory", "sqlite"])
async def node(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Live]:
    """A node that keeps its chats in memory or in a file."""
    url = "memory://"
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'store.db'}"
        await migrate(url)
    async with live(tmp_path, url=url, messages_per_second=0) as running:
        yield running


@asynccontextmanager
async def two_in_a_chat(node: Live) -> AsyncIterator[tuple[Socket, Socket, dict[str, Any]]]:
    """A customer and an agent who have joined one chat."""
    async with node.chat(node.member()) as customer, node.chat(node.member(Role.STAFF)) as agent:
        joined = await customer.ask("joinChat", subject="Does Biscuit like cats?")
        await agent.ask("joinChat", chat_id=joined["chat"]["id"])
        yield customer, agent, joined["chat"]


async def test_joining_without_an_id_opens_a_chat(node: Live) -> None:
    caller = node.member()
    async with node.chat(caller) as socket:
        joined = await socket.ask("joinChat", subject="Hello")
        assert joined.keys() == {"sessionId", "user", "chat", "cursor"}
        assert (joined["chat"]["subject"], joined["chat"]["status"]) == ("Hello", "WAITING")
        assert joined["chat"]["customerId"] == caller.user_id
        again = await socket.ask("joinChat", chat_id=joined["chat"]["id"])
        assert again["chat"]["id"] == joined["chat"]["id"]


async def test_a_message_reaches_the_other_side_and_is_marked_delivered_and_read(node: Live) -> None:
    async with two_in_a_chat(node) as (customer, agent, chat):
        await customer.say("chatMessage", 1, text="We have two cats.", clientMessageId="m-1")
        # Which of them comes first is not said.
        told = {
            (found := await customer.until("ack", "chatMessage"))["type"]: found["data"] for _ in range(2)
        }
        sent = told["ack"]
        assert told["chatMessage"]["id"] == sent["message"]["id"]
        heard = await agent.until("chatMessage")
        assert (heard["chatId"], heard["data"]["id"]) == (chat["id"], sent["message"]["id"])
        assert (heard["data"]["text"], heard["data"]["senderRole"]) == ("We have two cats.", "CUSTOMER")
        assert heard["data"]["clientMessageId"] == "m-1"
        delivered = await customer.until("messageDelivered")
        assert delivered["data"]["id"] == sent["message"]["id"]
        assert delivered["data"]["deliveredAt"]
        await agent.ask("messageRead", messageId=sent["message"]["id"])
        read = await customer.until("messageRead")
        assert (read["data"]["id"], bool(read["data"]["readAt"])) == (sent["message"]["id"], True)
        await agent.ask("chatMessage", text="It does.")
        assert (await customer.until("chatMessage"))["data"]["senderRole"] == "AGENT"


async def test_a_resent_message_is_one_message(node: Live) -> None:
    async with two_in_a_chat(node) as (customer, agent, _):
        first = await customer.ask("chatMessage", text="Hello?", clientMessageId="m-1")
        again = await customer.ask("chatMessage", text="Hello?", clientMessageId="m-1")
        assert first["message"]["id"] == again["message"]["id"]
        await customer.ask("chatMessage", text="Anybody?", clientMessageId="m-2")
        texts = [(await agent.until("chatMessage"))["data"]["text"] for _ in range(2)]
        assert texts == ["Hello?", "Anybody?"]


async def test_typing_is_shown_and_stored_nowhere(node: Live) -> None:
    async with two_in_a_chat(node) as (customer, agent, chat):
        before = await node.store.storage.heads([SHARED_TENANT])
        await customer.ask("typingStarted")
        shown = await agent.until("typingStarted")
        assert (shown["chatId"], shown["data"].keys()) == (chat["id"], {"userId"})
        await customer.ask("typingStopped", chat_id=chat["id"])
        await agent.until("typingStopped")
        assert await node.store.storage.heads([SHARED_TENANT]) == before


async def test_coming_and_going_is_shown_once_per_user(node: Live) -> None:
    async with two_in_a_chat(node) as (customer, _, chat):
        other = node.member(Role.STAFF)

        async def shown() -> bool:
            """Whether the other is shown to come or to go, the next time that they are."""
            while (told := (await customer.until("presence"))["data"])["userId"] != other.user_id:
                pass
            return bool(told["online"])

        async with node.chat(other) as first:
            await first.ask("joinChat", chat_id=chat["id"])
            assert await shown() is True
            async with node.chat(other) as second:
                await second.ask("joinChat", chat_id=chat["id"])
                await second.ask("leaveChat", chat_id=chat["id"])
            await first.ask("leaveChat")
        assert await shown() is False


async def test_another_customers_chat_looks_like_none(node: Live) -> None:
    async with two_in_a_chat(node) as (_, __, chat), node.chat(node.member()) as stranger:
        theirs = await stranger.refusal("joinChat", chat_id=chat["id"])
        none = await stranger.refusal("joinChat", chat_id="01890000-0000-7000-8000-000000000000")
        assert theirs["code"] == none["code"] == "not-found"
        nonsense = await stranger.refusal("joinChat", chat_id="nonsense")
        assert (nonsense["code"], nonsense["errors"][0]["field"]) == ("validation-error", "chatId")
        assert (await stranger.refusal("chatMessage", chat_id=chat["id"], text="Hi"))["code"] == "not-found"
        assert (await stranger.refusal("subscribe", topics=[f"chats/{chat['id']}"]))["code"] == "forbidden"


async def test_what_was_missed_comes_at_rejoining_with_a_cursor(node: Live) -> None:
    anna = node.member()
    async with node.chat(node.member(Role.STAFF)) as agent:
        async with node.chat(anna) as customer:
            joined = await customer.ask("joinChat")
            chat_id = joined["chat"]["id"]
            await agent.ask("joinChat", chat_id=chat_id)
            await agent.ask("chatMessage", text="one")
            cursor = (await customer.until("chatMessage"))["data"]["cursor"]
        await agent.ask("chatMessage", text="two")
        await agent.ask("chatMessage", text="three")
        async with node.chat(anna) as customer:
            await customer.ask("joinChat", chat_id=chat_id, cursor=cursor)
            texts = [(await customer.until("chatMessage"))["data"]["text"] for _ in range(2)]
            assert texts == ["two", "three"]


async def test_leaving_ends_the_chats_messages(node: Live) -> None:
    async with two_in_a_chat(node) as (customer, agent, chat):
        assert (await agent.ask("leaveChat"))["chatId"] == chat["id"]
        await customer.ask("chatMessage", text="Still there?")
        assert (await agent.refusal("leaveChat"))["code"] == "bad-request"
        await agent.ask("joinChat", chat_id=chat["id"])
        await customer.ask("chatMessage", text="Ah!")
        assert (await agent.until("chatMessage"))["data"]["text"] == "Ah!"


async def test_with_several_chats_each_message_names_its_own(node: Live) -> None:
    async with node.chat(node.member()) as socket:
        chats = [(await socket.ask("joinChat"))["chat"]["id"] for _ in range(2)]
        assert (await socket.refusal("chatMessage", text="Where to?"))["code"] == "bad-request"
        for chat_id in chats:
            sent = await socket.ask("chatMessage", chat_id=chat_id.upper(), text="Hello")
            assert sent["message"]["chatId"] == chat_id


async def test_assignment_and_closure_are_shown(node: Live) -> None:
    async with two_in_a_chat(node) as (customer, _, chat):
        shown = await customer.until("agentAssigned")
        assert (shown["chatId"], shown["data"]["status"]) == (chat["id"], "ASSIGNED")
        staff = node.member(Role.STAFF)
        await Shop(node.store).call(CLOSE_CHAT, staff, id=chat["id"])
        assert (await customer.until("chatClosed"))["data"]["status"] == "CLOSED"
        assert (await customer.refusal("chatMessage", text="Wait!"))["code"] == "conflict"


async def test_a_waiting_chat_goes_to_the_agent_who_connects(node: Live) -> None:
    shop = Shop(node.store)
    async with node.chat(node.member()) as customer:
        chat_id = (await customer.ask("joinChat"))["chat"]["id"]
        agent = node.member(Role.STAFF)
        async with node.chat(agent) as connected:
            assigned = await customer.until("agentAssigned")
            assert assigned["data"]["agentId"] == agent.user_id
            await connected.ask("ping")
            async with node.chat(node.member()) as other:
                assert (await other.ask("joinChat"))["chat"]["agentId"] == agent.user_id
        assert (await shop.call(GET_CHAT, agent, id=chat_id)).status == "ASSIGNED"
        await eventually(lambda: not node.store.agents.agents(agent.tenant))


async def test_an_agent_hears_the_chat_that_is_given_to_them(node: Live) -> None:
    async with node.chat(node.member(Role.STAFF)) as agent, node.chat(node.member()) as customer:
        chat = (await customer.ask("joinChat", subject="Does Biscuit like cats?"))["chat"]
        told = (await agent.until("agentAssigned"))["data"]
        assert (told["id"], told["agentId"], told["status"]) == (chat["id"], chat["agentId"], "ASSIGNED")
        sent = await customer.ask("chatMessage", text="We have two cats.")
        assert (await agent.until("chatMessage"))["data"]["id"] == sent["message"]["id"]
        await customer.until("messageDelivered")
        await agent.ask("chatMessage", text="He does.")  # Without joining it.


async def test_an_agent_who_listens_to_all_chats_hears_each_event_once(node: Live) -> None:
    async with node.chat(node.member(Role.STAFF)) as agent, node.chat(node.member()) as customer:
        await agent.ask("subscribe", topics=["chats/#"])
        await customer.ask("joinChat")
        for text in ("one", "two"):
            await customer.ask("chatMessage", text=text)
        assert (await agent.until("agentAssigned", "chatMessage"))["type"] == "agentAssigned"
        for text in ("one", "two"):
            assert (await agent.until("agentAssigned", "chatMessage"))["data"]["text"] == text


async def test_an_agent_who_comes_back_is_told_of_their_chats_and_misses_nothing_from_there(
    node: Live,
) -> None:
    staff = node.member(Role.STAFF)
    async with node.chat(node.member()) as customer:
        async with node.chat(staff) as agent:
            chat = (await customer.ask("joinChat"))["chat"]
            before = (await agent.until("agentAssigned"))["data"]["cursor"]
        await customer.ask("chatMessage", text="while they were away")
        async with node.chat(staff) as agent:
            told = (await agent.until("agentAssigned"))["data"]
            assert told["id"] == chat["id"]
            await customer.ask("chatMessage", text="when they were back")
            assert (await agent.until("chatMessage"))["data"]["text"] == "when they were back"
        async with node.chat(staff) as agent:
            await agent.until("agentAssigned")
            await agent.say("joinChat", 1, chat["id"], cursor=before)
            texts = [(await agent.until("chatMessage"))["data"]["text"] for _ in range(2)]
            assert texts == ["while they were away", "when they were back"]


async def test_a_chat_that_was_given_ends_with_its_closure_and_makes_room(tmp_path: Path) -> None:
    async with live(tmp_path, filters_per_connection=2) as node, node.chat(node.member(Role.STAFF)) as agent:
        for _ in range(4):
            async with node.chat(node.member()) as customer:
                chat = (await customer.ask("joinChat"))["chat"]
                assert (await agent.until("agentAssigned"))["chatId"] == chat["id"]
                await Shop(node.store, SHARED_TENANT).call(
                    CLOSE_CHAT, node.member(Role.STAFF), None, id=chat["id"]
                )
                assert (await agent.until("chatClosed"))["chatId"] == chat["id"]


async def test_domain_events_come_over_the_chat_socket_too(node: Live) -> None:
    async with node.chat(node.member(Role.STAFF)) as agent:
        await agent.ask("subscribe", topics=["pets/#", "chats/#"])
        await node.happen(1)
        assert await agent.numbers(1) == [1]
        async with node.chat(node.member()) as customer:
            await customer.ask("joinChat")
            assert (await agent.until("event"))["data"]["eventType"] == "chat.opened"
            await customer.ask("chatMessage", text="Hello")
            assert (await agent.until("chatMessage"))["data"]["text"] == "Hello"


async def test_chats_and_typing_are_plain_events_on_the_socket_of_events(node: Live) -> None:
    async with (
        two_in_a_chat(node) as (customer, _, __),
        node.socket(f"/v1/ws/events?token={node.staff_token()}") as socket,
    ):
        await socket.until("connected")
        await socket.ask("subscribe", topics=["chats/+"])
        await customer.ask("typingStarted")
        event = (await socket.until("event"))["data"]
        assert (event["eventType"], "cursor" in event) == ("chat.typing", False)


async def test_many_messages_arrive_in_order_each_once_and_all_are_marked(node: Live) -> None:
    async with two_in_a_chat(node) as (customer, agent, chat):
        for number in range(40):
            await customer.say("chatMessage", text=str(number), clientMessageId=str(number))
        texts = [(await agent.until("chatMessage"))["data"]["text"] for _ in range(40)]
        assert texts == [str(number) for number in range(40)]
        shop = Shop(node.store)

        async def all_marked() -> bool:
            page = await shop.call(LIST_MESSAGES, node.member(Role.STAFF), id=chat["id"], limit=100)
            return len(page.data) == 40 and all(message.delivered_at for message in page.data)

        await eventually(all_marked)


async def test_messages_of_4000_characters_are_taken_and_longer_ones_not(node: Live) -> None:
    async with two_in_a_chat(node) as (customer, agent, _):
        await customer.ask("chatMessage", text="ü" * 4000)
        assert len((await agent.until("chatMessage"))["data"]["text"]) == 4000
        for text, code in [("x" * 4001, "INVALID_LENGTH"), ("", "INVALID_LENGTH")]:
            answer = await customer.refusal("chatMessage", text=text)
            assert [violation["code"] for violation in answer["errors"]] == [code]
