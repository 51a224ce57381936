"""The document is as strict as the server: of every body that is made here, both think the same.

The bodies are made of the operations' own examples, with every member left out in turn, and replaced by all kinds of
values, those at the bounds that its schema names among them.
"""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]
from pydantic import BaseModel

from core.kernel.errors import ValidationFailed
from core.kernel.validation import MergePatch, check_body
from core.models import examples
from core.store.operation import AnyOperation
from gateway.phones import NumberingPlans
from protocols.rest.bindings import BINDINGS
from protocols.rest.openapi import openapi_document

DOCUMENT = openapi_document()
OPERATIONS = {
    binding.operation.name: binding.operation
    for binding in BINDINGS
    if binding.operation.body is not None and not binding.upload
}
CONTEXT = {"is_possible_phone": NumberingPlans().is_possible, "public_url": ""}
#: Larger bodies than the operations' examples.
WHOLE: dict[str, dict[str, Any]] = {
    "placeOrder": {"items": [{"petId": examples.PET_ID}], "userId": examples.USER_ID},
    "searchPets": {
        **examples.PET_SEARCH,
        "criteria": {
            **examples.PET_SEARCH["criteria"],
            "size": ["SMALL"],
            "compatibility": {"goodWithKids": True, "goodWithDogs": False},
            "medical": {"vaccinated": True, "spayedNeutered": True, "specialNeeds": False},
        },
    },
    "createPet": {**examples.PET_DRAFT, "status": "PENDING"},
    "payOrder": {
        **examples.PAYMENT_DRAFT,
        "source": {
            **examples.PAYMENT_DRAFT["source"],
            "billingAddress": {
                "line1": "A 1",
                "line2": "B",
                "city": "C",
                "state": "D",
                "postalCode": "1",
                "country": "DE",
            },
        },
    },
    "createApiKey": {"name": "Key", "scopes": ["read:pets"], "expiresAt": "2099-01-01T00:00:00Z"},
}
BANK = {
    "amount": "350.00",
    "currency": "USD",
    "source": {
        "object": "bank_account",
        "accountHolderName": "A",
        "accountNumber": "1234",
        "routingNumber": "110000000",
        "accountType": "SAVINGS",
        "bankName": "B",
    },
}
BODIES = [
    *((name, copy.deepcopy(WHOLE.get(name, dict(op.body_example or {})))) for name, op in OPERATIONS.items()),
    ("payOrder", BANK),
    ("placeOrder", {"petId": examples.PET_ID}),
    ("createPet", {"name": "A", "species": "DOG", "ageMonths": 0, "adoptionFee": 1}),
    ("registerUser", {
        "username": "alex", "email": "alex@example.com", "password": "correct horse", "firstName": "A", "lastName": "B",
        "phone": "+4930901820", "preferences": {"newsletter": True, "notifications": False},
    }),
]  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, 0, 1, -1, 13, 3.0, 10.0, 1.5, -0.0, 1e9, 2**31, 10**12, 1e300,
    "", " ", "\t\n", "x", "\0", "a\0b", "a b", "ä" * 50, "x" * 51, "x" * 101, "x" * 201, "x" * 256, "x" * 257,
    "x" * 5000,
    "75.00", "75", "75.5", "75.005", "-1.00", "-0.00", "1000000000", "999999999.99", "1e2", " 75.00", "٧٥.٠٠",
    "123", "1234", "12345", "110000000", "1" * 17, "1" * 18, "1" * 20, "4242424242424242",
    "DOG", "AVAILABLE", "USD", "JPY", "ZZ", "DE", "CHECKING", "card", "cash", "read:pets", "ageMonths", "ASC",
    examples.USER_ID, examples.USER_ID[:-1], examples.USER_ID.replace("-", ""),
    "a@b.de", "a@b", "a b@c.de", "@b.de", f"{'a' * 64}@b.de", f"{'a' * 65}@b.de",
    "+4930901820", "+0123456789", "4930901820",
    "2099-01-01T00:00:00Z", "2099-01-01T00:00:00+02:00", "2099-01-01T00:00:00", "2099-01-01", "4102444800",
    "https://e.com/a.jpg", "https://e.com/a b", "javascript:1", "/v1/pets/1/images/2", "/v2", "pets/#", "#/pets",
    [], ["x"], [None], [1], ["DOG"], ["DOG"] * 21, ["https://e.com"] * 51, ["https://e.com"] * 50,
    [{}], {}, {"x": 1}, {"min": 3, "max": 4}, {"min": -1}, {"vaccinated": 1}, {"line1": "A"}, {"street": "A"},
    {"line1": "A", "street": "A"}, {"city": "A"},
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every member and item of a body."""
    steps: Any = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for step in steps:
        member = value[step]
        yield (*path, step)
        yield from places(member, (*path, step))


def variants(body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The body with each of its members left out, accompanied by another, and replaced by all kinds of values."""
    yield "whole", body
    for path in places(body):
        name = ".".join(map(str, path))
        for value in ("without", "accompanied", "doubled", *VALUES):
            changed = copy.deepcopy(body)
            parent: Any = changed
            for step in path[:-1]:
                parent = parent[step]
            if value == "without":
                del parent[path[-1]]
            elif value == "accompanied":
                if not isinstance(parent, dict):
                    continue
                parent["another"] = 1
            elif value == "doubled":
                if not isinstance(parent, list):
                    continue
                parent.append(copy.deepcopy(parent[path[-1]]))
            else:
                parent[path[-1]] = value
            yield f"{name} = {value!r:.60}", changed


def schema_of(operation: AnyOperation) -> dict[str, Any]:
    described = next(
        method
        for item in DOCUMENT["paths"].values()
        for method in item.values()
        if method["operationId"] == operation.name
    )
    schema: dict[str, Any] = next(iter(described["requestBody"]["content"].values()))["schema"]
    return {**schema, "components": DOCUMENT["components"]}


def refused_by_store(operation: AnyOperation, body: Any, whole: dict[str, Any]) -> bool:
    """Whether the store refuses a body; a merge patch is applied to one that has everything."""
    assert operation.body is not None
    try:
        if not operation.patch:
            check_body(operation.body, body, CONTEXT)
        elif operation.name in ("updateOrder", "updateAdoption"):
            check_body(operation.body, body)
        else:
            present = operation.body.model_validate(whole)
            rename = getattr(operation.body, "with_present_names", dict)
            MergePatch[BaseModel](rename(body), CONTEXT).apply(operation.body, present)
    except ValidationFailed:
        return True
    return False


#: What no schema says: rules between members, and of numbers and texts that only an algorithm knows. By the place.
BEYOND_SCHEMAS = {
    ("payOrder", "source.number"): "its check digit",
    ("searchPets", "criteria.ageRange.min"): "not above max",
    ("searchPets", "criteria.ageRange.max"): "not below min",
}


@pytest.mark.parametrize(("name", "body"), BODIES, ids=lambda value: value if isinstance(value, str) else "")
def test_the_document_is_as_strict_as_the_server(name: str, body: dict[str, Any]) -> None:
    operation = OPERATIONS[name]
    validator = Draft202012Validator(schema_of(operation), format_checker=FormatChecker())
    whole = {"username": "alex", "email": "a@b.de", "firstName": "A", "lastName": "B", **body}
    if name == "updatePet":
        whole = {**examples.PET_DRAFT}
    if name == "updateWebhook":
        whole = {**examples.WEBHOOK_DRAFT, "status": "ENABLED"}
    differences = []
    for change, variant in variants(body):
        by_document, by_store = not validator.is_valid(variant), refused_by_store(operation, variant, whole)
        beyond = by_store and (name, change.partition(" = ")[0]) in BEYOND_SCHEMAS
        if by_document is not by_store and not beyond:
            differences.append(f"{change}: {'the store' if by_store else 'the document'} alone refuses it")
    assert not differences
