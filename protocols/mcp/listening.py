"""Streams of cues that resources have changed (MCP 2026-07-28, ``subscriptions/listen``), fed by the event log."""

from collections.abc import Iterable, Mapping
from typing import Any

from mcp.server.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp.types import (
    ResourceUpdatedNotification,
    ResourceUpdatedNotificationParams,
    SubscriptionFilter,
    SubscriptionsAcknowledgedNotification,
    SubscriptionsAcknowledgedNotificationParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
)

from core.hub import Batch
from core.kernel.errors import BadRequest, Close, Closed, CloseReason, CursorExpired
from core.kernel.events import aggregate_of
from core.kernel.validation import check_params
from core.live.commands import Subscribe
from core.live.session import Session
from core.live.sessions import Sessions
from protocols.mcp.bindings import ResourceKind
from protocols.mcp.errors import META
from protocols.mcp.resources import find
from protocols.mcp.visits import RequestContext, answering, scope_of, visit_of

_CURSOR = f"{META}cursor"


class Listening:
    """Serves the streams; each is a live connection of its caller, and ends no later than their login."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self.listen = answering(self._listen)

    async def _listen(
        self, ctx: RequestContext, params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        visit = visit_of(ctx)
        uris = params.notifications.resource_subscriptions or ()
        most = self._sessions.store.limits.filters_per_connection
        if (
            len(uris) > most
        ):  # To look at all of them would hold up others, only for the store to say the same.
            raise BadRequest(f"At most {most} resources in a stream.")
        watched = Watched(uris)
        session = self._sessions.open(visit.credentials, visit.caller)
        try:
            meta: Mapping[str, Any] = ctx.meta or {}
            begin = meta.get(_CURSOR)
            if begin is None:  # What the client reads next may come from memory, and be behind the log's end.
                begin = await self._sessions.store.cursor_before_reading(visit.caller.tenant)
            cursor = await watched.follow(session, begin)
            scope_of(ctx)["state"]["follows"] = True
            return await _Stream(ctx, session, watched).serve(cursor)
        finally:
            session.leave()


class Watched:
    """The resources of one stream: which events concern which of them."""

    def __init__(self, uris: Iterable[str]) -> None:
        #: As the client wrote them.
        self.uris = list(dict.fromkeys(uris))
        self._by_aggregate: dict[tuple[str, str], list[tuple[str, ResourceKind]]] = {}
        self._filters: dict[str, None] = {}
        for uri in self.uris:
            kind, resource_id = find(uri)
            resource_id = None if resource_id is None else resource_id.lower()
            topic_filter = kind.topic_filter.format(id=resource_id)
            self._filters[topic_filter] = None
            collection = topic_filter.partition("/")[0]
            self._by_aggregate.setdefault((collection, resource_id or ""), []).append((uri, kind))

    async def follow(self, session: Session, cursor: str) -> str | None:
        """Begin to follow what happens to them; gives the cursor, or None where there are none.

        Raises:
            StoreError: the caller may not see one of them, or they are too many.
        """
        if not self._filters:
            return None
        return await session.follow(
            check_params(Subscribe, {"topics": list(self._filters), "cursor": cursor})
        )

    def changed(self, batch: Batch) -> list[str]:
        """The resources that some events have changed, each once."""
        found: dict[str, None] = {}
        for event in batch.events:
            level = event.topic.rpartition("/")[2]
            for collection, resource_id in aggregate_of(event.topics):
                named = self._by_aggregate.get((collection, resource_id), ())
                for uri, kind in (*named, *self._by_aggregate.get((collection, ""), ())):
                    if level not in kind.unseen:
                        found[uri] = None
        return list(found)


class _Stream:
    """One stream: the acknowledgement, a cue whenever something has changed, and the result at its end.

    While the client does not read, what changes is noted by the log: the next cue is for all of it.
    """

    def __init__(self, ctx: RequestContext, session: Session, watched: Watched) -> None:
        self._ctx = ctx
        self._session = session
        self._watched = watched

    async def serve(self, cursor: str | None) -> SubscriptionsListenResult:
        """Serve it until the client leaves, or the store ends the session."""
        await self._tell(
            SubscriptionsAcknowledgedNotification(
                params=SubscriptionsAcknowledgedNotificationParams(
                    notifications=SubscriptionFilter(resource_subscriptions=self._watched.uris or None),
                    meta=self._meta(cursor),
                )
            )
        )
        close = await self._until_closed()
        meta = self._meta(self._session.cursor if close.oldest_cursor is None else close.oldest_cursor)
        meta[f"{META}closed"] = {
            "reason": close.reason.value,
            "message": close.detail,
            "resumable": close.resumable,
        }
        return SubscriptionsListenResult(meta=meta)

    async def _until_closed(self) -> Close:
        subscription, closed = self._session.subscription, self._session.closed
        if subscription is None:
            return await closed
        closed.add_done_callback(lambda ended: subscription.close(ended.result()))
        try:
            while True:
                batch = await subscription.next()
                for uri in self._watched.changed(batch):
                    params = ResourceUpdatedNotificationParams(uri=uri, meta=self._meta(batch.cursor))
                    await self._tell(ResourceUpdatedNotification(params=params))
        except Closed as error:
            return error.close
        except CursorExpired as error:
            return Close(CloseReason.CURSOR_EXPIRED, error.detail, error.oldest_cursor)

    def _meta(self, cursor: str | None) -> dict[str, Any]:
        meta: dict[str, Any] = {SUBSCRIPTION_ID_META_KEY: self._ctx.request_id}
        return meta if cursor is None else {**meta, _CURSOR: cursor}

    async def _tell(self, notification: Any) -> None:
        await self._ctx.session.send_notification(notification, related_request_id=self._ctx.request_id)
