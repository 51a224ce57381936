"""Payments and receipts: what succeeds, what fails, and what is never told."""

import asyncio
import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from core.kernel.caller import DEVICE_SCOPES, Caller, Role, Scope
from core.kernel.clock import utc_now
from core.kernel.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    NotFound,
    StillRunning,
    Unavailable,
    ValidationFailed,
)
from core.kernel.ids import new_id
from core.models import examples
from core.models.orders import Order, OrderStatus
from core.models.payments import PaymentDraft, PaymentStatus
from core.ports.payments import Charge
from core.services import payments
from core.services.orders import CANCEL_ORDER, GET_ORDER, PLACE_ORDER
from core.services.payments import GET_RECEIPT, PAY_ORDER, settle_abandoned
from core.services.pets import CREATE_PET
from tests.core.stores import PUBLIC_URL, Shop, compose, customer_of, open_store, without
from tests.waiting import eventually

CARD = examples.PAYMENT_DRAFT
NUMBER = "4242424242424242"
BANK: dict[str, Any] = {
    "amount": "350.00",
    "currency": "USD",
    "source": {
        "object": "bank_account",
        "accountHolderName": "Alex Meyer",
        "accountNumber": "000123456789",
        "routingNumber": "110000000",
        "accountType": "checking",
        "bankName": "First Bank",
    },
}


def card(**changes: object) -> dict[str, Any]:
    return {**CARD, "source": {**CARD["source"], **changes}}


async def order_of(shop: Shop, caller: Any) -> Order:
    pet = await shop.call(CREATE_PET, body=examples.PET_DRAFT)
    order = await shop.call(PLACE_ORDER, caller, {"petId": pet.id})
    assert isinstance(order, Order)
    return order


def files(folder: Path) -> str:
    """All that the database's files hold."""
    return "".join(path.read_bytes().decode("latin-1") for path in folder.glob("store.db*"))


async def test_a_payment_that_succeeds_approves_the_order(shop: Shop) -> None:
    order = await order_of(shop, shop.visitor)
    payment = await shop.call(PAY_ORDER, shop.visitor, CARD, id=order.id)
    told = payment.model_dump(mode="json", exclude_none=True)
    assert told == {
        **examples.PAYMENT,
        **{name: told[name] for name in ("id", "receiptId", "createdAt", "updatedAt")},
        "tenantId": shop.tenant,
        "orderId": order.id,
    }
    assert (await shop.call(GET_ORDER, shop.visitor, id=order.id)).status is OrderStatus.APPROVED


async def test_success_is_announced_step_by_step(shop: Shop) -> None:
    order = await order_of(shop, shop.customer)
    head = await shop.head()
    payment = await shop.call(PAY_ORDER, shop.customer, CARD, id=order.id)
    processing, succeeded, approved = await shop.events(head)
    now = await shop.call(GET_ORDER, shop.customer, id=order.id)
    receipt = await shop.call(GET_RECEIPT, shop.customer, id=payment.receipt_id)
    assert [event["eventType"] for event in (processing, succeeded)] == [
        "payment.processing",
        "payment.succeeded",
    ]
    assert {event["topic"] for event in (processing, succeeded)} == {f"orders/{order.id}/payment"}
    assert {event["audience"] for event in (processing, succeeded, approved)} == {shop.customer.user_id}
    final = payment.model_dump(mode="json", exclude_none=True)
    del (begun := {**final, "status": "PROCESSING", "updatedAt": final["createdAt"]})["receiptId"]
    assert processing["data"] == {
        "payment": begun,
        "order": order.model_dump(mode="json", exclude_none=True),
    }
    assert succeeded["data"] == {
        "payment": final,
        "order": now.model_dump(mode="json", exclude_none=True),
        "receipt": receipt.model_dump(mode="json", exclude_none=True),
    }
    assert (approved["eventType"], approved["topic"]) == ("order.status_changed", f"orders/{order.id}/status")
    assert approved["data"] == {
        "order": now.model_dump(mode="json", exclude_none=True),
        "previousStatus": "PLACED",
        "newStatus": "APPROVED",
        "changedAt": final["updatedAt"],
        "changedBy": "store",
    }


async def test_payment_events_are_found_under_the_payments_topic_too(shop: Shop) -> None:
    order = await order_of(shop, shop.visitor)
    head = await shop.head()
    payment = await shop.call(PAY_ORDER, shop.visitor, CARD, id=order.id)
    page = await shop.store.storage.read_log(shop.tenant, head, 10)
    assert [event.aliases for event in page.events] == [(f"payments/{payment.id}/status",)] * 2 + [()]


@pytest.mark.parametrize(
    ("number", "reason"), [("4000000000000002", "CARD_DECLINED"), ("4000000000000119", "PROCESSING_ERROR")]
)
async def test_a_payment_that_fails_says_why_and_can_be_tried_again(
    shop: Shop, number: str, reason: str
) -> None:
    order = await order_of(shop, shop.visitor)
    head = await shop.head()
    payment = await shop.call(PAY_ORDER, shop.visitor, card(number=number), id=order.id)
    assert (payment.status, payment.failure_reason, payment.receipt_id) == (
        PaymentStatus.FAILED,
        reason,
        None,
    )
    processing, failed = await shop.events(head)
    assert (processing["eventType"], failed["eventType"]) == ("payment.processing", "payment.failed")
    assert failed["data"] == {
        "payment": payment.model_dump(mode="json", exclude_none=True),
        "order": order.model_dump(mode="json", exclude_none=True),
    }
    assert await shop.call(GET_ORDER, shop.visitor, id=order.id) == order
    again = await shop.call(PAY_ORDER, shop.visitor, BANK, id=order.id)
    assert again.status is PaymentStatus.SUCCEEDED


async def test_a_bank_account_pays_and_comes_back_masked(shop: Shop) -> None:
    order = await order_of(shop, shop.visitor)
    payment = await shop.call(PAY_ORDER, shop.visitor, BANK, id=order.id)
    assert payment.model_dump(mode="json", exclude_none=True)["source"] == {
        "object": "bank_account",
        "accountHolderName": "Alex Meyer",
        "accountNumber": "********6789",
        "routingNumber": "110000000",
        "accountType": "CHECKING",
        "bankName": "First Bank",
    }


@pytest.mark.parametrize(
    ("number", "shown"), [("1234", "****"), ("12345", "*2345"), ("1" * 17, "*" * 13 + "1111")]
)
async def test_a_short_account_number_is_never_shown_whole(shop: Shop, number: str, shown: str) -> None:
    order = await order_of(shop, shop.visitor)
    bank = {**BANK, "source": {**BANK["source"], "accountNumber": number}}
    payment = await shop.call(PAY_ORDER, shop.visitor, bank, id=order.id)
    assert payment.source.account_number == shown


@pytest.mark.parametrize(
    ("number", "brand"),
    [
        ("4242424242424242", "VISA"),
        ("5555555555554444", "MASTERCARD"),
        ("2223003122003222", "MASTERCARD"),
        ("378282246310005", "AMEX"),
        ("6011111111111117", "DISCOVER"),
        ("6500000000000002", "DISCOVER"),
        ("3056930009020004", "DINERS"),
        ("36227206271667", "DINERS"),
        ("3566002020360505", "JCB"),
        ("6200000000000005", "UNIONPAY"),
        ("6304000000000000000", None),
    ],
)
async def test_a_card_comes_back_with_its_brand_and_last_digits(
    shop: Shop, number: str, brand: str | None
) -> None:
    order = await order_of(shop, shop.visitor)
    address = {"line1": "Lindenstraße 5", "line2": "Hinterhaus", "country": "de"}
    payment = await shop.call(
        PAY_ORDER, shop.visitor, card(number=number, billingAddress=address), id=order.id
    )
    shown = payment.model_dump(mode="json", exclude_none=True)["source"]
    assert (shown.get("brand"), shown["last4"]) == (brand, number[-4:])
    assert shown["number"] == "*" * (len(number) - 4) + number[-4:]
    assert shown["billingAddress"] == {**address, "country": "DE"}
    again = card(number=number, billingAddress={"street": "Lindenstraße 5"}, brand=brand, last4="0000")
    other = await order_of(shop, shop.visitor)
    source = (await shop.call(PAY_ORDER, shop.visitor, again, id=other.id)).source
    assert (source.billing_address.line1, source.last4) == ("Lindenstraße 5", number[-4:])


async def test_a_card_needs_no_address(shop: Shop) -> None:
    order = await order_of(shop, shop.visitor)
    bare = {**CARD, "source": without(CARD["source"], "billingAddress")}
    assert (await shop.call(PAY_ORDER, shop.visitor, bare, id=order.id)).source.billing_address is None


@pytest.mark.parametrize("number", ["4222222222222", "378282246310005", "6304000000000000000", NUMBER])
async def test_numbers_of_every_length_pass_their_check(number: str) -> None:
    draft = PaymentDraft.model_validate(card(number=number))
    assert number not in repr(draft)
    assert "123" not in repr(draft.source).replace(number, "")


@pytest.mark.parametrize(
    ("changes", "violations"),
    [
        ({"number": "4242424242424241"}, {"source.number": "INVALID_FORMAT"}),
        ({"number": "424242424242"}, {"source.number": "INVALID_FORMAT"}),
        ({"number": "4" * 20}, {"source.number": "INVALID_FORMAT"}),
        ({"number": "4242 4242 4242 4242"}, {"source.number": "INVALID_FORMAT"}),
        ({"number": "４２４２４２４２４２４２４２４２"}, {"source.number": "INVALID_FORMAT"}),
        ({"number": 4242424242424242}, {"source.number": "INVALID_TYPE"}),
        ({"cvc": "12"}, {"source.cvc": "INVALID_FORMAT"}),
        ({"expMonth": 13}, {"source.expMonth": "OUT_OF_RANGE"}),
        ({"expMonth": "12"}, {"source.expMonth": "INVALID_TYPE"}),
        ({"expYear": 29}, {"source.expYear": "OUT_OF_RANGE"}),
        ({"name": ""}, {"source.name": "INVALID_LENGTH"}),
        (
            {"billingAddress": {"line1": " ", "country": "ZZ"}},
            {
                "source.billingAddress.line1": "INVALID_LENGTH",
                "source.billingAddress.country": "INVALID_ENUM_VALUE",
            },
        ),
        ({"billingAddress": {"city": "Bonn"}}, {"source.billingAddress.line1": "REQUIRED_FIELD"}),
        (
            {"billingAddress": {"line1": "A 1", "street": "A 1"}},
            {"source.billingAddress.street": "UNKNOWN_FIELD"},
        ),
        ({"pin": "1"}, {"source.pin": "UNKNOWN_FIELD"}),
        ({"object": "cash"}, {"source.object": "INVALID_ENUM_VALUE"}),
        ({"object": None}, {"source.object": "INVALID_ENUM_VALUE"}),
    ],
)
async def test_a_faulty_card_is_refused(
    shop: Shop, changes: dict[str, Any], violations: dict[str, str]
) -> None:
    order = await order_of(shop, shop.visitor)
    assert await shop.violations(PAY_ORDER, shop.visitor, card(**changes), id=order.id) == violations


@pytest.mark.parametrize(
    ("body", "violations"),
    [
        ({}, dict.fromkeys(("amount", "currency", "source"), "REQUIRED_FIELD")),
        ({**CARD, "currency": "JPY"}, {"currency": "INVALID_ENUM_VALUE"}),
        ({**CARD, "source": {}}, {"source.object": "REQUIRED_FIELD"}),
        ({**CARD, "source": "card"}, {"source": "INVALID_TYPE"}),
        (
            {**BANK, "source": {"object": "BANK_ACCOUNT", "routingNumber": "12345678", "accountNumber": "x"}},
            {
                "source.accountHolderName": "REQUIRED_FIELD",
                "source.accountNumber": "INVALID_FORMAT",
                "source.routingNumber": "INVALID_FORMAT",
                "source.accountType": "REQUIRED_FIELD",
            },
        ),
        ({**CARD, "amount": "350.01"}, {"amount": "OUT_OF_RANGE"}),
        ({**CARD, "currency": "eur"}, {"currency": "INVALID_ENUM_VALUE"}),
    ],
)
async def test_a_faulty_payment_is_refused(shop: Shop, body: object, violations: dict[str, str]) -> None:
    order = await order_of(shop, shop.visitor)
    assert await shop.violations(PAY_ORDER, shop.visitor, body, id=order.id) == violations


@pytest.mark.parametrize(
    ("month", "year", "violation"),
    [(1, 2027, None), (12, 2026, None), (11, 2026, "source.expMonth"), (12, 2025, "source.expYear")],
)
async def test_a_card_is_good_to_the_end_of_its_month(
    tmp_path: Path, month: int, year: int, violation: str | None
) -> None:
    async with open_store(tmp_path, clock=lambda: datetime(2026, 12, 31, 23, 59, tzinfo=UTC)) as store:
        shop = Shop(store)
        order = await order_of(shop, shop.visitor)
        body = card(expMonth=month, expYear=year)
        if violation is None:
            await shop.call(PAY_ORDER, shop.visitor, body, id=order.id)
        else:
            wrong = {**body, "amount": "1.00"}
            expected = {"amount": "OUT_OF_RANGE", violation: "OUT_OF_RANGE"}
            assert await shop.violations(PAY_ORDER, shop.visitor, wrong, id=order.id) == expected


async def test_an_order_is_paid_once(shop: Shop) -> None:
    order = await order_of(shop, shop.visitor)
    head = await shop.head()
    attempts = [shop.call(PAY_ORDER, shop.visitor, CARD, id=order.id) for _ in range(10)]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(result, Conflict) for result in results) == 9
    assert [kind for kind, _ in await shop.news(head)].count("payment.succeeded") == 1


async def test_a_cancelled_order_cannot_be_paid(shop: Shop) -> None:
    order = await order_of(shop, shop.visitor)
    await shop.call(CANCEL_ORDER, shop.visitor, id=order.id)
    await shop.refusal(Conflict, PAY_ORDER, shop.visitor, CARD, id=order.id)


async def test_what_is_not_there_cannot_be_paid(shop: Shop) -> None:
    await shop.refusal(NotFound, PAY_ORDER, shop.visitor, CARD, id=new_id())
    await shop.refusal(BadRequest, PAY_ORDER, shop.visitor, CARD, id="x")


async def test_a_repeated_payment_with_a_key_is_the_same_payment(shop: Shop) -> None:
    order = await order_of(shop, shop.visitor)
    first = await shop.outcome(PAY_ORDER, shop.visitor, CARD, id=order.id, key="k")
    again = await shop.outcome(PAY_ORDER, shop.visitor, CARD, id=order.id, key="k")
    assert again.replayed
    assert again.value == first.value


async def test_a_receipt_is_read_by_whom_the_order_belongs_to(shop: Shop) -> None:
    order = await order_of(shop, shop.customer)
    payment = await shop.call(PAY_ORDER, shop.customer, CARD, id=order.id)
    receipt = await shop.call(GET_RECEIPT, shop.customer, id=payment.receipt_id)
    told = receipt.model_dump(mode="json", exclude_none=True)
    assert told == {
        **examples.RECEIPT,
        "id": payment.receipt_id,
        "tenantId": shop.tenant,
        "number": 1,
        "orderId": order.id,
        "paymentId": payment.id,
        "userId": shop.customer.user_id,
        "items": order.model_dump(mode="json", exclude_none=True)["items"],
        "issuedAt": told["issuedAt"],
        "url": f"{PUBLIC_URL}/v1/receipts/{payment.receipt_id}?tenant={shop.tenant}",
    }
    assert await shop.call(GET_RECEIPT, id=receipt.id) == receipt
    for caller in (shop.visitor, customer_of(shop.tenant)):
        await shop.refusal(NotFound, GET_RECEIPT, caller, id=receipt.id)
    await shop.refusal(NotFound, GET_RECEIPT, id=new_id())


async def test_a_receipt_has_the_rights_of_its_order(shop: Shop) -> None:
    order = await order_of(shop, shop.customer)
    receipt_id = (await shop.call(PAY_ORDER, shop.customer, CARD, id=order.id)).receipt_id

    def device(*topics: str) -> Caller:
        return Caller(
            shop.tenant, Role.DEVICE, "device:1", DEVICE_SCOPES, device_id="1", topics=frozenset(topics)
        )

    for operation, resource in ((GET_ORDER, order.id), (GET_RECEIPT, receipt_id)):
        await shop.call(operation, device(f"orders/{order.id}/#"), id=resource)
        await shop.refusal(NotFound, operation, device(), id=resource)
        for caller in (shop.customer, shop.staff):
            cut = replace(caller, scopes=caller.scopes - {Scope.READ_ORDERS})
            await shop.refusal(Forbidden, operation, cut, id=resource)


async def test_a_receipt_says_when_the_money_went_back(shop: Shop) -> None:
    order = await order_of(shop, shop.customer)
    payment = await shop.call(PAY_ORDER, shop.customer, CARD, id=order.id)
    assert (await shop.call(GET_RECEIPT, id=payment.receipt_id)).refunded_at is None
    head = await shop.head()
    cancelled = await shop.call(CANCEL_ORDER, shop.customer, id=order.id)
    receipt = await shop.call(GET_RECEIPT, shop.customer, id=payment.receipt_id)
    assert receipt.refunded_at == cancelled.updated_at
    [told] = [event for event in await shop.events(head) if event["eventType"] == "payment.refunded"]
    assert told["data"]["receipt"] == receipt.model_dump(mode="json", exclude_none=True)


async def test_the_receipt_of_an_anonymous_order_is_read_by_whoever_knows_its_id(shop: Shop) -> None:
    order = await order_of(shop, shop.visitor)
    payment = await shop.call(PAY_ORDER, shop.visitor, CARD, id=order.id)
    for caller in (shop.visitor, shop.customer, shop.staff):
        assert (await shop.call(GET_RECEIPT, caller, id=payment.receipt_id)).user_id is None


async def test_numbers_are_neither_stored_nor_logged_nor_told(
    tmp_path: Path, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_store(tmp_path, database) as store:
        shop = Shop(store)
        order = await order_of(shop, shop.visitor)
        secret = card(cvc="9173")
        await shop.call(PAY_ORDER, shop.visitor, secret, id=order.id, key="k")
        other = await order_of(shop, shop.visitor)
        await shop.call(PAY_ORDER, shop.visitor, BANK, id=other.id)
        faulty = await order_of(shop, shop.visitor)
        mistyped = card(number=NUMBER[:-1] + "1")
        error = await shop.refusal(ValidationFailed, PAY_ORDER, shop.visitor, mistyped, id=faulty.id)
        told = (
            json.dumps(await shop.events())
            + caplog.text
            + repr(error)
            + repr(getattr(error, "violations", ""))
        )
    kept = files(tmp_path)
    for number in (NUMBER, NUMBER[:-1] + "1", "cvc", "000123456789"):
        assert number not in told
        assert number not in kept


# --- while the processor is asked ---


class HeldProcessor:
    """A processor elsewhere: it makes a charge when it is let go, and remembers each by its reference."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.made: dict[str, Charge] = {}
        self.go = asyncio.Event()

    async def charge(self, reference: str, amount: Decimal, currency: str, source: BaseModel) -> Charge:
        self.asked.append(reference)
        await self.go.wait()
        return self.made.setdefault(reference, Charge())

    async def resolve(self, reference: str) -> Charge:
        return self.made.setdefault(reference, Charge("VOIDED"))


@pytest.fixture
def processor(shop: Shop) -> HeldProcessor:
    held = HeldProcessor()
    shop.store.processor = held
    return held


async def paying(shop: Shop, order: Order, key: str | None = None) -> asyncio.Task[Any]:
    """A payment that waits for the processor."""
    processor = shop.store.processor
    assert isinstance(processor, HeldProcessor)
    task = asyncio.create_task(shop.call(PAY_ORDER, shop.visitor, CARD, id=order.id, key=key))
    await eventually(lambda: bool(processor.asked))
    return task


async def test_a_slow_processor_stops_no_other_writer(shop: Shop, processor: HeldProcessor) -> None:
    order = await order_of(shop, shop.visitor)
    head = await shop.head()
    task = await paying(shop, order)
    await order_of(shop, shop.customer)
    assert not task.done()
    processor.go.set()
    payment = await task
    assert payment.status is PaymentStatus.SUCCEEDED
    about_it = [kind for kind, topic in await shop.news(head) if topic.startswith(f"orders/{order.id}/")]
    assert about_it == ["payment.processing", "payment.succeeded", "order.status_changed"]


async def test_an_order_that_is_being_paid_is_neither_paid_again_nor_cancelled(
    shop: Shop, processor: HeldProcessor
) -> None:
    order = await order_of(shop, shop.visitor)
    task = await paying(shop, order)
    await shop.refusal(Conflict, PAY_ORDER, shop.visitor, CARD, id=order.id)
    await shop.refusal(Conflict, CANCEL_ORDER, shop.visitor, id=order.id)
    processor.go.set()
    payment = await task
    assert processor.asked == [payment.id]
    cancelled = await shop.call(CANCEL_ORDER, shop.visitor, id=order.id)
    assert cancelled.status is OrderStatus.CANCELLED
    assert (await shop.events())[-1]["eventType"] != "payment.processing"
    assert "payment.refunded" in [kind for kind, _ in await shop.news(0)]


async def test_a_payment_whose_key_comes_again_meanwhile_is_still_running(
    shop: Shop, processor: HeldProcessor
) -> None:
    order = await order_of(shop, shop.visitor)
    task = await paying(shop, order, key="k")
    await shop.refusal(StillRunning, PAY_ORDER, shop.visitor, CARD, id=order.id, key="k")
    processor.go.set()
    payment = await task
    again = await shop.outcome(PAY_ORDER, shop.visitor, CARD, id=order.id, key="k")
    assert (again.value, again.replayed) == (payment, True)


async def test_a_payment_is_settled_though_its_client_has_left(shop: Shop, processor: HeldProcessor) -> None:
    order = await order_of(shop, shop.visitor)
    task = await paying(shop, order, key="k")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    processor.go.set()
    await shop.store.finish()
    assert (await shop.call(GET_ORDER, shop.visitor, id=order.id)).status is OrderStatus.APPROVED
    again = await shop.outcome(PAY_ORDER, shop.visitor, CARD, id=order.id, key="k")
    assert (again.value.status, again.replayed) == (PaymentStatus.SUCCEEDED, True)


@pytest.mark.parametrize("charged", [True, False])
async def test_a_payment_whose_node_died_is_settled_by_another_one(
    shop: Shop, processor: HeldProcessor, tmp_path: Path, *, charged: bool
) -> None:
    order = await order_of(shop, shop.visitor)
    task = await paying(shop, order, key="k")
    for unfinished in shop.store._unfinished:
        unfinished.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    if charged:
        processor.made[processor.asked[0]] = Charge()
    passed = timedelta()
    other = compose(shop.store.storage, tmp_path, shop.store.epoch, clock=lambda: utc_now() + passed)
    other.processor = processor
    elsewhere = Shop(other, shop.tenant)
    elsewhere.visitor = shop.visitor
    head = await shop.head()
    await settle_abandoned(other)
    assert await shop.head() == head  # it may still be running
    await elsewhere.refusal(StillRunning, PAY_ORDER, shop.visitor, CARD, id=order.id, key="k")

    passed = timedelta(minutes=1)
    await asyncio.gather(settle_abandoned(other), settle_abandoned(other))
    settled = ["payment.succeeded", "order.status_changed"] if charged else ["payment.failed"]
    assert [kind for kind, _ in await shop.news(head)] == settled
    again = await elsewhere.outcome(PAY_ORDER, shop.visitor, CARD, id=order.id, key="k")
    assert (again.value.id, again.replayed) == (processor.asked[0], True)
    assert again.value.status is (PaymentStatus.SUCCEEDED if charged else PaymentStatus.FAILED)
    assert again.value.failure_reason == (None if charged else "VOIDED")
    await settle_abandoned(other)
    assert len(await shop.news(head)) == len(settled)


async def test_a_processor_that_does_not_answer_in_time_is_asked_again_later(
    shop: Shop, processor: HeldProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payments, "CHARGE_TIMEOUT_SECONDS", 0.001)
    order = await order_of(shop, shop.visitor)
    with pytest.raises(Unavailable):
        await shop.call(PAY_ORDER, shop.visitor, CARD, id=order.id)
    monkeypatch.undo()
    monkeypatch.setattr(payments, "_ABANDONED", timedelta())
    await settle_abandoned(shop.store)
    assert (await shop.news(0))[-1] == ("payment.failed", f"orders/{order.id}/payment")
    processor.go.set()
    again = await shop.call(PAY_ORDER, shop.visitor, CARD, id=order.id)
    assert again.status is PaymentStatus.SUCCEEDED


async def test_a_payment_that_was_settled_meanwhile_stays_as_it_is(
    shop: Shop, processor: HeldProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await order_of(shop, shop.visitor)
    task = await paying(shop, order)
    monkeypatch.setattr(payments, "_ABANDONED", timedelta())
    await settle_abandoned(shop.store)
    processor.go.set()
    payment = await task
    assert (payment.status, payment.failure_reason) == (PaymentStatus.FAILED, "VOIDED")
    assert [kind for kind, _ in await shop.news(0)].count("payment.failed") == 1


async def test_payments_that_cannot_be_settled_keep_no_others_waiting(
    shop: Shop, processor: HeldProcessor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(payments, "CHARGE_TIMEOUT_SECONDS", 0.001)
    for order in [await order_of(shop, shop.visitor) for _ in range(5)]:
        with pytest.raises(Unavailable):
            await shop.call(PAY_ORDER, shop.visitor, CARD, id=order.id)
    monkeypatch.undo()
    monkeypatch.setattr(payments, "_ABANDONED", timedelta())
    # More than a page of them fail, and those are the oldest.
    monkeypatch.setattr(payments, "_PAGE_SIZE", 2)
    failing = processor.asked[:3]

    async def resolve(reference: str) -> Charge:
        if reference in failing:
            raise ConnectionError
        return Charge()

    monkeypatch.setattr(processor, "resolve", resolve)
    await settle_abandoned(shop.store)
    assert [kind for kind, _ in await shop.news(0)].count("payment.succeeded") == 2
    assert caplog.text.count("3 interrupted payments cannot be settled yet") == 1
    # Whoever knows the id of a visitor's payment may listen to it: logs have many readers.
    told = str([vars(record) for record in caplog.records])
    assert shop.tenant in told
    assert not [reference for reference in processor.asked if reference in told]
