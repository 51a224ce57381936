"""The advisor: conversations with it, and its answers. The shape is that of OpenAI's chat completions."""

from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from core.kernel.model import Bool, Choice, Int, Model, Part, Text, Timestamp

#: Messages of a conversation, and characters in all of them together: what is more is no conversation with a pet shop.
MAX_MESSAGES = 200
MAX_CHARACTERS = 100_000
MAX_TOKENS = 4096


class AdvisorModel(Choice):
    """Who answers. Both are the same engine: the embedded one, or the store's language model."""

    PET_ADVISOR_1 = "PET_ADVISOR_1"
    """The advisor."""
    PET_ADVISOR_TURBO = "PET_ADVISOR_TURBO"
    """The advisor, where the store has a faster one."""

    @classmethod
    def _missing_(cls, value: object) -> "AdvisorModel | None":
        return cls.__members__.get(value.upper().replace("-", "_")) if isinstance(value, str) else None


class SpeakerRole(Choice):
    """Whose words a message has. ``developer``, ``tool`` and ``function`` are names of OpenAI's."""

    SYSTEM = "SYSTEM"
    """The program's."""
    DEVELOPER = "DEVELOPER"
    """The program's, by a later name."""
    USER = "USER"
    """The person's who asks."""
    ASSISTANT = "ASSISTANT"
    """The advisor's own."""
    TOOL = "TOOL"
    """A program's that the assistant called."""
    FUNCTION = "FUNCTION"
    """The same by an older name."""


class _Open(Part):
    """An object whose unknown members are ignored: clients send many of them, and null for what they leave out."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=False, validate_by_alias=True, frozen=True, extra="ignore"
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if value is not None}


def _joined(value: object) -> object:
    """Text in parts (``{"type": "text", "text": …}``) as one text."""
    if not isinstance(value, list):
        return value
    texts = [part.get("text") for part in value if isinstance(part, dict) and part.get("type") == "text"]
    if len(texts) < len(value) or not all(isinstance(text, str) for text in texts):
        raise PydanticCustomError("INVALID_TYPE", "must be text, or a list of parts of type text")
    return "\n".join(text for text in texts if isinstance(text, str))


_PART = {
    "type": "object",
    "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
    "required": ["type", "text"],
}
_IN_PARTS = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": _PART}]})


class Turn(_Open):
    """One message of a conversation."""

    role: SpeakerRole
    """Whose words these are."""
    content: Annotated[Text, BeforeValidator(_joined), _IN_PARTS] = ""
    """The words."""


def _length(turn: object) -> int:
    """The characters of a message as it was sent."""
    content = turn.get("content") if isinstance(turn, dict) else None
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return sum(len(text) for text in texts if isinstance(text, str))


class StreamOptions(_Open):
    """How to stream."""

    include_usage: Bool = Field(default=False, validation_alias=AliasChoices("includeUsage", "include_usage"))
    """Whether a last chunk tells the tokens."""


class CompletionDraft(_Open):
    """A conversation that waits for the advisor's next message."""

    messages: tuple[Turn, ...] = Field(min_length=1, max_length=MAX_MESSAGES)
    """The conversation, oldest first; it has a message of the user."""
    model: AdvisorModel = AdvisorModel.PET_ADVISOR_1
    """Who is to answer."""
    stream: Bool = False
    """Whether the answer comes in chunks, as Server-Sent Events."""
    stream_options: StreamOptions = Field(
        default=StreamOptions(), validation_alias=AliasChoices("streamOptions", "stream_options")
    )
    """How to stream."""
    max_tokens: Int = Field(
        default=1024,
        ge=1,
        le=MAX_TOKENS,
        validation_alias=AliasChoices(
            "maxTokens", "max_tokens", "maxCompletionTokens", "max_completion_tokens"
        ),
    )
    """Tokens of the answer, at most."""
    temperature: float = Field(default=1.0, ge=0, le=2, strict=True, allow_inf_nan=False)
    """How freely to answer; the embedded engine always answers the same."""
    n: Int = Field(default=1, ge=1, le=1)
    """How many answers: one."""

    @model_validator(mode="before")
    @classmethod
    def _is_short_enough(cls, data: Any) -> Any:
        """Looked at before the words are, for that takes long with very many."""
        messages = data.get("messages") if isinstance(data, dict) else None
        if isinstance(messages, list) and sum(map(_length, messages)) > MAX_CHARACTERS:
            raise PydanticCustomError(
                "INVALID_LENGTH", f"messages must have at most {MAX_CHARACTERS} characters in all"
            )
        return data

    @model_validator(mode="after")
    def _is_a_conversation(self) -> "CompletionDraft":
        if not any(turn.role is SpeakerRole.USER for turn in self.messages):
            raise PydanticCustomError("REQUIRED_FIELD", "messages must have one of the user")
        return self


class CompletionUsage(Model):
    """The tokens of a completion."""

    prompt_tokens: int
    """Tokens of the conversation."""
    completion_tokens: int
    """Tokens of the answer."""
    total_tokens: int
    """Both together."""


class CompletionPart(Model):
    """A part of the advisor's answer. The last one has no text, but why the answer ends, and the tokens."""

    id: str
    """The completion's id, the same in every part."""
    model: AdvisorModel
    """Who answers."""
    created_at: Timestamp
    """When the answer was begun."""
    text: str = ""
    """The next text of the answer."""
    finish_reason: str | None = None
    """Why the answer ends: `stop`, or `length` when it was cut at the tokens asked for."""
    usage: CompletionUsage | None = None
    """The tokens, in the last part."""


class Completion(Model):
    """The advisor's message. Tokens are those of the language model that answers, or words, numbers and single other
    characters."""

    id: str
    """The completion's id, which begins with ``chatcmpl_``."""
    created_at: Timestamp
    """When it was made."""
    model: AdvisorModel
    """Who answered."""
    text: str
    """The answer."""
    truncated: bool
    """Whether the answer is cut at the tokens asked for."""
    prompt_tokens: int
    """Tokens of the conversation."""
    completion_tokens: int
    """Tokens of the answer."""
