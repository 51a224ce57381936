"""Webhooks, made, changed and removed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from core.auth.authorization import PRIVATE_ROOTS, PUBLIC_ROOTS, check_filters
from core.auth.makers import maker_of, reach_of, viewer_of_maker
from core.kernel.caller import Scope
from core.kernel.errors import BadRequest, Conflict, ErrorCode, ValidationFailed, Violation, ViolationCode
from core.kernel.ids import new_id
from core.kernel.model import ById, NoParams, Page, Paged
from core.kernel.topics import parse_filter
from core.kernel.validation import MergePatch
from core.models import examples
from core.models.catalogue import EVENTS
from core.models.webhooks import (
    DeliveryRecord,
    NewWebhook,
    Webhook,
    WebhookChange,
    WebhookDraft,
    WebhookState,
    WebhookStatus,
)
from core.ports.records import Equal
from core.ports.webhooks import TargetRefused
from core.services.quotas import count_one, uncount
from core.services.webhooks.access import webhook_for, webhooks_for
from core.services.webhooks.records import NAME, revise, with_due
from core.services.webhooks.signing import new_secret
from core.store.context import Context
from core.store.operation import AnyOperation, Operation

#: How long the secret before a rotation still signs.
OVERLAP = timedelta(hours=24)
_ROOTS = PUBLIC_ROOTS | PRIVATE_ROOTS | {"+", "#"}


@dataclass(frozen=True, slots=True)
class _Checked:
    """What was found out about a body before the transaction: the URL as it is kept."""

    url: str | None


async def _check(ctx: Context, url: str | None, events: Sequence[str] | None) -> _Checked:
    violations = []
    filters = []
    for place, choice in enumerate(events or ()):
        kind = EVENTS.get(choice)
        field = f"events[{place}]"
        if kind is None:
            if choice.partition("/")[0] not in _ROOTS:
                message = "is neither an event type nor a topic filter"
                violations.append(Violation(field, message, ViolationCode.INVALID_ENUM_VALUE))
                continue
            try:
                filters.append(parse_filter(choice))
            except BadRequest as error:
                violations.append(Violation(field, error.detail, ViolationCode.INVALID_FORMAT))
        elif kind.ephemeral:
            violations.append(
                Violation(field, "is never kept, and so never sent", ViolationCode.INVALID_ENUM_VALUE)
            )
    if url is not None:
        try:
            url = await ctx.store.webhooks.admit(url)
        except TargetRefused as error:
            violations.append(Violation("url", str(error), ViolationCode.INVALID_FORMAT))
    if violations:
        raise ValidationFailed(tuple(violations))
    await check_filters(ctx.store.storage, ctx.store.limits, ctx.caller, filters)
    return _Checked(url)


async def _prepare(ctx: Context, _: NoParams, body: WebhookDraft) -> _Checked:
    return await _check(ctx, body.url, body.events)


async def _create(ctx: Context, _: NoParams, body: WebhookDraft) -> NewWebhook:
    checked = ctx.prepared
    assert isinstance(checked, _Checked)
    assert checked.url is not None
    tx = await ctx.tx()
    webhook = Webhook(
        id=new_id(),
        tenant_id=ctx.tenant,
        url=checked.url,
        events=tuple(body.events),
        description=body.description,
        status=WebhookStatus.ENABLED,
        created_at=ctx.now,
        updated_at=ctx.now,
    )
    secret = new_secret()
    await count_one(ctx, Webhook)
    await tx.insert(webhook)
    await revise(tx, ctx.tenant)
    state = WebhookState(
        id=webhook.id,
        tenant_id=ctx.tenant,
        maker=maker_of(ctx.caller),
        reach=reach_of(ctx.caller),
        secret=secret,
        since=await tx.follow(NAME),
    )
    await tx.insert(state)
    return NewWebhook(**dict(webhook), secret=secret)


async def _list(ctx: Context, params: Paged, _: None) -> Page[Webhook]:
    return await webhooks_for(ctx, params)


async def _get(ctx: Context, params: ById, _: None) -> Webhook:
    return (await webhook_for(ctx, params.id))[0]


async def _prepare_update(ctx: Context, _: ById, body: MergePatch[WebhookChange]) -> _Checked:
    """Look at what the patch brings; what of it is of the wrong type the handler refuses."""
    url, events = body.patch.get("url"), body.patch.get("events")
    named = [one for one in events if isinstance(one, str)] if isinstance(events, list) else []
    checkable = isinstance(events, list) and len(named) == len(events) <= 100
    return await _check(ctx, url if isinstance(url, str) else None, named if checkable else None)


async def _update(ctx: Context, params: ById, body: MergePatch[WebhookChange]) -> Webhook:
    """Its maker goes on to answer for it, whoever changes it, so that nobody gets what another could see.

    Where the maker may have no webhooks any more, whoever enables it takes their place. They see as much, at least.
    """
    webhook, state = await webhook_for(ctx, params.id)
    ctx.check_match(webhook)
    checked = ctx.prepared
    assert isinstance(checked, _Checked)
    present = webhook.model_dump(
        mode="json", by_alias=True, include={"url", "events", "description", "status"}
    )
    draft = body.apply(WebhookChange, WebhookChange.model_validate(present))
    changed = webhook.model_copy(
        update={
            "url": checked.url or webhook.url,
            "events": tuple(draft.events),
            "description": draft.description,
            "status": draft.status,
        }
    )
    if changed == webhook:
        return webhook
    # What it keeps of the other's choice must be the caller's to choose too.
    await _check(ctx, None, draft.events)
    changed = changed.model_copy(update={"updated_at": ctx.now})
    tx = await ctx.tx()
    await tx.update(changed)
    await revise(tx, ctx.tenant)
    news: dict[str, object] = {}
    if changed.status is not webhook.status:
        news["failing_since"] = None
        if changed.status is WebhookStatus.ENABLED:
            if await viewer_of_maker(tx, ctx.tenant, state.maker, ctx.now) is None:
                news |= {"maker": maker_of(ctx.caller), "reach": reach_of(ctx.caller)}
            news["since"] = await tx.hold_log()
    state = state.model_copy(update=news)
    await tx.update(await with_due(tx, state, ctx.now, enabled=changed.status is WebhookStatus.ENABLED))
    return changed


async def _delete(ctx: Context, params: ById, _: None) -> None:
    webhook = (await webhook_for(ctx, params.id))[0]
    ctx.check_match(webhook)
    tx = await ctx.tx()
    await tx.delete_all(DeliveryRecord, (Equal("webhook_id", webhook.id),))
    await tx.delete(WebhookState, webhook.id)
    await tx.delete(Webhook, webhook.id)
    await revise(tx, ctx.tenant)
    await uncount(ctx, Webhook)


async def _rotate(ctx: Context, params: ById, _: None) -> NewWebhook:
    webhook, state = await webhook_for(ctx, params.id)
    if state.previous_until is not None and ctx.now < state.previous_until:
        # A third would end the first one, which the endpoint may still go by.
        until = state.previous_until.isoformat(timespec="seconds").replace("+00:00", "Z")
        raise Conflict(f"Two secrets sign until {until}: from then on the webhook can have another new one.")
    secret = new_secret()
    rotated = state.model_copy(
        update={"secret": secret, "previous_secret": state.secret, "previous_until": ctx.now + OVERLAP}
    )
    await (await ctx.tx()).update(rotated)
    return NewWebhook(**dict(webhook), secret=secret)


_NEW_EXAMPLE = {**examples.WEBHOOK, "secret": "whsec_…"}

CREATE_WEBHOOK = Operation(
    name="createWebhook",
    tag="Webhooks",
    summary="Create a webhook",
    description="From now on each event that one of `events` selects, and that the caller may see, is posted to `url`, "
    "signed with the secret, which is shown in this response only. Private, loopback and link-local addresses are "
    "refused. What is sent follows the rights that the caller has at the time; when they lose them, nothing is.",
    params=NoParams,
    body=WebhookDraft,
    result=NewWebhook,
    prepare=_prepare,
    handler=_create,
    scope=Scope.WRITE_WEBHOOKS,
    staff=True,
    writes=True,
    creates=True,
    errors=frozenset({ErrorCode.CONFLICT}),
    body_example=examples.WEBHOOK_DRAFT,
    result_example=_NEW_EXAMPLE,
)
LIST_WEBHOOKS = Operation(
    name="listWebhooks",
    tag="Webhooks",
    summary="List the webhooks",
    description="Oldest first. Secrets are not shown. Programs see those that get nothing but what they could get.",
    params=Paged,
    result=Page[Webhook],
    handler=_list,
    scope=Scope.WRITE_WEBHOOKS,
    staff=True,
    result_example=examples.page(examples.WEBHOOK),
)
GET_WEBHOOK = Operation(
    name="getWebhook",
    tag="Webhooks",
    summary="Get a webhook",
    description="Its secret is not shown.",
    params=ById,
    result=Webhook,
    handler=_get,
    scope=Scope.WRITE_WEBHOOKS,
    staff=True,
    errors=frozenset({ErrorCode.NOT_FOUND}),
    result_example=examples.WEBHOOK,
)
UPDATE_WEBHOOK = Operation(
    name="updateWebhook",
    tag="Webhooks",
    summary="Change a webhook",
    description="What is sent goes on to follow the rights of its maker, whoever changes it. With the status DISABLED "
    "nothing is sent; with ENABLED what is still pending goes on, and new events are sent. When its maker may have no "
    "webhooks any more, whoever enables it answers for it from then on.",
    params=ById,
    body=WebhookChange,
    patch=True,
    result=Webhook,
    prepare=_prepare_update,
    handler=_update,
    scope=Scope.WRITE_WEBHOOKS,
    staff=True,
    writes=True,
    errors=frozenset({ErrorCode.NOT_FOUND, ErrorCode.PRECONDITION_FAILED}),
    body_example={"events": ["orders/#"]},
    result_example={**examples.WEBHOOK, "events": ["orders/#"]},
)
DELETE_WEBHOOK = Operation(
    name="deleteWebhook",
    tag="Webhooks",
    summary="Delete a webhook",
    description="With its deliveries; what is pending is not sent any more.",
    params=ById,
    handler=_delete,
    scope=Scope.WRITE_WEBHOOKS,
    staff=True,
    writes=True,
    errors=frozenset({ErrorCode.NOT_FOUND, ErrorCode.PRECONDITION_FAILED}),
)
ROTATE_WEBHOOK_SECRET = Operation(
    name="rotateWebhookSecret",
    tag="Webhooks",
    summary="Give a webhook a new secret",
    description="The secret is shown in this response only. Both secrets sign for 24 hours; until then there is no "
    "third (409).",
    params=ById,
    result=NewWebhook,
    handler=_rotate,
    scope=Scope.WRITE_WEBHOOKS,
    staff=True,
    writes=True,
    creates=True,
    errors=frozenset({ErrorCode.NOT_FOUND, ErrorCode.CONFLICT}),
    result_example=_NEW_EXAMPLE,
)

OPERATIONS: tuple[AnyOperation, ...] = (
    CREATE_WEBHOOK,
    LIST_WEBHOOKS,
    GET_WEBHOOK,
    UPDATE_WEBHOOK,
    DELETE_WEBHOOK,
    ROTATE_WEBHOOK_SECRET,
)
