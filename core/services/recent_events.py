"""What has happened since a cursor, for clients that ask now and then.

It is for doors whose clients cannot keep a stream open, and not in the catalogue.
"""

import asyncio

from core.auth.authorization import check_filters, viewer_of
from core.hub import Subscription
from core.kernel.cursor import EARLIEST, Cursor
from core.kernel.errors import Closed, CursorExpired, ErrorCode, Unavailable
from core.kernel.events import Event
from core.models.recent_events import LoggedEvent, RecentEvents, RecentEventsQuery
from core.store.context import Context
from core.store.operation import Operation

#: Without a cursor the latest of so many events of the log are looked through.
LOOKED_BACK = 1_000
#: How long the log is read for one answer: a narrow filter may match nothing for very long.
_READING_SECONDS = 1.0


async def _recent_events(ctx: Context, params: RecentEventsQuery, _: None) -> RecentEvents:
    store, caller = ctx.store, ctx.caller
    topics = frozenset(params.topics)
    await check_filters(store.storage, store.limits, caller, topics)
    after = params.after
    if after is None:
        head = Cursor.decode(await store.hub.cursor_now(ctx.tenant), ctx.tenant)
        after = Cursor(head.epoch, ctx.tenant, max(0, head.sequence - LOOKED_BACK)).encode()
    try:
        stream = await store.hub.subscribe(ctx.tenant, viewer_of(caller), topics, after)
    except CursorExpired:
        if params.after is not None:
            raise
        stream = await store.hub.subscribe(ctx.tenant, viewer_of(caller), topics, EARLIEST)
    try:
        found = await _read(stream, params.limit if params.after is not None else LOOKED_BACK)
        cursor, behind = stream.cursor, stream.behind
    finally:
        stream.close()
    if params.after is None:  # The latest: what lies before them is not asked for.
        shown = found[-params.limit :]
    elif found[params.limit :]:
        shown = found[: params.limit]
        cursor, behind = shown[-1].cursor or cursor, True
    else:
        shown = found
    return RecentEvents(events=[_logged(event) for event in shown], cursor=cursor, more=behind)


async def _read(stream: Subscription, enough: int) -> list[Event]:
    """The next events of a stream, at least so many where there are; what it is too early for is left.

    Raises:
        CursorExpired: the log was trimmed meanwhile.
        Unavailable: the stream was ended.
    """
    found: list[Event] = []
    try:
        async with asyncio.timeout(_READING_SECONDS):
            while len(found) < enough and (batch := await stream.catch_up() or stream.take()) is not None:
                found += [event for event in batch.events if not event.ephemeral]
    except TimeoutError:
        pass
    except Closed:
        raise Unavailable("The event log can't be read just now.") from None
    return found


def _logged(event: Event) -> LoggedEvent:
    return LoggedEvent(
        id=event.id,
        event_type=event.event_type,
        timestamp=event.timestamp,
        tenant_id=event.tenant,
        topic=event.topic,
        cursor=event.cursor or "",
        data=event.payload,
    )


RECENT_EVENTS = Operation(
    name="recentEvents",
    tag="Events",
    summary="What has changed since",
    description=(
        "The events of some topics, oldest first, as far as the caller may see them. Keep the answer's `cursor`: "
        "asking with it as `after` gives what has happened since, each event once. Without `after` the latest events "
        f"are given, of the last {LOOKED_BACK} of the store."
    ),
    params=RecentEventsQuery,
    handler=_recent_events,
    result=RecentEvents,
    anonymous=True,
    errors=frozenset({ErrorCode.CURSOR_EXPIRED}),
)
