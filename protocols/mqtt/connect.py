"""What CONNECT says of a client: its credentials, its client identifier, its session expiry."""

import re
from datetime import timedelta
from typing import NamedTuple

from mqtt5 import ConnAckReasonCode

from core.kernel.caller import Caller, Credentials
from core.kernel.ids import TenantId, new_id
from core.store.store import Store
from protocols.mqtt.packets import ConnectPacket, Property, ProtocolVersion

#: What distinguishes a token from a password: a JWS begins with a JSON object (RFC 7515, section 3.1).
_TOKEN = re.compile(r"eyJ[\w-]*\.[\w-]*\.[\w-]*", re.ASCII)
_MAX_CLIENT_ID_BYTES = 256
#: The authentication method (MQTT 5.0, section 4.12): a token as authentication data, also to renew a login.
AUTHENTICATION_METHOD = "token"


class ClientKey(NamedTuple):
    """What identifies a client: client identifiers are each caller's own."""

    tenant: TenantId
    caller: str
    client_id: str


class ConnectRefused(Exception):
    """The door refuses a CONNECT without asking the store."""

    def __init__(self, code: ConnAckReasonCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


async def authenticate(
    store: Store, credentials: Credentials, connect: ConnectPacket
) -> tuple[Caller, Credentials]:
    """The caller, by a token or by user name and password, or a visitor; and the completed credentials.

    Raises:
        ConnectRefused: the authentication method is unknown.
        StoreError: the credentials are refused.
    """
    method = connect.properties.text(Property.AUTHENTICATION_METHOD)
    if method not in (None, AUTHENTICATION_METHOD):
        raise ConnectRefused(
            ConnAckReasonCode.BAD_AUTHENTICATION_METHOD, f"The method is '{AUTHENTICATION_METHOD}'."
        )
    secret = connect.properties.data(Property.AUTHENTICATION_DATA) if method else connect.password
    tenant = connect.properties.user_property("tenantId")
    if tenant is not None:
        credentials = credentials._replace(tenant=tenant)
    password = secret.decode(errors="replace") if secret else None
    is_token = password is not None and (method is not None or _TOKEN.fullmatch(password) is not None)
    if is_token:
        credentials = credentials._replace(token=password)
    elif password is not None:
        credentials = credentials._replace(username=connect.username, password=password)
    admission = await store.admit(credentials)
    if admission.refusal is not None:
        raise admission.refusal
    return admission.caller, credentials


def client_id_of(connect: ConnectPacket) -> str:
    """The client identifier, or a new one for a client without one (section 3.1.3.1).

    Raises:
        ConnectRefused: it is too long, or missing where it is needed.
    """
    if connect.client_id:
        if len(connect.client_id.encode()) > _MAX_CLIENT_ID_BYTES:
            raise ConnectRefused(ConnAckReasonCode.CLIENT_ID_NOT_VALID, "The client id is too long.")
        return connect.client_id
    if connect.version is ProtocolVersion.V3_1_1 and not connect.clean_start:
        raise ConnectRefused(
            ConnAckReasonCode.CLIENT_ID_NOT_VALID, "A session that is kept needs a client id."
        )
    return f"auto-{new_id()}"


def session_expiry_of(connect: ConnectPacket, longest: timedelta) -> timedelta:
    """How long the session outlasts its connection, at most ``longest`` (section 3.1.2.11.2)."""
    if connect.version is ProtocolVersion.V3_1_1:
        return timedelta() if connect.clean_start else longest
    return min(longest, timedelta(seconds=connect.properties.number(Property.SESSION_EXPIRY_INTERVAL, 0)))
