"""The OpenAPI 3.0 document of the door, so that clients made of it are the same as those of the original."""

from typing import Any

from protocols.classic.responses import (
    API_KEY,
    JSON,
    PETSTORE_AUTH,
    REQUEST_BODIES,
    SCHEMAS,
    XML,
    Json,
    body,
    content,
    list_of,
    ref,
    responses,
    security_schemes,
    shown,
)

#: What addresses in the committed document are under.
LOCAL_URL = "http://localhost:8080"
_BAD_ID, _NO_PET, _NO_ORDER, _NO_USER = (
    "Invalid ID supplied",
    "Pet not found",
    "Order not found",
    "User not found",
)
_INVALID, _EXCEPTION = "Invalid input", "Validation exception"
_TAGS = {
    "pet": "Everything about the pets of the store",
    "store": "Orders, and how many pets there are",
    "user": "Operations about users",
}


def document(public_url: str = LOCAL_URL) -> dict[str, Any]:
    """The document; ``public_url`` is where a browser asks for access."""
    return {
        "openapi": "3.0.4",
        "info": {
            "title": "Swagger Petstore - OpenAPI 3.0",
            "description": (
                "The pet store as clients of the classic Swagger Petstore know it: a further door of the same store "
                "that `/v1` opens. A pet that is added here is told live to everybody who follows the store, and "
                "pets of all doors are found here by their numbers. `X-Tenant-ID` names a store of your own."
            ),
            "license": {"name": "MIT", "url": "https://opensource.org/license/mit"},
            "version": "1.0.27",
        },
        "servers": [{"url": "/api/v3"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": {**_pet_paths(), **_store_paths(), **_user_paths()},
        "components": {
            "schemas": dict(SCHEMAS),
            "requestBodies": dict(REQUEST_BODIES),
            "securitySchemes": security_schemes(public_url),
        },
    }


def _operation(
    tag: str, name: str, summary: str, answers: Json, *, description: str | None = None, **more: Any
) -> Json:
    return {
        "tags": [tag],
        "summary": summary,
        "description": description or summary,
        "operationId": name,
        **more,
        "responses": answers,
    }


def _parameter(place: str, name: str, description: str, schema: Json, **more: Any) -> Json:
    needed = more.pop("required", place == "path")
    return {
        "name": name,
        "in": place,
        "description": description,
        "required": needed,
        **more,
        "schema": schema,
    }


_LONG: Json = {"type": "integer", "format": "int64"}
_TEXT: Json = {"type": "string"}


def _pet_paths() -> Json:
    def of(description: str) -> Json:
        return _parameter("path", "petId", description, _LONG)

    pet = shown(ref("Pet"), description="Successful operation")
    pets = shown(list_of(ref("Pet")))
    return {
        "/pet": {
            "put": _operation(
                "pet",
                "updatePet",
                "Update an existing pet.",
                responses(pet, e400=_BAD_ID, e404=_NO_PET, e422=_EXCEPTION),
                description="Replaces the pet with this number.",
                requestBody=body("The whole pet", "Pet", required=True),
                security=PETSTORE_AUTH,
            ),
            "post": _operation(
                "pet",
                "addPet",
                "Add a new pet to the store.",
                responses(pet, e400=_INVALID, e422=_EXCEPTION),
                description="A pet without a number gets one; the pet with the number that is given is replaced.",
                requestBody=body("The whole pet", "Pet", required=True),
                security=PETSTORE_AUTH,
            ),
        },
        "/pet/findByStatus": {
            "get": _operation(
                "pet",
                "findPetsByStatus",
                "Finds Pets by status.",
                responses(pets, e400="Invalid status value"),
                description="Several statuses may be given, separated by commas or repeated.",
                parameters=[
                    _parameter(
                        "query",
                        "status",
                        "The statuses of the pets",
                        {
                            "type": "string",
                            "default": "available",
                            "enum": ["available", "pending", "sold"],
                        },
                        required=True,
                        explode=True,
                    )
                ],
                security=PETSTORE_AUTH,
            )
        },
        "/pet/findByTags": {
            "get": _operation(
                "pet",
                "findPetsByTags",
                "Finds Pets by tags.",
                responses(pets, e400="Invalid tag value"),
                description="Several tags may be given, separated by commas or repeated.",
                parameters=[
                    _parameter(
                        "query", "tags", "The names of tags", list_of(_TEXT), required=True, explode=True
                    )
                ],
                security=PETSTORE_AUTH,
            )
        },
        "/pet/{petId}": {
            "get": _operation(
                "pet",
                "getPetById",
                "Find pet by ID.",
                responses(shown(ref("Pet")), e400=_BAD_ID, e404=_NO_PET),
                parameters=[of("The number of the pet")],
                security=[*API_KEY, *PETSTORE_AUTH],
            ),
            "post": _operation(
                "pet",
                "updatePetWithForm",
                "Updates a pet in the store with form data.",
                responses(shown(ref("Pet")), e400=_INVALID),
                parameters=[
                    of("The number of the pet"),
                    _parameter("query", "name", "The new name of the pet", _TEXT, required=False),
                    _parameter("query", "status", "The new status of the pet", _TEXT, required=False),
                ],
                security=PETSTORE_AUTH,
            ),
            "delete": _operation(
                "pet",
                "deletePet",
                "Deletes a pet.",
                responses({"description": "Pet deleted"}, e400="Invalid pet value"),
                parameters=[
                    _parameter("header", "api_key", "An API key", _TEXT, required=False),
                    of("The number of the pet"),
                ],
                security=PETSTORE_AUTH,
            ),
        },
        "/pet/{petId}/uploadImage": {
            "post": _operation(
                "pet",
                "uploadFile",
                "Uploads an image.",
                responses(shown(ref("ApiResponse"), JSON), e400="No file uploaded", e404=_NO_PET),
                parameters=[
                    of("The number of the pet"),
                    _parameter("query", "additionalMetadata", "What is to be noted", _TEXT, required=False),
                ],
                requestBody={
                    "content": content({"type": "string", "format": "binary"}, "application/octet-stream")
                },
                security=PETSTORE_AUTH,
            )
        },
    }


def _store_paths() -> Json:
    def of() -> Json:
        return _parameter("path", "orderId", "The number of the order", _LONG)

    counts: Json = {"type": "object", "additionalProperties": {"type": "integer", "format": "int32"}}
    return {
        "/store/inventory": {
            "get": _operation(
                "store",
                "getInventory",
                "Returns pet inventories by status.",
                responses(shown(counts, JSON)),
                description="How many pets there are of each status.",
                security=API_KEY,
            )
        },
        "/store/order": {
            "post": _operation(
                "store",
                "placeOrder",
                "Place an order for a pet.",
                responses(shown(ref("Order"), JSON), e400=_INVALID, e422=_EXCEPTION),
                description=(
                    "An order without a number gets one; the order with the number that is given is replaced. "
                    "It reserves no pet."
                ),
                requestBody=body("The whole order", "Order"),
            )
        },
        "/store/order/{orderId}": {
            "get": _operation(
                "store",
                "getOrderById",
                "Find purchase order by ID.",
                responses(shown(ref("Order")), e400=_BAD_ID, e404=_NO_ORDER),
                parameters=[of()],
            ),
            "delete": _operation(
                "store",
                "deleteOrder",
                "Delete purchase order by identifier.",
                responses({"description": "order deleted"}, e400=_BAD_ID, e404=_NO_ORDER),
                parameters=[of()],
            ),
        },
    }


def _user_paths() -> Json:
    def of() -> Json:
        return _parameter("path", "username", "The name of the user", _TEXT)

    headers: Json = {
        "X-Rate-Limit": {
            "description": "Calls per hour; the RateLimit fields say what is really left",
            "schema": {"type": "integer", "format": "int32"},
        },
        "X-Expires-After": {
            "description": "When the login ends, in UTC",
            "schema": {"type": "string", "format": "date-time"},
        },
    }
    session = {
        "description": "successful operation",
        "headers": headers,
        "content": content(_TEXT, XML, JSON),
    }
    return {
        "/user": {
            "post": _operation(
                "user",
                "createUser",
                "Create user.",
                responses(shown(ref("User"))),
                description="The user of the name that is given is replaced.",
                requestBody=body("The whole user", "User"),
            )
        },
        "/user/createWithList": {
            "post": _operation(
                "user",
                "createUsersWithListInput",
                "Creates list of users with given input array.",
                responses(shown(ref("User"), description="Successful operation")),
                description="Answers with the list of the users.",
                requestBody={"content": content(list_of(ref("User")), JSON)},
            )
        },
        "/user/login": {
            "get": _operation(
                "user",
                "loginUser",
                "Logs user into the system.",
                responses(session, e400="Invalid username/password supplied"),
                parameters=[
                    _parameter("query", "username", "The user name", _TEXT, required=False),
                    _parameter("query", "password", "The password, in clear text", _TEXT, required=False),
                ],
            )
        },
        "/user/logout": {
            "get": _operation(
                "user",
                "logoutUser",
                "Logs out current logged in user session.",
                responses({"description": "successful operation"}),
                parameters=[],
            )
        },
        "/user/{username}": {
            "get": _operation(
                "user",
                "getUserByName",
                "Get user by user name.",
                responses(shown(ref("User")), e400="Invalid username supplied", e404=_NO_USER),
                parameters=[of()],
            ),
            "put": _operation(
                "user",
                "updateUser",
                "Update user resource.",
                responses({"description": "successful operation"}, e400="bad request", e404="user not found"),
                description="Replaces the user of this name; another name in the body is the new one.",
                parameters=[of()],
                requestBody=body("The whole user", "User"),
            ),
            "delete": _operation(
                "user",
                "deleteUser",
                "Delete user resource.",
                responses({"description": "User deleted"}, e400="Invalid username supplied", e404=_NO_USER),
                parameters=[of()],
            ),
        },
    }
