"""Records of all tenants, page by page."""

from datetime import timedelta

import pytest

from core.kernel.ids import TenantId, new_id
from core.models.activity import TenantActivity
from core.ports.records import Between, Query
from core.services.paging import survey_pages
from gateway.storage.memory import MemoryStorage
from tests.gateway.storage.records import NOW, later

_SPAN = Between("touched_at", NOW, later(5))


async def _tenants(storage: MemoryStorage, seconds: list[int]) -> list[TenantId]:
    tenants = sorted(TenantId(new_id()) for _ in seconds)
    for tenant, second in zip(tenants, seconds, strict=True):
        async with storage.write(tenant) as tx:
            await tx.insert(TenantActivity(id=tenant, tenant_id=tenant, touched_at=later(second)))
    return tenants


@pytest.mark.parametrize("page_size", [1, 2, 3, 100])
async def test_all_in_a_span_come_once_in_its_order(page_size: int) -> None:
    storage = MemoryStorage()
    # Many are of one time, so that pages end among them.
    tenants = await _tenants(storage, [3, -1, 2, 2, 2, 2, 2, 0, 5, 6, 3])
    pages = survey_pages(storage, TenantActivity, _SPAN, page_size=page_size)
    expected = [tenants[place] for place in (7, 2, 3, 4, 5, 6, 0, 10, 8)]
    assert [found.tenant_id async for found in pages] == expected


async def test_what_is_dealt_with_leaves_meanwhile_and_what_is_not_keeps_nothing_waiting() -> None:
    storage = MemoryStorage()
    tenants = await _tenants(storage, [1] * 5 + [2] * 5)
    seen = []
    async for found in survey_pages(storage, TenantActivity, _SPAN, page_size=2):
        seen.append(found.tenant_id)
        async with storage.write(TenantId(found.tenant_id)) as tx:
            if len(seen) % 3 == 1:
                await tx.delete(TenantActivity, found.id)
            elif len(seen) % 3 == 2:
                later_on = found.touched_at + timedelta(days=1)
                await tx.update(found.model_copy(update={"touched_at": later_on}))
    assert seen == tenants
    assert len(await storage.survey(Query(TenantActivity, (_SPAN,)))) == 3
