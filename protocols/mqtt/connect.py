"""What CONNECT says of a client: who he is, his name among his caller's clients, how long he wants to be kept."""

import re
from datetime import timedelta

from mqtt5 import ConnAckReasonCode

from core.kernel.caller import Caller, Credentials
from core.kernel.errors import Unauthorized
from core.kernel.ids import new_id
from core.services.auth import caller_by_password
from core.store.store import Store
from protocols.mqtt.packets import Connect, Property, Version

#: What tells a token from a password: a JWS begins with a JSON object (RFC 7515, section 3.1).
_TOKEN = re.compile(r"eyJ[\w-]*\.[\w-]*\.[\w-]*", re.ASCII)
#: Bytes of a client id.
_LONGEST_ID = 256
#: The one authentication method (MQTT 5.0, section 4.12): a token as authentication data, also to renew a login.
METHOD = "token"


class Refused(Exception):
    """CONNECT asks for something that the store need not be asked about."""

    def __init__(self, code: ConnAckReasonCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


async def caller_of(store: Store, found: Credentials, connect: Connect) -> tuple[Caller, Credentials]:
    """Who connects: by a token, by name and password, or nobody known; and his credentials, completed.

    Raises:
        Refused: he wants to authenticate by a method that there is not.
        StoreError: he is not let in.
    """
    method = connect.properties.text(Property.AUTH_METHOD)
    if method not in (None, METHOD):
        raise Refused(ConnAckReasonCode.BAD_AUTHENTICATION_METHOD, f"The method is '{METHOD}'.")
    secret = connect.properties.data(Property.AUTH_DATA) if method else connect.password
    tenant = connect.properties.told("tenantId")
    if tenant is not None:
        found = found._replace(tenant=tenant)
    password = secret.decode(errors="replace") if secret else None
    is_token = password is not None and (method is not None or _TOKEN.fullmatch(password) is not None)
    if is_token:
        found = found._replace(token=password)
    admission = await store.admit(found)
    if admission.refusal is not None:
        raise admission.refusal
    if password is None or is_token:
        return admission.caller, found
    if connect.username is None:
        raise Unauthorized("A password needs a user name.")
    return await caller_by_password(store, found, connect.username, password), found


def client_id_of(connect: Connect) -> str:
    """The client's own id, or a new one for a client without (section 3.1.3.1).

    Raises:
        Refused: it is none.
    """
    if connect.client_id:
        if len(connect.client_id.encode()) > _LONGEST_ID:
            raise Refused(ConnAckReasonCode.CLIENT_ID_NOT_VALID, "The client id is too long.")
        return connect.client_id
    if connect.version is Version.V3 and not connect.clean:
        raise Refused(ConnAckReasonCode.CLIENT_ID_NOT_VALID, "A session that is kept needs a client id.")
    return f"auto-{new_id()}"


def kept_for(connect: Connect, longest: timedelta) -> timedelta:
    """How long the session outlasts the connection, for a caller whose sessions are kept ``longest``."""
    if connect.version is Version.V3:
        return timedelta() if connect.clean else longest
    return min(longest, timedelta(seconds=connect.properties.number(Property.SESSION_EXPIRY, 0)))
