"""How the store's faults look on a WebSocket: close codes."""

from core.errors import CloseReason, StoreError

#: Close codes (RFC 6455, section 7.4; 4000 and up are this application's own).
CLOSE_CODES: dict[CloseReason, int] = {
    CloseReason.UNAUTHENTICATED: 4401,
    CloseReason.EXPIRED: 4401,
    CloseReason.REVOKED: 4401,
    CloseReason.FORBIDDEN: 4403,
    CloseReason.LOGIN_TIMEOUT: 4408,
    CloseReason.TOO_MANY_MESSAGES: 4429,
    CloseReason.CURSOR_EXPIRED: 1000,
    CloseReason.DRAINING: 1001,
    CloseReason.STALLED: 1001,
    CloseReason.INTERNAL: 1011,
}
#: A frame that is not text, one that is too big, a fault of ours.
BINARY, TOO_BIG, FAULT = 1003, 1009, 1011


def refusal_reason(error: StoreError) -> CloseReason:
    """Why a connection ends whose credentials were refused."""
    match error.code:
        case "forbidden":
            return CloseReason.FORBIDDEN
        case "rate-limit-exceeded":
            return CloseReason.TOO_MANY_MESSAGES
        case "service-unavailable":
            return CloseReason.DRAINING
        case "internal-server-error":
            return CloseReason.INTERNAL
        case _:
            return CloseReason.UNAUTHENTICATED
