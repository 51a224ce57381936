"""How a WebSocket ends: close codes (RFC 6455, section 7.4; 4000 and up are this application's own)."""

from core.kernel.errors import CloseReason

#: Going away; a frame of the wrong kind; one that is too big; a defect of ours.
GOING_AWAY, UNACCEPTABLE, TOO_BIG, FAULT = 1001, 1003, 1009, 1011

#: Where graphql-transport-ws has codes of its own, these agree with them.
CLOSE_CODES: dict[CloseReason, int] = {
    CloseReason.UNAUTHENTICATED: 4401,
    CloseReason.EXPIRED: 4401,
    CloseReason.REVOKED: 4401,
    CloseReason.FORBIDDEN: 4403,
    CloseReason.LOGIN_TIMEOUT: 4408,
    CloseReason.TOO_MANY_MESSAGES: 4429,
    CloseReason.CURSOR_EXPIRED: 1000,
    CloseReason.DRAINING: GOING_AWAY,
    CloseReason.STALLED: GOING_AWAY,
    CloseReason.INTERNAL: FAULT,
}
