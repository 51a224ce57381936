"""Events as the chat doors name them."""

import json
from typing import Any

import pytest
from pydantic import BaseModel

from core.kernel.clock import utc_now
from core.kernel.events import STAFF_ONLY, Draft, Event, EventKind
from core.kernel.ids import SHARED_TENANT, new_id
from core.live.chat_messages import for_chat, plain
from core.models.chats import (
    CHAT_ASSIGNED,
    CHAT_CLOSED,
    CHAT_MESSAGE,
    CHAT_MESSAGE_DELIVERED,
    CHAT_MESSAGE_READ,
    CHAT_OPENED,
    CHAT_TYPING,
    EVENTS,
    PRESENCE_CHANGED,
    Chat,
    ChatEvent,
    ChatStatus,
    ChatTyping,
    Message,
    MessageEvent,
    PresenceChanged,
    SenderRole,
)

_NOW = utc_now()
_CHAT = Chat(
    id=new_id(),
    tenant_id=SHARED_TENANT,
    customer_id=new_id(),
    status=ChatStatus.WAITING,
    created_at=_NOW,
    updated_at=_NOW,
)
_MESSAGE = Message(
    id=new_id(),
    tenant_id=SHARED_TENANT,
    chat_id=_CHAT.id,
    sender_role=SenderRole.AGENT,
    text="Hello",
    sent_at=_NOW,
)


def _event(kind: EventKind, data: BaseModel) -> Event:
    event = Draft(kind, data, STAFF_ONLY, {"chat_id": _CHAT.id}).to_event(SHARED_TENANT, _NOW, None)
    return event if kind.ephemeral else event.at(1, 7)


@pytest.mark.parametrize(
    ("kind", "data", "name", "member"),
    [
        (CHAT_MESSAGE, MessageEvent(message=_MESSAGE), "chatMessage", _MESSAGE),
        (CHAT_MESSAGE_DELIVERED, MessageEvent(message=_MESSAGE), "messageDelivered", _MESSAGE),
        (CHAT_MESSAGE_READ, MessageEvent(message=_MESSAGE), "messageRead", _MESSAGE),
        (CHAT_ASSIGNED, ChatEvent(chat=_CHAT), "agentAssigned", _CHAT),
        (CHAT_CLOSED, ChatEvent(chat=_CHAT), "chatClosed", _CHAT),
    ],
)
def test_what_is_kept_of_a_chat_has_a_name_its_resource_and_a_place(
    kind: EventKind, data: BaseModel, name: str, member: Chat | Message
) -> None:
    event = _event(kind, data)
    live = for_chat(event)
    assert (live.name, live.chat_id) == (name, _CHAT.id)
    assert json.loads(live.data) == {**json.loads(member.encoded), "cursor": event.cursor}


@pytest.mark.parametrize(
    ("kind", "data", "name", "shown"),
    [
        (CHAT_TYPING, ChatTyping(user_id="u", typing=True), "typingStarted", {"userId": "u"}),
        (CHAT_TYPING, ChatTyping(user_id="u", typing=False), "typingStopped", {"userId": "u"}),
        (
            PRESENCE_CHANGED,
            PresenceChanged(user_id="u", online=False),
            "presence",
            {"userId": "u", "online": False},
        ),
    ],
)
def test_what_is_not_kept_has_no_place(
    kind: EventKind, data: BaseModel, name: str, shown: dict[str, Any]
) -> None:
    live = for_chat(_event(kind, data))
    assert (live.name, live.chat_id, json.loads(live.data)) == (name, _CHAT.id, shown)


def test_other_events_keep_their_envelope() -> None:
    event = _event(CHAT_OPENED, ChatEvent(chat=_CHAT))
    for live in (plain(event), for_chat(event)):
        assert (live.name, live.data, live.chat_id) == ("event", event.envelope, None)


def test_only_an_opening_has_no_chat_name() -> None:
    datas = {ChatEvent: ChatEvent(chat=_CHAT), MessageEvent: MessageEvent(message=_MESSAGE)}
    plain_ones = [
        kind.event_type
        for kind in EVENTS
        if kind.data in datas and for_chat(_event(kind, datas[kind.data])).name == "event"
    ]
    assert plain_ones == ["chat.opened"]
