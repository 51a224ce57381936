"""A store put together for tests, and a shop: one tenant of it with somebody to act in it."""

import json
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from core.hub import Hub
from core.kernel.caller import CUSTOMER_SCOPES, STAFF_SCOPES, Caller, Role, visitor
from core.kernel.clock import Clock, utc_now
from core.kernel.errors import StoreError, ValidationFailed
from core.kernel.ids import TenantId, new_id
from core.kernel.limits import Limits
from core.models.pets import Pet
from core.models.users import User
from core.ports.language_model import LanguageModel
from core.ports.security import TrustedIssuers
from core.ports.storage import Storage
from core.ports.webhooks import WebhookSender
from core.services.inventory import numbers_of
from core.store.context import Context
from core.store.operation import AnyOperation
from core.store.parts import Adapters
from core.store.store import Call, Outcome, Store
from gateway.bus import InProcessBus
from gateway.image_decoder import PillowDecoder
from gateway.images import FileImages
from gateway.payments import SimulatedProcessor
from gateway.phones import NumberingPlans
from gateway.rate_limits.in_process import InProcessRateLimiter
from gateway.security.passwords import Argon2Hasher
from gateway.security.tokens import HmacSigner
from gateway.storage.memory import MemoryStorage
from gateway.storage.opening import open_storage
from tests.core.webhook_endpoints import Endpoints

UNLIMITED = Limits(requests_per_minute=0)
#: What addresses in resources are under.
PUBLIC_URL = "https://store.example"


def compose(
    storage: Storage,
    folder: Path,
    epoch: int,
    *,
    limits: Limits = UNLIMITED,
    clock: Clock = utc_now,
    issuers: TrustedIssuers | None = None,
    webhooks: WebhookSender | None = None,
    language_model: LanguageModel | None = None,
    advised_chats: bool = False,
) -> Store:
    """A store on a storage, with real parts that are cheap to make; hashing passwords costs little here."""
    adapters = Adapters(
        storage=storage,
        limiter=InProcessRateLimiter(),
        hasher=Argon2Hasher.insecure(),
        signer=HmacSigner("a secret for tests, long enough by far"),
        images=FileImages(folder / "images"),
        decoder=PillowDecoder(),
        processor=SimulatedProcessor(),
        phones=NumberingPlans(),
        webhooks=webhooks or Endpoints(),
        issuers=issuers,
        language_model=language_model,
    )
    hub = Hub(storage, InProcessBus(), new_id())
    return Store(
        adapters,
        hub,
        epoch=epoch,
        public_url=PUBLIC_URL,
        limits=limits,
        clock=clock,
        advised_chats=advised_chats,
    )


@asynccontextmanager
async def open_store(
    folder: Path,
    url: str = "memory://",
    *,
    limits: Limits = UNLIMITED,
    clock: Clock = utc_now,
    issuers: TrustedIssuers | None = None,
    webhooks: WebhookSender | None = None,
    language_model: LanguageModel | None = None,
    advised_chats: bool = False,
) -> AsyncIterator[Store]:
    """A running store on tables that are there already, in memory unless another database is named."""
    storage: Storage = MemoryStorage() if url == "memory://" else open_storage(url)
    store = compose(
        storage,
        folder,
        await storage.epoch(),
        limits=limits,
        clock=clock,
        issuers=issuers,
        webhooks=webhooks,
        language_model=language_model,
        advised_chats=advised_chats,
    )
    await store.hub.start()
    try:
        yield store
    finally:
        await store.finish()
        await store.hub.stop()
        await storage.close()


def staff_of(tenant: TenantId, user_id: str | None = None) -> Caller:
    """A member of the staff with all rights."""
    user_id = user_id or new_id()
    return Caller(tenant, Role.STAFF, f"user:{user_id}", STAFF_SCOPES, user_id=user_id, username="staff")


def customer_of(tenant: TenantId, user_id: str | None = None) -> Caller:
    """A customer."""
    user_id = user_id or new_id()
    return Caller(
        tenant, Role.CUSTOMER, f"user:{user_id}", CUSTOMER_SCOPES, user_id=user_id, username="customer"
    )


def user_in(
    tenant: TenantId, *, user_id: str | None = None, username: str = "alex", role: Role = Role.CUSTOMER
) -> User:
    """A user as storage keeps them."""
    now = utc_now()
    return User(
        id=user_id or new_id(),
        tenant_id=tenant,
        username=username,
        email=f"{username}@example.com",
        first_name=username.capitalize(),
        last_name="Meyer",
        roles=(role,),
        created_at=now,
        updated_at=now,
    )


class Shop:
    """A private tenant of a store, with a visitor, a customer and a member of the staff."""

    def __init__(self, store: Store, tenant: TenantId | None = None) -> None:
        self.store = store
        self.tenant = tenant or TenantId(str(uuid.uuid4()))
        self.visitor = visitor(self.tenant, "192.0.2.1")
        self.customer = customer_of(self.tenant)
        self.staff = staff_of(self.tenant)

    async def outcome(
        self,
        operation: AnyOperation,
        caller: Caller | None = None,
        body: object = None,
        *,
        key: str | None = None,
        if_match: str | None = None,
        **params: object,
    ) -> Outcome:
        """Run an operation, as staff unless another caller is given; ``params`` are named as clients name them."""
        tags = None if if_match is None else frozenset({if_match})
        call = Call(operation, params, body, idempotency_key=key, if_match=tags)
        return await self.store.execute(caller or self.staff, call)

    async def call(
        self, operation: AnyOperation, caller: Caller | None = None, body: object = None, **more: Any
    ) -> Any:
        """The value of ``outcome``."""
        return (await self.outcome(operation, caller, body, **more)).value

    async def refusal(
        self,
        kind: type[StoreError],
        operation: AnyOperation,
        caller: Caller | None = None,
        body: object = None,
        **more: Any,
    ) -> StoreError:
        """The error of exactly this kind that the operation ends with; no event is left by it."""
        before = len(await self.events())
        with pytest.raises(kind) as caught:
            await self.call(operation, caller, body, **more)
        assert type(caught.value) is kind
        assert len(await self.events()) == before
        return caught.value

    async def violations(
        self, operation: AnyOperation, caller: Caller | None = None, body: object = None, **more: Any
    ) -> dict[str, str]:
        """The violations of a body, each field with its code."""
        error = await self.refusal(ValidationFailed, operation, caller, body, **more)
        assert isinstance(error, ValidationFailed)
        return {violation.field: violation.code.value for violation in error.violations}

    async def events(self, after: int = 0) -> list[dict[str, Any]]:
        """The envelopes of all events behind a sequence, as clients see them, and ``audience`` beside."""
        page = await self.store.storage.read_log(self.tenant, after, 100_000)
        assert [event.sequence for event in page.events] == list(
            range(max(after, page.floor) + 1, page.head + 1)
        )
        return [{**json.loads(event.envelope), "audience": event.audience.encode()} for event in page.events]

    async def news(self, after: int) -> list[tuple[str, str]]:
        """Type and topic of each event behind a sequence."""
        return [(event["eventType"], event["topic"]) for event in await self.events(after)]

    async def head(self) -> int:
        """The sequence of the last event."""
        return (await self.store.storage.heads([self.tenant])).get(self.tenant, 0)

    async def add(self, *records: Any) -> None:
        """Put records into storage as they are."""
        async with self.store.storage.write(self.tenant) as tx:
            for record in records:
                await tx.insert(record)
                if isinstance(record, Pet):
                    await tx.add_numbers(dict.fromkeys(numbers_of(record), 1))

    @asynccontextmanager
    async def context(self, caller: Caller | None = None) -> AsyncIterator[Context]:
        """A writing context outside any operation; its events are appended and handed on at the end."""
        async with self.store.storage.write(self.tenant) as tx:
            ctx = Context(self.store, caller or self.staff, writes=True).within(tx)
            yield ctx
            events = await ctx.append()
        self.store.hub.publish(self.tenant, events)


def without(data: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """A copy without some members."""
    return {name: value for name, value in data.items() if name not in names}
