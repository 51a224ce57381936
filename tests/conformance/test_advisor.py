"""The advisor answers the same at every door that has it, and in chats as well."""

from typing import Any

from tests.conformance.conftest import At
from tests.conformance.door import Ability, refusal
from tests.conformance.manifest import Door
from tests.conformance.people import World
from tests.conformance.scenario import scenario
from tests.waiting import eventually


def asked(*texts: str, **more: Any) -> dict[str, Any]:
    """A conversation in which somebody says this."""
    return {"messages": [{"role": "USER", "content": text} for text in texts], **more}


@scenario("The advisor answers from the store, in the rights of who asks", Ability.ASK, nodes=True)
async def test_answers(world: World, at: At, door: Door) -> None:
    pet, customer, other = await world.pet(), await world.customer(), await world.customer("other")
    mine = await world.ask("POST", "/v1/orders", customer, {"petId": pet["id"]})
    advisor = at(door, customer, world.target.last)
    plain = await world.ask("POST", "/v1/chat/completions", customer, asked("where are my orders?"))
    told = await advisor.ask(asked("where are my orders?"))
    assert mine["id"] in told.text
    assert told.text == plain["choices"][0]["message"]["content"]
    assert told.finish_reason == "stop"
    assert told.usage == {name: plain["usage"][name] for name in told.usage}
    assert told.parts >= 1
    theirs = await at(door, other, world.target.last).ask(asked("where are my orders?"))
    assert theirs.text == "You have no orders yet."
    short = await advisor.ask(asked("how do I adopt a pet?", maxTokens=3))
    assert (short.finish_reason, short.usage["completionTokens"]) == ("length", 3)


@scenario("The advisor refuses what cannot be, and who may not ask", Ability.ASK)
async def test_refusals(world: World, at: At, door: Door) -> None:
    advisor = at(door, await world.customer(), world.target.first)
    for body in (asked(), asked("x", maxTokens=0), {"messages": [{"role": "SYSTEM", "content": "x"}]}):
        refused = await refusal(advisor.ask(body))
        assert refused.code == "validation-error"
        assert refused.fields
    visitor = at(door, world.visitor, world.target.first)
    assert (await refusal(visitor.ask(asked("dogs?")))).code == "unauthorized"


@scenario(
    "A chat that waits is answered by the advisor, until an agent has it", Ability.CONVERSE, own=True, nodes=True
)  # fmt: skip
async def test_in_chats(world: World, at: At, door: Door) -> None:
    customer = await world.customer()
    async with at(door, customer, world.target.last).converse() as here:
        chat_id = (await here.join(subject="Adoption"))["id"]
        said = await here.say(chat_id, "how do I adopt a pet?")
        while (heard := await here.hear("chatMessage"))["senderRole"] != "SYSTEM":
            pass
        assert "senderId" not in heard
        assert (heard["clientMessageId"], "adopt" in heard["text"]) == (said["id"], True)
        await world.ask("POST", f"/v1/chats/{chat_id}/assignment", await world.staff(), {})
        await here.say(chat_id, "are you a person?")
        await world.ask("POST", f"/v1/chats/{chat_id}/messages", await world.staff(), {"text": "I am."})

        async def all_three() -> bool:
            page = await world.ask("GET", f"/v1/chats/{chat_id}/messages", customer)
            return [one["senderRole"] for one in page["data"]] == ["CUSTOMER", "SYSTEM", "CUSTOMER", "AGENT"]

        assert await eventually(all_three)
