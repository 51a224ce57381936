"""Conversations and tools in the shape of OpenAI's Chat Completions."""

from typing import Any

from core.ports.language_model import Question, Said, Speaker, Tool, ToolResult

_ROLES = {Speaker.PROGRAM: "system", Speaker.USER: "user", Speaker.MODEL: "assistant"}


def body_of(question: Question, model: str) -> dict[str, Any]:
    """The body of the request for an answer, as a stream that tells its tokens."""
    return {
        "model": model,
        "messages": [_message(one) for one in question.conversation],
        "tools": [_tool(tool) for tool in question.tools],
        "tool_choice": "auto" if question.may_call else "none",
        "max_tokens": question.max_tokens,
        "temperature": question.temperature,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def _message(one: Said | ToolResult) -> dict[str, Any]:
    if isinstance(one, ToolResult):
        return {"role": "tool", "tool_call_id": one.call_id, "content": one.text}
    message: dict[str, Any] = {"role": _ROLES[one.speaker], "content": one.text}
    if one.calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in one.calls
        ]
    return message


def _tool(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}
