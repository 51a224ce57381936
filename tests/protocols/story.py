"""Everything that can happen in a store, with somebody at every live door who keeps all that goes over the wire."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from websockets.asyncio.client import connect

from core.live.chat_messages import CHAT_FORMS
from core.models import examples
from core.models.catalogue import EVENTS
from tests.asyncapi import Sender
from tests.gateway.webhooks.receiver import Manner, Received, Receiver, receiving
from tests.http_clients import http_client
from tests.protocols.live import EventStream, Socket
from tests.protocols.mqtt.raw import QOS, Raw
from tests.protocols.socketio.clients import Client, Refused, connected
from tests.waiting import eventually, within

SOCKETS = ("/v1/ws/events", "/v1/ws/chat")
#: What is posted to webhooks, and to whoever asked for a callback.
POSTED, CALLBACK = "webhooks.events", "webhooks.callbacks"
CARD = {"object": "card", "name": "Sam", "cvc": "123", "expMonth": 12, "expYear": 2099}


@dataclass(frozen=True)
class Seen:
    """A frame, and what it should be if that is known."""

    door: str
    channel: str | None
    sender: Sender
    frame: dict[str, Any]
    message: str | None = None


@dataclass
class Record:
    """All frames of the story."""

    frames: list[Seen] = field(default_factory=list)

    def note(
        self,
        door: str,
        channel: str | None,
        sender: Sender,
        frame: dict[str, Any],
        message: str | None = None,
    ) -> None:
        """Keep a frame."""
        self.frames.append(Seen(door, channel, sender, frame, message))

    def events(self, door: str, channel: str | None) -> Iterator[tuple[str, Seen]]:
        """The frames that tell of events, by event type or by the name that chats have for it."""
        for seen in self.frames:
            here = (seen.door, seen.channel, seen.sender) == (door, channel, "server")
            if here and (name := _told(seen)) is not None:
                yield name, seen


def _told(seen: Seen) -> str | None:
    frame = seen.frame
    match seen.door:
        case "sse" if frame["event"] != "cursor":
            return str(frame["event"])
        case "endpoint":
            return cast("str | None", json.loads(frame["body"]).get("eventType"))
        case "mqtt":
            return str(json.loads(frame["payload"])["eventType"])
        case "websocket" | "socketio":
            name = frame.get("type", frame.get("event"))
            if name == "event":
                return str(frame["data"]["eventType"])
            return str(name) if name in CHAT_NAMES else None
    return None


CHAT_NAMES = {name for form in CHAT_FORMS.values() for name in form.names}
#: Of a store's whole life, on a door that shows events as they are, and on one for chats.
PLAIN = set(EVENTS)
CHAT = CHAT_NAMES | (set(EVENTS) - set(CHAT_FORMS))
LISTENERS = [
    ("sse", "/v1/events", PLAIN),
    ("websocket", SOCKETS[0], PLAIN),
    ("websocket", SOCKETS[1], CHAT),
    ("socketio", "/socket.io/", CHAT),
    ("mqtt", None, PLAIN),
    (
        "endpoint",
        POSTED,
        {kind.event_type for kind in EVENTS.values() if not kind.ephemeral} | {"webhook.test"},
    ),
]


class Story:
    """Listeners on every door, and everything that they can hear of."""

    def __init__(self, port: int, mqtt_port: int) -> None:
        self.port = port
        self.mqtt_port = mqtt_port
        self.record = Record()
        self.tokens: dict[str, str] = {}

    async def tell(self) -> Record:
        """Let it happen; gives what was seen."""
        async with (
            http_client(base_url=f"http://127.0.0.1:{self.port}") as http,
            contextlib.AsyncExitStack() as listeners,
        ):
            for name in ("demo", "demo-staff"):
                login = {"username": name, "password": f"{name}-password"}
                self.tokens[name] = (await http.post("/v1/auth/tokens", json=login)).json()["token"]
            staff = {"Authorization": f"Bearer {self.tokens['demo-staff']}"}

            async def call(method: str, path: str, body: object = None) -> dict[str, Any]:
                answer = await http.request(method, f"/v1{path}", json=body, headers=staff)
                assert answer.is_success, answer.text
                found: dict[str, Any] = answer.json() if answer.content else {}
                return found

            for listener in (self._sse(), *map(self._socket, SOCKETS), self._socketio(), self._mqtt()):
                await listeners.enter_async_context(listener)
            endpoint = await listeners.enter_async_context(self._endpoint())
            webhook = await call("POST", "/webhooks", {"url": endpoint.url, "events": ["#"]})
            await call("POST", f"/webhooks/{webhook['id']}/test")
            await self._sell(call, endpoint.url)
            await self._chat(call)
            await self._refuse()
            await self._lose_webhook(call, listeners)
            await eventually(self._complete)
        return self.record

    def _complete(self) -> bool:
        """Whether everything was heard everywhere, the cursors of quiet times too."""
        frames = [seen.frame for seen in self.record.frames]
        return (
            all(
                wanted <= dict(self.record.events(door, channel)).keys()
                for door, channel, wanted in LISTENERS
            )
            and any(frame.get("event") == "cursor" and "retry" not in frame for frame in frames)
            and any(frame.get("type") == "pong" and "replyTo" not in frame for frame in frames)
            and any(frame.get("event") == "pong" for frame in frames)
            and any(seen.channel == CALLBACK for seen in self.record.frames)
        )

    # --- listeners ---

    @contextlib.asynccontextmanager
    async def _hearing(self, hear: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        async def always() -> None:
            while True:
                await hear()

        task = asyncio.create_task(always())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))

    @contextlib.asynccontextmanager
    async def _sse(self) -> AsyncIterator[None]:
        token = self.tokens["demo-staff"]
        url = f"http://127.0.0.1:{self.port}/v1/events"
        async with (
            http_client() as client,
            client.stream("GET", url, params={"topics": "#", "token": token}) as response,
        ):
            stream = EventStream(response)

            async def hear() -> None:
                self.record.note("sse", "/v1/events", "server", dict(await stream.block()))

            await hear()
            async with self._hearing(hear):
                yield

    @contextlib.asynccontextmanager
    async def _socket(self, path: str, who: str = "demo-staff", **subscribe: Any) -> AsyncIterator["Talker"]:
        async with connect(f"ws://127.0.0.1:{self.port}{path}", compression=None) as connection:
            talker = Talker(self.record, Socket(connection), path)
            async with self._hearing(talker.hear):
                await talker.ask("authenticate", token=self.tokens[who])
                await talker.ask("subscribe", topics=["#"], **subscribe)
                yield talker

    @contextlib.asynccontextmanager
    async def _socketio(self) -> AsyncIterator[None]:
        auth: dict[str, Any] = {"token": self.tokens["demo-staff"], "topics": ["#"]}
        self.record.note("socketio", "/socket.io/", "client", {"event": "connect", "data": auth})
        async with connected(self.port, **auth) as client, self._hearing(lambda: self._told(client)):
            yield

    async def _told(self, client: Client) -> None:
        told = await client.hear()
        if told.name != "connect":
            self.record.note("socketio", "/socket.io/", "server", {"event": told.name, "data": told.data})

    @contextlib.asynccontextmanager
    async def _mqtt(self) -> AsyncIterator[None]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.mqtt_port)
        client = Raw(reader, writer)

        async def hear() -> None:
            packet = await client.message()
            frame = {
                "topic": packet.topic,
                "payload": bytes(packet.payload or b""),
                "properties": packet.user_properties,
                "qos": [packet.qos == qos for qos in QOS].index(True),
                "retain": packet.retain,
            }
            self.record.note("mqtt", None, "server", frame)

        try:
            await client.connect(password=self.tokens["demo-staff"])
            await client.subscribe("#", qos=1, retain_handling=0)
            async with self._hearing(hear):
                yield
        finally:
            writer.close()

    @contextlib.asynccontextmanager
    async def _endpoint(self) -> AsyncIterator[Receiver]:
        async with receiving() as receiver:

            def note(request: Received) -> Manner:
                channel = POSTED if "eventType" in json.loads(request.body) else CALLBACK
                frame = {"headers": request.headers, "body": request.body}
                self.record.note("endpoint", channel, "server", frame)
                return "good"

            receiver.manner = note
            yield receiver

    # --- what happens ---

    async def _sell(self, call: Callable[..., Awaitable[dict[str, Any]]], callback: str) -> None:
        draft = {"name": "Pixel", "species": "CAT", "ageMonths": 7, "price": "75.00", "medicalInfo": {}}
        first, second, third = [(await call("POST", "/pets", draft))["id"] for _ in range(3)]
        await call("PATCH", f"/pets/{first}", {"price": "80.00"})
        await call("DELETE", f"/pets/{third}")
        device = await call("POST", "/devices", {"name": "collar", "petIds": [first]})
        await self._report(device, first)
        sold = (await call("POST", "/orders", {"petId": first}))["id"]
        price = {"amount": "80.00", "currency": "USD", "timestamp": "2026-03-02T09:30:00Z"}
        await call("POST", f"/orders/{sold}", {**price, "callbackUrl": callback})
        for number in ("4000000000000002", "4242424242424242"):
            await call("POST", f"/orders/{sold}/payment", _payment("80.00", number))
        for status in ("SHIPPED", "DELIVERED"):
            await call("PATCH", f"/orders/{sold}", {"status": status})
        cancelled = (await call("POST", "/orders", {"petId": second}))["id"]
        await call("POST", f"/orders/{cancelled}/payment", _payment("75.00", "4242424242424242"))
        await call("DELETE", f"/orders/{cancelled}")
        form = {**examples.ADOPTION_DRAFT, "petId": second}
        adoption = (await call("POST", "/adoptions", form))["id"]
        await call("PATCH", f"/adoptions/{adoption}", {"status": "UNDER_REVIEW"})

    async def _lose_webhook(
        self, call: Callable[..., Awaitable[dict[str, Any]]], servers: contextlib.AsyncExitStack
    ) -> None:
        """Send a webhook to where there is nothing any more, so that the store switches it off."""

        async def gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            writer.close()

        server = await servers.enter_async_context(await asyncio.start_server(gone, "127.0.0.1", 0))
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        webhook = await call("POST", "/webhooks", {"url": url, "events": ["pets/#"]})
        await call("POST", f"/webhooks/{webhook['id']}/test")

    async def _report(self, device: dict[str, Any], pet_id: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.mqtt_port)
        client = Raw(reader, writer)
        await client.connect(username=device["username"], password=device["password"])
        topic, payload = f"telemetry/pets/{pet_id}/health", {"heartRateBpm": 90}
        answer = await client.publish(topic, payload)
        assert int(answer.reason_code) == 0
        self.record.note("mqtt", None, "client", {"topic": topic, "payload": payload, "qos": 1})
        writer.close()

    async def _chat(self, call: Callable[..., Awaitable[dict[str, Any]]]) -> None:
        """A customer at the chat socket, an agent at Socket.IO."""
        auth = {"token": self.tokens["demo-staff"]}
        async with self._socket(SOCKETS[1], "demo") as customer, connected(self.port, **auth) as told:
            agent = Agent(self.record, told)
            async with self._hearing(lambda: self._told(told)):
                chat = (await customer.ask("joinChat", subject="Cats"))["chat"]["id"]
                await agent.ask("authenticate", **auth)
                await agent.ask("joinChat", chatId=chat)
                await agent.ask("subscribe", topics=["pets/#"])
                message = (await customer.ask("chatMessage", text="Hello", clientMessageId="1"))["message"][
                    "id"
                ]
                await agent.ask("messageRead", messageId=message)
                answer = (await agent.ask("chatMessage", text="Hello!"))["message"]["id"]
                await customer.ask("messageRead", chat_id=chat, messageId=answer)
                for one in (customer, agent):
                    await one.ask("typingStarted")
                    await one.ask("typingStopped", chatId=chat)
                    await one.ask("unsubscribe", topics=["pets/#"])
                    await one.ask("ping")
                    await one.ask("leaveChat")
        await call("POST", f"/chats/{chat}/closure")

    async def _refuse(self) -> None:
        """Everything that is answered with an error."""
        async with self._socket(SOCKETS[0], "demo") as socket:
            await socket.refusal("subscribe", topics=["orders/019e2d11-0b52-7c44-8a13-2f4e6b9d1c05/status"])
            await socket.refusal("subscribe", topics=[], cursor=7)
            await socket.refusal("leaveChat")
            await socket.refusal("dance")
        async with connected(self.port) as told:
            agent = Agent(self.record, told)
            for name, data in (
                ("subscribe", {"topics": ["orders/#"]}),
                ("subscribe", {"topics": 7}),
                ("dance", {}),
            ):
                frame = {"ack": name, "data": await told.call(name, data)}
                self.record.note("socketio", "/socket.io/", "server", frame, "refused")
            await told.emit("joinChat", {})
            error = {"event": "error", "data": await told.until("error")}
            self.record.note("socketio", "/socket.io/", "server", error)
            await agent.ask("ping")
        with pytest.raises(Refused) as refused:
            async with connected(self.port, topics=["orders/#"]):
                pass
        frame = {"event": "connect_error", "data": refused.value.data}
        self.record.note("socketio", "/socket.io/", "server", frame)


def _payment(amount: str, number: str) -> dict[str, Any]:
    return {"amount": amount, "currency": "USD", "source": {**CARD, "number": number}}


class Talker:
    """Somebody at a WebSocket, all of whose frames are kept."""

    def __init__(self, record: Record, socket: Socket, path: str) -> None:
        self._record = record
        self._socket = socket
        self._path = path
        self._count = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def hear(self) -> None:
        """Take what comes."""
        message = await self._socket.hear()
        known = self._answers.get(message.get("replyTo", 0))
        if known is None or message["type"] == "connected":
            self._record.note("websocket", self._path, "server", message)
        else:
            known.set_result(message)

    async def ask(self, name: str, chat_id: str | None = None, **data: Any) -> dict[str, Any]:
        """Send a command that is carried out; the data of the acknowledgement."""
        answer = await self._send(name, chat_id, data, good=True)
        self._record.note(
            "websocket", self._path, "server", answer, "pong" if name == "ping" else f"{name}.ack"
        )
        found: dict[str, Any] = answer["data"]
        return found

    async def refusal(self, name: str, **data: Any) -> None:
        """Send a command that is refused."""
        answer = await self._send(name, None, data, good=False)
        self._record.note("websocket", self._path, "server", answer, "error")

    async def _send(
        self, name: str, chat_id: str | None, data: dict[str, Any], *, good: bool
    ) -> dict[str, Any]:
        self._count += 1
        frame: dict[str, Any] = {"type": name, "id": self._count, "data": data}
        if chat_id is not None:
            frame["chatId"] = chat_id
        if good:
            self._record.note("websocket", self._path, "client", frame, name)
        answer = self._answers[self._count] = asyncio.get_running_loop().create_future()
        await self._socket.raw(json.dumps(frame))
        return await within(answer)


class Agent:
    """Somebody at Socket.IO, whose commands and acknowledgements are kept."""

    def __init__(self, record: Record, client: Client) -> None:
        self._record = record
        self._client = client

    async def ask(self, name: str, **data: Any) -> dict[str, Any]:
        """Send a command that is carried out; the data of the acknowledgement."""
        self._record.note("socketio", "/socket.io/", "client", {"event": name, "data": data}, name)
        answer = await self._client.call(name, data)
        self._record.note("socketio", "/socket.io/", "server", {"ack": name, "data": answer}, f"{name}.ack")
        found: dict[str, Any] = answer["data"]
        return found
