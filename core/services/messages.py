"""Messages in support chats: listing, sending, and marking them as delivered and as read."""

import uuid
from datetime import timedelta

from core.auth.makers import maker_of
from core.kernel.caller import Caller, Scope
from core.kernel.errors import Conflict, ErrorCode, NotFound
from core.kernel.events import EventKind, visible_to
from core.kernel.ids import new_id
from core.kernel.model import ById
from core.models import examples
from core.models.chats import (
    CHAT_MESSAGE,
    CHAT_MESSAGE_DELIVERED,
    CHAT_MESSAGE_READ,
    Chat,
    ChatQuestion,
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
from core.ports.records import Between, Condition, Equal, OneOf, Query
from core.services.chats import CHAT_ID, assign_to, visible_chat
from core.services.users import user_id_of
from core.store.context import Context
from core.store.operation import AnyOperation, Operation
from core.store.transactions import commit

#: Messages that one transaction marks as read.
_BATCH_MESSAGES = 500
#: How long a customer waits for a machine's answer, and in how many chats at a time.
_ANSWER_TIME = timedelta(hours=1)
_MAX_QUESTIONS = 5


#: Whose messages are for whom: what the store itself says is for the customer.
_HEARS = {
    SenderRole.CUSTOMER: (SenderRole.AGENT, SenderRole.SYSTEM),
    SenderRole.AGENT: (SenderRole.CUSTOMER,),
}


def _role_in(chat: Chat, caller: Caller) -> SenderRole:
    return SenderRole.CUSTOMER if chat.customer_id == caller.user_id else SenderRole.AGENT


async def _list_messages(ctx: Context, params: MessageFilter, _: None) -> MessagePage:
    chat = await visible_chat(ctx, params.id)
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
    chat = await visible_chat(ctx, params.id)
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
        chat = await assign_to(ctx, tx, chat, sender_id)
    most = ctx.store.limits.messages_per_chat
    if await tx.find(Query(Message, (in_chat,), limit=1, offset=most - 1)):
        raise Conflict(f"The chat has {most} messages: go on in another one.")
    message = await add_message(ctx, chat, role, sender_id, body.text, body.client_message_id)
    if role is SenderRole.CUSTOMER and chat.status is ChatStatus.WAITING and ctx.store.advised_chats:
        await _ask_advisor(ctx, message)
    return message


async def add_message(
    ctx: Context, chat: Chat, role: SenderRole, sender_id: str | None, text: str, mark: str | None
) -> Message:
    """Add a message, with its sender's id for it, to a chat whose lock is held, and announce it."""
    tx = await ctx.tx()
    last = await tx.find(Query(Message, (Equal("chat_id", chat.id),), "-id", 1))
    message = Message(
        id=_id_after(last[0].id) if last else new_id(),
        tenant_id=ctx.tenant,
        chat_id=chat.id,
        sender_id=sender_id,
        sender_role=role,
        text=text,
        client_message_id=mark,
        sent_at=ctx.now,
    )
    await tx.insert(message)
    await tx.update(chat.model_copy(update={"updated_at": ctx.now}))
    _announce_message(ctx, CHAT_MESSAGE, chat, message)
    return message


async def _ask_advisor(ctx: Context, message: Message) -> None:
    """Have the advisor answer, in the sender's rights, unless there is a newer message by then."""
    tx = await ctx.tx()
    question = ChatQuestion(
        id=message.chat_id,
        tenant_id=ctx.tenant,
        customer_id=user_id_of(ctx.caller),
        message_id=message.id,
        asker=maker_of(ctx.caller),
        due_at=ctx.now,
        expires_at=ctx.now + _ANSWER_TIME,
    )
    if await tx.get(ChatQuestion, question.id, lock=True) is not None:
        await tx.update(question)
    elif await tx.count(Query(ChatQuestion, (Equal("customer_id", question.customer_id),))) < _MAX_QUESTIONS:
        await tx.insert(question)


def _id_after(last: str) -> str:
    """A new id that sorts after another one, even if that one came from a node whose clock is ahead."""
    return max(new_id(), str(uuid.UUID(int=uuid.UUID(last).int + 1)))


def _announce_message(ctx: Context, kind: EventKind, chat: Chat, message: Message) -> None:
    ctx.emit(kind, MessageEvent(message=message), visible_to(chat.customer_id), chat_id=chat.id)


async def _to_mark(ctx: Context, params: MessageParams) -> tuple[Chat, Message, SenderRole]:
    """The message with its chat, and the caller's role in it: only the other side's messages can be marked."""
    chat = await visible_chat(ctx, params.id)
    message = await ctx.get(Message, params.message_id)
    if message.chat_id != chat.id:
        raise NotFound(f"There is no message '{message.id}'.")
    return chat, message, _role_in(chat, ctx.caller)


async def _mark_delivered(ctx: Context, params: MessageParams, _: None) -> Message:
    chat, message, role = await _to_mark(ctx, params)
    if message.sender_role not in _HEARS[role] or message.delivered_at is not None:
        return message
    message = message.model_copy(update={"delivered_at": ctx.now})
    await (await ctx.tx()).update(message)
    _announce_message(ctx, CHAT_MESSAGE_DELIVERED, chat, message)
    return message


async def _mark_read(ctx: Context, params: MessageParams, _: None) -> Message:
    chat, message, role = await _to_mark(ctx, params)
    if message.sender_role not in _HEARS[role] or message.read_at is not None:
        return message
    seen = {"read_at": ctx.now, "delivered_at": message.delivered_at or ctx.now}
    message = message.model_copy(update=seen)
    await (await ctx.tx()).update(message)
    _announce_message(ctx, CHAT_MESSAGE_READ, chat, message)
    return message


async def _mark_earlier_read(ctx: Context, _: MessageParams, __: None, message: Message) -> Message:
    """Mark what came before in batches, each its own transaction, so that a long chat holds up no other writer.

    A mark that was interrupted here is completed by the next one, of this message or a later one.
    """

    async def mark(within: Context) -> int:
        tx = await within.tx()
        chat = await tx.get(Chat, message.chat_id)
        role = None if chat is None else _role_in(chat, ctx.caller)
        if role is None or message.sender_role not in _HEARS[role]:
            return 0
        unread = (
            Equal("chat_id", message.chat_id),
            Equal("read_at", None),
            OneOf("sender_role", _HEARS[role]),
            Between("id", high=message.id),
        )
        ids = tuple(earlier.id for earlier in await tx.find(Query(Message, unread, limit=_BATCH_MESSAGES)))
        if ids:
            these = OneOf("id", ids)
            await tx.update_all(Message, (these, Equal("delivered_at", None)), {"delivered_at": within.now})
            await tx.update_all(Message, (these,), {"read_at": within.now})
        return len(ids)

    while await commit(ctx, mark) == _BATCH_MESSAGES:
        pass
    return message


_MESSAGE_ID = "019e2d16-8a41-7d0e-b713-9c2f4e6a8d55"
_MESSAGE_EXAMPLE = {
    "id": _MESSAGE_ID,
    "tenantId": examples.TENANT_ID,
    "chatId": CHAT_ID,
    "senderId": examples.USER_ID,
    "senderRole": "CUSTOMER",
    "text": "We have two cats at home.",
    "clientMessageId": "m-1",
    "sentAt": "2026-03-03T16:06:02.870Z",
}
_NOT_FOUND = frozenset({ErrorCode.NOT_FOUND})

LIST_MESSAGES = Operation(
    name="listMessages",
    tag="Chats",
    summary="List the messages of a chat",
    description="In the order in which they were sent: the newest, or those right before or after a message.",
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
    summary="Send a message to a chat",
    description="Sending the same `clientMessageId` again returns the message that was sent first. A waiting "
    "chat is assigned to the agent who answers it.",
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
    description="For the side that received it. Marking it again changes nothing.",
    params=MessageParams,
    result=Message,
    handler=_mark_delivered,
    scope=Scope.CHAT_WRITE,
    writes=True,
    idempotent=True,
    errors=_NOT_FOUND,
    result_example={**_MESSAGE_EXAMPLE, "deliveredAt": "2026-03-03T16:06:03.001Z"},
)
MARK_READ = Operation(
    name="markRead",
    tag="Chats",
    summary="Mark a message, and all before it, as read",
    description="For the side that received it. Marking it again changes nothing.",
    params=MessageParams,
    result=Message,
    handler=_mark_read,
    finish=_mark_earlier_read,
    scope=Scope.CHAT_WRITE,
    writes=True,
    idempotent=True,
    errors=_NOT_FOUND,
    result_example={
        **_MESSAGE_EXAMPLE,
        "deliveredAt": "2026-03-03T16:06:03.001Z",
        "readAt": "2026-03-03T16:06:10.420Z",
    },
)

OPERATIONS: tuple[AnyOperation, ...] = (LIST_MESSAGES, SEND_MESSAGE, MARK_DELIVERED, MARK_READ)
