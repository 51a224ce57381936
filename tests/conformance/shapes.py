"""The one shape in which all doors' answers are compared."""

from typing import Any


def compact(value: Any) -> Any:
    """The value without members that have none."""
    if isinstance(value, dict):
        return {name: compact(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [compact(inner) for inner in value]
    return value
