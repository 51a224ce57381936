"""A program on a user's machine that asks them, in their browser, to act for them (RFC 8252: a native application).

Beside a gateway that `make run` has started, in its environment (`. .venv/bin/activate`):

    python examples/web_login.py

Open the address that it prints, log in as demo / demo-password, and allow it; then it lists your orders. On a gateway
of your own register an OAuth client with the redirect URI http://127.0.0.1/callback, and give its id.
"""

import base64
import hashlib
import os
import secrets
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx

STORE = os.environ.get("PETSTORE_URL", "http://127.0.0.1:8080")
#: The one that the demo knows.
CLIENT_ID = os.environ.get("CLIENT_ID", "00000000-0000-7000-8000-0000000000a1")


class Callback(BaseHTTPRequestHandler):
    """Where the browser is led back to."""

    answer: dict[str, str] | None = None

    def do_GET(self) -> None:
        """Note what came, and show that it did."""
        if urlsplit(self.path).path != "/callback":
            # Browsers ask for an icon, too.
            self.send_error(404)
            return
        Callback.answer = dict(parse_qsl(urlsplit(self.path).query))
        self.send_response(200)
        self.send_header("content-type", "text/plain")
        self.end_headers()
        self.wfile.write(b"You can close this page.\n")

    def log_message(self, *_: object) -> None:
        """Print nothing: the address holds the code."""


with HTTPServer(("127.0.0.1", 0), Callback) as server, httpx.Client(base_url=STORE) as store:
    try:
        said = store.get("/.well-known/oauth-authorization-server").raise_for_status().json()
    except httpx.ConnectError:
        sys.exit(f"Is the gateway running at {STORE}?")
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
    redirect_uri = f"http://127.0.0.1:{server.server_port}/callback"
    digest = hashlib.sha256(verifier.encode()).digest()
    request = {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": redirect_uri,
        "scope": "read:pets read:orders",
        "state": state,
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    print(f"Open {said['authorization_endpoint']}?{urlencode(request)}", flush=True)
    while (answer := Callback.answer) is None:
        server.handle_request()
    if answer.get("state") != state or answer.get("iss") != said["issuer"]:
        sys.exit("This is not the answer to what was asked.")
    if "code" not in answer:
        sys.exit(f"{answer['error']}: {answer['error_description']}")
    form = {
        "grant_type": "authorization_code",
        "code": answer["code"],
        "redirect_uri": redirect_uri,
        "client_id": CLIENT_ID,
        "code_verifier": verifier,
    }
    tokens = store.post(said["token_endpoint"], data=form).raise_for_status().json()
    orders = store.get("/v1/orders", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    print(orders.raise_for_status().text)
