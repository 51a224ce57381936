"""Asking a large language model. What it says of calls is its own: whoever asks looks at every word of it."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


class Speaker(StrEnum):
    """Whose words a message of a conversation has."""

    PROGRAM = "program"
    USER = "user"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model wishes: its own id for it, the tool's name, and the arguments as it wrote them."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Said:
    """A message of a conversation; the model's may wish ``calls``."""

    speaker: Speaker
    text: str
    calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call came to."""

    call_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Tool:
    """What the model may call. ``parameters`` is a JSON schema of the arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """A conversation that waits for the model's next message. Without ``may_call`` it may wish no calls."""

    conversation: Sequence[Said | ToolResult]
    tools: Sequence[Tool]
    max_tokens: int
    temperature: float
    may_call: bool = True


@dataclass(frozen=True, slots=True)
class Reply:
    """How the model's message ends. ``truncated``: at the tokens asked for. The tokens are None where it does not
    tell."""

    calls: tuple[ToolCall, ...] = ()
    truncated: bool = False
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class ModelFailed(Exception):
    """The model cannot be asked, or answers what is no answer. The text is for operators, in one line without secrets.

    ``retry_after``: whole seconds after which it may go well. ``too_long``: the conversation is more than it takes.
    """

    def __init__(self, reason: str, *, retry_after: int = 5, too_long: bool = False) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.too_long = too_long


class LanguageModel(Protocol):
    """A model that takes part in conversations."""

    def ask(self, question: Question) -> AsyncGenerator[str | Reply, None]:
        """The model's message as it is made, text by text, and at last how it ends.

        Whoever stops reading closes the generator, which ends the request. Its texts have a bounded length, each and in
        all. What fails before the first text is tried again a few times.

        Raises:
            ModelFailed: there is no answer, or no more of it.
        """
