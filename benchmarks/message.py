"""The benchmark message: what subscribers.c counts."""

SIZE = 300
"""Bytes of a message of the peers; the gateway's events are padded to about the same."""

_LEAD = 20


def mark(counter: int, *, last: bool) -> str:
    """The part that is counted: "^", ten digits, and "!" in the last message of a run."""
    return f"^{counter:010}{'!' if last else '.'}"


def text(counter: int, *, last: bool) -> str:
    """A whole message of SIZE bytes."""
    return (_LEAD * "x" + mark(counter, last=last)).ljust(SIZE, "x")
