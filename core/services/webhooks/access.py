"""Which webhooks a caller has to do with: those that get nothing that the caller could not get themselves."""

from core.auth.makers import reaches_within
from core.kernel.errors import NotFound
from core.kernel.model import Page, Paged
from core.models.webhooks import Webhook, WebhookState
from core.ports.records import OneOf, Query
from core.services.paging import page_of
from core.store.context import Context


async def webhook_for(ctx: Context, webhook_id: str) -> tuple[Webhook, WebhookState]:
    """A webhook with its state, for an operation on it; both locked when the operation writes.

    Raises:
        NotFound: there is none in this tenant, or it is that of somebody who sees what the caller does not.
    """
    webhook = await ctx.get(Webhook, webhook_id)
    tx = await ctx.tx()
    state = await tx.get(WebhookState, webhook_id, lock=ctx.writes)
    reaches = reaches_within(ctx.caller)
    if state is None or (reaches is not None and state.reach not in reaches):
        raise NotFound(f"There is no webhook '{webhook_id[:64]}'.")
    return webhook, state


async def webhooks_for(ctx: Context, paged: Paged) -> Page[Webhook]:
    """The requested page of the webhooks that the caller has to do with, oldest first."""
    reaches = reaches_within(ctx.caller)
    if reaches is None:
        return await page_of(ctx, Webhook, (), paged)
    page = await page_of(ctx, WebhookState, (OneOf("reach", reaches),), paged)
    tx = await ctx.tx()
    ids = tuple(state.id for state in page.data)
    return Page(data=await tx.find(Query(Webhook, (OneOf("id", ids),))), pagination=page.pagination)
