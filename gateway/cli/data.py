"""``petstore migrate`` and ``petstore seed``."""

import asyncio

from rich.console import Console

from core.kernel.ids import SHARED_TENANT, TenantId, parse_tenant
from core.models.tenant import Seeded
from gateway.demo import fill
from gateway.node import open_node
from gateway.observability.logs import configure_logs
from gateway.preflight import migrate_tables, prepare, shown
from gateway.settings import Settings, load_settings
from gateway.startup_errors import BadSettings


def run_migrate() -> None:
    """Bring the tables up to date."""
    settings = load_settings()
    console = Console(stderr=True)
    with console.status("Bringing the tables up to date"):
        asyncio.run(migrate_tables(settings))
    console.print(
        f"The tables of {shown(settings.storage_url)} are up to date.", highlight=False, soft_wrap=True
    )


def run_seed(tenant: str | None) -> None:
    """Fill a tenant, unless it is filled."""
    settings = load_settings()
    named = SHARED_TENANT if tenant is None else parse_tenant(tenant)
    if named is None:
        raise BadSettings(f"'{tenant}' is no tenant: a tenant is a UUID of version 4 or 7")
    configure_logs("warning", settings.log_format)
    console = Console(stderr=True)
    with console.status("Filling the store"):
        seeded = asyncio.run(_seed(settings, named))
    made = f"Made {seeded.pets} pets, {seeded.orders} orders and {seeded.chats} chats."
    console.print(made if seeded.pets else "It holds the demo data already.", highlight=False)


async def _seed(settings: Settings, tenant: TenantId) -> Seeded:
    await prepare(settings)
    async with open_node(settings) as node:
        return await fill(node.store, tenant)
