"""The closed set of errors."""

from core.kernel.errors import Close, CloseReason, ErrorCode


def test_every_end_of_a_stream_has_an_error_that_tells_of_it() -> None:
    codes = {reason: Close(reason).code for reason in CloseReason}
    assert set(codes.values()) <= set(ErrorCode)
    assert {reason for reason, code in codes.items() if code is ErrorCode.INTERNAL} == {CloseReason.INTERNAL}
