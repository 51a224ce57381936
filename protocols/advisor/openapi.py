"""What the OpenAPI document says of the door."""

from typing import Any

from core.kernel.caller import Scope
from core.models.advisor import MAX_CHARACTERS, AdvisorModel, CompletionDraft
from core.services.advisor.completions import COMPLETE_CHAT, LIST_MODELS
from core.store.operation import AnyOperation

_REF = "#/components/schemas/"
_PROBLEMS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    413: "PayloadTooLarge",
    415: "UnsupportedMediaType",
    422: "ValidationError",
    429: "RateLimitExceeded",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}
_NO_BODY = (413, 415, 422)
_SNAKE = {"maxTokens": "max_tokens", "streamOptions": "stream_options", "includeUsage": "include_usage"}
_SECURITY = [
    {"bearerAuth": [Scope.CHAT_WRITE.value]},
    {"apiKeyAuth": [Scope.CHAT_WRITE.value]},
    {"oauth2": [Scope.CHAT_WRITE.value]},
]
_COUNT = {"type": "integer", "minimum": 0}


def _problems(left_out: tuple[int, ...] = ()) -> dict[str, Any]:
    return {
        str(status): {"$ref": f"#/components/responses/{name}"}
        for status, name in _PROBLEMS.items()
        if status not in left_out
    }


def _described(operation: AnyOperation) -> dict[str, Any]:
    described = {"operationId": operation.name, "tags": [operation.tag], "summary": operation.summary}
    return described | {"security": _SECURITY, "parameters": [{"$ref": "#/components/parameters/TenantId"}]}


def paths() -> dict[str, Any]:
    """The path items of the door."""
    completion = {
        "description": "The answer; with `stream` as Server-Sent Events, each a chunk in JSON, the last one `[DONE]`.",
        "content": {
            "application/json": {"schema": {"$ref": f"{_REF}Completion"}},
            "text/event-stream": {
                "itemSchema": {
                    "type": "object",
                    "properties": {
                        "data": {"type": "string", "description": "A `CompletionChunk` in JSON, or `[DONE]`."}
                    },
                    "required": ["data"],
                    "anyOf": [
                        {
                            "properties": {
                                "data": {
                                    "contentMediaType": "application/json",
                                    "contentSchema": {"$ref": f"{_REF}CompletionChunk"},
                                }
                            }
                        },
                        {"properties": {"data": {"const": "[DONE]"}}},
                    ],
                }
            },
        },
    }
    body = {"application/json": {"schema": {"$ref": f"{_REF}CompletionDraft"}, "example": _EXAMPLE}}
    asked = (
        f"{COMPLETE_CHAT.description} The shape is that of OpenAI's chat completions, so that their clients work with "
        "`/v1` as their base URL and an access token as their key. Members of more than one word may be sent, and are "
        "answered, in camelCase and in snake_case; unknown ones are ignored. The messages have at most "
        f"{MAX_CHARACTERS} characters in all, and one is of the role `user`. Problems carry OpenAI's `error` too."
    )
    models = {
        "description": "The models.",
        "content": {"application/json": {"schema": {"$ref": f"{_REF}ModelList"}}},
    }
    listing = _described(LIST_MODELS)
    return {
        "/v1/chat/completions": {
            "post": {
                **_described(COMPLETE_CHAT),
                "description": asked,
                "requestBody": {"required": True, "content": body},
                "responses": {"201": completion, **_problems()},
            }
        },
        "/v1/models": {
            "get": {
                **listing,
                "description": "In the shape of OpenAI's list of models.",
                "responses": {"200": models, **_problems(_NO_BODY)},
            }
        },
        "/v1/models/{model}": {
            "get": {
                **listing,
                "operationId": "getModel",
                "summary": "Get one of the advisor's models",
                "description": "In the shape of OpenAI's model.",
                "parameters": [*listing["parameters"], _NAME],
                "responses": {
                    "200": {
                        "description": "The model.",
                        "content": {"application/json": {"schema": {"$ref": f"{_REF}ListedModel"}}},
                    },
                    "404": {"$ref": "#/components/responses/NotFound"},
                    **_problems(_NO_BODY),
                },
            }
        },
    }


_NAME = {
    "name": "model",
    "in": "path",
    "required": True,
    "description": "Its id; case does not matter, and `-` is as good as `_`.",
    "schema": {"type": "string"},
    "example": AdvisorModel.PET_ADVISOR_1.value,
}
_EXAMPLE = {
    "model": AdvisorModel.PET_ADVISOR_1.value,
    "messages": [{"role": "user", "content": "A small dog under $300 that is good with children?"}],
}


def schemas() -> dict[str, Any]:
    """The schemas that the path items refer to."""
    made = CompletionDraft.model_json_schema(ref_template=f"{_REF}{{model}}")
    found: dict[str, Any] = made.pop("$defs")
    found["CompletionDraft"] = made
    # As OpenAI writes them; case does not matter.
    found["SpeakerRole"]["enum"] = [role.lower() for role in found["SpeakerRole"]["enum"]]
    for schema in found.values():
        for name, snake in _SNAKE.items():
            if name in schema.get("properties", ()):
                schema["properties"][snake] = schema["properties"][name]
    return found | _ANSWERS


def _finish(*, nullable: bool) -> dict[str, Any]:
    kind: dict[str, Any] = {"type": ["string", "null"] if nullable else "string"}
    return {"finishReason": kind, "finish_reason": kind}


def _answer(kind: str, choice: dict[str, Any], description: str, *, required: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "properties": {
            "id": {"type": "string", "pattern": "^chatcmpl_"},
            "object": {"type": "string", "const": kind},
            "created": {"type": "integer", "description": "Seconds since 1970."},
            "model": {"$ref": f"{_REF}AdvisorModel"},
            "choices": {
                "type": "array",
                "items": {"type": "object", "properties": {"index": _COUNT, **choice}},
            },
            "usage": {"anyOf": [{"$ref": f"{_REF}CompletionUsage"}, {"type": "null"}]},
        },
        "required": ["id", "object", "created", "model", "choices", *required],
    }


_SAID = {
    "type": "object",
    "properties": {"role": {"type": "string"}, "content": {"type": "string"}},
}
_ANSWERS: dict[str, Any] = {
    "Completion": _answer(
        "chat.completion",
        {"message": _SAID, **_finish(nullable=False)},
        "The advisor's answer. It ends with `stop`, or with `length` when it was cut at `maxTokens`.",
        required=["usage"],
    ),
    "CompletionChunk": _answer(
        "chat.completion.chunk",
        {"delta": _SAID, **_finish(nullable=True)},
        "A part of the answer. With `includeUsage` a last one has no choice, and the tokens.",
        required=[],
    ),
    "CompletionUsage": {
        "type": "object",
        "description": "Tokens: words, numbers and single other characters.",
        "properties": {
            **dict.fromkeys(("promptTokens", "completionTokens", "totalTokens"), _COUNT),
            **dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), _COUNT),
        },
    },
    "ModelList": {
        "type": "object",
        "description": "The advisor's models.",
        "properties": {
            "object": {"type": "string", "const": "list"},
            "data": {
                "type": "array",
                "items": {"$ref": f"{_REF}ListedModel"},
            },
        },
        "required": ["object", "data"],
    },
    "ListedModel": {
        "type": "object",
        "description": "One of the advisor's models.",
        "properties": {
            "id": {"$ref": f"{_REF}AdvisorModel"},
            "object": {"type": "string", "const": "model"},
            "created": {"type": "integer", "description": "Seconds since 1970."},
            "ownedBy": {"type": "string"},
            "owned_by": {"type": "string"},
        },
        "required": ["id", "object", "created"],
    },
}
