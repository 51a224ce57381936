"""Webhooks: endpoints of others that the store sends events to, and each delivery to them."""

from typing import Annotated, ClassVar, Self

from pydantic import Field

from core.kernel.caller import Scope
from core.kernel.describing import Described
from core.kernel.events import EventKind
from core.kernel.model import Body, Choice, Identifier, Line, Model, Paged, Params, Resource, Timestamp
from core.kernel.topics import MAX_FILTER_LENGTH

MAX_URL_LENGTH = 2048


class WebhookStatus(Choice):
    """Whether events are sent to a webhook."""

    ENABLED = "ENABLED"
    """Events are sent."""
    DISABLED = "DISABLED"
    """Nothing is sent: somebody switched it off, or the store did."""


class DisabledReason(Choice):
    """Why the store switched a webhook off."""

    FAILING = "FAILING"
    """It has failed for three days running."""
    GONE = "GONE"
    """It answered 410 Gone."""
    BEHIND = "BEHIND"
    """More events waited for it than the store keeps."""
    UNAUTHORIZED = "UNAUTHORIZED"
    """Whoever answers for it may have no webhooks any more."""


class Webhook(Resource):
    """An endpoint that events are sent to."""

    url: str
    """Where events are posted to."""
    events: tuple[str, ...]
    """Event types, such as order.created, and topic filters, such as pets/#: what one of them selects is sent."""
    description: str | None = None
    """What it is for."""
    status: WebhookStatus
    """Whether events are sent."""
    created_at: Timestamp
    """When it was created."""
    updated_at: Timestamp
    """When it was last changed."""


class NewWebhook(Webhook):
    """A new webhook, or one with a new secret, with that secret."""

    secret: str = Field(repr=False)
    """What deliveries are signed with; shown only this once."""


class WebhookMaker(Model):
    """Who made a webhook and answers for it: what it gets is what they may see at the time. See core.auth.makers."""

    key: str
    user_id: str | None = None
    client_id: str | None = None
    grant_id: str | None = None
    scopes: tuple[Scope, ...]


class WebhookState(Model):
    """What is kept with a webhook of the same id and never shown.

    Events behind the sequence ``since`` of the log are sent. ``previous_secret`` signs too, until ``previous_until``.
    ``due_at`` is when the next attempt of a delivery is due; ``pending`` deliveries have not ended. ``failing_since``:
    when the first attempt after the last success failed. ``reach`` is what its maker could see when they made it
    (core.auth.makers.reach_of; ``callback`` for one): it is shown only to those who see as much.
    """

    id: str
    tenant_id: str
    maker: WebhookMaker
    reach: str
    secret: str = Field(repr=False)
    previous_secret: str | None = Field(default=None, repr=False)
    previous_until: Timestamp | None = None
    since: int
    pending: int = 0
    due_at: Timestamp | None = None
    failing_since: Timestamp | None = None


class WebhookRevision(Model):
    """Changes with every change of a tenant's webhooks; its id is the tenant's."""

    id: str
    tenant_id: str
    revision: str


class DeliveryStatus(Choice):
    """How far a delivery is."""

    PENDING = "PENDING"
    """It is attempted, or waits for its next attempt or for an earlier event of the same resource."""
    SUCCEEDED = "SUCCEEDED"
    """The endpoint answered with a status of 200 to 299."""
    FAILED = "FAILED"
    """Its attempts are used up, or whoever made the webhook may no longer see the event."""


class DeliveryAttempt(Model):
    """One attempt to deliver."""

    at: Timestamp
    """When it began."""
    duration_ms: int
    """How long it took, in milliseconds."""
    response_status: int | None = None
    """The HTTP status of the answer; absent: there was none."""
    error: str | None = None
    """Why it failed, where that was not the status."""


class WebhookDelivery(Resource):
    """One event on its way to a webhook."""

    webhook_id: str
    """The webhook."""
    event_id: str
    """The event: `webhook-id` of every attempt."""
    event_type: str
    """What happened, such as order.created."""
    topic: str
    """The topic of the event."""
    status: DeliveryStatus
    """How far it is."""
    attempts: tuple[DeliveryAttempt, ...] = ()
    """The attempts, oldest first; the last ten."""
    next_attempt_at: Timestamp | None = None
    """When it is attempted next."""
    created_at: Timestamp
    """When it was created."""
    updated_at: Timestamp
    """When it was last changed."""

    @classmethod
    def of(cls, record: "DeliveryRecord") -> Self:
        """What is shown of a delivery."""
        return cls.model_validate(record.model_dump(by_alias=False, include=set(cls.model_fields)))


class DeliveryRecord(Model):
    """A delivery as it is kept.

    Deliveries of one ``lane`` of a webhook follow one another, by ``sequence``; one that waits for another has no
    ``next_attempt_at``. ``tries`` counts the attempts of the schedule. ``aliases`` and ``audience`` are the event's, by
    which it is checked who may see it; ``body`` is what is sent.
    """

    id: str
    tenant_id: str
    webhook_id: str
    event_id: str
    event_type: str
    topic: str
    aliases: tuple[str, ...] = ()
    audience: str
    lane: str
    sequence: int
    body: str = Field(repr=False)
    status: DeliveryStatus = DeliveryStatus.PENDING
    tries: int = 0
    attempts: tuple[DeliveryAttempt, ...] = ()
    next_attempt_at: Timestamp | None = None
    created_at: Timestamp
    updated_at: Timestamp
    expires_at: Timestamp | None = None


_EventChoice = Annotated[str, Field(min_length=1, max_length=MAX_FILTER_LENGTH)]


class WebhookDraft(Body):
    """What a client sends to create a webhook."""

    LIKE: ClassVar[type[Described] | None] = Webhook
    READ_ONLY: ClassVar[frozenset[str]] = Body.READ_ONLY | {"status"}

    url: Annotated[str, Field(min_length=1, max_length=MAX_URL_LENGTH)]
    events: list[_EventChoice] = Field(min_length=1, max_length=100)
    description: Annotated[Line, Field(max_length=500)] | None = None


class WebhookChange(Body):
    """What a client can change of a webhook."""

    LIKE: ClassVar[type[Described] | None] = Webhook

    url: Annotated[str, Field(min_length=1, max_length=MAX_URL_LENGTH)]
    events: list[_EventChoice] = Field(min_length=1, max_length=100)
    description: Annotated[Line, Field(max_length=500)] | None = None
    status: WebhookStatus


class DeliveriesOf(Paged):
    """Deliveries of one webhook."""

    id: Identifier
    """The id of the webhook."""


class OneDelivery(Params):
    """One delivery of a webhook."""

    id: Identifier
    """The id of the webhook."""
    delivery_id: Identifier
    """The id of the delivery."""


class WebhookDisabledEvent(Model):
    """The store switched a webhook off."""

    webhook: Webhook
    """The webhook."""
    reason: DisabledReason
    """Why."""


WEBHOOK_DISABLED = EventKind(
    "webhook.disabled",
    ("webhooks/{webhook_id}/disabled",),
    WebhookDisabledEvent,
    "The store switched a webhook off, since it failed for days, is gone, is too far behind, or nobody answers for it.",
)


class WebhookTestEvent(Model):
    """Somebody tests a webhook."""

    webhook_id: str
    """The webhook."""


#: Goes to the webhook that is tested and nowhere else, so that it is none of the store's events.
WEBHOOK_TEST = EventKind(
    "webhook.test",
    ("webhooks/{webhook_id}/test",),
    WebhookTestEvent,
    "Somebody tests the webhook; it has no position in the log.",
    ephemeral=True,
)

EVENTS = (WEBHOOK_DISABLED,)
