"""Topic filters mean what MQTT says they mean, whichever way they are looked up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.kernel.errors import BadRequest
from core.kernel.topics import TopicTrie, covers, is_literal, matches, parse_filter

LEVELS = st.sampled_from(["a", "b", "", "pets", "ä"])
TOPICS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join).filter(bool)


@st.composite
def filters(draw: st.DrawFn) -> str:
    levels = draw(st.lists(st.one_of(LEVELS, st.just("+")), max_size=4))
    if draw(st.booleans()) or not levels:
        levels.append("#")
    text = "/".join(levels)
    return text or "+"


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("pets/#", "pets", True),
        ("pets/#", "pets/1/status", True),
        ("pets/+", "pets", False),
        ("pets/+", "pets/", True),
        ("pets/+", "pets/1/status", False),
        ("+/+/status", "orders/1/status", True),
        ("#", "a/b/c", True),
        ("a", "A", False),
        ("+", "/a", False),
        ("/+", "/a", True),
    ],
)
def test_the_examples_of_the_standard_hold(pattern: str, topic: str, expected: bool) -> None:
    assert matches(pattern, topic) is expected


@pytest.mark.parametrize(
    "bad", ["", "a#", "#/a", "a/#/b", "a+", "+a/b", "a\0", "x" * 513, "/".join("a" * 17)]
)
def test_what_is_no_filter_is_refused(bad: str) -> None:
    with pytest.raises(BadRequest):
        parse_filter(bad)


@given(filters())
def test_a_filter_is_taken_as_it_is(pattern: str) -> None:
    assert parse_filter(pattern) == pattern


@given(st.lists(filters(), max_size=12), TOPICS)
def test_the_trie_finds_exactly_the_filters_that_match(patterns: list[str], topic: str) -> None:
    trie: TopicTrie[str] = TopicTrie()
    for pattern in patterns:
        trie.add(pattern, pattern)
    assert set(trie.find([topic])) == {pattern for pattern in patterns if matches(pattern, topic)}


@given(st.lists(st.tuples(filters(), st.integers(0, 3)), max_size=12), st.data())
def test_what_was_removed_is_not_found_and_leaves_nothing(
    entries: list[tuple[str, int]], data: st.DataObject
) -> None:
    trie: TopicTrie[tuple[str, int]] = TopicTrie()
    held = dict.fromkeys(entries)
    for entry in held:
        trie.add(entry[0], entry)
    gone = data.draw(st.sets(st.sampled_from(sorted(held)))) if held else set()
    for entry in gone:
        trie.remove(entry[0], entry)
    topic = data.draw(TOPICS)
    assert set(trie.find([topic])) == {entry for entry in held.keys() - gone if matches(entry[0], topic)}
    for entry in held.keys() - gone:
        trie.remove(entry[0], entry)
    assert not trie


@given(filters(), filters(), TOPICS)
def test_a_filter_that_covers_another_matches_whatever_that_matches(
    wide: str, narrow: str, topic: str
) -> None:
    if covers(wide, narrow) and matches(narrow, topic):
        assert matches(wide, topic)


@given(filters())
def test_every_filter_covers_itself_and_is_covered_by_all(pattern: str) -> None:
    assert covers(pattern, pattern)
    assert covers("#", pattern)


@given(TOPICS, TOPICS)
def test_a_filter_without_wildcards_matches_its_own_topic_only(one: str, other: str) -> None:
    assert is_literal(one)
    assert matches(one, other) is (one == other)
