"""Messages between nodes: nothing changes on the way, and rubbish is known as such."""

import struct
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.hub.node_messages import MalformedNodeMessage, decode, encode
from core.kernel.events import NAMED, PUBLIC, STAFF_ONLY, visible_to
from tests.core.hub.world import TENANT, draft, placed


def test_events_arrive_as_they_were_sent() -> None:
    events = [
        placed(draft("orders/1/payment", audience, aliases=("payments/9/status",)), sequence, 77)
        for sequence, audience in enumerate([PUBLIC, STAFF_ONLY, NAMED, visible_to("a", "b")], 5)
    ]
    events[0] = replace(events[0], request_id="request-1")
    [message] = encode("node", TENANT, events)
    told = decode(message)
    assert list(told.events) == events
    assert (told.node, told.tenant, told.epoch, told.head) == ("node", TENANT, 77, 8)
    typing = draft("chats/1", visible_to("a"))
    [message] = encode("node", TENANT, [typing])
    assert decode(message).events == (typing,)


def test_large_commits_are_split_and_larger_ones_only_hinted_at() -> None:
    events = [placed(draft("pets/1", size=30_000), sequence, 77) for sequence in range(1, 11)]
    told = [decode(message) for message in encode("node", TENANT, events)]
    assert [len(message.events) for message in told] == [2] * 5
    assert [event for message in told for event in message.events] == events
    huge = [placed(draft("pets/1", size=300_000), sequence, 77) for sequence in (11, 12)]
    [hint] = encode("node", TENANT, huge)
    assert (decode(hint).events, decode(hint).head, decode(hint).epoch) == ((), 12, 77)
    assert encode("node", TENANT, [draft("chats/1", size=600_000)]) == []
    assert encode("node", TENANT, []) == []


@given(st.binary(max_size=200))
def test_rubbish_is_malformed(rubbish: bytes) -> None:
    with pytest.raises(MalformedNodeMessage):
        decode(rubbish)


@given(st.integers(0, 160), st.binary(max_size=3))
def test_a_message_that_was_tampered_with_is_malformed_or_still_a_message(
    place: int, insertion: bytes
) -> None:
    [message] = encode("node", TENANT, [placed(draft("pets/1"), 1, 77)])
    with suppress(MalformedNodeMessage):
        decode(message[:place] + insertion + message[place + 1 :])


@pytest.mark.parametrize(
    "head",
    [
        b"null",
        b'["n","t",1,2]',
        b'["n","t",1,2,[["i","e","t",1,"*",1,-1,null,[]]]]',
        b'["n","t",1,2,[["i","e","t",1,"*",1,99,null,[]]]]',
        b'["n","t",1,2,[["i","e","t",99999999999999999999,"*",1,0,null,[]]]]',
        b'["n","t",1,2,[["i","e","t",999999999999999999,"*",1,0,null,[]]]]',
    ],
)
def test_heads_that_make_no_sense_are_malformed(head: bytes) -> None:
    with pytest.raises(MalformedNodeMessage):
        decode(struct.pack(">BI", 1, len(head)) + head)
