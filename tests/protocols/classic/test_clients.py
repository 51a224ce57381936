"""Clients that others made: generated of the document, and made of it at run time."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
import yaml
from lxml import etree  # type: ignore[import-untyped]
from openapi_python_client import generate
from openapi_python_client.config import Config, ConfigFile, MetaType
from openapi_spec_validator import OpenAPIV30SpecValidator

from protocols.classic.openapi import document
from protocols.rest.pages import dump_yaml
from tests.process import Gateway
from tests.protocols.classic.conftest import BASE
from tests.waiting import TIMEOUT_SECONDS

NAME = "generated_classic_client"
SCRIPT = Path(__file__).parents[2] / "node" / "classic.mjs"
#: What the original calls its operations, by method and path.
OPERATIONS = {
    "put /pet": "updatePet",
    "post /pet": "addPet",
    "get /pet/findByStatus": "findPetsByStatus",
    "get /pet/findByTags": "findPetsByTags",
    "get /pet/{petId}": "getPetById",
    "post /pet/{petId}": "updatePetWithForm",
    "delete /pet/{petId}": "deletePet",
    "post /pet/{petId}/uploadImage": "uploadFile",
    "get /store/inventory": "getInventory",
    "post /store/order": "placeOrder",
    "get /store/order/{orderId}": "getOrderById",
    "delete /store/order/{orderId}": "deleteOrder",
    "post /user": "createUser",
    "post /user/createWithList": "createUsersWithListInput",
    "get /user/login": "loginUser",
    "get /user/logout": "logoutUser",
    "get /user/{username}": "getUserByName",
    "put /user/{username}": "updateUser",
    "delete /user/{username}": "deleteUser",
}


def test_the_document_is_served_and_names_what_the_original_names(
    public: httpx.Client, gateway: Gateway
) -> None:
    served = public.get("/openapi.json")
    assert served.headers["content-type"] == "application/json"
    assert served.json() == document(gateway.url)
    assert yaml.safe_load(public.get("/openapi.yaml").text) == document(gateway.url)
    OpenAPIV30SpecValidator(served.json()).validate()
    named = {
        f"{method} {path}": operation["operationId"]
        for path, item in served.json()["paths"].items()
        for method, operation in item.items()
    }
    assert named == OPERATIONS
    schemas = served.json()["components"]["schemas"]
    assert {name: list(schema["properties"]) for name, schema in schemas.items()} == {
        "Order": ["id", "petId", "quantity", "shipDate", "status", "complete"],
        "Category": ["id", "name"],
        "User": ["id", "username", "firstName", "lastName", "email", "password", "phone", "userStatus"],
        "Tag": ["id", "name"],
        "Pet": ["id", "name", "category", "photoUrls", "tags", "status"],
        "ApiResponse": ["code", "type", "message"],
    }
    assert schemas["Pet"]["required"] == ["name", "photoUrls"]
    page = httpx.get(f"{gateway.url}/v1/swagger-ui.html").text
    assert "swagger-ui.html?classic" in page


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """A generated package, which the generator has nothing to say against but that it reads no XML."""
    folder = tmp_path_factory.mktemp("generated")
    source = folder / "openapi.yaml"
    source.write_text(dump_yaml(document()), encoding="utf-8")
    generate(
        config=Config.from_sources(
            ConfigFile(package_name_override=NAME, post_hooks=[]),
            MetaType.NONE,
            document_source=source,
            file_encoding="utf-8",
            overwrite=False,
            output_path=folder / NAME,
        )
    )
    for module in (folder / NAME / "api").rglob("*.py"):
        # It forgets to import this where a body has several media types, of the original's document as well.
        text = module.read_text(encoding="utf-8")
        module.write_text(
            text.replace("import Response, UNSET\n", "import Response, UNSET, Unset\n"), encoding="utf-8"
        )
    sys.path.insert(0, str(folder))
    yield importlib.import_module(NAME)
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
        del sys.modules[name]


def test_a_client_in_python(package: ModuleType, gateway: Gateway, tenant: str) -> None:
    models: Any = importlib.import_module(f"{NAME}.models")
    client = package.Client(
        base_url=gateway.url + BASE, raise_on_unexpected_status=True, headers={"X-Tenant-ID": tenant}
    )

    own = client.get_httpx_client()

    def call(operation: str, *arguments: Any, **more: Any) -> Any:
        module = importlib.import_module(f"{NAME}.api.{operation}")
        return module.sync_detailed(*arguments, client=client, **more)

    # It sends forms where a body may be one, and has no way to write an object into them.
    whole = {"id": 10, "name": "doggie", "photoUrls": ["a", "b"], "tags": [], "status": "available"}
    pet = models.Pet.from_dict(whole)
    assert call("pet.add_pet", body=pet).parsed == pet
    assert call("pet.get_pet_by_id", 10).parsed == pet
    sold = models.Pet.from_dict({**whole, "status": "sold"})
    assert call("pet.update_pet", body=sold).parsed.status == "sold"
    status = models.FindPetsByStatusStatus.SOLD
    assert call("pet.find_pets_by_status", status=status).parsed == [sold]
    assert call("pet.find_pets_by_tags", tags=["t", "u"]).parsed == []
    assert call("pet.update_pet_with_form", 10, name="Rex").parsed.name == "Rex"
    assert call("store.get_inventory").parsed.additional_properties == {
        "available": 0, "pending": 0, "sold": 1,
    }  # fmt: skip
    placed = {"id": 1, "petId": 10, "quantity": 2, "status": "placed", "complete": False}
    order = models.Order.from_dict({**placed, "shipDate": "2026-01-31T08:15:00.250000+00:00"})
    assert call("store.place_order", body=order).parsed == order
    assert call("store.get_order_by_id", 1).parsed == order
    assert call("store.delete_order", 1).status_code == 200
    assert call("store.get_order_by_id", 1).status_code == 404
    user = models.User.from_dict({"id": 1, "username": "ann", "email": "ann@example.com", "userStatus": 1})
    assert call("user.create_user", body=user).parsed.username == "ann"
    assert call("user.get_user_by_name", "ann").parsed.email == "ann@example.com"
    assert call("user.update_user", "ann", body=user).status_code == 200
    assert call("user.delete_user", "ann").status_code == 200
    assert call("pet.delete_pet", 10).status_code == 200
    own.close()


def test_a_client_in_javascript(gateway: Gateway, tenant: str) -> None:
    ended = subprocess.run(
        ["node", str(SCRIPT), gateway.url + BASE, tenant],
        capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    doggie = {"id": 10, "name": "doggie", "photoUrls": ["a"], "tags": [{"id": 1, "name": "t"}],
              "status": "available"}  # fmt: skip
    assert said["added"] == said["got"] == doggie
    assert said["form"] == {**doggie, "id": 11}
    assert etree.fromstring(said["xml"]).findtext("name") == "doggie"
    assert said["byStatus"] == [said["changed"]] == [{**doggie, "name": "Rex", "status": "sold"}]
    assert said["byTags"] == 2
    assert said["inventory"] == {"available": 1, "pending": 0, "sold": 1}
    assert said["order"] == said["gotOrder"]
    assert said["removedOrder"] == 200
    assert said["user"]["username"] == "ann"
    assert [user["username"] for user in said["users"]] == ["bea"]
    assert said["login"][0].startswith("Logged in user session: ")
    assert said["login"][1] == "5000"
    assert said["removed"] == "Pet deleted"
    assert said["missing"] == [404, "Pet not found"]
