"""The part of a connected client that talks in chats."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from core.hub import Batch
from core.kernel.caller import Scope
from core.kernel.cursor import Cursor, sequence_of
from core.kernel.errors import BadRequest, StoreError
from core.kernel.events import Draft, Event, visible_to
from core.live.commands import InChat, JoinChat, ReadMark, SendText
from core.live.receipts import Receipts
from core.live.replies import JoinedChat, NamedChat, OneMessage
from core.live.session import Session, store_errors
from core.live.sessions import Sessions
from core.models.chats import (
    CHAT_ASSIGNED,
    CHAT_TYPING,
    PRESENCE_CHANGED,
    Chat,
    ChatEvent,
    ChatStatus,
    ChatTyping,
    PresenceChanged,
)
from core.ports.records import Equal, Query
from core.services.chats import ASSIGN_WAITING_CHATS, GET_CHAT, OPEN_CHAT
from core.services.messages import MARK_READ, SEND_MESSAGE
from core.store.operation import AnyOperation
from core.store.store import Call

log = logging.getLogger(__name__)

#: Chats that an agent takes up when they connect.
_MAX_TAKEN_UP = 100


class JoinedChats:
    """The chats that one client has joined, or was given as an agent, and what it says there.

    ``tell`` shows the client one event that is not of its subscription.
    """

    __slots__ = (
        "_assigned", "_assigned_task", "_available", "_customers", "_given", "_presence", "_queue", "_receipts",
        "_session", "_store", "_tell",
    )  # fmt: skip

    def __init__(self, session: Session, sessions: Sessions, tell: Callable[[Event], None]) -> None:
        self._session = session
        self._tell = tell
        self._store = sessions.store
        self._presence = sessions.presence
        self._queue = sessions.queue
        self._receipts = Receipts(sessions.store)
        #: The customers of the chats, by the chats' ids.
        self._customers: dict[str, str] = {}
        #: Those of them that were given to the client and not joined by it: it is not shown as present there, and
        #: leaves with their closure.
        self._given: set[str] = set()
        #: Assignments to this agent that are not worked through yet; None stands for all that may have been missed.
        self._assigned: deque[Event | None] = deque()
        self._assigned_task: asyncio.Task[None] | None = None
        self._available = False

    async def join(self, command: JoinChat) -> JoinedChat:
        """Enter a chat, or open one."""
        session = self._session
        session.caller.require_known()
        cursor = command.cursor
        if f"chats/{command.chat_id}" not in session.filters:
            self._check_room()
        if command.chat_id is None:
            # An agent who is assigned at the opening is announced like any other.
            cursor = await self._store.hub.cursor_now(session.caller.tenant)
            body = {} if command.subject is None else {"subject": command.subject}
            chat: Chat = await self._run(OPEN_CHAT, {}, body)
        else:
            chat = await self._run(GET_CHAT, {"id": command.chat_id})
        reached = await session.follow_permitted(frozenset({f"chats/{chat.id}"}), cursor)
        if chat.id not in self._customers or chat.id in self._given:
            self._given.discard(chat.id)
            self._customers[chat.id] = chat.customer_id
            if self._presence.arrive(chat.id, self.user_id):
                self._announce(chat.id, chat.customer_id, online=True)
        return JoinedChat(session_id=session.id, user=session.who, chat=chat, cursor=reached)

    async def leave(self, command: InChat) -> NamedChat:
        """Leave a chat; it goes on without this connection."""
        chat_id = self._joined(command)
        self._part(chat_id)
        return NamedChat(chat_id=chat_id)

    async def say(self, command: SendText) -> OneMessage:
        """Send a message to a chat."""
        chat_id = self._named(command)
        body: dict[str, object] = {"text": command.text}
        if command.client_message_id is not None:
            body["clientMessageId"] = command.client_message_id
        message = await self._run(SEND_MESSAGE, {"id": chat_id}, body)
        return OneMessage(message=message)

    async def typing_started(self, command: InChat) -> NamedChat:
        """Show the others that this user types."""
        return self._typing(command, typing=True)

    async def typing_stopped(self, command: InChat) -> NamedChat:
        """Show the others that this user no longer types."""
        return self._typing(command, typing=False)

    def _typing(self, command: InChat, *, typing: bool) -> NamedChat:
        chat_id = self._joined(command)
        audience = visible_to(self._customers[chat_id])
        data = ChatTyping(user_id=self.user_id, typing=typing)
        draft = Draft(CHAT_TYPING, data, audience, {"chat_id": chat_id})
        self._store.broadcast(self._session.caller.tenant, draft)
        return NamedChat(chat_id=chat_id)

    async def mark_read(self, command: ReadMark) -> OneMessage:
        """Mark a message as read."""
        chat_id = self._named(command)
        message = await self._run(MARK_READ, {"id": chat_id, "message_id": command.message_id})
        return OneMessage(message=message)

    def delivered(self, batch: Batch) -> None:
        """Note that a batch went out: messages of others in these chats are marked as delivered."""
        if not self._customers:
            return
        caller = self._session.caller
        for event in batch.events:
            if event.event_type == "chat.closed" and (ended := event.payload["chat"]["id"]) in self._given:
                asyncio.get_running_loop().call_soon(self._end, ended)
            if event.event_type != "chat.message":
                continue
            message = event.payload["message"]
            if message["chatId"] in self._customers and message.get("senderId") != caller.user_id:
                self._receipts.add(caller, message["chatId"], message["id"])

    async def offer(self) -> None:
        """Be available, as an agent, for waiting chats, until `close`; nothing for anybody else."""
        caller = self._session.caller
        if self._available or not caller.is_staff or Scope.CHAT_AGENT not in caller.scopes:
            return
        self._available = True
        self._store.agents.arrive(caller.tenant, self.user_id)
        self._queue.arrive(caller.tenant, self)
        await self._take_up_assigned()
        await self.take_waiting()

    def assigned(self, event: Event | None) -> None:
        """A chat has been assigned to this agent, who hears it from there on; None: any may have been."""
        self._assigned.append(event)
        if self._assigned_task is None:
            self._assigned_task = asyncio.create_task(self._work_through_assigned())

    async def _work_through_assigned(self) -> None:
        try:
            while self._assigned:
                event = self._assigned.popleft()
                if event is None:
                    await self._take_up_assigned()
                else:
                    before = Cursor(event.epoch, event.tenant, event.sequence - 1).encode()
                    chat = event.payload["chat"]
                    await self._take_up(chat["id"], chat["customerId"], before)
        finally:
            self._assigned_task = None

    async def _take_up_assigned(self) -> None:
        """Take up the chats that this agent has already, and be told of them."""
        caller = self._session.caller
        mine = Query(
            Chat, (Equal("status", ChatStatus.ASSIGNED), Equal("agent_id", self.user_id)), limit=_MAX_TAKEN_UP
        )
        try:
            with store_errors():
                async with self._store.storage.read(caller.tenant) as tx:
                    found = await tx.find(mine)
        except StoreError as error:
            log.warning("an agent was not told of their chats: %s", error.detail)
            return
        for chat in found:
            reached = await self._take_up(chat.id, chat.customer_id, None)
            if reached is not None:
                audience = visible_to(chat.customer_id)
                draft = Draft(CHAT_ASSIGNED, ChatEvent(chat=chat), audience, {"chat_id": chat.id})
                event = draft.to_event(caller.tenant, self._store.clock(), None)
                self._tell(event.at(*sequence_of(reached)))

    async def _take_up(self, chat_id: str, customer_id: str, cursor: str | None) -> str | None:
        """Enter a chat that was given to this agent; gives the cursor from which on they hear it."""
        if chat_id in self._customers:
            return None
        try:
            self._check_room()
            reached = await self._session.follow_permitted(frozenset({_given_filter(chat_id)}), cursor)
        except StoreError as error:
            log.warning("an agent does not hear a chat of theirs: %s", error.detail)
            return None
        self._given.add(chat_id)
        self._customers[chat_id] = customer_id
        return reached

    async def take_waiting(self) -> None:
        """Have the waiting chats assigned to the agents who are available."""
        try:
            await self._run(ASSIGN_WAITING_CHATS, {})
        except StoreError as error:
            log.warning("waiting chats were not assigned: %s", error.detail)

    def close(self) -> None:
        """Leave every chat, for the client has gone."""
        self._receipts.close()
        if self._assigned_task is not None:
            self._assigned_task.cancel()
        for chat_id in list(self._customers):
            self._part(chat_id)
        if self._available:
            self._available = False
            self._store.agents.leave(self._session.caller.tenant, self.user_id)
            self._queue.leave(self._session.caller.tenant, self)

    @property
    def user_id(self) -> str:
        """The user who is connected; empty for a client without one."""
        return self._session.caller.user_id or ""

    def _named(self, command: InChat) -> str:
        """The chat that a command names, joined or not.

        Clients that queue what is said while they are offline send it as soon as they are back, before they join again.
        """
        return self._joined(command) if command.chat_id is None else command.chat_id

    def _joined(self, command: InChat) -> str:
        if command.chat_id is None:
            # An agent who joined one means that, however many others were given to them.
            meant = [chat for chat in self._customers if chat not in self._given] or list(self._customers)
            if len(meant) == 1:
                return meant[0]
        chat_id = (command.chat_id or "").lower()
        if chat_id not in self._customers:
            raise BadRequest("Join the chat first, and name it.")
        return chat_id

    def _check_room(self) -> None:
        bound = self._store.limits.filters_per_connection
        if len(self._session.filters) >= bound:
            raise BadRequest(f"At most {bound} topics per connection.")

    def _end(self, chat_id: str) -> None:
        """Leave a chat that was given to this agent, for it is over."""
        if chat_id in self._given:
            self._part(chat_id)

    def _part(self, chat_id: str) -> None:
        self._session.unfollow([f"chats/{chat_id}", _given_filter(chat_id)])
        customer_id = self._customers.pop(chat_id)
        if chat_id in self._given:
            self._given.remove(chat_id)
        elif self._presence.leave(chat_id, self.user_id):
            self._announce(chat_id, customer_id, online=False)

    def _announce(self, chat_id: str, customer_id: str, *, online: bool) -> None:
        data = PresenceChanged(user_id=self.user_id, online=online)
        draft = Draft(PRESENCE_CHANGED, data, visible_to(customer_id), {"chat_id": chat_id})
        self._store.broadcast(self._session.caller.tenant, draft)

    async def _run(self, operation: AnyOperation, params: Mapping[str, object], body: object = None) -> Any:
        return (await self._store.execute(self._session.caller, Call(operation, params, body))).value


def _given_filter(chat_id: str) -> str:
    """What follows a chat that is given to an agent.

    It is another than that of joining, so that an agent who joins it, with a cursor, gets what was before, and nothing
    twice.
    """
    return f"chats/{chat_id}/#"
