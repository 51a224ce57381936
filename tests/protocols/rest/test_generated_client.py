"""A client that a generator makes of the 3.1 edition of the document, against the server."""

import importlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from openapi_python_client import generate
from openapi_python_client.config import Config, ConfigFile, MetaType
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.contracts.documents import http_document_3_1
from protocols.rest.pages import dump_yaml
from tests.pictures import PNG
from tests.protocols.rest.shop import PASSWORD, Door, Shop

NAME = "generated_petstore_client"
#: An operation that no generated client has in full: its answer is an image.
_LEFT_OUT = "/v1/pets/{id}/images/{imageId}"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The generated package, which the generator has next to nothing to say against."""
    folder = tmp_path_factory.mktemp("generated")
    document = folder / "openapi.yaml"
    document.write_text(dump_yaml(http_document_3_1()), encoding="utf-8")
    wanted = ConfigFile(package_name_override=NAME, post_hooks=[])
    told = generate(
        config=Config.from_sources(
            wanted,
            MetaType.NONE,
            document_source=document,
            file_encoding="utf-8",
            overwrite=False,
            output_path=folder / NAME,
        )
    )
    assert [error.header for error in told if _LEFT_OUT not in str(error.header)] == []
    sys.path.insert(0, str(folder))
    yield importlib.import_module(NAME)
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
        del sys.modules[name]


class Client:
    """Somebody who uses the generated client: an operation by its path in the package."""

    def __init__(self, package: ModuleType, door: Door, tenant: str, token: str | None = None) -> None:
        headers = {"X-Tenant-ID": tenant, **({"Authorization": f"Bearer {token}"} if token else {})}
        self._client = package.Client(base_url=door.url, raise_on_unexpected_status=True)
        self._client.set_async_httpx_client(door.client(**headers))
        self.models: Any = importlib.import_module(f"{NAME}.models")

    async def call(self, operation: str, *arguments: Any, **more: Any) -> Any:
        """What the generated client makes of the answer."""
        module = importlib.import_module(f"{NAME}.api.{operation}")
        answer = await module.asyncio_detailed(*arguments, client=self._client, **more)
        assert answer.status_code < 300, answer.content
        return answer.parsed

    def read(self, model: str, value: Any) -> Any:
        """A value as the client's model."""
        return getattr(self.models, model).from_dict(value)


@pytest.fixture
async def staff(package: ModuleType, door: Door, shop: Shop) -> Client:
    """The owner of a tenant."""
    visitor = Client(package, door, shop.tenant)
    body = visitor.read("LoginRequest", {"username": "owner", "password": PASSWORD})
    tokens = await visitor.call("authentication.login", body=body)
    return Client(package, door, shop.tenant, tokens.access_token)


async def test_a_pet_is_created_read_changed_and_written_back(staff: Client) -> None:
    draft = staff.read("PetDraft", {"name": "Bo", "species": "CAT", "ageMonths": 3, "price": "75.00"})
    made = await staff.call("pets.create_pet", body=draft)
    assert await staff.call("pets.get_pet", made.id) == made
    unset = importlib.import_module(f"{NAME}.types").UNSET
    assert (made.owner_id, made.breed, made.medical_info) == (unset, unset, unset)
    back = staff.read("PetDraft", {**made.to_dict(), "name": "Boris"})
    changed = await staff.call("pets.replace_pet", made.id, body=back)
    assert (changed.name, changed.id) == ("Boris", made.id)
    patched = await staff.call(
        "pets.update_pet", made.id, body=staff.read("PetPatch", {"breed": "Siamese", "size": None})
    )
    assert patched.breed == "Siamese"
    listed = await staff.call("pets.list_pets", limit=10)
    assert [pet.id for pet in listed.data] == [made.id]
    found = await staff.call(
        "pets.search_pets_by_post", body=staff.read("PetSearch", {"criteria": {"text": "siam"}})
    )
    assert found.pagination.total_items == 1


async def test_an_order_is_placed_with_all_members_of_an_order_and_paid(
    package: ModuleType, door: Door, shop: Shop, staff: Client
) -> None:
    pet = await shop.add_pet()
    visitor = Client(package, door, shop.tenant)
    whole = {"petId": pet, "status": "PLACED", "totalAmount": "350.00", "currency": "USD"}
    order = await visitor.call("orders.place_order", body=visitor.read("OrderDraft", whole))
    unset = importlib.import_module(f"{NAME}.types").UNSET
    assert (str(order.status), order.total_amount, order.user_id) == ("PLACED", "350.00", unset)
    address = {"line1": "Lindenstraße 5", "line2": "Hinterhaus", "country": "DE"}
    draft = {
        "amount": order.total_amount,
        "currency": str(order.currency),
        "source": {
            "object": "card",
            "name": "Alex",
            "number": "5555555555554444",
            "cvc": "123",
            "expMonth": 12,
            "expYear": 2099,
            "billingAddress": address,
        },
    }
    paid = await visitor.call("orders.pay_order", order.id, body=visitor.read("PaymentDraft", draft))
    assert (str(paid.source.brand), paid.source.last4) == ("MASTERCARD", "4444")
    assert paid.source.billing_address.to_dict() == address
    receipt = await visitor.call("orders.get_receipt", paid.receipt_id)
    assert receipt.order_id == order.id
    assert [found.id for found in (await staff.call("orders.list_orders")).data] == [order.id]


async def test_an_image_is_uploaded(package: ModuleType, shop: Shop, staff: Client) -> None:
    pet = await shop.add_pet()
    file = importlib.import_module(f"{NAME}.types").File
    body = staff.models.ImageUpload(file=file(payload=io.BytesIO(PNG), file_name="a.png"))
    image = await staff.call("pets.upload_pet_image", pet, body=body)
    assert image.media_type == "image/png"


def test_the_edition_has_all_but_what_3_1_does_not_know() -> None:
    document = http_document_3_1()
    committed = Path(__file__).parents[3] / "openapi" / "openapi-3.1.yaml"
    assert document == yaml.safe_load(committed.read_text(encoding="utf-8"))
    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"] == "3.1.0"
    assert "/v1/events" in document["paths"]
    methods = {method for item in document["paths"].values() for method in item}
    assert methods == {"get", "post", "put", "patch", "delete"}
