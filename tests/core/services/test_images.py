"""Images of pets: what is taken, where it is shown, and when it is gone."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from core.kernel.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    NotFound,
    PayloadTooLarge,
    PreconditionFailed,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)
from core.kernel.ids import SHARED_TENANT, TenantId, new_id
from core.kernel.limits import Limits
from core.models import examples
from core.models.images import ImageUpload
from core.models.pets import Pet
from core.ports.images import StoredImage
from core.services.images import DELETE_IMAGE, GET_IMAGE, UPLOAD_IMAGE
from core.services.pets import CREATE_PET, DELETE_PET, GET_PET, REPLACE_PET, UPDATE_PET
from gateway.image_decoder import PillowDecoder
from tests.core.stores import PUBLIC_URL, Shop, open_store
from tests.pictures import PNG, picture, png_that_claims


async def pet_in(shop: Shop, **changes: Any) -> Pet:
    pet = await shop.call(CREATE_PET, body={**examples.PET_DRAFT, **changes})
    assert isinstance(pet, Pet)
    return pet


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (PNG, "image/png"),
        (picture("JPEG", 3, 2), "image/jpeg"),
        (picture("MPO"), "image/jpeg"),
        (picture("GIF"), "image/gif"),
        (picture("WEBP"), "image/webp"),
        (picture("PNG", 5000, 8000), "image/png"),
    ],
)
async def test_an_image_is_known_by_its_content_and_comes_back_as_it_was(
    shop: Shop, content: bytes, media_type: str
) -> None:
    pet = await pet_in(shop)
    upload = {"file": content, "filename": "a.exe", "additionalMetadata": "At the lake"}
    image = await shop.call(UPLOAD_IMAGE, body=upload, id=pet.id)
    told = image.model_dump(mode="json", exclude_none=True)
    assert told == {
        "id": image.id,
        "tenantId": shop.tenant,
        "petId": pet.id,
        "url": f"{PUBLIC_URL}/v1/pets/{pet.id}/images/{image.id}?tenant={shop.tenant}",
        "mediaType": media_type,
        "size": len(content),
        "additionalMetadata": "At the lake",
        "createdAt": told["createdAt"],
    }
    got = await shop.call(GET_IMAGE, shop.visitor, id=pet.id, imageId=image.id)
    assert got == StoredImage(content, media_type)


async def test_an_image_is_shown_by_its_pet_and_announced(shop: Shop) -> None:
    pet = await pet_in(shop)
    head = await shop.head()
    image = await shop.call(UPLOAD_IMAGE, body={"file": PNG}, id=pet.id)
    changed = await shop.call(GET_PET, id=pet.id)
    assert changed.photos == (*pet.photos, image.url)
    [updated] = await shop.events(head)
    assert (updated["eventType"], updated["topic"]) == ("pet.updated", f"pets/{pet.id}")
    assert updated["data"] == {"pet": changed.model_dump(mode="json", exclude_none=True)}
    # What was read can be written back, the image's address included.
    assert (
        await shop.call(REPLACE_PET, body=changed.model_dump(mode="json", exclude_none=True), id=pet.id)
        == changed
    )


async def test_images_of_the_shared_pool_name_no_tenant(shop: Shop) -> None:
    pool = Shop(shop.store, SHARED_TENANT)
    pet = await pet_in(pool)
    image = await pool.call(UPLOAD_IMAGE, body={"file": PNG}, id=pet.id)
    assert image.url == f"{PUBLIC_URL}/v1/pets/{pet.id}/images/{image.id}"


async def test_too_many_who_wait_for_the_decoder_are_told_to_come_again() -> None:
    decoder = PillowDecoder()
    looks = (decoder.media_type(PNG, 40, f"192.0.2.{number}") for number in range(40))
    outcomes = await asyncio.gather(*looks, return_exceptions=True)
    # Two are being decoded, and 32 may wait.
    assert Counter(map(type, outcomes)) == {str: 34, Unavailable: 6}
    decoder.close()


async def test_whoever_sends_many_images_keeps_no_other_network_waiting_or_out() -> None:
    decoder, done = PillowDecoder(), list[str]()

    async def look(network: str) -> None:
        await decoder.media_type(PNG, 40, network)
        done.append(network)

    floods = [asyncio.create_task(look("flood")) for _ in range(40)]
    await asyncio.sleep(0)
    await look("other")
    assert len(done) <= 5
    results = await asyncio.gather(*floods, return_exceptions=True)
    assert Counter(map(type, results)) == {type(None): 10, Unavailable: 30}
    decoder.close()


async def test_the_address_of_a_photo_becomes_whole(shop: Shop) -> None:
    pet = await pet_in(shop, photos=["/v1/pets/1/images/2"])
    assert pet.photos == (f"{PUBLIC_URL}/v1/pets/1/images/2",)
    patch = {"photos": ["/v1/pets/1/images/3", "https://elsewhere.example/4"]}
    patched = await shop.call(UPDATE_PET, body=patch, id=pet.id)
    assert patched.photos == (f"{PUBLIC_URL}/v1/pets/1/images/3", "https://elsewhere.example/4")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"\x89PNG\r\n\x1a\n", "INVALID_FORMAT"),
        (b"\xff\xd8\xff\xe0rest", "INVALID_FORMAT"),
        (b"GIF89arest", "INVALID_FORMAT"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "INVALID_FORMAT"),
        (picture("PNG", 200, 200)[:-40], "INVALID_FORMAT"),
        (picture("JPEG", 200, 200)[:-40], "INVALID_FORMAT"),
        (png_that_claims(100, 100, b"too little"), "INVALID_FORMAT"),
        (png_that_claims(100_000, 100_000), "OUT_OF_RANGE"),
        (png_that_claims(8001, 5000), "OUT_OF_RANGE"),
        (picture("JPEG", 2000, 1000) + b"\xff\xda" * 500, "OUT_OF_RANGE"),
    ],
    ids=range(10),
)
async def test_what_cannot_be_decoded_is_refused(shop: Shop, content: bytes, code: str) -> None:
    pet = await pet_in(shop)
    assert await shop.violations(UPLOAD_IMAGE, body={"file": content}, id=pet.id) == {"file": code}
    assert (await shop.call(GET_PET, id=pet.id)).photos == pet.photos


async def test_a_large_image_is_decoded_beside_the_event_loop(shop: Shop) -> None:
    pet = await pet_in(shop)
    large = picture("PNG", 8000, 5000)
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    turning = asyncio.create_task(turn())
    await shop.call(UPLOAD_IMAGE, body={"file": large}, id=pet.id)
    turning.cancel()
    assert turns > 100


@pytest.mark.parametrize("content", [b"<svg/>", b"plain", b"RIFF\x10\x00\x00\x00WAVE", b"\x89PNG"])
async def test_anything_else_is_refused(shop: Shop, content: bytes) -> None:
    pet = await pet_in(shop)
    await shop.refusal(
        UnsupportedMediaType, UPLOAD_IMAGE, body={"file": content, "filename": "a.png"}, id=pet.id
    )


async def test_an_upload_without_an_image_is_refused(shop: Shop) -> None:
    pet = await pet_in(shop)
    assert await shop.violations(UPLOAD_IMAGE, body={"file": b""}, id=pet.id) == {"file": "INVALID_LENGTH"}
    assert await shop.violations(UPLOAD_IMAGE, body={"x": "1"}, id=pet.id) == {
        "file": "REQUIRED_FIELD",
        "x": "UNKNOWN_FIELD",
    }


async def test_an_image_has_a_greatest_size(tmp_path: Path) -> None:
    limits = Limits(requests_per_minute=0, image_bytes=len(PNG))
    async with open_store(tmp_path, limits=limits) as store:
        shop = Shop(store)
        pet = await pet_in(shop)
        await shop.refusal(PayloadTooLarge, UPLOAD_IMAGE, body={"file": PNG + b"x"}, id=pet.id)
        await shop.call(UPLOAD_IMAGE, body={"file": PNG}, id=pet.id)


async def test_a_pet_has_so_many_photos_and_no_more(shop: Shop) -> None:
    pet = await pet_in(shop, photos=["https://example.com/a.jpg"] * 49)
    await shop.call(UPLOAD_IMAGE, body={"file": PNG}, id=pet.id)
    await shop.refusal(Conflict, UPLOAD_IMAGE, body={"file": PNG}, id=pet.id)


async def test_only_who_may_write_pets_adds_images(shop: Shop) -> None:
    pet = await pet_in(shop)
    await shop.refusal(Unauthorized, UPLOAD_IMAGE, shop.visitor, {"file": PNG}, id=pet.id)
    await shop.refusal(Forbidden, UPLOAD_IMAGE, shop.customer, {"file": PNG}, id=pet.id)


async def test_what_is_not_there_has_no_image(shop: Shop) -> None:
    pet, other = await pet_in(shop), await pet_in(shop)
    image = await shop.call(UPLOAD_IMAGE, body={"file": PNG}, id=pet.id)
    await shop.refusal(NotFound, UPLOAD_IMAGE, body={"file": PNG}, id=new_id())
    await shop.refusal(NotFound, GET_IMAGE, id=other.id, imageId=image.id)
    await shop.refusal(NotFound, GET_IMAGE, id=pet.id, imageId=new_id())
    await shop.refusal(BadRequest, GET_IMAGE, id=pet.id, imageId="../../etc/passwd")
    await Shop(shop.store).refusal(NotFound, GET_IMAGE, id=pet.id, imageId=image.id)


async def test_an_image_whose_bytes_are_lost_is_not_found(shop: Shop) -> None:
    pet = await pet_in(shop)
    image = await shop.call(UPLOAD_IMAGE, body={"file": PNG}, id=pet.id)
    await shop.store.images.delete(shop.tenant, image.id)
    await shop.refusal(NotFound, GET_IMAGE, id=pet.id, imageId=image.id)


async def test_an_image_that_its_pet_names_no_more_is_gone_with_its_bytes(shop: Shop) -> None:
    pet = await pet_in(shop)
    first, second, third = [await shop.call(UPLOAD_IMAGE, body={"file": PNG}, id=pet.id) for _ in range(3)]
    await shop.call(UPDATE_PET, body={"photos": [second.url, third.url]}, id=pet.id)
    await shop.call(UPDATE_PET, body={"name": "Rex"}, id=pet.id)
    await shop.call(REPLACE_PET, body={**examples.PET_DRAFT, "photos": [third.url]}, id=pet.id)
    for image in (first, second):
        await shop.refusal(NotFound, GET_IMAGE, id=pet.id, imageId=image.id)
        assert await shop.store.images.get(shop.tenant, image.id) is None
    assert (await shop.call(GET_IMAGE, id=pet.id, imageId=third.id)).content == PNG


async def test_a_removed_image_is_gone_and_its_pet_names_it_no_more(shop: Shop) -> None:
    pet, other = await pet_in(shop), await pet_in(shop)
    first, second = [await shop.call(UPLOAD_IMAGE, body={"file": PNG}, id=pet.id) for _ in range(2)]
    await shop.refusal(Forbidden, DELETE_IMAGE, shop.customer, id=pet.id, imageId=first.id)
    await shop.refusal(NotFound, DELETE_IMAGE, id=other.id, imageId=first.id)
    await shop.refusal(PreconditionFailed, DELETE_IMAGE, id=pet.id, imageId=first.id, if_match="stale")
    head = await shop.head()
    await shop.call(DELETE_IMAGE, id=pet.id, imageId=first.id)
    assert (await shop.call(GET_PET, id=pet.id)).photos == (*pet.photos, second.url)
    assert [kind for kind, _ in await shop.news(head)] == ["pet.updated"]
    assert await shop.store.images.get(shop.tenant, first.id) is None
    await shop.refusal(NotFound, DELETE_IMAGE, id=pet.id, imageId=first.id)


async def test_a_refused_image_leaves_no_bytes(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[str] = []
    put = shop.store.images.put

    async def noted(tenant: TenantId, name: str, content: bytes) -> None:
        kept.append(name)
        await put(tenant, name, content)

    monkeypatch.setattr(shop.store.images, "put", noted)
    pet = await pet_in(shop, photos=[f"https://example.com/{number}.png" for number in range(50)])
    await shop.refusal(Conflict, UPLOAD_IMAGE, body={"file": PNG}, id=pet.id)
    [name] = kept
    assert await shop.store.images.get(shop.tenant, name) is None


async def test_images_go_with_their_pet(shop: Shop) -> None:
    pet = await pet_in(shop)
    image = await shop.call(UPLOAD_IMAGE, body={"file": PNG}, id=pet.id)
    await shop.call(DELETE_PET, id=pet.id)
    await shop.refusal(NotFound, GET_IMAGE, id=pet.id, imageId=image.id)
    assert await shop.store.images.get(shop.tenant, image.id) is None


async def test_a_repeated_upload_with_a_key_adds_one_image(shop: Shop) -> None:
    pet = await pet_in(shop)
    first = await shop.outcome(UPLOAD_IMAGE, body={"file": PNG}, id=pet.id, key="k")
    again = await shop.outcome(UPLOAD_IMAGE, body={"file": PNG}, id=pet.id, key="k")
    assert again.replayed
    assert again.value == first.value
    assert len((await shop.call(GET_PET, id=pet.id)).photos) == len(pet.photos) + 1


def test_the_bytes_of_an_upload_are_in_no_log() -> None:
    assert "secret" not in repr(ImageUpload.model_validate({"file": b"secret"}))
