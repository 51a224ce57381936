"""Support chats: opening, assigning, talking, marking as read, closing.

A chat waits until an agent takes it, is named for it, or is here: of the agents connected to a chat door of this
node, the one who has the fewest open chats is given it, at its opening or as soon as an agent arrives.
"""

import uuid

from core import examples
from core.caller import Caller, Role, Scope
from core.context import Context
from core.errors import Conflict, ErrorCode, Fault, FaultCode, NotFound, ValidationFailed
from core.events import EventKind, visible_to
from core.ids import new_id
from core.models.chats import (
    CHAT_ASSIGNED,
    CHAT_CLOSED,
    CHAT_MESSAGE,
    CHAT_MESSAGE_DELIVERED,
    CHAT_MESSAGE_READ,
    CHAT_OPENED,
    AssignmentDraft,
    Chat,
    ChatDraft,
    ChatEvent,
    ChatFilter,
    ChatStatus,
    Message,
    MessageDraft,
    MessageEvent,
    MessageFilter,
    MessagePage,
    MessageParams,
    MessageWindow,
    SenderRole,
)
from core.models.users import User
from core.operations import AnyOperation, Operation
from core.ports import Between, Condition, Equal, OneOf, Query, Transaction
from core.resource import ById, NoParams, Page
from core.services.paging import page_of
from core.services.users import user_id_of

#: Waiting chats that one arrival of an agent hands out at most; the rest waits for the next.
_MOST_WAITING = 100


# --- who may ---


def _is_agent(caller: Caller) -> bool:
    return caller.is_staff and Scope.CHAT_AGENT in caller.scopes


async def _visible(ctx: Context, chat_id: str) -> Chat:
    """The chat, which looks like a missing one to other customers."""
    chat = await ctx.get(Chat, chat_id)
    if chat.customer_id != ctx.caller.user_id and not _is_agent(ctx.caller):
        raise NotFound(f"There is no chat '{chat_id}'.")
    return chat


def _role_in(chat: Chat, caller: Caller) -> SenderRole:
    return SenderRole.CUSTOMER if chat.customer_id == caller.user_id else SenderRole.AGENT


# --- chats ---


async def _open(ctx: Context, _: NoParams, body: ChatDraft) -> Chat:
    tx = await ctx.tx()
    chat = Chat(
        id=new_id(),
        tenant_id=ctx.tenant,
        subject=body.subject,
        customer_id=user_id_of(ctx.caller),
        status=ChatStatus.WAITING,
        created_at=ctx.now,
        updated_at=ctx.now,
    )
    await tx.insert(chat)
    _announce(ctx, CHAT_OPENED, chat)
    agent_id = await _free_agent(ctx, tx, chat)
    return chat if agent_id is None else await _assign_to(ctx, tx, chat, agent_id)


def _announce(ctx: Context, kind: EventKind, chat: Chat) -> None:
    ctx.emit(kind, ChatEvent(chat=chat), visible_to(chat.customer_id), chat_id=chat.id)


async def _free_agent(ctx: Context, tx: Transaction, chat: Chat) -> str | None:
    """Of the agents who are here, the one with the fewest open chats; nobody helps himself."""
    here = ctx.store.presence.agents(ctx.tenant) - {chat.customer_id}
    if not here:
        return None
    busy = await tx.tally(Chat, ("agent_id",), (Equal("status", ChatStatus.ASSIGNED),))
    return min(sorted(here), key=lambda agent: busy.get((agent,), 0))


async def _assign_to(ctx: Context, tx: Transaction, chat: Chat, agent_id: str) -> Chat:
    chat = chat.model_copy(
        update={"agent_id": agent_id, "status": ChatStatus.ASSIGNED, "updated_at": ctx.now}
    )
    await tx.update(chat)
    _announce(ctx, CHAT_ASSIGNED, chat)
    return chat


async def _list(ctx: Context, params: ChatFilter, _: None) -> Page[Chat]:
    where: list[Condition] = []
    if not _is_agent(ctx.caller):
        where.append(Equal("customer_id", user_id_of(ctx.caller)))
    if params.status is not None:
        where.append(Equal("status", params.status))
    return await page_of(ctx, Chat, where, params, "-id")


async def _get(ctx: Context, params: ById, _: None) -> Chat:
    return await _visible(ctx, params.id)


async def _assign(ctx: Context, params: ById, body: AssignmentDraft) -> Chat:
    chat = await _visible(ctx, params.id)
    ctx.check_match(chat)
    tx = await ctx.tx()
    agent_id = body.agent_id or user_id_of(ctx.caller)
    if chat.status is ChatStatus.CLOSED:
        raise Conflict("The chat is closed.")
    if chat.agent_id == agent_id:
        return chat
    if body.agent_id is None and chat.agent_id is not None:
        raise Conflict("Another agent has the chat.")
    agent = await tx.get(User, agent_id)
    if agent is None or Role.STAFF not in agent.roles:
        raise ValidationFailed((Fault("agentId", "must be a member of the staff", FaultCode.INVALID_FORMAT),))
    return await _assign_to(ctx, tx, chat, agent_id)


async def _assign_waiting(ctx: Context, _: NoParams, __: None) -> None:
    tx = await ctx.tx()
    waiting = (Equal("status", ChatStatus.WAITING),)
    for found in await tx.find(Query(Chat, waiting, limit=_MOST_WAITING)):
        chat = await tx.get(Chat, found.id, lock=True)
        if chat is None or chat.status is not ChatStatus.WAITING:
            continue
        agent_id = await _free_agent(ctx, tx, chat)
        if agent_id is not None:
            await _assign_to(ctx, tx, chat, agent_id)


async def _close(ctx: Context, params: ById, _: None) -> Chat:
    chat = await _visible(ctx, params.id)
    ctx.check_match(chat)
    if chat.status is ChatStatus.CLOSED:
        raise Conflict("The chat is closed already.")
    chat = chat.model_copy(update={"status": ChatStatus.CLOSED, "updated_at": ctx.now})
    await (await ctx.tx()).update(chat)
    _announce(ctx, CHAT_CLOSED, chat)
    return chat


# --- messages ---


async def _list_messages(ctx: Context, params: MessageFilter, _: None) -> MessagePage:
    chat = await _visible(ctx, params.id)
    edge = params.after or params.before
    where: list[Condition] = [Equal("chat_id", chat.id)]
    if edge is not None:
        where.append(Between("id", low=params.after, high=params.before))
    order = "-id" if params.after is None else "id"
    # Bounds include the edge itself, and one more message tells whether there are more.
    query = Query(Message, tuple(where), order, params.limit + 1 + (edge is not None))
    found = [message for message in await (await ctx.tx()).find(query) if message.id != edge]
    shown = sorted(found[: params.limit], key=lambda message: message.id)
    window = MessageWindow(limit=params.limit, has_more=len(found) > params.limit)
    return MessagePage(data=shown, pagination=window)


async def _send(ctx: Context, params: ById, body: MessageDraft) -> Message:
    # The chat's lock makes senders take turns, so that a resent message finds the first one.
    chat = await _visible(ctx, params.id)
    tx = await ctx.tx()
    sender_id, role = user_id_of(ctx.caller), _role_in(chat, ctx.caller)
    in_chat = Equal("chat_id", chat.id)
    if body.client_message_id is not None:
        same = (Equal("sender_id", sender_id), Equal("client_message_id", body.client_message_id))
        if sent := await tx.find(Query(Message, (in_chat, *same))):
            return sent[0]
    if chat.status is ChatStatus.CLOSED:
        raise Conflict("The chat is closed.")
    if role is SenderRole.AGENT and chat.status is ChatStatus.WAITING:
        chat = await _assign_to(ctx, tx, chat, sender_id)
    last = await tx.find(Query(Message, (in_chat,), "-id", 1))
    message = Message(
        id=_id_after(last[0].id) if last else new_id(),
        tenant_id=ctx.tenant,
        chat_id=chat.id,
        sender_id=sender_id,
        sender_role=role,
        text=body.text,
        client_message_id=body.client_message_id,
        sent_at=ctx.now,
    )
    await tx.insert(message)
    await tx.update(chat.model_copy(update={"updated_at": ctx.now}))
    _announce_message(ctx, CHAT_MESSAGE, chat, message)
    return message


def _id_after(last: str) -> str:
    """A new id that sorts behind another one, though that may come from a node whose clock is ahead."""
    return max(new_id(), str(uuid.UUID(int=uuid.UUID(last).int + 1)))


def _announce_message(ctx: Context, kind: EventKind, chat: Chat, message: Message) -> None:
    ctx.emit(kind, MessageEvent(message=message), visible_to(chat.customer_id), chat_id=chat.id)


async def _to_mark(ctx: Context, params: MessageParams) -> tuple[Chat, Message, SenderRole]:
    """The message with its chat, and the caller's part in it: only the other side's messages can be marked."""
    chat = await _visible(ctx, params.id)
    message = await ctx.get(Message, params.message_id)
    if message.chat_id != chat.id:
        raise NotFound(f"There is no message '{message.id}'.")
    return chat, message, _role_in(chat, ctx.caller)


async def _mark_delivered(ctx: Context, params: MessageParams, _: None) -> Message:
    chat, message, role = await _to_mark(ctx, params)
    if message.sender_role is role or message.delivered_at is not None:
        return message
    message = message.model_copy(update={"delivered_at": ctx.now})
    await (await ctx.tx()).update(message)
    _announce_message(ctx, CHAT_MESSAGE_DELIVERED, chat, message)
    return message


async def _mark_read(ctx: Context, params: MessageParams, _: None) -> Message:
    chat, message, role = await _to_mark(ctx, params)
    if message.sender_role is role or message.read_at is not None:
        return message
    tx = await ctx.tx()
    others = OneOf("sender_role", tuple(other for other in SenderRole if other is not role))
    unread = (Equal("chat_id", chat.id), Equal("read_at", None), others, Between("id", high=message.id))
    for earlier in await tx.find(Query(Message, unread)):
        seen = {"read_at": ctx.now, "delivered_at": earlier.delivered_at or ctx.now}
        message = earlier.model_copy(update=seen)
        await tx.update(message)
    _announce_message(ctx, CHAT_MESSAGE_READ, chat, message)
    return message


_CHAT_ID = "019e2d16-7f03-7b58-8c24-5a6e8d0f1b33"
_MESSAGE_ID = "019e2d16-8a41-7d0e-b713-9c2f4e6a8d55"
_CHAT_EXAMPLE = {
    "id": _CHAT_ID,
    "tenantId": examples.TENANT_ID,
    "subject": "Does Biscuit like cats?",
    "customerId": examples.USER_ID,
    "agentId": None,
    "status": "WAITING",
    "createdAt": "2026-03-03T16:05:44.310Z",
    "updatedAt": "2026-03-03T16:05:44.310Z",
}
_MESSAGE_EXAMPLE = {
    "id": _MESSAGE_ID,
    "tenantId": examples.TENANT_ID,
    "chatId": _CHAT_ID,
    "senderId": examples.USER_ID,
    "senderRole": "CUSTOMER",
    "text": "We have two cats at home.",
    "clientMessageId": "m-1",
    "sentAt": "2026-03-03T16:06:02.870Z",
    "deliveredAt": None,
    "readAt": None,
}
_AGENT = {"agentId": "019e2d17-14c9-7e62-a035-6b8d0f2e4c77", "status": "ASSIGNED"}
_NOT_FOUND = frozenset({ErrorCode.NOT_FOUND})
_MOVES = frozenset({ErrorCode.NOT_FOUND, ErrorCode.CONFLICT, ErrorCode.PRECONDITION_FAILED})

OPEN_CHAT = Operation(
    name="openChat",
    tag="Chats",
    summary="Open a chat",
    description="The caller is its customer. It waits for an agent, unless one is connected and free.",
    params=NoParams,
    body=ChatDraft,
    result=Chat,
    handler=_open,
    scope=Scope.CHAT_WRITE,
    writes=True,
    creates=True,
    idempotent=True,
    body_example={"subject": _CHAT_EXAMPLE["subject"]},
    result_example=_CHAT_EXAMPLE,
)
LIST_CHATS = Operation(
    name="listChats",
    tag="Chats",
    summary="List chats",
    description="A customer's own; for agents all of them. Newest first.",
    params=ChatFilter,
    result=Page[Chat],
    handler=_list,
    scope=Scope.CHAT_WRITE,
    result_example=examples.page(_CHAT_EXAMPLE),
)
GET_CHAT = Operation(
    name="getChat",
    tag="Chats",
    summary="Get a chat",
    description="For its customer and for agents; to others it does not exist.",
    params=ById,
    result=Chat,
    handler=_get,
    scope=Scope.CHAT_WRITE,
    errors=_NOT_FOUND,
    result_example=_CHAT_EXAMPLE,
)
ASSIGN_CHAT = Operation(
    name="assignChat",
    tag="Chats",
    summary="Give a chat to an agent",
    description="Without `agentId` the calling agent takes it, if nobody has it yet.",
    params=ById,
    body=AssignmentDraft,
    result=Chat,
    handler=_assign,
    scope=Scope.CHAT_AGENT,
    writes=True,
    idempotent=True,
    errors=_MOVES,
    body_example={},
    result_example={**_CHAT_EXAMPLE, **_AGENT},
)
ASSIGN_WAITING_CHATS = Operation(
    name="assignWaitingChats",
    tag="Chats",
    summary="Give the waiting chats to the agents who are here",
    description="What a chat door does when an agent connects: each chat goes to who has the fewest.",
    params=NoParams,
    handler=_assign_waiting,
    scope=Scope.CHAT_AGENT,
    writes=True,
)
CLOSE_CHAT = Operation(
    name="closeChat",
    tag="Chats",
    summary="Close a chat",
    description="By its customer or an agent. Nothing more can be said in it.",
    params=ById,
    result=Chat,
    handler=_close,
    scope=Scope.CHAT_WRITE,
    writes=True,
    idempotent=True,
    errors=_MOVES,
    result_example={**_CHAT_EXAMPLE, **_AGENT, "status": "CLOSED"},
)
LIST_MESSAGES = Operation(
    name="listMessages",
    tag="Chats",
    summary="List the messages of a chat",
    description="In the order they were said: the newest, or those right before or after a message.",
    params=MessageFilter,
    result=MessagePage,
    handler=_list_messages,
    scope=Scope.CHAT_WRITE,
    errors=_NOT_FOUND,
    result_example={"data": [_MESSAGE_EXAMPLE], "pagination": {"limit": 20, "hasMore": False}},
)
SEND_MESSAGE = Operation(
    name="sendMessage",
    tag="Chats",
    summary="Say something in a chat",
    description="The same `clientMessageId` again gives the message that was sent first. An agent who answers a "
    "waiting chat takes it.",
    params=ById,
    body=MessageDraft,
    result=Message,
    handler=_send,
    scope=Scope.CHAT_WRITE,
    writes=True,
    creates=True,
    idempotent=True,
    errors=frozenset({ErrorCode.NOT_FOUND, ErrorCode.CONFLICT}),
    body_example={"text": _MESSAGE_EXAMPLE["text"], "clientMessageId": "m-1"},
    result_example=_MESSAGE_EXAMPLE,
)
MARK_DELIVERED = Operation(
    name="markDelivered",
    tag="Chats",
    summary="Mark a message as delivered",
    description="By the side that received it. Once it is marked, nothing happens.",
    params=MessageParams,
    result=Message,
    handler=_mark_delivered,
    scope=Scope.CHAT_WRITE,
    writes=True,
    errors=_NOT_FOUND,
    result_example={**_MESSAGE_EXAMPLE, "deliveredAt": "2026-03-03T16:06:03.001Z"},
)
MARK_READ = Operation(
    name="markRead",
    tag="Chats",
    summary="Mark a message, and all before it, as read",
    description="By the side that received it. Once it is marked, nothing happens.",
    params=MessageParams,
    result=Message,
    handler=_mark_read,
    scope=Scope.CHAT_WRITE,
    writes=True,
    errors=_NOT_FOUND,
    result_example={
        **_MESSAGE_EXAMPLE,
        "deliveredAt": "2026-03-03T16:06:03.001Z",
        "readAt": "2026-03-03T16:06:10.420Z",
    },
)

OPERATIONS: tuple[AnyOperation, ...] = (
    OPEN_CHAT,
    LIST_CHATS,
    GET_CHAT,
    ASSIGN_CHAT,
    ASSIGN_WAITING_CHATS,
    CLOSE_CHAT,
    LIST_MESSAGES,
    SEND_MESSAGE,
    MARK_DELIVERED,
    MARK_READ,
)
