"""The same connections under TLS, where the connection is another class."""

import datetime
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from protocols.http.connection import connection_of
from tests.gateway.server.serving import frame, serving
from tests.waiting import within


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for the loopback address and its key, and give their files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder / "certificate.pem", folder / "key.pem"


async def test_direct_writes_stalls_and_refusals_work_under_tls(tmp_path: Path) -> None:
    looks: list[float] = []

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        connection = connection_of(scope)
        for number in range(100):
            connection.write(frame(b"%d" % number))
        connection.write(frame(b"x" * 20_000_000))
        looks.append(running.only_connection().stalled_for())
        while (await receive())["type"] != "websocket.disconnect":
            pass

    file, key = certificate(tmp_path)
    trust = ssl.create_default_context(cafile=file)
    async with (
        serving(call, certificate=file, certificate_key=key) as running,
        connect(f"wss://127.0.0.1:{running.port}/", ssl=trust, max_size=None) as client,
    ):
        for number in range(100):
            assert await within(client.recv()) == str(number)
        assert len(await within(client.recv())) == 20_000_000
        assert looks == [0.0]
        await client.send("x" * 100_000)
        with pytest.raises(ConnectionClosed) as caught:
            await client.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1009
