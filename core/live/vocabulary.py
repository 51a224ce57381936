"""The live vocabulary: every command of a live client, what it is given, what it does, how it is acknowledged."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from core.kernel.errors import BadRequest
from core.kernel.validation import check_body
from core.live.chats import JoinedChats
from core.live.commands import (
    Authenticate,
    InChat,
    JoinChat,
    Ping,
    ReadMark,
    SendText,
    Subscribe,
    Unsubscribe,
)
from core.live.replies import (
    Authenticated,
    JoinedChat,
    NamedChat,
    OneMessage,
    Pong,
    Reply,
    Subscribed,
    Unsubscribed,
)
from core.live.session import Session, store_errors

In = TypeVar("In", bound=BaseModel)
Out = TypeVar("Out", bound=Reply)


@dataclass(frozen=True, slots=True)
class Command(Generic[In, Out]):
    """One command: the content that it is given, the content of its reply, what it does."""

    given: type[In]
    reply: type[Out]
    handle: Callable[[Session, JoinedChats, In], Awaitable[Out]]


async def execute(session: Session, chats: JoinedChats, name: str, data: object) -> dict[str, Any]:
    """Carry out one command of a client; gives the content of its reply.

    Raises:
        StoreError: it is refused. The session goes on, but one that is still not ``admitted`` should be closed.
    """
    with store_errors():
        if not session.admitted and name != "authenticate":
            await session.admit_visitor()
        command = COMMANDS.get(name)
        if command is None:
            raise BadRequest(f"There is no message type '{name[:64]}'.")
        if name != "ping":
            session.rate.message()
        given = check_body(command.given, {} if data is None else data)
        reply: Reply = await command.handle(session, chats, given)
        return reply.shown()


async def _authenticate(session: Session, _: JoinedChats, command: Authenticate) -> Authenticated:
    await session.authenticate(command.token)
    return Authenticated(user=session.who, expires_at=session.caller.expires_at)


async def _subscribe(session: Session, _: JoinedChats, command: Subscribe) -> Subscribed:
    cursor = await session.follow(command)
    return Subscribed(cursor=cursor, topics=sorted(session.filters))


async def _unsubscribe(session: Session, _: JoinedChats, command: Unsubscribe) -> Unsubscribed:
    session.unfollow(command.topics)
    return Unsubscribed(cursor=session.cursor, topics=sorted(session.filters))


async def _ping(session: Session, _: JoinedChats, __: Ping) -> Pong:
    return Pong(cursor=session.cursor)


#: Every command, by the name that it has on every live door.
COMMANDS: dict[str, Command[Any, Any]] = {
    "authenticate": Command(Authenticate, Authenticated, _authenticate),
    "subscribe": Command(Subscribe, Subscribed, _subscribe),
    "unsubscribe": Command(Unsubscribe, Unsubscribed, _unsubscribe),
    "joinChat": Command(JoinChat, JoinedChat, lambda _, chats, given: chats.join(given)),
    "leaveChat": Command(InChat, NamedChat, lambda _, chats, given: chats.leave(given)),
    "chatMessage": Command(SendText, OneMessage, lambda _, chats, given: chats.say(given)),
    "typingStarted": Command(InChat, NamedChat, lambda _, chats, given: chats.typing_started(given)),
    "typingStopped": Command(InChat, NamedChat, lambda _, chats, given: chats.typing_stopped(given)),
    "messageRead": Command(ReadMark, OneMessage, lambda _, chats, given: chats.mark_read(given)),
    "ping": Command(Ping, Pong, _ping),
}
