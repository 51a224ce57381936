"""The parts of the OpenAPI document that are the same for many operations: schemas, bodies, responses, security."""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]
_SCHEMAS = "#/components/schemas/"
JSON, XML, FORM = "application/json", "application/xml", "application/x-www-form-urlencoded"


def ref(name: str) -> Json:
    """What refers to a schema."""
    return {"$ref": _SCHEMAS + name}


def list_of(schema: Json) -> Json:
    """The schema of a list."""
    return {"type": "array", "items": schema}


def content(schema: Json, *kinds: str) -> Json:
    """The same schema for several media types."""
    return {kind: {"schema": schema} for kind in kinds}


def body(description: str, name: str, *, required: bool = False) -> Json:
    """The body of a request, which takes JSON, XML and web forms."""
    needed = {"required": True} if required else {}
    return {"description": description, "content": content(ref(name), JSON, XML, FORM), **needed}


def responses(success: Json, **errors: str) -> Json:
    """Success, the errors by their statuses (``e404``), and anything unexpected."""
    told = {name.removeprefix("e"): {"description": text} for name, text in errors.items()}
    return {"200": success, **told, "default": {"description": "Unexpected error"}}


def shown(schema: Json, *kinds: str, description: str = "successful operation") -> Json:
    """A response with a value."""
    return {"description": description, "content": content(schema, *(kinds or (JSON, XML)))}


def _int(example: int | None = None, bits: int = 64) -> Json:
    return {
        "type": "integer",
        "format": f"int{bits}",
        **({} if example is None else {"example": example}),
    }


def _text(example: str | None = None) -> Json:
    return {"type": "string", **({} if example is None else {"example": example})}


def _choice(description: str, *values: str, example: str | None = None) -> Json:
    shown = {} if example is None else {"example": example}
    return {"type": "string", "description": description, **shown, "enum": list(values)}


def _object(properties: Json, xml: str, required: tuple[str, ...] = ()) -> Json:
    needed = {"required": list(required)} if required else {}
    return {**needed, "type": "object", "properties": properties, "xml": {"name": xml}}


def _wrapped(items: Json) -> Json:
    return {"type": "array", "xml": {"wrapped": True}, "items": items}


#: Names, the order of members and the hints for XML are the original's: clients are made of them.
SCHEMAS: Mapping[str, Json] = {
    "Order": _object(
        {
            "id": _int(10),
            "petId": _int(198772),
            "quantity": _int(7, bits=32),
            "shipDate": {"type": "string", "format": "date-time"},
            "status": _choice("Order Status", "placed", "approved", "delivered", example="approved"),
            "complete": {"type": "boolean"},
        },
        "order",
    ),
    "Category": _object({"id": _int(1), "name": _text("Dogs")}, "category"),
    "User": _object(
        {
            "id": _int(10),
            "username": _text("theUser"),
            "firstName": _text("John"),
            "lastName": _text("James"),
            "email": _text("john@email.com"),
            "password": _text("12345"),
            "phone": _text("12345"),
            "userStatus": {**_int(1, bits=32), "description": "User Status"},
        },
        "user",
    ),
    "Tag": _object({"id": _int(), "name": _text()}, "tag"),
    "Pet": _object(
        {
            "id": _int(10),
            "name": _text("doggie"),
            "category": ref("Category"),
            "photoUrls": _wrapped({"type": "string", "xml": {"name": "photoUrl"}}),
            "tags": _wrapped(ref("Tag")),
            "status": _choice("pet status in the store", "available", "pending", "sold"),
        },
        "pet",
        ("name", "photoUrls"),
    ),
    "ApiResponse": _object({"code": _int(bits=32), "type": _text(), "message": _text()}, "##default"),
}

REQUEST_BODIES: Mapping[str, Json] = {
    "Pet": {"description": "A pet", "content": content(ref("Pet"), JSON, XML)},
    "UserArray": {"description": "Several users", "content": content(list_of(ref("User")), JSON)},
}

SCOPES = {"write:pets": "add, change and remove pets", "read:pets": "read pets"}
PETSTORE_AUTH: list[Json] = [{"petstore_auth": list(SCOPES)}]
API_KEY: list[Json] = [{"api_key": []}]


def security_schemes(public_url: str) -> Json:
    """How clients may prove who they are."""
    return {
        "petstore_auth": {
            "type": "oauth2",
            "description": (
                "For clients that STAFF has registered with the grant type `IMPLICIT`. To try calls out, authorize by "
                "`api_key` below instead; in demo mode it is `special-key`."
            ),
            "flows": {"implicit": {"authorizationUrl": f"{public_url}/v1/oauth/authorize", "scopes": SCOPES}},
        },
        "api_key": {"type": "apiKey", "name": "api_key", "in": "header"},
    }
