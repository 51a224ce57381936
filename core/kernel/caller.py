"""Who calls, and what they may do."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from core.kernel.describing import DescribedEnum
from core.kernel.errors import Forbidden, Unauthorized
from core.kernel.ids import TenantId


class Role(DescribedEnum):
    """The role of a caller in the store."""

    VISITOR = "VISITOR"
    """Whoever has not logged in."""
    CUSTOMER = "CUSTOMER"
    """A user with an account."""
    STAFF = "STAFF"
    """Who works at the store."""
    DEVICE = "DEVICE"
    """A device with a login of its own."""


class Scope(DescribedEnum):
    """One permission. A token or an API key carries a set of scopes."""

    READ_PETS = "read:pets"
    """Read pets and the stock."""
    WRITE_PETS = "write:pets"
    """Add, change and remove pets."""
    READ_ORDERS = "read:orders"
    """Read orders, receipts and one's own adoptions (STAFF in person: all of them)."""
    WRITE_ORDERS = "write:orders"
    """Place, pay, change and cancel orders, and apply for pets (with read:orders); STAFF in person decide on that."""
    READ_USER = "read:user"
    """Read accounts."""
    WRITE_USER = "write:user"
    """Change accounts (with read:user; programs no password, e-mail address or user name), and delete them."""
    CHAT_WRITE = "chat:write"
    """Take part in support chats, and ask the advisor."""
    CHAT_AGENT = "chat:agent"
    """Answer support chats as an agent."""
    WRITE_WEBHOOKS = "write:webhooks"
    """Manage webhooks, and see what was delivered."""
    WRITE_DEVICES = "write:devices"
    """Provision and remove devices."""
    ADMIN_TENANT = "admin:tenant"
    """Empty the tenant, and fill it with demo data."""


VISITOR_SCOPES = frozenset({Scope.READ_PETS})
CUSTOMER_SCOPES = frozenset(
    {
        Scope.READ_PETS,
        Scope.READ_ORDERS,
        Scope.WRITE_ORDERS,
        Scope.READ_USER,
        Scope.WRITE_USER,
        Scope.CHAT_WRITE,
    }
)
STAFF_SCOPES = CUSTOMER_SCOPES | {
    Scope.WRITE_PETS,
    Scope.CHAT_AGENT,
    Scope.WRITE_WEBHOOKS,
    Scope.WRITE_DEVICES,
    Scope.ADMIN_TENANT,
}
DEVICE_SCOPES = frozenset({Scope.READ_PETS})
#: What an OAuth client can do of its own accord: the rest takes a person.
CLIENT_SCOPES = STAFF_SCOPES - {Scope.CHAT_WRITE, Scope.CHAT_AGENT, Scope.ADMIN_TENANT}

SCOPES_OF: dict[Role, frozenset[Scope]] = {
    Role.VISITOR: VISITOR_SCOPES,
    Role.CUSTOMER: CUSTOMER_SCOPES,
    Role.STAFF: STAFF_SCOPES,
    Role.DEVICE: DEVICE_SCOPES,
}


@dataclass(frozen=True, slots=True)
class Caller:
    """A known or unknown caller, within one tenant.

    ``key`` identifies the caller for budgets and idempotency (``user:<id>``, ``key:<id>``, ``device:<id>``,
    ``client:<id>`` or ``address:<ip>``). ``subjects`` are the names under which their permissions can be revoked.
    ``topics`` are the topic filters that a device was provisioned with. ``client_id`` is that of the OAuth client which
    calls, for the user who allowed it (``grant_id``) or, without a user, of its own accord. ``address`` is the network
    address that they call from.
    """

    tenant: TenantId
    role: Role
    key: str
    scopes: frozenset[Scope]
    user_id: str | None = None
    device_id: str | None = None
    session_id: str | None = None
    client_id: str | None = None
    grant_id: str | None = None
    username: str | None = None
    expires_at: datetime | None = None
    subjects: tuple[str, ...] = ()
    topics: frozenset[str] = field(default=frozenset())
    address: str = ""

    @property
    def identity(self) -> tuple[str, str]:
        """Tenant and key: the same with any of the caller's credentials."""
        return self.tenant, self.key

    @property
    def owner(self) -> str:
        """The name under which something is kept for the caller: responses to be replayed, sessions.

        An OAuth client has its own, and not those of the user for whom it acts.
        """
        return self.key if self.client_id is None else f"{self.key}:{self.client_id}"

    @property
    def is_staff(self) -> bool:
        """Whether the caller acts for the store."""
        return self.role is Role.STAFF

    @property
    def is_program(self) -> bool:
        """Whether an API key or an OAuth client calls: it has its scopes, and is not the person for whom it acts."""
        return self.client_id is not None or self.key.startswith("key:")

    @property
    def is_store(self) -> bool:
        """Whether the store does this of its own accord."""
        return self.key == "operator"

    @property
    def is_visitor(self) -> bool:
        """Whether the caller is unknown."""
        return self.role is Role.VISITOR

    def require_known(self) -> None:
        """Pass when the caller is known.

        Raises:
            Unauthorized: the caller is a visitor.
        """
        if self.is_visitor:
            raise Unauthorized("This needs a bearer token or an API key.")

    def require(self, scope: Scope) -> None:
        """Pass when the caller holds the scope.

        Raises:
            Unauthorized: a visitor lacks it: logging in may help.
            Forbidden: a known caller lacks it.
        """
        if scope in self.scopes:
            return
        if self.is_visitor:
            raise Unauthorized("This needs a bearer token or an API key.")
        raise Forbidden(f"This needs the scope {scope}.", scope=scope.value)


def visitor(tenant: TenantId, address: str) -> Caller:
    """An unknown caller, told apart by the network address only."""
    return Caller(tenant, Role.VISITOR, f"address:{address}", VISITOR_SCOPES, address=address)


def operator(tenant: TenantId) -> Caller:
    """The store itself, for what it does of its own accord."""
    return Caller(tenant, Role.STAFF, "operator", STAFF_SCOPES)


class Credentials(NamedTuple):
    """What a door found in a request, unchecked. ``address`` is the client's network address.

    One credential counts: a token takes precedence, then an API key, then a user name with a password. ``tenant`` is
    the text that the client gave.
    """

    address: str
    tenant: str | None = None
    token: str | None = None
    api_key: str | None = None
    username: str | None = None
    password: str | None = None
