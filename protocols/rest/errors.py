"""Faults as responses: the store's by the table that all doors on HTTP share, and those only a request can have."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from core.kernel.errors import ErrorCode, StoreError
from protocols.http import problems
from protocols.http.headers import Header
from protocols.http.problems import MEDIA_TYPE, PROBLEMS, problem, problem_of
from protocols.rest.wire import Answer


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A kind of problem: the last part of its ``type`` URI, its status and its title."""

    slug: str
    status: int
    title: str


METHOD_NOT_ALLOWED = ProblemType(*problems.METHOD_NOT_ALLOWED)
NOT_ACCEPTABLE = ProblemType(*problems.NOT_ACCEPTABLE)


def problem_type(code: ErrorCode) -> ProblemType:
    """What one of the store's faults is on HTTP."""
    return ProblemType(code.value, *PROBLEMS[code])


class HttpError(Exception):
    """A fault of the HTTP request itself, found before the store was asked."""

    def __init__(self, kind: ProblemType, detail: str, headers: Iterable[Header] = ()) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.headers = tuple(headers)


def method_not_allowed(allow: bytes) -> HttpError:
    """A path that exists, asked with a method it does not have (RFC 9110, section 15.5.6)."""
    return HttpError(METHOD_NOT_ALLOWED, f"This path takes {allow.decode()}.", [(b"allow", allow)])


def answer_of(error: StoreError | HttpError, path: str, *, token_given: bool = False) -> Answer:
    """The response that tells of a fault; ``path`` is the request's.

    ``token_given``: the client sent credentials, and they are why he is refused.
    """
    instance = quote(path, safe="/:@!$&'()*+,;=~")
    if isinstance(error, HttpError):
        kind = error.kind
        body = problem(kind.slug, kind.status, kind.title, error.detail, instance)
        return Answer(kind.status, body, MEDIA_TYPE.encode(), error.headers)
    status, headers, body = problem_of(error, instance, token_given=token_given)
    kept = tuple(pair for pair in headers if pair[0] not in (b"content-type", b"cache-control"))
    return Answer(status, body, MEDIA_TYPE.encode(), kept)
