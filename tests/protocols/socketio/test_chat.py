"""Support chats over Socket.IO, alone and together with the WebSocket door."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from core.kernel.caller import Role
from core.kernel.ids import SHARED_TENANT
from core.services.chats import CLOSE_CHAT
from tests.core.stores import Shop
from tests.protocols.live import Live, live
from tests.protocols.socketio.clients import NodeClient, connected
from tests.waiting import eventually


async def test_an_agent_here_and_a_customer_on_a_websocket_talk(node: Live, kind: str) -> None:
    agent = node.member(Role.STAFF)
    async with (
        node.chat(node.member()) as customer,
        connected(node.port, kind, token=node.token(agent)) as helper,
    ):
        await helper.until("connected")
        chat = (await customer.ask("joinChat", subject="Does Biscuit like cats?"))["chat"]
        joined = await helper.ask("joinChat", chatId=chat["id"])
        assert joined.keys() == {"sessionId", "user", "chat", "cursor"}
        assert await helper.until("connected") == joined
        assert (await customer.until("presence"))["data"]["online"] is True

        sent = await customer.ask("chatMessage", text="We have two cats.", clientMessageId="m-1")
        heard = await helper.until("chatMessage")
        assert (heard["id"], heard["chatId"], heard["text"]) == (
            sent["message"]["id"],
            chat["id"],
            "We have two cats.",
        )
        assert heard["cursor"]
        assert (await customer.until("messageDelivered"))["data"]["id"] == heard["id"]
        await helper.ask("typingStarted", chatId=chat["id"])
        typing = await customer.until("typingStarted")
        assert typing["data"]["userId"] == agent.user_id
        await helper.ask("typingStopped")
        await customer.until("typingStopped")
        read = await helper.ask("messageRead", chatId=chat["id"], messageId=heard["id"])
        assert read["message"]["readAt"]
        assert (await customer.until("messageRead"))["data"]["id"] == heard["id"]
        answer = await helper.ask("chatMessage", chatId=chat["id"], text="It does.")
        assert (await customer.until("chatMessage"))["data"]["id"] == answer["message"]["id"]
        await customer.ask("typingStarted")
        assert (await helper.until("typingStarted"))["chatId"] == chat["id"]
        assert (await helper.ask("leaveChat", chatId=chat["id"])) == {"chatId": chat["id"]}
        assert (await customer.until("presence"))["data"]["online"] is False


async def test_a_customer_here_hears_what_becomes_of_his_chat(node: Live) -> None:
    agent = node.member(Role.STAFF)
    async with (
        connected(node.port, token=node.token(node.member())) as customer,
        connected(node.port, token=node.token(agent)) as helper,
    ):
        await helper.until("connected")
        chat = (await customer.ask("joinChat", subject="Hello"))["chat"]
        assigned = await customer.until("agentAssigned")
        assert (assigned["chatId"], assigned["agentId"]) == (chat["id"], agent.user_id)
        await Shop(node.store).call(CLOSE_CHAT, node.member(Role.STAFF), id=chat["id"])
        assert (await customer.until("chatClosed"))["chatId"] == chat["id"]


async def test_who_asks_for_topics_at_the_door_is_no_agent_until_he_joins_a_chat(node: Live) -> None:
    watcher = node.member(Role.STAFF)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            connected(node.port, token=node.token(watcher), topics=["orders/#"])
        )
        await client.until("connected")
        assert not list(node.store.agents.agents(SHARED_TENANT))
        customer = await stack.enter_async_context(node.chat(node.member()))
        chat = (await customer.ask("joinChat", subject="Hello"))["chat"]
        await client.ask("joinChat", chatId=chat["id"])
        await eventually(lambda: list(node.store.agents.agents(SHARED_TENANT)) == [watcher.user_id])


async def test_a_chat_resumes_from_a_cursor_at_joining(node: Live, kind: str) -> None:
    caller = node.member()
    async with connected(node.port, kind, token=node.token(caller)) as client:
        joined = await client.ask("joinChat", subject="Hello")
        await client.ask("chatMessage", text="one")
        place = (await client.until("chatMessage"))["cursor"]
        await client.ask("chatMessage", text="two")
    chat_id = joined["chat"]["id"]
    async with connected(node.port, kind, token=node.token(caller)) as client:
        await client.ask("joinChat", chatId=chat_id, cursor=place)
        await client.ask("chatMessage", text="three")
        assert [(await client.until("chatMessage"))["text"] for _ in range(2)] == ["two", "three"]


async def test_what_the_official_client_queues_during_a_drop_arrives(node: Live) -> None:
    """It sends it as soon as it is connected again, before the page has joined the chat anew."""
    client = NodeClient()
    options = {
        "transports": ["websocket"],
        "reconnectionDelay": 100,
        "auth": {"token": node.token(node.member())},
    }
    await client.start(f"http://127.0.0.1:{node.port}", options)
    try:
        await client.until("connected")
        chat = (await client.ask("joinChat"))["chat"]
        (connection,) = node.server.server_state.connections
        connection.abort()  # type: ignore[union-attr]
        await client.until("disconnect")
        for _ in range(150):
            await client.emit("typingStarted", {"chatId": chat["id"]})
        said = await client.ask("chatMessage", chatId=chat["id"], text="Is anybody there?")
        assert said["message"]["chatId"] == chat["id"]
    finally:
        await client.stop()


async def test_chats_of_others_do_not_exist(node: Live) -> None:
    async with (
        connected(node.port, token=node.token(node.member())) as one,
        connected(node.port, token=node.token(node.member())) as other,
        connected(node.port) as visitor,
    ):
        chat = (await one.ask("joinChat", subject="Mine"))["chat"]
        assert (await other.refusal("joinChat", {"chatId": chat["id"]}))["code"] == "not-found"
        refused = await other.refusal("chatMessage", {"chatId": chat["id"], "text": "Hello?"})
        assert refused["code"] == "not-found"
        assert (await other.refusal("typingStarted", {"chatId": chat["id"]}))["code"] == "bad-request"
        assert (await visitor.refusal("joinChat", {}))["code"] == "unauthorized"


@pytest.mark.parametrize("kind", ["python-websocket", "node-polling"])
async def test_a_resent_message_is_one_message(tmp_path: Path, kind: str) -> None:
    async with (
        live(tmp_path) as node,
        connected(node.port, kind, token=node.token(node.member())) as client,
    ):
        await client.ask("joinChat", subject="Hello")
        first = await client.ask("chatMessage", text="Anybody?", clientMessageId="m-1")
        again = await client.ask("chatMessage", text="Anybody?", clientMessageId="m-1")
        assert first["message"]["id"] == again["message"]["id"]
