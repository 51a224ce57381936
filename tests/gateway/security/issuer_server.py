"""Another issuer, as a real server that behaves in every way that one can."""

import contextlib
import json
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import jwt

from gateway.security.keys import PrivateKey, algorithm_of, public_jwk
from tests.gateway.security.pem import new_key
from tests.servers import free_port

AUDIENCE = "petstore"


class IssuerServer:
    """``mode`` says how it answers; ``asked`` counts for what; ``keys`` are those that it shows."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self.mode = "good"
        self.asked: Counter[str] = Counter()
        self.keys: dict[str, PrivateKey] = {"k1": new_key("ES256")}
        self.metadata: dict[str, Any] = {}
        self.let_go = threading.Event()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def key_set(self) -> dict[str, Any]:
        return {"keys": [{"kid": kid, **public_jwk(key.public_key())} for kid, key in self.keys.items()]}

    def token(
        self,
        kid: str | None = "k1",
        *,
        key: PrivateKey | None = None,
        typ: str | None = "at+jwt",
        **claims: Any,
    ) -> str:
        """A token; a claim of None is left out."""
        now = datetime.now(UTC)
        said = {
            "iss": self.url, "sub": "7f3a", "aud": AUDIENCE, "scope": "read:user read:orders", "iat": now,
            "exp": now + timedelta(hours=1),
        } | claims  # fmt: skip
        signing = key or self.keys[str(kid)]
        headers = {"typ": typ} | ({} if kid is None else {"kid": kid})
        present = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(present, signing, algorithm_of(signing), headers=headers)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked[handler.path] += 1
        base: dict[str, Any] = {"issuer": self.url, "jwks_uri": f"{self.url}/jwks"} | self.metadata
        body = json.dumps(base if "well-known" in handler.path else self.key_set()).encode()
        headers = {}
        status = 200
        match self.mode:
            case "garbage":
                body = b"\xff\x00 no JSON"
            case "other":
                body = b'["keys"]'
            case "deep":
                body = b"[" * 100_000
            case "huge":
                body = b" " * 10_000_000 + body
            case "error":
                status = 500
            case "redirect":
                status, headers = 302, {"Location": f"{self.url}/jwks"}
            case "stall":
                self.let_go.wait(60)
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def start(self) -> None:
        """Listen."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with contextlib.suppress(OSError):  # Whoever asked has seen enough.
                    issuer.answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is called
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Go away."""
        self.let_go.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.stop()
