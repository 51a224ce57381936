"""Nothing crosses from one tenant to another: tried for every row of the table of bindings."""

from typing import Any

from core.services.readings import REPORT_HEALTH
from protocols.rest.bindings import BINDINGS
from tests.protocols.rest.shop import Door, Shop, request_for


async def snapshot(shop: Shop) -> dict[str, Any]:
    """All that the staff of a tenant can see."""
    paths = [
        binding.path
        for binding in BINDINGS
        if binding.method == "GET" and "{" not in binding.path and binding.operation.result is not None
    ]
    seen = {
        path: (await shop.staff.get(path, params={"status": "ALL"} if path == "/v1/pets" else {})).json()
        for path in paths
    }
    for path in ("pets", "orders", "chats", "devices", "receipts", "adoptions", "users"):
        seen[path] = (await shop.staff.get(f"/v1/{path}/{shop.ids[path]}")).json()
    seen["messages"] = (await shop.staff.get(f"/v1/chats/{shop.ids['chats']}/messages")).json()
    return seen


async def test_a_token_counts_in_its_own_tenant_only(door: Door) -> None:
    ours, theirs = await door.open_full_shop(), await door.open_full_shop()
    before = await snapshot(theirs)
    for binding in BINDINGS:
        for path in binding.paths:
            request = request_for(binding, theirs, path)
            for client in (ours.staff, ours.customer):
                answer = await client.request(**request, headers={"X-Tenant-ID": theirs.tenant})
                assert answer.status_code == 403, (binding.method, path, answer.text)
    assert await snapshot(theirs) == before


async def test_another_tenants_ids_are_not_found(door: Door) -> None:
    ours, theirs = await door.open_full_shop(), await door.open_full_shop()
    before = await snapshot(theirs)
    for binding in BINDINGS:
        if binding.operation.name in ("login", "refreshToken", "logout", "resetTenant"):
            continue  # they name no resource, and would end the caller's own rights
        for path in binding.paths:
            for client in (ours.staff, ours.customer, ours.visitor):
                request = request_for(binding, theirs, path)
                answer = await client.request(**request)
                if "{" in path:
                    assert answer.status_code in (401, 403, 404), (binding.method, path, answer.text)
                    # Readings are for devices, whatever the pet.
                    hidden = 403 if binding.operation is REPORT_HEALTH else 404
                    assert client is not ours.staff or answer.status_code == hidden, (path, answer.text)
                said = str(request)
                leaked = [
                    value for value in theirs.ids.values() if value in answer.text and value not in said
                ]
                assert not leaked, (binding.method, path, answer.text)
    assert await snapshot(theirs) == before


async def test_the_reset_of_one_tenant_leaves_the_others(door: Door) -> None:
    ours, theirs = await door.open_full_shop(), await door.open_full_shop()
    before = await snapshot(theirs)
    wrong = await ours.staff.delete("/v1/tenant", params={"confirm": theirs.tenant})
    assert wrong.status_code in (400, 403, 422)
    assert (await ours.staff.delete("/v1/tenant", params={"confirm": ours.tenant})).status_code == 204
    assert (await ours.visitor.get("/v1/pets", params={"status": "ALL"})).json()["data"] == []
    assert await snapshot(theirs) == before
