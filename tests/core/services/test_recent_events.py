"""What has happened since a cursor."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from core.kernel.cursor import Cursor
from core.kernel.errors import BadRequest, CursorExpired
from core.models import examples
from core.models.recent_events import RecentEvents
from core.services import recent_events
from core.services.pets import CREATE_PET, GET_PET, UPDATE_PET
from core.services.recent_events import RECENT_EVENTS
from tests.core.stores import Shop, open_store


async def ask(shop: Shop, **params: Any) -> RecentEvents:
    """A page, as a visitor sees it."""
    found = await shop.outcome(RECENT_EVENTS, shop.visitor, **{"topics": ["pets/+"], **params})
    page: RecentEvents = found.value
    return page


def names(page: RecentEvents) -> list[str]:
    """The names of the pets in a page."""
    return [event.data["pet"]["name"] for event in page.events]


async def add(shop: Shop, *pets: str) -> list[str]:
    """Pets with these names."""
    drafts = [{**examples.PET_DRAFT, "name": name} for name in pets]
    return [(await shop.outcome(CREATE_PET, body=draft)).value.id for draft in drafts]


async def test_what_another_node_has_changed_lies_behind_the_cursor_of_what_was_read(
    tmp_path: Path, empty_database: Path
) -> None:
    """This node has the pet in memory and has not heard of the change: its cursor must not say that it has."""
    url = f"sqlite:///{shutil.copyfile(empty_database, tmp_path / 'store.db')}"
    async with open_store(tmp_path, url) as here, open_store(tmp_path, url) as there:
        ours = Shop(here)
        theirs = Shop(there, ours.tenant)
        (pet_id,) = await add(ours, "Before")
        await ours.outcome(GET_PET, id=pet_id)
        await theirs.outcome(UPDATE_PET, body={"name": "After"}, id=pet_id)
        cursor = await here.cursor_before_reading(ours.tenant)
        read = (await ours.outcome(GET_PET, id=pet_id)).value
        page = await ask(ours, after=cursor)
        # On a slow machine this node may have looked at the log by itself.
        assert "After" in (read.name, *names(page))


async def test_pages_follow_one_another_without_gap_or_repetition(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        shop = Shop(store)
        await add(shop, *"abcdefg")
        seen, cursor, more = [], "earliest", True
        while more:
            page = await ask(shop, after=cursor, limit=3)
            seen += names(page)
            cursor, more = page.cursor, page.more
        assert seen == list("abcdefg")
        assert names(await ask(shop, after=cursor)) == []
        assert names(await ask(shop, limit=2)) == ["f", "g"]


async def test_the_latest_are_looked_for_in_so_many_events_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent_events, "LOOKED_BACK", 4)
    async with open_store(tmp_path) as store:
        shop = Shop(store)
        await add(shop, *"abcdefg")
        head = Cursor.decode((await ask(shop)).cursor, shop.tenant).sequence
        latest = await ask(shop, topics=["#"], limit=100)
        assert [Cursor.decode(event.cursor, shop.tenant).sequence for event in latest.events] == [
            head - 3, head - 2, head - 1, head
        ]  # fmt: skip


async def test_a_search_that_takes_long_says_that_there_may_be_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(tmp_path) as store:
        shop = Shop(store)
        await add(shop, "a")
        monkeypatch.setattr(recent_events, "_READING_SECONDS", 0)
        page = await ask(shop, after="earliest")
        assert (names(page), page.more) == ([], True)
        monkeypatch.undo()
        assert names(await ask(shop, after=page.cursor)) == ["a"], "and nothing is lost by going on"


async def test_a_trimmed_log_is_told_and_the_latest_begin_where_it_does(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        shop = Shop(store)
        await add(shop, *"abc")
        first = (await ask(shop, after="earliest", limit=1)).cursor
        await store.storage.trim_log(None, 1)
        with pytest.raises(CursorExpired):
            await ask(shop, after=first)
        assert len((await ask(shop, topics=["#"])).events) == 1
        with pytest.raises(BadRequest):
            await ask(shop, after=Cursor(store.epoch, Shop(store).tenant, 0).encode())
