"""The OpenAPI 3.2 document of the door, made from the operations that run and the bindings that lead to them."""

from collections.abc import Mapping
from typing import Any

from core.kernel.errors import ErrorCode
from core.kernel.model import Page, Paged
from protocols.http.json_body import JSON
from protocols.http.problems import NOT_ACCEPTABLE, ProblemType, problem_type
from protocols.http.schemas import Schema, Schemas
from protocols.rest import components
from protocols.rest.bindings import BINDINGS, SHOWN, Binding
from protocols.rest.links import links_of
from protocols.rest.tags import described_tags
from protocols.rest.wire import MERGE_PATCH

#: What a request for any operation may come to: bad parameters or tenant, credentials that do not count here, …
_ANY_TIME = (
    ErrorCode.BAD_REQUEST,
    ErrorCode.UNAUTHORIZED,
    ErrorCode.FORBIDDEN,
    ErrorCode.RATE_LIMITED,
    ErrorCode.INTERNAL,
    ErrorCode.UNAVAILABLE,
)
_WITH_BODY = (ErrorCode.PAYLOAD_TOO_LARGE, ErrorCode.UNSUPPORTED_MEDIA_TYPE, ErrorCode.VALIDATION)
_WITH_KEY = (ErrorCode.CONFLICT, ErrorCode.VALIDATION)
_IMAGES = ("image/gif", "image/jpeg", "image/png", "image/webp")


def openapi_document(
    more_paths: Mapping[str, Any] | None = None, more_schemas: Mapping[str, Schema] | None = None
) -> dict[str, Any]:
    """The document. Other doors on the same port add path items, and schemas that these refer to."""
    schemas = Schemas(binding.operation for binding in BINDINGS)
    paths: dict[str, Any] = {}
    named: set[str] = set()
    for binding in BINDINGS:
        for path in binding.paths:
            name = _operation_id(binding, path, named)
            paths.setdefault(path, {})[binding.method.lower()] = _operation(binding, name, schemas)
    paths |= more_paths or {}
    return {
        "openapi": "3.2.0",
        "info": components.INFO,
        "servers": [{"url": "/"}],
        "tags": described_tags(_tags(paths)),
        "paths": paths,
        "components": {
            "schemas": dict(
                sorted({**schemas.components, **components.PROBLEM_SCHEMAS, **(more_schemas or {})}.items())
            ),
            "responses": {response_name(kind): components.problem_response(kind) for kind in _problems()},
            "parameters": components.PARAMETERS,
            "headers": components.HEADERS,
            "securitySchemes": components.SECURITY_SCHEMES,
        },
    }


def edition_3_1(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document of OpenAPI 3.2 as one of 3.1.

    That has no method QUERY, no schema for the items of a stream, no flow for devices without a browser, and tags
    without an order of their own.
    """
    paths = {}
    for path, item in document["paths"].items():
        kept = {method: _without_items(operation) for method, operation in item.items() if method != "query"}
        if kept:
            paths[path] = kept
    components = document["components"]
    schemes = {
        name: {**scheme, "flows": _without(scheme["flows"], "deviceAuthorization")}
        if "flows" in scheme
        else scheme
        for name, scheme in components["securitySchemes"].items()
    }
    components = {**components, "securitySchemes": schemes}
    used = set(_tags(paths))
    tags = [
        {"name": tag["name"], "description": tag["description"]}
        for tag in document["tags"]
        if tag["name"] in used
    ]
    return {**document, "openapi": "3.1.0", "tags": tags, "paths": paths, "components": components}


def counted(paths: Mapping[str, Any]) -> dict[str, Any]:
    """Path items of another door whose requests count against the caller's budget: each answer says what is left."""
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in components.ON_EVERY_ANSWER}

    def told(operation: Mapping[str, Any]) -> dict[str, Any]:
        responses = {
            status: response
            if "$ref" in response
            else {**response, "headers": {**headers, **response.get("headers", {})}}
            for status, response in operation["responses"].items()
        }
        return {**operation, "responses": responses}

    return {
        path: {method: told(operation) for method, operation in item.items()} for path, item in paths.items()
    }


def _without(members: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in members.items() if key != name}


def _without_items(described: Any) -> Any:
    if isinstance(described, Mapping):
        return {
            **{key: _without_items(value) for key, value in described.items() if key != "itemSchema"},
            **({"schema": _whole_stream(described["itemSchema"])} if "itemSchema" in described else {}),
        }
    return [_without_items(part) for part in described] if isinstance(described, list) else described


def _whole_stream(item: Schema) -> Schema:
    """The schema of all of a stream: text that holds items."""
    items = {"type": "array", "items": item}
    return {"type": "string", "contentMediaType": "text/event-stream", "contentSchema": items}


def _tags(paths: Mapping[str, Any]) -> list[str]:
    return [tag for item in paths.values() for operation in item.values() for tag in operation["tags"]]


def _problems() -> list[ProblemType]:
    kinds = [*map(problem_type, ErrorCode), NOT_ACCEPTABLE]
    return sorted(kinds, key=lambda kind: kind.status)


def response_name(kind: ProblemType) -> str:
    """What the response of a problem is called among the components."""
    return kind.title.replace(" ", "")


def _operation_id(binding: Binding, path: str, named: set[str]) -> str:
    """The operation's name, once; other ways to the same say how they differ."""
    name = binding.operation.name
    if name in named:
        same_method = path in binding.aliases
        way = f"At{path.rsplit('/', 1)[1].title()}" if same_method else f"By{binding.method.title()}"
        name += way
    named.add(name)
    return name


def _operation(binding: Binding, name: str, schemas: Schemas) -> dict[str, Any]:
    operation = binding.operation
    described: dict[str, Any] = {"operationId": name, "tags": [operation.tag], "summary": operation.summary}
    if operation.description:
        described["description"] = operation.description
    described["security"] = _security(binding)
    described["parameters"] = _parameters(binding, schemas)
    if operation.body is not None:
        described["requestBody"] = _request_body(binding, schemas)
    described["responses"] = {
        **_success(binding, schemas),
        **{
            str(kind.status): {"$ref": f"#/components/responses/{response_name(kind)}"}
            for kind in _error_kinds(binding)
        },
    }
    return described


def _security(binding: Binding) -> list[dict[str, list[str]]]:
    scopes = [scope.value for scope in binding.operation.scopes]
    in_person = binding.operation.in_person
    schemes = [name for name in components.SECURITY_SCHEMES if name != "oauth2" or not in_person]
    known = [{name: scopes} for name in schemes]
    return [{}, *known] if binding.operation.anonymous else known


def _parameters(binding: Binding, schemas: Schemas) -> list[dict[str, Any]]:
    operation = binding.operation
    properties = dict(schemas.params[operation.name])
    if binding.paged_by_body:
        properties |= Paged.model_json_schema()["properties"]
    found = [
        {"name": name, "in": "path", "required": True, "schema": properties[name]}
        for name in binding.path_names
    ]
    for name, is_list in binding.query_names.items():
        field = operation.params.model_fields
        required = any(info.is_required() for info in field.values() if info.alias == name)
        parameter = {
            "name": name,
            "in": "query",
            "required": required,
            "schema": _without_null(properties[name]),
        }
        found.append({**parameter, "style": "form", "explode": False} if is_list else parameter)
    headers = ["TenantId", "RequestId"]
    if binding.linked:
        headers.append("TenantInQuery")
    if operation.idempotent:
        headers.append("IdempotencyKey")
    if ErrorCode.PRECONDITION_FAILED in operation.errors:
        headers += ["IfMatch", "IfNoneMatch"]
    elif _is_conditional(binding):
        headers.append("IfNoneMatch")
    return found + [{"$ref": f"#/components/parameters/{header}"} for header in headers]


def _without_null(schema: Schema) -> Schema:
    """A parameter is there or not; it cannot be null."""
    kept = {
        key: value for key, value in schema.items() if key != "anyOf" and (key, value) != ("default", None)
    }
    for kind in schema.get("anyOf", ()):
        if kind != {"type": "null"}:
            kept |= kind
    return kept


def _is_conditional(binding: Binding) -> bool:
    return binding.method == "GET" and (_is_tagged(binding) or binding.serves_image)


def _is_tagged(binding: Binding) -> bool:
    """Whether the answer is a resource with an entity tag."""
    result = binding.operation.result
    return result in SHOWN and binding.status != 204 and hasattr(result, "etag")


def _request_body(binding: Binding, schemas: Schemas) -> dict[str, Any]:
    operation = binding.operation
    content: dict[str, Any] = {"schema": schemas.body(operation)}
    if operation.body_example is not None:
        content["example"] = operation.body_example
    if binding.upload:
        content["encoding"] = {"file": {"contentType": ", ".join(_IMAGES)}}
        return {"required": True, "content": {"multipart/form-data": content}}
    if operation.patch:
        return {"required": True, "content": {MERGE_PATCH.decode(): content, JSON.decode(): content}}
    return {"required": operation.body_required, "content": {JSON.decode(): content}}


def _success(binding: Binding, schemas: Schemas) -> dict[str, Any]:
    operation = binding.operation
    names = list(components.ON_EVERY_ANSWER)
    if _is_tagged(binding) or binding.serves_image:
        names.append("ETag")
    if binding.location is not None:
        names.append("Location")
    if operation.idempotent:
        names.append("Idempotent-Replayed")
    is_page = isinstance(operation.result, type) and issubclass(operation.result, Page)
    if is_page and "page" in binding.query_names:
        names.append("Link")
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    response: dict[str, Any] = {"description": _SUCCESS[binding.status], "headers": headers}
    if binding.serves_image:
        response["content"] = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in _IMAGES}
    elif binding.status != 204:
        content: dict[str, Any] = {"schema": schemas.result(operation)}
        if operation.result_example is not None:
            content["example"] = operation.result_example
        response["content"] = {JSON.decode(): content}
        links = links_of(operation.result)
        links.pop(operation.name, None)
        if links:
            response["links"] = links
    found = {str(binding.status): response}
    if _is_conditional(binding):
        found["304"] = {"description": "Not modified: the client's copy is current.", "headers": headers}
    return found


_SUCCESS = {200: "Done.", 201: "Created.", 204: "Done; the response has no body."}


def _error_kinds(binding: Binding) -> list[ProblemType]:
    operation = binding.operation
    codes = {*_ANY_TIME, *operation.errors}
    if operation.body is not None:
        codes.update(_WITH_BODY)
    if operation.idempotent:
        codes.update(_WITH_KEY)
    kinds = list(map(problem_type, codes))
    if operation.result is not None:
        kinds.append(NOT_ACCEPTABLE)
    return sorted(kinds, key=lambda kind: kind.status)
