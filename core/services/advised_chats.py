"""Support chats that wait for an agent, answered by the advisor: the customer's newest message once, until an agent
has the chat.

The question is written down with the message, and goes with its answer, each in one transaction. So a crash loses none,
and however many processes answer, one answer counts.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from core.auth.makers import caller_of_maker
from core.hub.leases import Leaseholder
from core.hub.tasks import Tasks
from core.kernel.caller import Caller, operator
from core.kernel.errors import StorageDown, StoreError, Unavailable
from core.kernel.events import Event
from core.kernel.ids import TenantId, new_id
from core.kernel.model import NoParams
from core.models.advisor import CompletionDraft, SpeakerRole, Turn
from core.models.chats import Chat, ChatQuestion, ChatStatus, Message, SenderRole
from core.ports.coordination import Lease
from core.ports.records import Between, Equal, Query, TransientFailure
from core.services.advisor.completions import COMPLETE_CHAT
from core.services.advisor.search import ask
from core.services.messages import add_message
from core.store.context import Context
from core.store.parts import StoreParts
from core.store.transactions import commit

log = logging.getLogger(__name__)

Work = Callable[[Context], Awaitable[bool]]

#: The name of the lease.
NAME = "advised-chats"
#: Questions that are answered at a time, and of one customer.
_AT_ONCE, _OF_CUSTOMER = 32, 2
#: Due questions that are looked at for that.
_LOOKED_AT = 500
#: An answer is tried so often, with these pauses: a language model may be away.
_PAUSES = (timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=2))
#: What of a conversation the advisor is shown, and of its answer the chat takes.
_MESSAGES = 20
_ANSWER_CHARACTERS = 4000
_SPEAKERS = {
    SenderRole.CUSTOMER: SpeakerRole.USER,
    SenderRole.AGENT: SpeakerRole.ASSISTANT,
    SenderRole.SYSTEM: SpeakerRole.ASSISTANT,
}


@dataclass(slots=True)
class AnswerCounters:
    """Questions since the process began: answered, of no more use when they were, and given up."""

    answered: int = 0
    dropped: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class AdvisedChatsStatistics:
    """``holding`` is 1 in the one process that answers; ``under_way``: questions that it answers at the moment."""

    holding: int
    under_way: int
    questions: AnswerCounters


class AdvisedChats:
    """The one process that holds the lease answers. An observer of the hub, which wakes it at once."""

    def __init__(self, store: StoreParts, *, poll: float = 1.0) -> None:
        self._store = store
        self._poll = poll
        self._counters = AnswerCounters()
        self._woken = asyncio.Event()
        self._leaseholder = Leaseholder(store.storage, NAME, new_id(), self._serve)
        self._running: asyncio.Task[None] | None = None
        #: The customers of the chats that are answered now, by the chats.
        self._under_way: dict[tuple[str, str], tuple[str, str]] = {}

    def start(self) -> None:
        """Start, in the background, where the store is to do this."""
        if self._store.advised_chats:
            self._store.hub.observers.add(self)
            self._running = asyncio.create_task(self._leaseholder.run(), name="advised chats")

    async def stop(self) -> None:
        """Stop, and leave it to another process, which begins anew what was under way."""
        running, self._running = self._running, None
        if running is None:
            return
        self._store.hub.observers.remove(self)
        running.cancel()
        await asyncio.wait({running})

    def statistics(self) -> AdvisedChatsStatistics:
        """Figures for metrics and tests."""
        holding = int(self._leaseholder.lease is not None)
        return AdvisedChatsStatistics(holding, len(self._under_way), replace(self._counters))

    def on_events(self, tenant: TenantId, events: Sequence[Event]) -> None:  # noqa: ARG002 - an observer's signature
        """See core.hub.EventObserver."""
        if any(event.event_type == "chat.message" for event in events):
            self._woken.set()

    def on_lost(self, tenant: TenantId | None) -> None:  # noqa: ARG002 - an observer's signature
        """See core.hub.EventObserver."""
        self._woken.set()

    async def _serve(self, _: Lease) -> None:
        tasks = Tasks()
        try:
            while True:
                self._woken.clear()
                try:
                    await self._begin(tasks)
                except (StorageDown, TransientFailure) as error:
                    log.warning("advised chats: what is due cannot be read, trying again: %s", error)
                try:
                    async with asyncio.timeout(self._poll):
                        await self._woken.wait()
                except TimeoutError:
                    pass
        finally:
            await tasks.cancel()
            self._under_way.clear()

    async def _begin(self, tasks: Tasks) -> None:
        """Begin with those that have waited longest, a few of each customer, as far as there is room."""
        if len(self._under_way) >= _AT_ONCE:
            return
        busy = Counter(self._under_way.values())
        due = (Between("due_at", high=self._store.clock()),)
        for question in await self._store.storage.survey(
            Query(ChatQuestion, due, "due_at", limit=_LOOKED_AT)
        ):
            chat, customer = (
                (question.tenant_id, question.id),
                (question.tenant_id, question.customer_id),
            )
            if chat in self._under_way or busy[customer] >= _OF_CUSTOMER:
                continue
            busy[customer] += 1
            self._under_way[chat] = customer
            _ = tasks.spawn(self._take(question, chat))
            if len(self._under_way) >= _AT_ONCE:
                return

    async def _take(self, question: ChatQuestion, chat: tuple[str, str]) -> None:
        try:
            await _Question(self._store, question, self._counters).answer()
        except (StorageDown, TransientFailure, Unavailable) as error:
            log.warning("advised chats: an answer cannot be written, and will be made again: %s", error)
            await asyncio.sleep(self._poll)
        finally:
            self._under_way.pop(chat, None)
            self._woken.set()


class _Question:
    """One question, from its first look to its answer."""

    def __init__(self, store: StoreParts, question: ChatQuestion, counters: AnswerCounters) -> None:
        self._store = store
        self._question = question
        self._tenant = TenantId(question.tenant_id)
        self._counters = counters

    async def answer(self) -> None:
        """Answer it, put it off where that fails, or drop it where nobody waits for an answer any more.

        Raises:
            StorageDown, TransientFailure, Unavailable: it is as it was.
        """
        # Counted before it is tried, so that one that brings the process down does so a few times at most.
        if not await self._commit(self._count):
            return
        async with self._store.storage.read(self._tenant) as tx:
            caller = await caller_of_maker(tx, self._tenant, self._question.asker, self._store.clock())
            chat = await tx.get(Chat, self._question.id)
            said = await tx.find(Query(Message, (Equal("chat_id", self._question.id),), "-id", _MESSAGES))
        if caller is None or chat is None:
            await self._commit(self._drop)
            return
        try:
            text = await self._ask(caller, draft_of(chat, said[::-1]))
        except StoreError as error:
            log.warning("advised chats: no answer: %s", error.detail)
            await self._commit(self._put_off)
            return

        async def write(ctx: Context) -> bool:
            return await self._write(ctx, text)

        await self._commit(write)

    async def _ask(self, caller: Caller, draft: CompletionDraft) -> str:
        ctx = Context(self._store, caller, writes=False)
        try:
            completion = await ask(ctx, COMPLETE_CHAT, NoParams(), draft)
        finally:
            await ctx.close()
        return completion.text.strip()

    async def _commit(self, work: Work) -> bool:
        return await commit(Context(self._store, operator(self._tenant), writes=True), work)

    async def _hold(self, ctx: Context) -> tuple[Chat | None, ChatQuestion | None]:
        """Lock the chat and its question, in this order. No question: there is a newer one, or it was answered."""
        tx = await ctx.tx()
        chat = await tx.get(Chat, self._question.id, lock=True)
        held = await tx.get(ChatQuestion, self._question.id, lock=True)
        same = held is not None and held.message_id == self._question.message_id
        return chat, held if same else None

    async def _count(self, ctx: Context) -> bool:
        """Count the attempt; drop the question where there is no use in one. Says whether it is to be made."""
        chat, held = await self._hold(ctx)
        if held is None:
            return False
        tx = await ctx.tx()
        waits = chat is not None and chat.status is ChatStatus.WAITING and held.expires_at > ctx.now
        if not waits or held.tries > len(_PAUSES):
            await tx.delete(ChatQuestion, held.id)
            ctx.after_commit(self._note_dropped if not waits else self._note_failed)
            return False
        await tx.update(held.model_copy(update={"tries": held.tries + 1}))
        return True

    async def _drop(self, ctx: Context) -> bool:
        _, held = await self._hold(ctx)
        if held is not None:
            await (await ctx.tx()).delete(ChatQuestion, held.id)
            ctx.after_commit(self._note_dropped)
        return held is not None

    async def _put_off(self, ctx: Context) -> bool:
        """Try it again later, or give it up."""
        _, held = await self._hold(ctx)
        if held is None:
            return False
        tx = await ctx.tx()
        if held.tries > len(_PAUSES):
            await tx.delete(ChatQuestion, held.id)
            ctx.after_commit(self._note_failed)
            return False
        await tx.update(held.model_copy(update={"due_at": ctx.now + _PAUSES[max(0, held.tries - 1)]}))
        return True

    async def _write(self, ctx: Context, text: str) -> bool:
        """Put the answer into the chat, if it still waits, in place of the question."""
        chat, held = await self._hold(ctx)
        if held is None:
            return False
        await (await ctx.tx()).delete(ChatQuestion, held.id)
        if chat is None or chat.status is not ChatStatus.WAITING or not text:
            ctx.after_commit(self._note_dropped)
            return False
        shown = text if len(text) <= _ANSWER_CHARACTERS else f"{text[: _ANSWER_CHARACTERS - 1]}…"
        await add_message(ctx, chat, SenderRole.SYSTEM, None, shown, held.message_id)
        ctx.after_commit(self._note_answered)
        return True

    async def _note_answered(self) -> None:
        self._counters.answered += 1

    async def _note_dropped(self) -> None:
        self._counters.dropped += 1

    async def _note_failed(self) -> None:
        self._counters.failed += 1


def draft_of(chat: Chat, said: Sequence[Message]) -> CompletionDraft:
    """A chat as a conversation with the advisor, its subject first."""
    turns = [Turn(role=_SPEAKERS[message.sender_role], content=message.text) for message in said]
    if chat.subject is not None:
        turns.insert(0, Turn(role=SpeakerRole.USER, content=chat.subject))
    return CompletionDraft(messages=tuple(turns))
