"""What an event costs depends on the webhooks that want it, and on no others: counted in statements, and in webhooks
that are looked at."""

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from core.hub import Viewer
from core.kernel.caller import Role, Scope
from core.kernel.clock import utc_now
from core.kernel.events import Event
from core.kernel.ids import TenantId, new_id
from core.models.webhooks import Webhook, WebhookMaker, WebhookState, WebhookStatus
from core.services.pets import CREATE_PET
from core.services.webhooks.deliverer import Deliverer
from core.services.webhooks.dispatch import Dispatch
from core.services.webhooks.fan_out import FanOut
from core.services.webhooks.management import CREATE_WEBHOOK
from core.services.webhooks.records import revise
from tests.core.stores import Shop, open_store, user_in
from tests.core.webhook_endpoints import Endpoints

pytestmark = pytest.mark.database

URL = "https://hooks.example/a"
DEAD = "https://hooks.example/dead"
PET = {"name": "Biscuit", "species": "DOG", "ageMonths": 14, "price": "350.00"}
MANY = 2_000


@pytest.fixture
async def shop(tmp_path: Path, empty_database: Path) -> AsyncIterator[Shop]:
    """A shop with one webhook, on SQLite."""
    path = shutil.copyfile(empty_database, tmp_path / "store.db")
    async with open_store(tmp_path, f"sqlite:///{path}", webhooks=Endpoints()) as store:
        shop = Shop(store)
        assert shop.staff.user_id is not None
        await shop.add(user_in(shop.tenant, user_id=shop.staff.user_id, username="staff", role=Role.STAFF))
        await Deliverer(store).consumer.enrol()
        await shop.call(CREATE_WEBHOOK, body={"url": URL, "events": ["pet.created"]})
        yield shop


class Counts(list[str]):
    """The statements of a while, and how often it was asked whether somebody sees an event."""

    looks = 0


@contextmanager
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counts]:
    """Count until the block ends."""
    counts = Counts()

    def execute(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        counts.append(statement)

    sees = Viewer.sees

    def looked(viewer: Viewer, *arguments: Any) -> bool:
        counts.looks += 1
        return sees(viewer, *arguments)

    event.listen(Engine, "before_cursor_execute", execute)
    with monkeypatch.context() as patched:
        patched.setattr(Viewer, "sees", looked)
        yield counts
    event.remove(Engine, "before_cursor_execute", execute)


async def created(shop: Shop) -> list[Event]:
    """The events of a pet that is made."""
    before = await shop.head()
    await shop.call(CREATE_PET, body=PET)
    return list((await shop.store.storage.read_log(shop.tenant, before, 10)).events)


def others(shop: Shop, *, failing: bool) -> Iterator[Webhook | WebhookState]:
    """Many more webhooks, which want no pets; those that fail have waited for an hour."""
    now = utc_now()
    maker = WebhookMaker(key="staff", user_id=shop.staff.user_id, scopes=tuple(Scope))
    for _ in range(MANY):
        webhook = Webhook(
            id=new_id(),
            tenant_id=shop.tenant,
            url=DEAD,
            events=("order.created", "orders/+/status"),
            status=WebhookStatus.ENABLED,
            created_at=now,
            updated_at=now,
        )
        yield webhook
        yield WebhookState(
            id=webhook.id,
            tenant_id=shop.tenant,
            maker=maker,
            reach="*",
            secret="whsec_AAAA",
            since=0,
            failing_since=now - timedelta(hours=2) if failing else None,
            due_at=now - timedelta(hours=1) if failing else None,
        )


async def add_others(shop: Shop, *, failing: bool = False) -> None:
    """Put them into the tenant."""
    await shop.add(*others(shop, failing=failing))
    async with shop.store.storage.write(shop.tenant) as tx:
        await revise(tx, TenantId(shop.tenant))


async def test_an_event_costs_the_same_however_many_webhooks_do_not_want_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    fan_out = FanOut(shop.store)
    costs = []
    for more in (False, True):
        if more:
            await add_others(shop)
        # The first event after a change of the webhooks reads them.
        assert await fan_out.take(shop.tenant, await created(shop)) == 1
        events = await created(shop)
        with counting(monkeypatch) as counts:
            assert await fan_out.take(shop.tenant, events) == 1
        costs.append((len(counts), counts.looks))
    assert costs[0] == costs[1]
    # Whether the one webhook sees the one event that it wants.
    assert costs[0][1] == 1


async def test_what_is_due_is_found_past_any_number_of_dead_endpoints(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_others(shop, failing=True)
    assert await FanOut(shop.store).take(shop.tenant, await created(shop)) == 1
    dispatch = Dispatch(shop.store)
    with counting(monkeypatch) as counts:
        [state] = await dispatch.due(utc_now(), failing=False, limit=10)
    assert state.failing_since is None
    assert sum(statement.startswith("SELECT") for statement in counts) == 1
    assert len(await dispatch.due(utc_now(), failing=True, limit=10)) == 10
