"""A chat between two doors, watched from all others."""

import asyncio
import contextlib
from functools import partial
from typing import Any

from tests.conformance.conftest import At
from tests.conformance.door import Ability
from tests.conformance.manifest import DOORS, Door
from tests.conformance.people import World
from tests.conformance.scenario import scenario
from tests.waiting import eventually


@scenario(
    "A customer at one door and an agent at another hold a chat", Ability.CONVERSE, spans="pairs", nodes=True
)
async def test_chat(world: World, at: At, door: Door, other: Door) -> None:
    customer, staff = await world.customer(), await world.staff()
    others = [found for found in DOORS if Ability.CONVERSE in found.offered]
    async with contextlib.AsyncExitStack() as stack:
        here = await stack.enter_async_context(at(door, customer, world.target.first).converse())
        chat_id = (await here.join(subject="Momo"))["id"]
        # The customer's other windows, one at each door that has chats: they see the same.
        watchers = []
        for found in others:
            watcher = await stack.enter_async_context(at(found, customer, world.target.last).converse())
            await watcher.join(chat_id)
            watchers.append(watcher)
        agent = await stack.enter_async_context(at(other, staff, world.target.last).converse())
        await agent.join(chat_id)
        await world.ask("POST", f"/v1/chats/{chat_id}/assignment", staff, {})
        for each in (here, *watchers):
            assert (await each.hear("agentAssigned"))["agentId"] == staff.user_id

        await here.typing(chat_id, started=True)
        assert (await agent.hear("typingStarted"))["userId"] == customer.user_id
        said = await here.say(chat_id, "Is Momo still there?", "1")
        again = await here.say(chat_id, "Is Momo still there?", "1")
        assert again["id"] == said["id"]
        heard = await agent.hear("chatMessage")
        assert (heard["id"], heard["text"], heard["senderRole"]) == (said["id"], said["text"], "CUSTOMER")
        for each in (here, *watchers):
            assert (await each.hear("messageDelivered"))["id"] == said["id"]
        await agent.read(chat_id, said["id"])
        for each in (here, *watchers):
            assert (await each.hear("messageRead"))["id"] == said["id"]

        await agent.typing(chat_id, started=True)
        await agent.typing(chat_id, started=False)
        for each in (here, *watchers):
            assert (await each.hear("typingStarted"))["userId"] == staff.user_id
            assert (await each.hear("typingStopped"))["userId"] == staff.user_id
        answer = await agent.say(chat_id, "She is.")
        for each in (here, *watchers):
            assert (await each.hear("chatMessage"))["id"] == answer["id"]

        await world.ask("POST", f"/v1/chats/{chat_id}/closure", customer)
        for each in (here, agent, *watchers):
            assert (await each.hear("chatClosed"))["id"] == chat_id
    messages = (await world.ask("GET", f"/v1/chats/{chat_id}/messages", customer))["data"]
    texts = [message["text"] for message in messages if message["senderRole"] != "SYSTEM"]
    assert texts == ["Is Momo still there?", "She is."]


@scenario("A chat goes to the agent who is connected, on whichever node", Ability.CONVERSE, nodes=True)
async def test_waiting(world: World, at: At, door: Door) -> None:
    customer, staff = await world.customer(), await world.staff()
    early = await world.ask("POST", "/v1/chats", customer, {"subject": "Before they came"})
    assert early["status"] == "WAITING"

    async def agent_of(chat: dict[str, Any]) -> str | None:
        found = await world.ask("GET", f"/v1/chats/{chat['id']}", customer)
        agent_id: str | None = found.get("agentId")
        return agent_id

    async with at(door, staff, world.target.last).converse():
        assert await eventually(partial(agent_of, early)) == staff.user_id
        late = await world.ask("POST", "/v1/chats", customer, {"subject": "While they are there"})
        assert await eventually(partial(agent_of, late)) == staff.user_id


@scenario("An agent is told of a chat that is given to them, and hears it", Ability.CONVERSE, nodes=True)
async def test_given(world: World, at: At, door: Door) -> None:
    customer, staff = await world.customer(), await world.staff()

    async def write(chat: dict[str, Any], text: str) -> dict[str, Any]:
        path = f"/v1/chats/{chat['id']}/messages"
        message: dict[str, Any] = await world.ask("POST", path, customer, {"text": text})
        return message

    driver = at(door, staff, world.target.last)
    async with driver.converse() as agent:
        chat: dict[str, Any] = await world.ask("POST", "/v1/chats", customer, {"subject": "Momo"})
        first = await write(chat, "Is she still there?")
        told = await agent.hear("agentAssigned")
        assert (told["id"], told["agentId"]) == (chat["id"], staff.user_id)
        assert told["cursor"]
        while (heard := await agent.hear("chatMessage"))["senderRole"] == "SYSTEM":
            pass
        assert (heard["id"], heard["text"]) == (first["id"], "Is she still there?")
        # They take part: they answer without joining, and what has reached them is delivered.
        assert (await agent.say(chat["id"], "She is."))["senderRole"] == "AGENT"
        delivered = await agent.hear("messageDelivered")
        assert delivered["id"] == first["id"]
    await write(chat, "Are you there?")
    async with driver.converse() as agent:
        told = await agent.hear("agentAssigned")
        assert (told["id"], told["status"]) == (chat["id"], "ASSIGNED")
        later = await write(chat, "Hello?")
        assert (await agent.hear("chatMessage"))["id"] == later["id"]
        await world.ask("POST", f"/v1/chats/{chat['id']}/closure", customer)
        assert (await agent.hear("chatClosed"))["id"] == chat["id"]


@scenario("A backlog after a drop is read more slowly, and nothing of it is lost", Ability.CONVERSE)
async def test_backlog(world: World, at: At, door: Door) -> None:
    customer = await world.customer()
    async with at(door, customer, world.target.first).converse() as here:
        chat_id = (await here.join(subject="After a tunnel"))["id"]
        said: list[dict[str, Any]] = []

        async def say() -> None:
            said.append(await here.say(chat_id, "Is anybody there?"))

        marks = [here.typing(chat_id, started=bool(mark % 2)) for mark in range(130)]
        await asyncio.gather(*marks, say())
        while (heard := await here.hear("chatMessage"))["senderRole"] == "SYSTEM":
            pass
        assert heard["id"] == said[0]["id"]
