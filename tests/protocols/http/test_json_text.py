"""JSON as clients write it: halves of characters."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.http.json_text import LoneSurrogate, has_more_parts, read_json

TEXTS = st.text(st.characters() | st.characters(categories=["Cs"]) | st.sampled_from('\\"u{}'), max_size=8)


@given(
    value=st.recursive(
        TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3)
    )
)
def test_a_value_is_read_as_it_was_written_or_refused_for_a_half_of_a_character(value: object) -> None:
    text = json.dumps(value)
    # Two halves that meet become one character, as in any reader of JSON.
    try:
        expected = json.loads(text)
        json.dumps(expected, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        with pytest.raises(LoneSurrogate) as refused:
            read_json(text)
        json.dumps(refused.value.value, ensure_ascii=False).encode()
    else:
        assert read_json(text) == expected


@pytest.mark.parametrize("text", ["", "nonsense", '"\\ud83d', '"\\ud83d" x', "[" * 20_000, "NaN"])
def test_what_is_no_json_is_none(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 whatever the parser says
        read_json(text)


def test_the_rest_of_the_value_is_there() -> None:
    with pytest.raises(LoneSurrogate) as refused:
        read_json('{"id": 7, "text": "a\\ud83d\\\\ud83d\\ud83d\\ude00"}')
    assert refused.value.value == {"id": 7, "text": "a\ufffd\\ud83d😀"}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (b"[]", 1),
        (b'{"a": [1, 2, {}]}', 5),
        (b'["a,[{", "\\",[", "\\\\", ","]', 4),
        (b"[" + b"[]," * 340_000 + b"[]]", 680_002),
        (b'["' + b",[{" * 300_000 + b'"]', 1),
        (b'["' + b'\\",' * 300_000 + b'\\\\", 1]', 2),
    ],
)
def test_the_parts_of_a_text_are_counted_without_reading_it(text: bytes, parts: int) -> None:
    assert has_more_parts(text, parts - 1)
    assert not has_more_parts(text, parts)
