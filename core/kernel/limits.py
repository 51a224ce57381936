"""The limits of the store, all in one place; settings may change them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on what a caller may use. Times are in seconds, sizes in bytes; a rate, or a bound of a tenant,
    of 0 is no limit.

    Those of a network (an address; of IPv6 its /64) count over all tenants, so that naming a new tenant in each request
    buys nothing. They are off where callers have no limit.
    """

    requests_per_minute: int = 100
    network_requests_per_minute: int = 1000
    network_registrations_per_minute: int = 30
    network_failed_logins_per_minute: int = 30
    network_connections: int = 200
    #: Of any kind, idle ones among them: those that are live, and as many again.
    network_sockets: int = 400
    body_bytes: int = 1024 * 1024
    image_bytes: int = 5 * 1024 * 1024
    image_megapixels: int = 40
    tenant_image_bytes: int = 1 << 30
    tenant_records: int = 100_000
    tenant_idle_days: float = 90
    logins_per_account: int = 1_000
    open_chats_per_customer: int = 100
    chats_per_customer: int = 1_000
    messages_per_chat: int = 10_000
    payments_per_order: int = 50
    open_adoptions_per_pet: int = 100
    open_adoptions_per_applicant: int = 20
    ended_adoptions_per_applicant: int = 1_000
    filters_per_connection: int = 100
    connections_per_caller: int = 50
    frame_bytes: int = 64 * 1024
    messages_per_second: int = 20
    message_burst: int = 100
    ping_seconds: float = 25.0
    heartbeat_seconds: float = 15.0
    login_seconds: float = 10.0
    stall_seconds: float = 30.0
