"""Conversations over one bidirectional stream."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode, aio

from core.kernel.caller import Caller, Role
from core.kernel.errors import Close, CloseReason
from protocols.grpc._generated.petstore.v1 import chats_pb2
from tests.clock import skip
from tests.protocols.grpc.clients import Client, Node, Refusal, node_with_grpc
from tests.waiting import eventually, within


class Talk:
    """One client who talks."""

    def __init__(self, client: Client) -> None:
        self.call: Any = client.chats.Converse(metadata=client.metadata)
        self._count = 0

    async def say(self, mark: str = "", **command: Any) -> None:
        """Send a command: its name, and what it holds."""
        ((name, data),) = command.items()
        request = chats_pb2.ConverseRequest(id=mark)
        part = getattr(request, name)
        part.SetInParent()
        part.MergeFrom(type(part)(**data))
        await self.call.write(request)

    async def hear(self) -> Any:
        """The next message."""
        message = await within(self.call.read())
        if message is aio.EOF:
            raise EOFError
        return message

    async def until(self, *kinds: str) -> Any:
        """The next message of these kinds."""
        while (message := await self.hear()).WhichOneof("message") not in kinds:
            pass
        return message

    async def ask(self, **command: Any) -> Any:
        """Send a command, and give the answer to it."""
        self._count += 1
        mark = f"c-{self._count}"
        await self.say(mark, **command)
        while (message := await self.hear()).reply_to != mark:
            pass
        return getattr(message, message.WhichOneof("message"))

    async def end(self) -> Refusal:
        """How the store ended it."""
        try:
            while True:
                await self.hear()
        except aio.AioRpcError as error:
            return Refusal.of(error)


@contextlib.asynccontextmanager
async def talking(node: Node, caller: Caller | None) -> AsyncIterator[Talk]:
    """A client at a stream of its own."""
    async with node.client(caller) as client:
        talk = Talk(client)
        if caller is not None:
            connected = (await talk.until("connected")).connected
            assert connected.user.id == caller.user_id
        yield talk
        talk.call.cancel()


@contextlib.asynccontextmanager
async def two_in_a_chat(node: Node) -> AsyncIterator[tuple[Talk, Talk, Any]]:
    """A customer and an agent who have joined one chat."""
    async with (
        talking(node, node.live.member()) as customer,
        talking(node, node.live.member(Role.STAFF)) as agent,
    ):
        joined = await customer.ask(join_chat={"subject": "Does Biscuit like cats?"})
        assert joined.chat.subject == "Does Biscuit like cats?"
        await agent.ask(join_chat={"chat_id": joined.chat.id})
        yield customer, agent, joined.chat


async def test_a_message_reaches_the_other_side_and_is_marked_delivered_and_read(node: Node) -> None:
    async with two_in_a_chat(node) as (customer, agent, chat):
        sent = (
            await customer.ask(chat_message={"text": "We have two cats.", "client_message_id": "m-1"})
        ).message
        heard = await agent.until("chat_message")
        assert (heard.chat_id, heard.chat_message.id, heard.chat_message.text) == (
            chat.id,
            sent.id,
            "We have two cats.",
        )
        assert heard.chat_message.sender_role == chats_pb2.SENDER_ROLE_CUSTOMER
        assert heard.cursor
        delivered = (await customer.until("message_delivered")).message_delivered
        assert delivered.id == sent.id
        assert delivered.delivered_at.seconds > 0
        await agent.ask(message_read={"message_id": sent.id})
        assert (await customer.until("message_read")).message_read.read_at.seconds > 0
        again = await customer.ask(chat_message={"text": "We have two cats.", "client_message_id": "m-1"})
        assert again.message.id == sent.id


async def test_typing_and_presence_are_shown(node: Node) -> None:
    async with two_in_a_chat(node) as (customer, agent, chat):
        await agent.ask(typing_started={})
        shown = await customer.until("typing_started")
        assert (shown.chat_id, bool(shown.typing_started.user_id), shown.cursor) == (chat.id, True, "")
        await agent.ask(typing_stopped={})
        await customer.until("typing_stopped")
        await agent.ask(leave_chat={})
        while (await customer.until("presence")).presence.online:
            pass


async def test_a_chat_is_one_with_that_of_a_browser(node: Node) -> None:
    """A customer at a WebSocket, an agent here."""
    async with (
        talking(node, node.live.member(Role.STAFF)) as agent,
        node.live.chat(node.live.member()) as browser,
    ):
        chat = (await browser.ask("joinChat", subject="Hello"))["chat"]
        await agent.ask(join_chat={"chat_id": chat["id"]})
        await browser.ask("chatMessage", text="Anybody?")
        assert (await agent.until("chat_message")).chat_message.text == "Anybody?"
        await agent.ask(chat_message={"text": "Yes."})
        heard = await browser.until("chatMessage")
        while heard["data"]["text"] != "Yes.":
            heard = await browser.until("chatMessage")
        assert heard["data"]["senderRole"] == "AGENT"


async def test_topics_may_be_subscribed_to_and_resumed_in_a_conversation(node: Node) -> None:
    async with talking(node, node.live.member()) as talk:
        ack = await talk.ask(subscribe={"topics": ["pets/#"]})
        assert list(ack.topics) == ["pets/#"]
        await node.live.happen(1)
        heard = await talk.until("event")
        assert heard.event.data["number"] == 1
        assert heard.cursor == heard.event.cursor
        assert (await talk.ask(ping={})).cursor == heard.cursor
        assert not (await talk.ask(unsubscribe={"topics": ["pets/#"]})).topics
        await node.live.happen(2)
        await talk.ask(subscribe={"topics": ["pets/#"], "cursor": heard.cursor})
        assert (await talk.until("event")).event.data["number"] == 2


async def test_an_error_is_answered_and_the_conversation_goes_on(node: Node) -> None:
    async with talking(node, node.live.member()) as talk:
        error = await talk.ask(join_chat={"chat_id": "019e2d16-7f03-7b58-8c24-5a6e8d0f1b33"})
        assert (error.code, error.HasField("retry_after")) == ("not-found", False)
        error = await talk.ask(chat_message={"text": "x"})
        assert error.code == "bad-request"
        error = await talk.ask(message_read={})
        assert [(violation.field, violation.code) for violation in error.errors] == [
            ("message_id", "REQUIRED_FIELD")
        ]
        await talk.call.write(chats_pb2.ConverseRequest(id="nothing"))
        empty = await talk.until("error")
        assert (empty.reply_to, empty.error.code) == ("nothing", "bad-request")
        assert (await talk.ask(join_chat={})).chat.id


async def test_an_error_names_fields_as_the_command_does(node: Node) -> None:
    async with talking(node, node.live.member()) as talk:
        joined = await talk.ask(join_chat={})
        long = {"text": "Hello", "client_message_id": "x" * 500}
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"chat_message": long}, "client_message_id"),
            ({"message_read": {"message_id": "x"}}, "message_id"),
            ({"message_read": {"message_id": "x" * 65}}, "message_id"),
            ({"join_chat": {"chat_id": "x"}}, "chat_id"),
            ({"join_chat": {"chat_id": "x" * 65}}, "chat_id"),
            ({"subscribe": {"topics": []}}, "topics"),
        ]
        for command, path in wrong:
            answer = await talk.ask(**command)
            assert [one.field for one in answer.errors] == [path], answer
            assert answer.message.startswith(f"{path}: ")
        assert joined.chat.id


async def test_what_is_no_message_is_answered(node: Node) -> None:
    async with node.client(node.live.member()) as client:
        method: Any = client.channel.stream_stream("/petstore.v1.ChatService/Converse")
        call = method(metadata=client.metadata)
        await call.read()
        await call.write(b"\xff\xff")
        answer = chats_pb2.ConverseResponse.FromString(await within(call.read()))
        assert answer.error.code == "bad-request"
        await call.write(b"x" * 70_000)
        with pytest.raises(aio.AioRpcError) as caught:
            await within(call.read())
        assert Refusal.of(caught.value).info.reason == "PAYLOAD_TOO_LARGE"


async def test_a_client_may_log_in_by_his_first_command_and_renew_it_later(node: Node) -> None:
    caller = node.live.member(lasts=20)
    async with talking(node, None) as talk:
        ack = await talk.ask(authenticate={"token": node.live.token(caller)})
        assert (ack.user.id, ack.expires_at.seconds > 0) == (caller.user_id, True)
        await talk.until("connected")
        later = await talk.ask(authenticate={"token": node.live.token(caller)})
        assert later.user.id == caller.user_id
        other = await talk.ask(authenticate={"token": node.live.token(node.live.member())})
        assert other.code == "forbidden"
        skip(20)
        end = await talk.end()
        assert (end.code, end.info.reason) == (StatusCode.UNAUTHENTICATED, "EXPIRED")


@pytest.mark.parametrize("command", [{"ping": {}}, {"authenticate": {"token": "bad"}}])
async def test_whoever_does_not_log_in_first_goes(node: Node, command: dict[str, Any]) -> None:
    async with talking(node, None) as talk:
        await talk.say("c", **command)
        assert (await talk.end()).code is StatusCode.UNAUTHENTICATED


async def test_whoever_says_nothing_goes_soon(tmp_path: Path) -> None:
    async with node_with_grpc(tmp_path, login_seconds=0.1) as node, talking(node, None) as talk:
        end = await talk.end()
        assert (end.code, end.info.reason) == (StatusCode.UNAUTHENTICATED, "LOGIN_TIMEOUT")


async def test_a_backlog_is_read_more_slowly_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    async with (
        node_with_grpc(tmp_path, message_burst=10, messages_per_second=50) as node,
        talking(node, node.live.member()) as talk,
    ):
        began = asyncio.get_running_loop().time()
        marks = [str(mark) for mark in range(40)]
        for mark in marks:
            await talk.say(mark, unsubscribe={"topics": ["pets/#"]})
        heard: list[str] = []
        while len(heard) < len(marks):
            told = await talk.hear()
            assert told.WhichOneof("message") != "error", told
            heard += [told.reply_to] if told.reply_to else []
        assert heard == marks
        assert asyncio.get_running_loop().time() - began > 0.5


async def test_whoever_only_floods_goes(tmp_path: Path) -> None:
    async with (
        node_with_grpc(tmp_path, message_burst=5, messages_per_second=10) as node,
        talking(node, node.live.member()) as talk,
    ):
        with contextlib.suppress(Exception):  # It ends meanwhile.
            for _ in range(30):
                await talk.say("", ping={})
        end = await talk.end()
        assert (end.code, end.info.reason) == (StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_MESSAGES")


async def test_whoever_has_said_all_gets_his_answers_and_a_good_end(node: Node) -> None:
    async with talking(node, node.live.member()) as talk:
        await talk.say("one", subscribe={"topics": ["pets/#"]})
        await talk.say("two", ping={})
        await talk.call.done_writing()
        marks = []
        with contextlib.suppress(EOFError):
            while True:
                marks.append((await talk.hear()).reply_to)
        assert marks == ["one", "two"]
        assert await talk.call.code() is StatusCode.OK
        assert dict(await talk.call.trailing_metadata())["x-cursor"]


async def test_a_drain_sends_everybody_off(node: Node) -> None:
    async with talking(node, node.live.member()) as talk:
        ack = await talk.ask(subscribe={"topics": ["pets/#"]})
        node.live.sessions.close_all(Close(CloseReason.DRAINING, "Come back."))
        end = await talk.end()
        assert (end.code, end.trailing["x-cursor"]) == (StatusCode.UNAVAILABLE, ack.cursor)


async def test_whoever_leaves_is_gone_for_the_others_and_leaves_nothing(node: Node) -> None:
    async with two_in_a_chat(node) as (customer, agent, _):
        agent.call.cancel()
        while (await customer.until("presence")).presence.online:
            pass
        await eventually(lambda: len(node.live.sessions) == 1)
