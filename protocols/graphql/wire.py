"""What goes over the wire: requests over HTTP, messages of graphql-transport-ws, blocks of graphql-sse."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import orjson

from core.kernel.errors import BadRequest, StoreError
from core.kernel.events import Event
from protocols.graphql.execution import Request
from protocols.http.frames import text_frame
from protocols.http.headers import accepts, quality_of
from protocols.http.json_text import MAX_PARTS, LoneSurrogate, has_more_parts, read_json

JSON, RESPONSE_JSON, EVENT_STREAM = (
    b"application/json",
    b"application/graphql-response+json",
    b"text/event-stream",
)
#: Characters of a subscription's id.
_MAX_ID_CHARACTERS = 128


# --- GraphQL over HTTP ---


def answer_type(accept: bytes | None) -> bytes | None:
    """The media type to answer with, or None when the client takes none of ours (GraphQL over HTTP, section 4).

    An event stream is for who names no kind of JSON beside it. Who takes anything gets the older ``application/json``:
    that is what such clients have always got.
    """
    if accept is None:
        return JSON
    named = [kind for kind in (RESPONSE_JSON, JSON) if kind in accept.lower() and quality_of(accept, kind)]
    if named:
        return max(named, key=lambda kind: quality_of(accept, kind))
    if accepts_stream(accept):
        return EVENT_STREAM
    for kind in (JSON, RESPONSE_JSON):
        if accepts(accept, kind):
            return kind
    return None


def accepts_stream(accept: bytes | None) -> bool:
    """Whether a client says that it reads event streams; who takes anything may not know them."""
    return accept is not None and EVENT_STREAM in accept.lower() and accepts(accept, EVENT_STREAM)


def request_of_body(body: bytes) -> Request:
    """Read the body of a POST.

    Raises:
        BadRequest: it is not what GraphQL over HTTP, section 5.1, says, or has too many parts.
    """
    if has_more_parts(body, MAX_PARTS):
        raise BadRequest(f"The body has more than {MAX_PARTS} members and items.")
    try:
        return request_of(orjson.loads(body))
    except orjson.JSONDecodeError:
        raise BadRequest("The body is not JSON.") from None


def request_of_query(query_string: bytes) -> Request:
    """Read the URL of a GET.

    Raises:
        BadRequest: as above.
    """
    try:
        query = parse_qs(query_string.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise BadRequest("The query of the URL is not URL-encoded UTF-8.") from None
    members: dict[str, Any] = {name: values[-1] for name, values in query.items()}
    for name in ("variables", "extensions"):
        if name in members:
            try:
                members[name] = orjson.loads(members[name]) if members[name] else None
            except orjson.JSONDecodeError:
                raise BadRequest(f"{name}: is not JSON") from None
    if members.get("operationName") == "":
        members["operationName"] = None
    return request_of(members)


def request_of(members: object) -> Request:
    """Read a request's members; those that nobody knows are ignored, as the specification wants it.

    Instead of a document there may be the hash of one (``extensions.persistedQuery``, as Apollo's clients send it).

    Raises:
        BadRequest: one of them is of the wrong type.
    """
    if isinstance(members, list):
        raise BadRequest("Requests come one at a time, not as a list.")
    if not isinstance(members, dict):
        raise BadRequest("A request is a JSON object.")
    query, name, variables = members.get("query"), members.get("operationName"), members.get("variables")
    if not isinstance(name, str | None):
        raise BadRequest("operationName: must be a string")
    for member in ("variables", "extensions"):
        if not isinstance(members.get(member), dict | None):
            raise BadRequest(f"{member}: must be an object")
    by_hash = query is None and "persistedQuery" in (members.get("extensions") or {})
    if not isinstance(query, str) and not by_hash:
        raise BadRequest("query: must be a string")
    return Request(query, name, variables or {})


# --- graphql-transport-ws ---


class BadMessage(Exception):
    """What a client sent is no message of the protocol."""


@dataclass(frozen=True, slots=True)
class SocketMessage:
    """A client's message."""

    kind: str
    id: str = ""
    payload: Mapping[str, Any] | None = None
    #: Why an operation is refused before it begins.
    refused: StoreError | None = None


_KINDS = {"connection_init": False, "ping": False, "pong": False, "subscribe": True, "complete": True}


def read_message(text: str) -> SocketMessage:
    """Read a text frame.

    Raises:
        BadMessage: it is not what graphql-transport-ws says.
    """
    lone: LoneSurrogate | None = None
    try:
        value = read_json(text)
    except LoneSurrogate as error:
        value, lone = error.value, error
    except ValueError:
        raise BadMessage("The message is not JSON.") from None
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise BadMessage("The message has no type that is known.")
    payload, mark = value.get("payload"), value.get("id", "")
    if not isinstance(payload, dict | None):
        raise BadMessage("The payload is not an object.")
    if not isinstance(mark, str) or (_KINDS[kind] and not mark) or len(mark) > _MAX_ID_CHARACTERS:
        raise BadMessage(f"The id is a text of 1 to {_MAX_ID_CHARACTERS} characters.")
    if lone is not None and kind != "subscribe":
        raise BadMessage(lone.detail)
    return SocketMessage(kind, mark, payload, lone)


def server_message(kind: str, mark: str | None = None, payload: object = None) -> bytes:
    """A message of the server, framed."""
    message: dict[str, object] = {"type": kind}
    if mark is not None:
        message["id"] = mark
    if payload is not None:
        message["payload"] = payload
    return text_frame(orjson.dumps(message))


def places_message(kind: str, cursors: Mapping[str, str], cursor: str | None) -> bytes:
    """A ping or pong that tells where subscriptions stand, and the connection as a whole, framed."""
    payload: dict[str, object] = {"cursors": cursors} if cursors else {}
    if cursor is not None:
        payload["cursor"] = cursor
    return server_message(kind, None, payload or None)


def next_message(mark: str, answer: bytes) -> bytes:
    """The one answer to an operation, framed."""
    return text_frame(b'{"id":' + orjson.dumps(mark) + b',"type":"next","payload":' + answer + b"}")


class SocketWire:
    """Answers as ``next`` messages.

    They are written once for all ids of one length, with a mark where the id belongs that no JSON text can hold; each
    subscriber's own id takes its place.
    """

    __slots__ = ("_id", "_place", "mark", "shape")

    def __init__(self, mark: str) -> None:
        quoted = orjson.dumps(mark)
        self._id = b'{"id":' + quoted
        self._place = b'{"id":' + b"\0" * len(quoted)
        self.shape: object = ("ws", len(quoted))
        self.mark: object = ("ws", mark)

    def frame(self, event: Event, answer: bytes) -> bytes:  # noqa: ARG002 - a message tells the place in its payload
        """One text frame."""
        return text_frame(self._place + b',"type":"next","payload":' + answer + b"}")

    def finish(self, frames: bytes) -> bytes:
        """The frames with the subscriber's id."""
        return frames.replace(self._place, self._id)


# --- graphql-sse ---


class StreamWire:
    """Answers as ``next`` blocks of an event stream; ``id`` is the cursor, as on the door for events."""

    shape: object = "sse"
    mark: object = "sse"

    def frame(self, event: Event, answer: bytes) -> bytes:
        """One block."""
        return next_block(answer, event.cursor)

    def finish(self, frames: bytes) -> bytes:
        """The blocks, which are the same for all."""
        return frames


STREAM_WIRE = StreamWire()
COMPLETE_BLOCK = b"event: complete\ndata: \n\n"


def next_block(answer: bytes, cursor: str | None = None) -> bytes:
    """An answer as a block."""
    place = b"" if cursor is None else b"id: " + cursor.encode() + b"\n"
    return place + b"event: next\ndata: " + answer + b"\n\n"


def place_block(cursor: str) -> bytes:
    """A block that tells nothing but the place.

    Its data is there, and empty: a block without data would be passed over by Firefox and by Node's ``eventsource``,
    with its id; one with data would be an event without a type to graphql-sse, which takes this for a sign of life.
    """
    return b"id: " + cursor.encode() + b"\ndata:\n\n"


def remark(text: str) -> bytes:
    """A comment, for people who read the stream."""
    return b": " + " ".join(text.split()).encode() + b"\n\n"
