"""Errors of the store as reason codes of version 5, and as return codes of version 3.1.1."""

from mqtt5 import (
    ConnAckReasonCode,
    DisconnectReasonCode,
    PubAckReasonCode,
    SubAckReasonCode,
)

from core.kernel.errors import CloseReason, ErrorCode

#: Why a client is refused (MQTT 5.0, section 3.2.2.2).
CONNECT_CODES: dict[ErrorCode, ConnAckReasonCode] = {
    ErrorCode.BAD_REQUEST: ConnAckReasonCode.BAD_USER_NAME_OR_PASSWORD,
    ErrorCode.UNAUTHORIZED: ConnAckReasonCode.BAD_USER_NAME_OR_PASSWORD,
    ErrorCode.FORBIDDEN: ConnAckReasonCode.NOT_AUTHORIZED,
    ErrorCode.NOT_FOUND: ConnAckReasonCode.NOT_AUTHORIZED,
    ErrorCode.CONFLICT: ConnAckReasonCode.SERVER_BUSY,
    ErrorCode.CURSOR_EXPIRED: ConnAckReasonCode.UNSPECIFIED_ERROR,
    ErrorCode.PRECONDITION_FAILED: ConnAckReasonCode.UNSPECIFIED_ERROR,
    ErrorCode.PAYLOAD_TOO_LARGE: ConnAckReasonCode.PACKET_TOO_LARGE,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: ConnAckReasonCode.PAYLOAD_FORMAT_INVALID,
    ErrorCode.VALIDATION: ConnAckReasonCode.PAYLOAD_FORMAT_INVALID,
    ErrorCode.RATE_LIMITED: ConnAckReasonCode.QUOTA_EXCEEDED,
    ErrorCode.INTERNAL: ConnAckReasonCode.UNSPECIFIED_ERROR,
    ErrorCode.UNAVAILABLE: ConnAckReasonCode.SERVER_UNAVAILABLE,
}

#: Why a subscription is refused (section 3.9.3).
SUBSCRIBE_CODES: dict[ErrorCode, SubAckReasonCode] = {
    ErrorCode.BAD_REQUEST: SubAckReasonCode.TOPIC_FILTER_INVALID,
    ErrorCode.UNAUTHORIZED: SubAckReasonCode.NOT_AUTHORIZED,
    ErrorCode.FORBIDDEN: SubAckReasonCode.NOT_AUTHORIZED,
    ErrorCode.NOT_FOUND: SubAckReasonCode.NOT_AUTHORIZED,
    ErrorCode.CONFLICT: SubAckReasonCode.UNSPECIFIED_ERROR,
    ErrorCode.CURSOR_EXPIRED: SubAckReasonCode.IMPLEMENTATION_SPECIFIC_ERROR,
    ErrorCode.PRECONDITION_FAILED: SubAckReasonCode.UNSPECIFIED_ERROR,
    ErrorCode.PAYLOAD_TOO_LARGE: SubAckReasonCode.UNSPECIFIED_ERROR,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: SubAckReasonCode.UNSPECIFIED_ERROR,
    ErrorCode.VALIDATION: SubAckReasonCode.TOPIC_FILTER_INVALID,
    ErrorCode.RATE_LIMITED: SubAckReasonCode.QUOTA_EXCEEDED,
    ErrorCode.INTERNAL: SubAckReasonCode.UNSPECIFIED_ERROR,
    ErrorCode.UNAVAILABLE: SubAckReasonCode.UNSPECIFIED_ERROR,
}

#: Why a message is refused (section 3.4.2.1); PUBREC has the same codes.
PUBLISH_CODES: dict[ErrorCode, PubAckReasonCode] = {
    ErrorCode.BAD_REQUEST: PubAckReasonCode.PAYLOAD_FORMAT_INVALID,
    ErrorCode.UNAUTHORIZED: PubAckReasonCode.NOT_AUTHORIZED,
    ErrorCode.FORBIDDEN: PubAckReasonCode.NOT_AUTHORIZED,
    # What belongs to another tenant looks as if it did not exist, and a device was assigned neither.
    ErrorCode.NOT_FOUND: PubAckReasonCode.NOT_AUTHORIZED,
    ErrorCode.CONFLICT: PubAckReasonCode.IMPLEMENTATION_SPECIFIC_ERROR,
    ErrorCode.CURSOR_EXPIRED: PubAckReasonCode.UNSPECIFIED_ERROR,
    ErrorCode.PRECONDITION_FAILED: PubAckReasonCode.UNSPECIFIED_ERROR,
    ErrorCode.PAYLOAD_TOO_LARGE: PubAckReasonCode.QUOTA_EXCEEDED,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: PubAckReasonCode.PAYLOAD_FORMAT_INVALID,
    ErrorCode.VALIDATION: PubAckReasonCode.PAYLOAD_FORMAT_INVALID,
    ErrorCode.RATE_LIMITED: PubAckReasonCode.QUOTA_EXCEEDED,
    ErrorCode.INTERNAL: PubAckReasonCode.UNSPECIFIED_ERROR,
    ErrorCode.UNAVAILABLE: PubAckReasonCode.UNSPECIFIED_ERROR,
}

#: Why the server ends a connection (section 3.14.2.1).
DISCONNECT_CODES: dict[CloseReason, DisconnectReasonCode] = {
    CloseReason.UNAUTHENTICATED: DisconnectReasonCode.NOT_AUTHORIZED,
    # "The maximum connection time authorized for this connection has been exceeded."
    CloseReason.EXPIRED: DisconnectReasonCode.MAX_CONNECT_TIME,
    CloseReason.REVOKED: DisconnectReasonCode.NOT_AUTHORIZED,
    CloseReason.FORBIDDEN: DisconnectReasonCode.NOT_AUTHORIZED,
    CloseReason.LOGIN_TIMEOUT: DisconnectReasonCode.NOT_AUTHORIZED,
    CloseReason.TOO_MANY_MESSAGES: DisconnectReasonCode.MESSAGE_RATE_TOO_HIGH,
    CloseReason.CURSOR_EXPIRED: DisconnectReasonCode.IMPLEMENTATION_SPECIFIC_ERROR,
    CloseReason.DRAINING: DisconnectReasonCode.SERVER_SHUTTING_DOWN,
    CloseReason.STALLED: DisconnectReasonCode.QUOTA_EXCEEDED,
    CloseReason.INTERNAL: DisconnectReasonCode.UNSPECIFIED_ERROR,
}

# By number, since the codec's codes cannot be hashed.
_CONNECT_RETURN_CODES: dict[int, int] = {
    int(ConnAckReasonCode.UNSUPPORTED_PROTOCOL_VERSION): 1,
    int(ConnAckReasonCode.CLIENT_ID_NOT_VALID): 2,
    int(ConnAckReasonCode.BAD_USER_NAME_OR_PASSWORD): 4,
    int(ConnAckReasonCode.NOT_AUTHORIZED): 5,
}
#: Server unavailable, for all that version 3.1.1 has no code for: the client may try again.
_SERVER_UNAVAILABLE = 3


def connect_return_code(code: ConnAckReasonCode) -> int:
    """The return code of version 3.1.1 (section 3.2.2.3) for a reason code of version 5."""
    return _CONNECT_RETURN_CODES.get(int(code), _SERVER_UNAVAILABLE)
