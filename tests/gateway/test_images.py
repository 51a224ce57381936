"""Images lie in files, whole or not at all, each tenant's apart."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from core.kernel.errors import Unavailable
from core.kernel.ids import SHARED_TENANT, TenantId
from gateway.images import FileImages

OTHER = TenantId("019e2d14-2b7c-7a90-8d11-3e5f7a9c1b20")


async def test_what_was_put_is_there_for_its_tenant_alone(tmp_path: Path) -> None:
    images = FileImages(tmp_path / "images")
    await images.put(SHARED_TENANT, "a.png", b"first")
    await images.put(SHARED_TENANT, "a.png", b"second")
    assert await images.get(SHARED_TENANT, "a.png") == b"second"
    assert await images.get(OTHER, "a.png") is None
    assert [path.name for path in (tmp_path / "images" / SHARED_TENANT).iterdir()] == ["a.png"]


async def test_all_files_are_listed_in_pages_and_empty_folders_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.images._PAGE_SIZE", 2)
    images = FileImages(tmp_path / "images")
    assert [page async for page in images.pages()] == []
    for name in ("a.png", "b.png", "c.png"):
        await images.put(SHARED_TENANT, name, b"1")
    await images.put(OTHER, "a.png", b"2")
    (tmp_path / "images" / "none of ours").mkdir()
    (tmp_path / "images" / OTHER / ".draft-x1").write_bytes(b"half")
    pages = [page async for page in images.pages()]
    assert sorted(len(names) for _, names in pages) == [1, 2, 2]
    names = sorted((tenant, name) for tenant, page in pages for name in page)
    assert names == [
        (SHARED_TENANT, "a.png"), (SHARED_TENANT, "b.png"), (SHARED_TENANT, "c.png"), (OTHER, ".draft-x1"),
        (OTHER, "a.png"),
    ]  # fmt: skip
    await images.delete(OTHER, "a.png")
    await images.delete(OTHER, ".draft-x1")
    await images.delete(OTHER, ".draft-x1")
    assert len([page async for page in images.pages()]) == 2
    assert not (tmp_path / "images" / OTHER).exists()
    await images.put(OTHER, "a.png", b"3")
    assert await images.get(OTHER, "a.png") == b"3"


async def test_a_folder_that_goes_while_an_image_comes_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, made = FileImages(tmp_path), 0
    make = Path.mkdir

    def mkdir(folder: Path, **options: Any) -> None:
        nonlocal made
        make(folder, **options)
        made += 1
        if made == 1:
            folder.rmdir()

    monkeypatch.setattr(Path, "mkdir", mkdir)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("gateway.images.shutil.disk_usage", lambda _: usage)
    await images.put(SHARED_TENANT, "a.png", b"1")
    assert await images.get(SHARED_TENANT, "a.png") == b"1"


async def test_no_image_takes_the_last_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(total=10**12, free=10**8)
    monkeypatch.setattr("gateway.images.shutil.disk_usage", lambda _: usage)
    images = FileImages(tmp_path)
    with pytest.raises(Unavailable):
        await images.put(SHARED_TENANT, "a.png", b"1")
    assert list((tmp_path / SHARED_TENANT).iterdir()) == []


@pytest.mark.parametrize("name", ["../secret", "a/b", "", ".", "..", ".hidden", "a\0b", "x" * 300])
async def test_a_name_that_is_no_plain_file_name_leads_nowhere(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    images = FileImages(tmp_path / "images")
    assert await images.get(SHARED_TENANT, name) is None
    with pytest.raises(ValueError, match="plain name"):
        await images.put(SHARED_TENANT, name, b"x")


async def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    images = FileImages(tmp_path)
    (tmp_path / SHARED_TENANT / "a.png").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        await images.put(SHARED_TENANT, "a.png", b"x")
    assert [path.name for path in (tmp_path / SHARED_TENANT).iterdir()] == ["a.png"]
