"""Images lie in files, whole or not at all, each tenant's apart."""

from pathlib import Path

import pytest

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


async def test_a_tenant_s_images_go_together(tmp_path: Path) -> None:
    images = FileImages(tmp_path)
    await images.put(SHARED_TENANT, "a.png", b"1")
    await images.put(OTHER, "a.png", b"2")
    await images.delete_all(OTHER)
    await images.delete_all(OTHER)
    assert await images.get(OTHER, "a.png") is None
    assert await images.get(SHARED_TENANT, "a.png") == b"1"


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
