"""The store's errors, for the doors that talk in JSON."""

from typing import Any

from core.kernel.errors import (
    CursorExpired,
    ErrorCode,
    StoreError,
    ValidationFailed,
    ViolationCode,
)
from core.kernel.model import Model
from core.live.replies import Reply


class ViolationData(Model):
    """What is wrong with one member of the input; ``field`` is its path, empty for the whole."""

    field: str
    """The path of the member; empty for the whole."""
    message: str
    """What is wrong, for people."""
    code: ViolationCode
    """What is wrong, for programs."""


class ErrorData(Reply):
    """The content of an error message: what every error has, and what some kinds have besides.

    ``retry_after`` is in seconds. With a ``cursor`` the connection ends, and that is where to resume.
    """

    code: ErrorCode
    """What is wrong, for programs."""
    message: str
    """What is wrong, for people."""
    errors: tuple[ViolationData, ...] | None = None
    """What is wrong, member by member."""
    oldest_cursor: str | None = None
    """The earliest cursor that there is."""
    retry_after: int | None = None
    """Seconds to wait."""
    cursor: str | None = None
    """Where to resume, for the connection ends."""


class ExpiredData(Reply):
    """The content of the message that tells that a cursor has expired: where reading can begin."""

    oldest_cursor: str
    """The earliest cursor that there is."""


def error_data(error: StoreError) -> dict[str, Any]:
    """The content of an error message, as JSON has it."""
    violations = None
    if isinstance(error, ValidationFailed):
        violations = tuple(
            ViolationData(field=f.field, message=f.message, code=f.code) for f in error.violations
        )
    return ErrorData(
        code=error.code,
        message=error.detail,
        errors=violations,
        oldest_cursor=error.oldest_cursor if isinstance(error, CursorExpired) else None,
        retry_after=error.retry_after,
    ).shown()


def members_of(error: StoreError) -> dict[str, Any]:
    """What a kind of error has besides its code and its message."""
    data = error_data(error)
    del data["code"], data["message"]
    return data
