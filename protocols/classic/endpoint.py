"""One operation at one method of one path: from a request to a call, and from its outcome to a response."""

import re
from urllib.parse import parse_qs

from core.kernel.caller import Caller
from core.kernel.errors import (
    BadRequest,
    ErrorCode,
    Unauthorized,
    UnsupportedMediaType,
    ValidationFailed,
)
from core.services.classic.users import LOG_IN
from core.store.store import Call, Store
from protocols.classic import xml
from protocols.classic.bindings import Binding, Listed, Said, Shown
from protocols.classic.errors import JSON, TEXT, XML, YAML, Sentence, bad_body
from protocols.classic.forms import MAX_BYTES, read_form
from protocols.classic.wire import BadInput, Items, of_json, of_xml, parse_json
from protocols.classic.xml import BadXml
from protocols.http.content import check_charset, media_type_of
from protocols.http.exchange import Exchange
from protocols.http.headers import accepts
from protocols.http.multipart import read_upload
from protocols.http.problems import HttpError, problem_type
from protocols.http.response import Response

_FORM, _MULTIPART, _OCTETS = (
    b"application/x-www-form-urlencoded",
    b"multipart/form-data",
    b"application/octet-stream",
)
_CHARSET = re.compile(rb';\s*charset\s*=\s*"?([^\s";]+)', re.IGNORECASE)
#: Query parameters that are read at all.
_MAX_PARAMETERS = 200
_NO_FILE = "No file uploaded"


class Endpoint:
    """Answers the requests of one binding."""

    def __init__(self, store: Store, binding: Binding) -> None:
        self._store = store
        self._binding = binding
        self._operation = binding.operation
        shape = binding.body
        self._model = "User[]" if isinstance(shape, Items) else shape.name if shape is not None else "Pet"

    async def __call__(self, caller: Caller, exchange: Exchange, values: list[str]) -> Response:
        """Run the operation for one request."""
        binding, operation = self._binding, self._operation
        query = exchange.scope["query_string"]
        params = binding.params(_query(query) if query else {}, values)
        body = None
        if operation.body is not None:
            # The store asks again; this spares reading megabytes for somebody who may not send them.
            self._store.authorise(operation, caller)
            body = await (self._upload(exchange, query) if binding.upload else self._body(exchange))
        call = Call(operation, params, body, exchange.request_id)
        try:
            outcome = await self._store.execute(caller, call)
        except ValidationFailed as error:
            raise self._refused(error) from None
        except Unauthorized as error:
            if operation is LOG_IN:
                raise Sentence("Invalid username/password supplied") from None
            raise error
        return await self._answer(exchange, binding.show(outcome.value))

    def _refused(self, error: ValidationFailed) -> HttpError:
        if self._binding.upload:
            return Sentence(f"The file {error.violations[0].message}")
        return bad_body(self._model)

    async def _answer(self, exchange: Exchange, shown: Shown | Listed | Said) -> Response:
        if isinstance(shown, Said):
            text = shown.text.encode()
            return Response(200, text, TEXT if text else None, shown.headers)
        accept = exchange.headers.get(b"accept")
        kind, write = JSON, shown.json
        if accept == XML:
            kind, write = XML, shown.xml
        elif accept is not None and b"yaml" in accept and not accepts(accept, JSON) and accepts(accept, YAML):
            # Every JSON text is YAML (YAML 1.2, section 1.2), in its flow style.
            kind = YAML
        written = write()
        return Response(200, written if isinstance(written, bytes) else await written, kind)

    async def _body(self, exchange: Exchange) -> object:
        shape = self._binding.body
        assert shape is not None
        kind = media_type_of(exchange.headers)
        content = await exchange.body(MAX_BYTES if kind == _FORM else self._store.limits.body_bytes)
        if not content.strip():
            raise self._missing()
        try:
            if kind == JSON or kind.endswith(b"+json"):
                check_charset(exchange.headers)
                value = parse_json(content)
                read = None if value is None else of_json(shape, value)
            elif isinstance(shape, Items):
                raise UnsupportedMediaType("The body must be application/json.")
            elif kind in (XML, b"text/xml"):
                charset = _CHARSET.search(exchange.headers[b"content-type"])
                named = None if charset is None else charset[1].decode("latin-1")
                read = of_xml(shape, xml.read(content, named))
            elif kind == _FORM:
                read = read_form(shape, content)
            else:
                raise UnsupportedMediaType("The body must be JSON, XML or a form.")
        except (BadInput, BadXml):
            raise bad_body(self._model) from None
        if read is None or read == []:
            raise self._missing()
        return {"users": read} if isinstance(shape, Items) else read

    def _missing(self) -> HttpError:
        missing = self._binding.missing
        return bad_body(self._model) if missing is None else Sentence(missing)

    async def _upload(self, exchange: Exchange, query: bytes) -> dict[str, object]:
        limit = self._store.limits.image_bytes
        if media_type_of(exchange.headers) == _MULTIPART:
            try:
                parts = await read_upload(exchange, limit)
            except BadRequest:
                raise Sentence(_NO_FILE) from None
            files = [(name, part) for name, part in parts.items() if isinstance(part, bytes)]
            note = parts.get("additionalMetadata")
        else:
            content = await exchange.body(limit)
            if media_type_of(exchange.headers) != _OCTETS and content:
                raise UnsupportedMediaType("The body must be a file.")
            files, note = [("file", content)], None
        if not files or not files[0][1]:
            raise Sentence(_NO_FILE)
        note = note or _query(query).get("additionalMetadata", [None])[0]
        return {"file": files[0][1], **({"additionalMetadata": note} if note else {})}


def _query(query: bytes) -> dict[str, list[str]]:
    """The parameters; those that nobody knows do not matter."""
    try:
        return parse_qs(query.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        raise HttpError(problem_type(ErrorCode.BAD_REQUEST), "too many query parameters") from None
