"""Files of images that no record names."""

from pathlib import Path

import pytest

from core.kernel.ids import new_id
from core.models import examples
from core.services import orphan_images
from core.services.images import GET_IMAGE, UPLOAD_IMAGE
from core.services.orphan_images import OrphanImages
from core.services.pets import CREATE_PET
from tests.core.stores import Shop
from tests.pictures import PNG


async def test_a_file_without_a_record_goes_in_the_second_round(shop: Shop, tmp_path: Path) -> None:
    pet = await shop.call(CREATE_PET, body=examples.PET_DRAFT)
    image = await shop.call(UPLOAD_IMAGE, body={"file": PNG}, id=pet.id)
    lost, orphans = new_id(), OrphanImages(shop.store)
    await shop.store.images.put(shop.tenant, lost, PNG)
    (tmp_path / "images" / shop.tenant / ".draft-abc").write_bytes(b"half")
    assert await orphans.sweep() == 0
    assert await shop.store.images.get(shop.tenant, lost) == PNG
    assert await orphans.sweep() == 2
    assert await shop.store.images.get(shop.tenant, lost) is None
    assert (await shop.call(GET_IMAGE, id=pet.id, imageId=image.id)).content == PNG
    assert [path.name for path in (tmp_path / "images" / shop.tenant).iterdir()] == [image.id]


async def test_an_upload_in_progress_keeps_its_file(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    pet = await shop.call(CREATE_PET, body=examples.PET_DRAFT)
    orphans, put = OrphanImages(shop.store), shop.store.images.put

    async def swept_meanwhile(*arguments: object) -> None:
        await put(*arguments)  # type: ignore[arg-type]
        assert await orphans.sweep() == 0

    monkeypatch.setattr(shop.store.images, "put", swept_meanwhile)
    image = await shop.call(UPLOAD_IMAGE, body={"file": PNG}, id=pet.id)
    assert await orphans.sweep() == 0
    assert await orphans.sweep() == 0
    assert (await shop.call(GET_IMAGE, id=pet.id, imageId=image.id)).content == PNG


async def test_however_many_orphans_there_are_only_so_many_are_remembered(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphan_images, "_MAX_ORPHANS", 2)
    for _ in range(5):
        await shop.store.images.put(shop.tenant, new_id(), PNG)
    orphans = OrphanImages(shop.store)
    assert [await orphans.sweep() for _ in range(6)] == [0, 2, 2, 1, 0, 0]
