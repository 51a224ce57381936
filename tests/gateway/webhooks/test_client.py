"""The client that posts to endpoints: to which addresses it goes, and what it makes of endpoints that fail."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from core.ports.webhooks import TargetRefused
from gateway.webhooks import HttpWebhookSender
from gateway.webhooks.client import MAX_IDLE_ORIGINS
from gateway.webhooks.targets import is_public
from tests.gateway.webhooks.receiver import Manner, Receiver, receiving

HEADERS = {"content-type": "application/json", "webhook-id": "1"}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def sender() -> AsyncIterator[HttpWebhookSender]:
    sender = HttpWebhookSender(allow_private=True)
    yield sender
    await sender.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost:8080/",
        "http://0.0.0.0:8080/",
        "http://0/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://127.1/",
        "http://10.1.2.3/",
        "http://172.16.0.1/",
        "http://192.168.1.1/",
        "http://100.64.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "http://240.0.0.1/",
        "http://[::1]/",
        "http://[::]/",
        "http://[fe80::1]/",
        "http://[fc00::1]/",
        "http://[ff02::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:8.8.8.8]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[64:ff9b:1::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[fec0::1]/",
        "http://[5f00::1]/",
        "http://[3fff::1]/",
        "http://[100:0:0:1::1]/",
        "http://[2001:1::1]/",
        "http://[2620:4f:8000::1]/",
        "http://[2001:4860::5efe:7f00:1]/",
        "http://[2001:4860::200:5efe:7f00:1]/",
        "http://192.88.99.1/",
        "http://192.0.0.9/",
        "http://192.31.196.1/",
    ],
)
async def test_private_and_special_addresses_are_refused(url: str) -> None:
    sender = HttpWebhookSender()
    with pytest.raises(TargetRefused, match="private"):
        await sender.admit(url)
    answer = await sender.post(url, HEADERS, b"{}")
    assert answer.status is None
    assert "private" in (answer.error or "")
    await sender.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example",
        "http://0177.0.0.1/",
        "http://xn--/",
        "http://xn--a/",
        "http://xn--zzzzzzzzzzzz.com/",
        "ftp://93.184.216.34/",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://user:secret@93.184.216.34/",
        "https://user@93.184.216.34/",
        "https://93.184.216.34:25/",
        "https://93.184.216.34:22/",
        "https://93.184.216.34:99999/",
        "https://93.184.216.34/\r\nx: y",
        "https://" + "a" * 70 + ".example/",
        "https://nowhere.invalid/",
    ],
)
async def test_what_is_no_target_is_refused(url: str) -> None:
    sender = HttpWebhookSender()
    with pytest.raises(TargetRefused):
        await sender.admit(url)
    assert (await sender.post(url, HEADERS, b"{}")).status is None
    await sender.close()


async def test_an_international_name_is_kept_in_ascii_and_without_a_fragment() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        assert (host, port) == ("xn--bcher-kva.example", 8443)
        return ["93.184.216.34"]

    sender = HttpWebhookSender(resolve=resolve)
    kept = await sender.admit("https://BÜCHER.example:8443/a b?c=d#e")
    assert kept == "https://xn--bcher-kva.example:8443/a%20b?c=d"
    assert await sender.admit(kept) == kept
    await sender.close()


def test_only_addresses_of_the_internet_are_public() -> None:
    assert is_public("93.184.216.34")
    assert is_public("2606:2800:220:1:248:1893:25c8:1946")
    assert not is_public("fe80::1%eth0")
    assert not is_public("some name")


async def test_a_name_that_leads_elsewhere_later_is_not_followed(receiver: Receiver) -> None:
    """The address that was checked is the one that is connected to, and each connection checks again."""
    answers = [["93.184.216.34"], ["127.0.0.1"], ["93.184.216.34", "127.0.0.1"]]
    asked = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return answers[len(asked) - 1]

    sender = HttpWebhookSender(resolve=resolve)
    url = f"http://rebind.example:{receiver.port}/"
    assert await sender.admit(url) == url
    for _ in range(2):
        answer = await sender.post(url, HEADERS, b"{}")
        assert answer.status is None
        assert "private" in (answer.error or "")
    assert len(asked) == 3
    assert receiver.connections == 0
    await sender.close()


async def test_the_name_stays_the_host_of_the_request(receiver: Receiver) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["::1", "127.0.0.1"]

    sender = HttpWebhookSender(allow_private=True, resolve=resolve)
    for _ in range(2):
        answer = await sender.post(f"http://hooks.example:{receiver.port}/a?b=c", HEADERS, b'{"a":1}')
        assert answer.status == 200
    [first, second] = receiver.received
    assert first.headers["host"] == f"hooks.example:{receiver.port}"
    assert (first.path, first.body, first.headers["webhook-id"]) == ("/a?b=c", b'{"a":1}', "1")
    assert first.connection == second.connection
    await sender.close()


async def test_connections_are_kept_for_the_origins_that_were_used_last(receiver: Receiver) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    sender = HttpWebhookSender(allow_private=True, resolve=resolve)
    urls = [f"http://h{number}.example:{receiver.port}/" for number in range(MAX_IDLE_ORIGINS + 10)]
    for url in (*urls, *urls[-MAX_IDLE_ORIGINS:]):
        assert (await sender.post(url, HEADERS, b"{}")).is_success
    assert receiver.connections == len(urls)
    assert len(sender.origins) == MAX_IDLE_ORIGINS
    assert (await sender.post(urls[0], HEADERS, b"{}")).is_success
    assert receiver.connections == len(urls) + 1
    await sender.close()
    assert len(sender.origins) == 0


@pytest.mark.parametrize(
    ("manner", "status"),
    [
        ("good", 200),
        ("error", 500),
        ("redirect", 302),
        ("half", 200),
        ("close", None),
        ("garbage", None),
        ("large", 200),
    ],
)
async def test_endpoints_that_fail(
    receiver: Receiver, sender: HttpWebhookSender, manner: Manner, status: int | None
) -> None:
    receiver.manner = lambda _: manner
    answer = await sender.post(receiver.url, HEADERS, b"{}")
    assert answer.status == status
    assert answer.is_success == (status == 200)
    assert (answer.error is None) == (status is not None)
    assert receiver.sent < 16 * 1024 * 1024  # what the sockets hold


async def test_endpoints_that_never_end_are_left_in_time(
    receiver: Receiver, sender: HttpWebhookSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.webhooks.client.TIMEOUT_SECONDS", 0.5)
    receiver.manner = lambda _: "hang"
    answers = await asyncio.gather(*(sender.post(receiver.url, HEADERS, b"{}") for _ in range(20)))
    assert {answer.status for answer in answers} == {None}
    assert "no answer" in (answers[0].error or "")
    receiver.manner = lambda _: "endless"
    assert (await sender.post(receiver.url, HEADERS, b"{}")).status == 200
    receiver.manner = lambda _: "good"
    assert (await sender.post(receiver.url, HEADERS, b"{}")).status == 200
