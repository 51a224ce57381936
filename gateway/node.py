"""One running store: everything that its doors stand on, opened in order and closed in reverse."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from core.hub import Hub
from core.kernel.ids import new_id
from core.live.sessions import Sessions
from core.ports.coordination import Bus, RateLimiter
from core.services.advised_chats import AdvisedChats
from core.services.webhooks.deliverer import Deliverer
from core.store.parts import Adapters
from core.store.store import Store
from gateway.broker.bridge import Bridge
from gateway.bus import InProcessBus, RedisBus
from gateway.health import Health
from gateway.image_decoder import PillowDecoder
from gateway.images import FileImages
from gateway.language_model.opening import open_model
from gateway.language_model.server import OpenAiServer
from gateway.observability.metrics import Metrics
from gateway.payments import SimulatedProcessor
from gateway.phones import NumberingPlans
from gateway.rate_limits import InProcessRateLimiter, RedisRateLimiter
from gateway.secret import token_signer
from gateway.security.issuers import Issuers
from gateway.security.passwords import Argon2Hasher
from gateway.security.remote_keys import issuer_client
from gateway.security.tokens import HmacSigner, KeySigner
from gateway.settings import Settings
from gateway.storage.opening import open_storage
from gateway.webhooks import HttpWebhookSender
from protocols.mcp.adapter import McpDoor
from protocols.mqtt.server import MqttServer


@dataclass(frozen=True)
class Node:
    """One running store and what knows about it."""

    settings: Settings
    store: Store
    signer: HmacSigner | KeySigner
    issuers: Issuers | None
    sessions: Sessions
    bus: Bus
    health: Health
    metrics: Metrics
    mqtt: MqttServer
    mcp: McpDoor
    bridge: Bridge | None
    webhooks: Deliverer
    advised_chats: AdvisedChats


def _language_model(
    settings: Settings, stack: contextlib.AsyncExitStack, metrics: Metrics
) -> OpenAiServer | None:
    model = open_model(settings)
    if model is not None:
        stack.push_async_callback(model.close)
        metrics.observe("advisor", model.statistics)
    return model


@contextlib.asynccontextmanager
async def open_node(settings: Settings, listening_at: str = "") -> AsyncIterator[Node]:
    """Put a store together on migrated tables, and take it apart at the end.

    ``listening_at`` is what addresses in resources are under where no `PUBLIC_URL` is set.
    """
    async with contextlib.AsyncExitStack() as stack:
        storage = open_storage(settings.storage_url)
        stack.push_async_callback(storage.close)
        metrics = Metrics()
        bus: Bus = InProcessBus()
        limiter: RateLimiter = InProcessRateLimiter()
        if settings.redis_url is not None:
            bus = redis_bus = RedisBus(settings.redis_url)
            metrics.observe("bus", lambda: redis_bus.counters)
            limiter = shared = RedisRateLimiter(settings.redis_url)
            stack.push_async_callback(shared.close)
        hasher = Argon2Hasher.insecure() if settings.insecure_password_hash else Argon2Hasher()
        stack.push_async_callback(asyncio.to_thread, hasher.close)
        decoder = PillowDecoder()
        stack.callback(decoder.close)
        signer = token_signer(settings)
        issuers = None
        if settings.issuers:
            issuers = Issuers(settings.issuers, await stack.enter_async_context(issuer_client()))
        sender = HttpWebhookSender(allow_private=settings.allow_private_webhooks)
        stack.push_async_callback(sender.close)
        model = _language_model(settings, stack, metrics)
        adapters = Adapters(
            storage=storage,
            limiter=limiter,
            hasher=hasher,
            signer=signer,
            images=FileImages(settings.data_dir / "images"),
            decoder=decoder,
            processor=SimulatedProcessor(),
            phones=NumberingPlans(),
            webhooks=sender,
            issuers=issuers,
            language_model=model,
        )
        hub = Hub(storage, bus, node=new_id())
        store = Store(
            adapters,
            hub,
            epoch=await storage.epoch(),
            public_url=settings.public_url or listening_at,
            limits=settings.limits,
            classic_open=settings.classic_open,
            advised_chats=settings.advised_chats,
        )
        await hub.start()
        stack.push_async_callback(hub.stop)
        stack.push_async_callback(store.finish)

        async def ask_redis() -> None:
            if not bus.healthy:
                raise ConnectionError

        checks = {"database": storage.ping}
        if settings.redis_url is not None:
            checks["redis"] = ask_redis
        bridge = None
        if settings.mqtt_broker is not None:
            bridge = Bridge(store, settings.mqtt_broker)
            checks["mqtt-broker"] = bridge.check
            metrics.observe("broker", bridge.statistics)
        webhooks = Deliverer(store)
        metrics.observe("webhooks", webhooks.statistics)
        advised_chats = AdvisedChats(store)
        metrics.observe("advised_chats", advised_chats.statistics)
        sessions = Sessions(store)
        mqtt = MqttServer(sessions, settings.limits)
        stack.push_async_callback(mqtt.finished)
        yield Node(
            settings=settings,
            store=store,
            signer=signer,
            issuers=issuers,
            sessions=sessions,
            bus=bus,
            health=Health(checks),
            metrics=metrics,
            mqtt=mqtt,
            mcp=await stack.enter_async_context(
                McpDoor(sessions, origins=settings.allowed_origins).running()
            ),
            bridge=bridge,
            webhooks=webhooks,
            advised_chats=advised_chats,
        )
