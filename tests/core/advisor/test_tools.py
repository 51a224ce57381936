"""What a language model is told of the tools that it may call."""

import jsonschema  # type: ignore[import-untyped]
import pytest

from core.services.advisor.tools import tools

_SCHEMAS = {tool.name: tool.parameters for tool in tools()}


@pytest.mark.parametrize("name", _SCHEMAS)
def test_bounds_are_keywords_of_json_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(_SCHEMAS[name])
    waiting: list[object] = [_SCHEMAS[name]]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            assert not part.keys() & {"ge", "gt", "le", "lt", "multiple_of"}, part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


@pytest.mark.parametrize(("age", "is_valid"), [(0, True), (12, True), (-1, False), (2**31, False)])
def test_a_model_is_told_the_bounds_of_ages(age: int, is_valid: bool) -> None:
    asked = {"criteria": {"ageRange": {"min": age}}}
    validator = jsonschema.Draft202012Validator(_SCHEMAS["searchPets"])
    assert validator.is_valid(asked) is is_valid
