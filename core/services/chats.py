"""Support chats: opening, assigning, closing; what is said in them is in `messages`.

A chat waits until it is assigned to an agent. It is assigned at its opening, or as soon as an agent connects: to the
agent connected to a chat door of this node who has the fewest open chats.
"""

from core.kernel.caller import Caller, Role, Scope
from core.kernel.errors import Conflict, ErrorCode, NotFound, ValidationFailed, Violation, ViolationCode
from core.kernel.events import EventKind, visible_to
from core.kernel.ids import new_id
from core.kernel.model import ById, NoParams, Page
from core.models import examples
from core.models.chats import (
    CHAT_ASSIGNED,
    CHAT_CLOSED,
    CHAT_OPENED,
    AssignmentDraft,
    Chat,
    ChatDraft,
    ChatEvent,
    ChatFilter,
    ChatQuestion,
    ChatStatus,
    Message,
)
from core.models.users import User
from core.ports.records import Condition, Equal, OneOf, Query, Transaction
from core.services.paging import page_of
from core.services.quotas import count_one, uncount
from core.services.users import user_id_of
from core.store.context import Context
from core.store.operation import AnyOperation, Operation
from core.store.transactions import commit

#: Messages that one transaction removes.
_BATCH_MESSAGES = 500
#: Waiting chats that are assigned when one agent connects, at most; the rest waits for the next agent.
_MAX_WAITING_CHATS = 100


def _is_agent(caller: Caller) -> bool:
    return caller.is_staff and Scope.CHAT_AGENT in caller.scopes


async def visible_chat(ctx: Context, chat_id: str) -> Chat:
    """The chat, if the caller is its customer or an agent; for other callers it does not exist.

    Raises:
        NotFound: there is none.
    """
    chat = await ctx.get(Chat, chat_id)
    if chat.customer_id != ctx.caller.user_id and not _is_agent(ctx.caller):
        raise NotFound(f"There is no chat '{chat_id}'.")
    return chat


async def _open(ctx: Context, _: NoParams, body: ChatDraft) -> Chat:
    tx = await ctx.tx()
    await _check_room(ctx, tx)
    chat = Chat(
        id=new_id(),
        tenant_id=ctx.tenant,
        subject=body.subject,
        customer_id=user_id_of(ctx.caller),
        status=ChatStatus.WAITING,
        created_at=ctx.now,
        updated_at=ctx.now,
    )
    await count_one(ctx, Chat)
    await tx.insert(chat)
    _announce(ctx, CHAT_OPENED, chat)
    agent_id = await _free_agent(ctx, tx, chat)
    return chat if agent_id is None else await assign_to(ctx, tx, chat, agent_id)


async def _check_room(ctx: Context, tx: Transaction) -> None:
    customer_id, most = user_id_of(ctx.caller), ctx.store.limits.open_chats_per_customer
    # Whoever opens several at once takes turns.
    await tx.get(User, customer_id, lock=True)
    open_ones = (
        Equal("customer_id", customer_id),
        OneOf("status", (ChatStatus.WAITING, ChatStatus.ASSIGNED)),
    )
    if await tx.count(Query(Chat, open_ones)) >= most:
        raise Conflict(f"The customer has {most} open chats: go on in one of them, or close it.")


async def _remove_oldest(ctx: Context, _: NoParams, __: ChatDraft, opened: Chat) -> Chat:
    """Of a customer who has many chats the oldest that are closed go, with their messages.

    In batches, each its own transaction; what was interrupted here is completed when the customer opens the next one.
    """
    of_customer, most = Equal("customer_id", opened.customer_id), ctx.store.limits.chats_per_customer
    async with ctx.store.storage.read(ctx.tenant) as reading:
        if await reading.count(Query(Chat, (of_customer,))) <= most:
            return opened

    async def remove(within: Context) -> bool:
        tx = await within.tx()
        if await tx.count(Query(Chat, (of_customer,))) <= most:
            return False
        closed = (of_customer, Equal("status", ChatStatus.CLOSED))
        found = await tx.find(Query(Chat, closed, limit=1))
        if not found:
            return False
        chat_id = found[0].id
        messages = await tx.find(Query(Message, (Equal("chat_id", chat_id),), limit=_BATCH_MESSAGES))
        await tx.delete_all(Message, (OneOf("id", tuple(message.id for message in messages)),))
        await tx.delete_all(ChatQuestion, (Equal("id", chat_id),))
        if len(messages) < _BATCH_MESSAGES and await tx.delete_all(Chat, (Equal("id", chat_id),)):
            await uncount(within, Chat)
            # Nodes that have it in memory forget it.
            _announce(within, CHAT_CLOSED, found[0])
        return True

    # Not the operation's own context: what is kept for its idempotency key is the chat that was opened.
    while await commit(Context(ctx.store, ctx.caller, writes=True, request_id=ctx.request_id), remove):
        pass
    return opened


def _announce(ctx: Context, kind: EventKind, chat: Chat) -> None:
    ctx.emit(kind, ChatEvent(chat=chat), visible_to(chat.customer_id), chat_id=chat.id)


async def _free_agent(ctx: Context, tx: Transaction, chat: Chat) -> str | None:
    """Of the connected agents, the one with the fewest open chats; never the chat's own customer."""
    here = ctx.store.agents.agents(ctx.tenant) - {chat.customer_id}
    if not here:
        return None
    busy = await tx.tally(Chat, ("agent_id",), (Equal("status", ChatStatus.ASSIGNED),))
    return min(sorted(here), key=lambda agent: busy.get((agent,), 0))


async def assign_to(ctx: Context, tx: Transaction, chat: Chat, agent_id: str) -> Chat:
    """Assign the chat to an agent, and announce it."""
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
    return await visible_chat(ctx, params.id)


async def _assign(ctx: Context, params: ById, body: AssignmentDraft) -> Chat:
    chat = await visible_chat(ctx, params.id)
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
        raise ValidationFailed(
            (Violation("agentId", "must be a member of the staff", ViolationCode.INVALID_FORMAT),)
        )
    return await assign_to(ctx, tx, chat, agent_id)


async def _assign_waiting(ctx: Context, _: NoParams, __: None) -> None:
    tx = await ctx.tx()
    waiting = (Equal("status", ChatStatus.WAITING),)
    for found in await tx.find(Query(Chat, waiting, limit=_MAX_WAITING_CHATS)):
        chat = await tx.get(Chat, found.id, lock=True)
        if chat is None or chat.status is not ChatStatus.WAITING:
            continue
        agent_id = await _free_agent(ctx, tx, chat)
        if agent_id is not None:
            await assign_to(ctx, tx, chat, agent_id)


async def _close(ctx: Context, params: ById, _: None) -> Chat:
    chat = await visible_chat(ctx, params.id)
    ctx.check_match(chat)
    if chat.status is ChatStatus.CLOSED:
        raise Conflict("The chat is closed already.")
    chat = chat.model_copy(update={"status": ChatStatus.CLOSED, "updated_at": ctx.now})
    await (await ctx.tx()).update(chat)
    _announce(ctx, CHAT_CLOSED, chat)
    return chat


CHAT_ID = "019e2d16-7f03-7b58-8c24-5a6e8d0f1b33"
_CHAT_EXAMPLE = {
    "id": CHAT_ID,
    "tenantId": examples.TENANT_ID,
    "subject": "Does Biscuit like cats?",
    "customerId": examples.USER_ID,
    "status": "WAITING",
    "createdAt": "2026-03-03T16:05:44.310Z",
    "updatedAt": "2026-03-03T16:05:44.310Z",
}
_AGENT = {"agentId": "019e2d17-14c9-7e62-a035-6b8d0f2e4c77", "status": "ASSIGNED"}
_NOT_FOUND = frozenset({ErrorCode.NOT_FOUND})
_WRITE_ERRORS = frozenset({ErrorCode.NOT_FOUND, ErrorCode.CONFLICT, ErrorCode.PRECONDITION_FAILED})

OPEN_CHAT = Operation(
    name="openChat",
    tag="Chats",
    summary="Open a chat",
    description="The caller is its customer. It waits for an agent, unless one is connected and free. Of a customer's "
    "closed chats those stay that are among the newest 1,000 of all.",
    params=NoParams,
    body=ChatDraft,
    result=Chat,
    handler=_open,
    finish=_remove_oldest,
    scope=Scope.CHAT_WRITE,
    writes=True,
    creates=True,
    idempotent=True,
    errors=frozenset({ErrorCode.CONFLICT}),
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
    description="Its customer and the agents see it; to anybody else the chat does not exist.",
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
    summary="Assign a chat to an agent",
    description="Without `agentId` the chat is assigned to the calling agent, if no agent has it yet.",
    params=ById,
    body=AssignmentDraft,
    result=Chat,
    handler=_assign,
    scope=Scope.CHAT_AGENT,
    writes=True,
    idempotent=True,
    errors=_WRITE_ERRORS,
    body_example={},
    result_example={**_CHAT_EXAMPLE, **_AGENT},
)
ASSIGN_WAITING_CHATS = Operation(
    name="assignWaitingChats",
    tag="Chats",
    summary="Assign the waiting chats to the connected agents",
    description="What a chat door does when an agent connects: each chat goes to the agent who has the fewest.",
    params=NoParams,
    handler=_assign_waiting,
    scope=Scope.CHAT_AGENT,
    writes=True,
)
CLOSE_CHAT = Operation(
    name="closeChat",
    tag="Chats",
    summary="Close a chat",
    description="For its customer and agents. A closed chat takes no more messages.",
    params=ById,
    result=Chat,
    handler=_close,
    scope=Scope.CHAT_WRITE,
    writes=True,
    idempotent=True,
    errors=_WRITE_ERRORS,
    result_example={**_CHAT_EXAMPLE, **_AGENT, "status": "CLOSED"},
)
OPERATIONS: tuple[AnyOperation, ...] = (
    OPEN_CHAT,
    LIST_CHATS,
    GET_CHAT,
    ASSIGN_CHAT,
    ASSIGN_WAITING_CHATS,
    CLOSE_CHAT,
)
