"""Webhooks: who may have them, what they get, and what becomes of those that fail."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from core.kernel.caller import Role, Scope
from core.kernel.clock import utc_now
from core.kernel.errors import Conflict, Forbidden, NotFound, PreconditionFailed, Unauthorized
from core.models.users import User
from core.models.webhooks import DeliveryRecord, DeliveryStatus, WebhookState
from core.ports.coordination import Lag
from core.ports.records import Query
from core.services.api_keys import CREATE_API_KEY, DELETE_API_KEY
from core.services.orders import PLACE_ORDER
from core.services.pets import CREATE_PET, UPDATE_PET
from core.services.tenant import RESET_TENANT
from core.services.webhooks.deliveries import LIST_DELIVERIES, REDELIVER, TEST_WEBHOOK
from core.services.webhooks.management import (
    CREATE_WEBHOOK,
    DELETE_WEBHOOK,
    GET_WEBHOOK,
    LIST_WEBHOOKS,
    ROTATE_WEBHOOK_SECRET,
    UPDATE_WEBHOOK,
)
from core.services.webhooks.records import NAME
from tests.core.accounts import by_key
from tests.core.stores import Shop, compose, open_store, staff_of, user_in
from tests.core.webhook_endpoints import Endpoints, delivering
from tests.waiting import eventually

URL = "https://hooks.example/a"
OTHER = "https://hooks.example/b"
PET = {"name": "Biscuit", "species": "DOG", "ageMonths": 14, "price": "350.00"}


class Time:
    """A clock that goes on, and jumps ahead when told."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> Any:
        return utc_now() + self.ahead


class World(Shop):
    """A shop whose staff has an account, its endpoints, and its time."""

    endpoints: Endpoints
    time: Time

    async def hook(self, *events: str, url: str = URL, caller: Any = None) -> Any:
        return await self.call(CREATE_WEBHOOK, caller, {"url": url, "events": list(events)})

    async def pet(self) -> str:
        return str((await self.call(CREATE_PET, body=PET)).id)

    async def rename(self, pet_id: str, name: str) -> None:
        await self.call(UPDATE_PET, body={"name": name}, id=pet_id)

    async def deliveries(self, webhook_id: str) -> Any:
        return (await self.call(LIST_DELIVERIES, id=webhook_id, limit=100)).data


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    endpoints, time = Endpoints(), Time()
    async with open_store(tmp_path, webhooks=endpoints, clock=time) as store:
        world = World(store)
        world.endpoints, world.time = endpoints, time
        assert world.staff.user_id is not None
        await world.add(user_in(world.tenant, user_id=world.staff.user_id, username="staff", role=Role.STAFF))
        yield world


async def test_a_webhook_is_made_read_changed_and_deleted(world: World) -> None:
    body = {"url": URL, "events": ["order.created", "pets/#"], "description": "For the warehouse"}
    made = await world.call(CREATE_WEBHOOK, body=body)
    assert made.secret.startswith("whsec_")
    shown = await world.call(GET_WEBHOOK, id=made.id)
    assert (shown.url, shown.events, shown.status) == (URL, ("order.created", "pets/#"), "ENABLED")
    assert not hasattr(shown, "secret")
    assert "whsec" not in shown.encoded.decode()
    assert (await world.call(LIST_WEBHOOKS)).data == [shown]
    await world.refusal(
        PreconditionFailed, UPDATE_WEBHOOK, body={"status": "DISABLED"}, id=made.id, if_match="x"
    )
    changed = await world.call(
        UPDATE_WEBHOOK, body={"status": "DISABLED", "description": None}, id=made.id, if_match=shown.etag
    )
    assert (changed.status, changed.description, changed.url) == ("DISABLED", None, URL)
    await world.refusal(PreconditionFailed, DELETE_WEBHOOK, id=made.id, if_match=shown.etag)
    await world.call(DELETE_WEBHOOK, id=made.id, if_match=changed.etag)
    await world.refusal(NotFound, GET_WEBHOOK, id=made.id)


async def test_webhooks_are_for_staff_with_the_scope(world: World) -> None:
    body = {"url": URL, "events": ["#"]}
    webhook = await world.hook("#")
    narrow = replace(world.staff, scopes=frozenset({Scope.READ_PETS}))
    for operation, given, params in (
        (CREATE_WEBHOOK, body, {}),
        (LIST_WEBHOOKS, None, {}),
        (GET_WEBHOOK, None, {"id": webhook.id}),
        (UPDATE_WEBHOOK, {}, {"id": webhook.id}),
        (DELETE_WEBHOOK, None, {"id": webhook.id}),
        (TEST_WEBHOOK, None, {"id": webhook.id}),
        (ROTATE_WEBHOOK_SECRET, None, {"id": webhook.id}),
        (LIST_DELIVERIES, None, {"id": webhook.id}),
        (REDELIVER, None, {"id": webhook.id, "deliveryId": webhook.id}),
    ):
        await world.refusal(Unauthorized, operation, world.visitor, given, **params)
        for caller in (world.customer, narrow):
            await world.refusal(Forbidden, operation, caller, given, **params)
        stranger = Shop(world.store)
        if "id" in params:
            await stranger.refusal(NotFound, operation, stranger.staff, given, **params)


async def test_every_fault_of_a_webhook_is_told(world: World) -> None:
    body = {"url": "https://private.example", "events": ["order.creatd", "chat.typing", "pets/#/x", "pets/#"]}
    assert await world.violations(CREATE_WEBHOOK, body=body) == {
        "url": "INVALID_FORMAT",
        "events[0]": "INVALID_ENUM_VALUE",
        "events[1]": "INVALID_ENUM_VALUE",
        "events[2]": "INVALID_FORMAT",
    }
    webhook = await world.hook("#")
    assert await world.violations(UPDATE_WEBHOOK, body={"url": "https://private.example"}, id=webhook.id) == {
        "url": "INVALID_FORMAT"
    }
    assert "status" in await world.violations(UPDATE_WEBHOOK, body={"status": "ON"}, id=webhook.id)


async def test_an_event_is_posted_signed_by_both_secrets_for_a_day(world: World) -> None:
    webhook = await world.hook("pet.created", "inventory/+/stock")
    async with delivering(world.store):
        pet = await world.pet()
        await eventually(lambda: len(world.endpoints.posts) == 2)
        rotated = await world.call(ROTATE_WEBHOOK_SECRET, id=webhook.id)
        await world.pet()
        await eventually(lambda: len(world.endpoints.posts) == 4)
        refused = await world.refusal(Conflict, ROTATE_WEBHOOK_SECRET, id=webhook.id)
        assert "Two secrets sign until 20" in refused.detail
        world.time.ahead = timedelta(hours=25)
        await world.pet()
        await eventually(lambda: len(world.endpoints.posts) == 6)
        await world.call(ROTATE_WEBHOOK_SECRET, id=webhook.id)
    log = {event["id"]: event for event in await world.events()}
    for post in world.endpoints.posts:
        assert {**log[post.headers["webhook-id"]]} == {**post.event, "audience": "*"}
    by_kind = [post for post in world.endpoints.posts if post.event["eventType"] == "pet.created"]
    assert by_kind[0].event["data"]["pet"]["id"] == pet
    for post, secrets in zip(
        by_kind, ([webhook.secret], [rotated.secret, webhook.secret], [rotated.secret]), strict=True
    ):
        assert len(post.headers["webhook-signature"].split(" ")) == len(secrets)
        digest = hmac.new(secrets[0].encode(), post.body, hashlib.sha256).hexdigest()
        assert post.headers["x-webhook-signature"] == f"sha256={digest}"
        if post is not by_kind[-1]:  # whose time is ahead of the verifier's
            for secret in secrets:
                assert Verifier(secret).verify(post.body, dict(post.headers))


async def test_the_log_of_a_tenant_without_webhooks_is_not_read_for_them(world: World) -> None:
    async with delivering(world.store):
        pass
    await world.pet()
    assert await world.store.storage.lagging(NAME, "", 10) == []
    before = await world.head()
    await world.hook("pet.created")
    last = await world.pet()
    [lag] = await world.store.storage.lagging(NAME, "", 10)
    assert lag == Lag(world.tenant, before, await world.head())
    async with delivering(world.store):
        await eventually(lambda: world.endpoints.posts)
    assert [post.event["data"]["pet"]["id"] for post in world.endpoints.posts] == [last]


async def test_nothing_is_sent_of_what_was_before_or_while_it_was_disabled(world: World) -> None:
    await world.pet()
    async with delivering(world.store) as deliverer:
        webhook = await world.hook("pet.created")
        await world.call(UPDATE_WEBHOOK, body={"status": "DISABLED"}, id=webhook.id)
        await world.pet()
        await world.refusal(Conflict, TEST_WEBHOOK, id=webhook.id)
        await world.call(UPDATE_WEBHOOK, body={"status": "ENABLED"}, id=webhook.id)
        last = await world.pet()
        await eventually(lambda: world.endpoints.posts)
        await eventually(lambda: deliverer.statistics().attempts.succeeded == 1)
    assert [post.event["data"]["pet"]["id"] for post in world.endpoints.posts] == [last]


async def test_events_of_a_resource_wait_for_one_another_and_others_do_not(world: World) -> None:
    webhook = await world.hook("pet.updated", "pet.created")
    world.endpoints.answers[URL] = 500
    async with delivering(world.store):
        first = await world.pet()
        await world.rename(first, "Rex")
        second = await world.pet()
        await eventually(lambda: len(world.endpoints.posts) == 2)
        created = {post.event["data"]["pet"]["id"] for post in world.endpoints.posts}
        assert created == {first, second}
        [waiting] = [one for one in await world.deliveries(webhook.id) if one.event_type == "pet.updated"]
        assert (waiting.status, waiting.attempts, waiting.next_attempt_at) == ("PENDING", (), None)
        world.endpoints.answers.clear()
        world.time.ahead = timedelta(minutes=2)
        await eventually(lambda: len(world.endpoints.posts) == 5)
        of_first = [
            (post.event["eventType"], post.headers["webhook-id"])
            for post in world.endpoints.posts
            if post.event["data"]["pet"]["id"] == first
        ]
        assert [kind for kind, _ in of_first] == ["pet.created", "pet.created", "pet.updated"]
        assert of_first[0] == of_first[1]  # the same id for each attempt
        await eventually(lambda: _statuses(world, webhook.id, {"SUCCEEDED"}))


async def _statuses(world: World, webhook_id: str, expected: set[str]) -> bool:
    return {one.status.value for one in await world.deliveries(webhook_id)} == expected


async def test_a_delivery_is_attempted_five_times_by_the_schedule_and_can_be_sent_again(world: World) -> None:
    webhook = await world.hook("pet.created")
    world.endpoints.answers[URL] = 503
    async with delivering(world.store):
        await world.pet()
        delivery: Any = None
        for attempt, pause in enumerate((1, 5, 30, 60, 0), start=1):

            async def made(attempt: int = attempt) -> Any:
                found = await world.deliveries(webhook.id)
                return found[0] if found and len(found[0].attempts) == attempt else None

            delivery = await eventually(made)
            assert delivery.attempts[-1].response_status == 503
            if pause:
                wait = (delivery.next_attempt_at - delivery.updated_at).total_seconds()
                assert pause * 60 <= wait <= pause * 66
                await world.refusal(Conflict, REDELIVER, id=webhook.id, deliveryId=delivery.id)
                world.time.ahead += timedelta(seconds=wait)
        assert (delivery.status, delivery.next_attempt_at) == (DeliveryStatus.FAILED, None)
        world.endpoints.answers.clear()
        again = await world.call(REDELIVER, id=webhook.id, deliveryId=delivery.id)
        assert (again.id, again.status) == (delivery.id, "PENDING")
        await eventually(lambda: _statuses(world, webhook.id, {"SUCCEEDED"}))
    assert len({(post.headers["webhook-id"], post.body) for post in world.endpoints.posts}) == 1
    assert len(world.endpoints.posts) == 6


async def test_a_dead_endpoint_delays_nobody(world: World) -> None:
    world.endpoints.dead.add(OTHER)
    for _ in range(5):
        await world.hook("pet.created", url=OTHER)
    await world.hook("pet.created")
    async with delivering(world.store):
        pets = [await world.pet() for _ in range(20)]
        await eventually(lambda: len(world.endpoints.at(URL)) == 20)
    got = [post.event["data"]["pet"]["id"] for post in world.endpoints.at(URL)]
    assert sorted(got) == sorted(pets)


@pytest.mark.parametrize("reason", ["FAILING", "GONE", "BEHIND"])
async def test_the_store_disables_one_that_fails_for_days_is_gone_or_far_behind(
    world: World, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook = await world.hook("pet.created")
    world.endpoints.answers[URL] = 410 if reason == "GONE" else 500
    if reason == "BEHIND":
        monkeypatch.setattr("core.services.webhooks.fan_out.MAX_PENDING", 1)
    async with delivering(world.store) as deliverer:
        await world.pet()
        await eventually(lambda: deliverer.statistics().attempts.failed == 1)
        if reason == "FAILING":
            world.time.ahead = timedelta(days=3, minutes=1)
        if reason == "BEHIND":
            await world.pet()

        async def disabled() -> bool:
            return bool((await world.call(GET_WEBHOOK, id=webhook.id)).status == "DISABLED")

        await eventually(disabled)
        [event] = [one for one in await world.events() if one["eventType"] == "webhook.disabled"]
        assert (event["data"]["reason"], event["audience"]) == (reason, "")
        assert event["data"]["webhook"]["status"] == "DISABLED"
        # Whoever has mended it goes on with what is pending.
        if reason == "BEHIND":
            world.endpoints.answers.clear()
            world.time.ahead = timedelta(minutes=2)
            await world.call(UPDATE_WEBHOOK, body={"status": "ENABLED"}, id=webhook.id)
            await eventually(lambda: _statuses(world, webhook.id, {"SUCCEEDED"}))


async def test_what_is_sent_follows_the_rights_of_whoever_answers_for_it(world: World) -> None:
    """Who is no longer of the staff gets nothing, nor a redelivery, until somebody else enables their webhook."""
    other = staff_of(world.tenant)
    assert other.user_id is not None
    account = user_in(world.tenant, user_id=other.user_id, username="other", role=Role.STAFF)
    await world.add(account)
    webhook = await world.hook("#", caller=other)
    client = replace(
        world.staff, client_id="c", key="client:c", user_id=None, scopes=frozenset({Scope.WRITE_WEBHOOKS})
    )
    gone = await world.call(CREATE_WEBHOOK, client, {"url": OTHER, "events": ["pet.created"]})
    async with delivering(world.store) as deliverer:
        pet = await world.pet()
        order = await world.call(PLACE_ORDER, body={"petId": pet})
        head = await world.head()
        await eventually(lambda: len(world.endpoints.at(URL)) == head)
        assert world.endpoints.at(OTHER) == []  # there is no such client
        assert (await world.call(GET_WEBHOOK, id=gone.id)).status == "DISABLED"
        await eventually(lambda: _statuses(world, webhook.id, {"SUCCEEDED"}))
        async with world.store.storage.write(world.tenant) as tx:
            await tx.get(User, account.id, lock=True)
            await tx.update(account.model_copy(update={"roles": (Role.CUSTOMER,)}))
        [delivery] = [one for one in await world.deliveries(webhook.id) if one.event_type == "order.created"]
        await world.call(REDELIVER, id=webhook.id, deliveryId=delivery.id)

        async def disabled() -> bool:
            return bool((await world.call(GET_WEBHOOK, id=webhook.id)).status == "DISABLED")

        await eventually(disabled)
        told = [one["data"] for one in await world.events() if one["eventType"] == "webhook.disabled"]
        assert [(one["webhook"]["id"], one["reason"]) for one in told] == [
            (gone.id, "UNAUTHORIZED"),
            (webhook.id, "UNAUTHORIZED"),
        ]
        assert len(world.endpoints.at(URL)) == head
        # Whoever enables it answers for it, and no other change does that.
        await world.call(UPDATE_WEBHOOK, body={"description": "mine"}, id=webhook.id)
        assert await disabled()
        await world.call(UPDATE_WEBHOOK, body={"status": "ENABLED"}, id=webhook.id)
        await eventually(lambda: len(world.endpoints.at(URL)) == head + 1)
        assert world.endpoints.at(URL)[-1].event["data"]["order"]["id"] == order.id
        assert deliverer.statistics().behind == 0
    assert await world.deliveries(gone.id) == []


async def test_a_test_event_goes_to_its_webhook_alone(world: World) -> None:
    webhook, _ = await world.hook("order.created"), await world.hook("#", url=OTHER)
    async with delivering(world.store):
        sent = await world.call(TEST_WEBHOOK, id=webhook.id, key="once")
        assert await world.call(TEST_WEBHOOK, id=webhook.id, key="once") == sent
        await eventually(lambda: _statuses(world, webhook.id, {"SUCCEEDED"}))
    [post] = world.endpoints.posts
    assert (post.url, post.event["eventType"], post.event["id"]) == (URL, "webhook.test", sent.event_id)
    assert Verifier(webhook.secret).verify(post.body, dict(post.headers))


async def test_a_crash_at_any_moment_loses_nothing_and_makes_no_delivery_twice(world: World) -> None:
    """The process stops between its attempt and its note, or before the log's position moves on."""
    webhook = await world.hook("pet.created")
    async with delivering(world.store):
        await world.pet()
        await eventually(lambda: _statuses(world, webhook.id, {"SUCCEEDED"}))
        world.endpoints.dead.add(URL)
        await world.pet()
        await eventually(lambda: len(world.endpoints.posts) == 2)
    async with world.store.storage.read(world.tenant) as tx:
        [left] = [one for one in await tx.find(Query(DeliveryRecord)) if one.status is DeliveryStatus.PENDING]
    assert left.tries == 0
    world.endpoints.dead.clear()
    world.store.storage._consumers[NAME][world.tenant] = 0  # type: ignore[attr-defined]
    async with delivering(world.store):
        await eventually(lambda: _statuses(world, webhook.id, {"SUCCEEDED"}))
    ids = [post.headers["webhook-id"] for post in world.endpoints.posts]
    assert len(ids) == 3
    assert ids[1] == ids[2]
    assert len(await world.deliveries(webhook.id)) == 2
    async with world.store.storage.read(world.tenant) as tx:
        state = await tx.get(WebhookState, webhook.id)
    assert state is not None
    assert (state.pending, state.due_at) == (0, None)


async def test_history_is_swept_and_a_reset_leaves_nothing(world: World) -> None:
    webhook = await world.hook("pet.created")
    async with delivering(world.store):
        await world.pet()
        await eventually(lambda: _statuses(world, webhook.id, {"SUCCEEDED"}))
    world.endpoints.answers[URL] = 500
    assert (await world.store.storage.sweep(world.time() + timedelta(days=4)))["webhook_deliveries"] == 1
    assert await world.deliveries(webhook.id) == []
    await world.call(RESET_TENANT, confirm=world.tenant)
    async with world.store.storage.read(world.tenant) as tx:
        assert await tx.find(Query(WebhookState)) == []
        assert await tx.find(Query(DeliveryRecord)) == []


async def test_of_two_nodes_one_delivers_and_the_other_goes_on(world: World, tmp_path: Path) -> None:
    webhook = await world.hook("pet.created")
    storage = world.store.storage
    other = compose(storage, tmp_path, await storage.epoch(), webhooks=world.endpoints)
    await other.hub.start()
    async with delivering(other) as second:
        async with delivering(world.store) as first:
            await eventually(lambda: first.statistics().holding + second.statistics().holding == 1)
            for _ in range(5):
                await world.pet()
            await eventually(lambda: len(world.endpoints.posts) == 5)
            await eventually(lambda: _statuses(world, webhook.id, {"SUCCEEDED"}))
        await world.pet()
        await eventually(lambda: second.statistics().holding == 1)
        await eventually(lambda: len(world.endpoints.posts) == 6)
        await eventually(lambda: _statuses(world, webhook.id, {"SUCCEEDED"}))
    await other.hub.stop()
    assert len({post.headers["webhook-id"] for post in world.endpoints.posts}) == 6


async def test_an_api_key_gets_what_its_scopes_cover_and_nothing_once_it_is_gone(world: World) -> None:
    made = await world.call(CREATE_API_KEY, body={"name": "Hooks", "scopes": ["write:webhooks", "read:pets"]})
    key = await by_key(world, made.key)
    await world.hook("#", caller=key)
    everything = await world.hook("#", url=OTHER)
    async with delivering(world.store):
        await world.call(PLACE_ORDER, body={"petId": await world.pet()})
        await eventually(lambda: _statuses(world, everything.id, {"SUCCEEDED"}))
        await eventually(lambda: world.endpoints.at(URL))
        seen = {post.event["topic"].partition("/")[0] for post in world.endpoints.at(URL)}
        assert seen <= {"pets", "inventory"}
        assert "orders" in {post.event["topic"].partition("/")[0] for post in world.endpoints.at(OTHER)}
        await world.call(DELETE_API_KEY, id=made.id)
        before = len(world.endpoints.at(OTHER))
        last = await world.pet()
        await eventually(lambda: len(world.endpoints.at(OTHER)) > before)
        await eventually(lambda: _statuses(world, everything.id, {"SUCCEEDED"}))
    assert all(last not in post.body.decode() for post in world.endpoints.at(URL))
