"""``petstore listen``: events forwarded to a server on this machine, signed as a webhook's are."""

import json
import time

import httpx

from core.kernel.backoff import backoff_seconds
from core.kernel.clock import utc_now
from core.services.webhooks.signing import is_secret, new_secret, signed_headers
from gateway.cli.event_sources import EventSource
from gateway.cli.watch import Tail, follow, source_of
from gateway.startup_errors import BadSettings

_TIMEOUT_SECONDS = 30.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 10.0


def run(
    url: str,
    topics: str,
    forward_to: str,
    *,
    token: str | None,
    tenant: str | None,
    cursor: str | None,
    secret: str | None,
) -> None:
    """Forward events until Ctrl-C.

    Raises:
        BadSettings: the secret or the address to forward to is none.
        CannotStart: the server cannot be reached at the start, or refuses.
    """
    if secret is not None and not is_secret(secret):
        raise BadSettings("--secret: begins with whsec_, and goes on with base64")
    if not forward_to.startswith(("http://", "https://")):
        raise BadSettings(f"--forward-to {forward_to}: begins with neither http:// nor https://")
    follow(Forwarder(url, source_of(url, token, tenant), topics, cursor, forward_to, secret or new_secret()))


class Forwarder(Tail):
    """Posts each event, in order. One that cannot be delivered at all is kept back until it can; whatever status
    answers counts as delivered."""

    def __init__(
        self,
        url: str,
        source: EventSource,
        topics: str,
        cursor: str | None,
        forward_to: str,
        secret: str,
    ) -> None:
        super().__init__(url, source, topics, cursor, as_json=False)
        self._forward_to = forward_to
        self._secret = secret
        self._client = httpx.Client(timeout=_TIMEOUT_SECONDS, trust_env=False)
        self._tell(f"forwarding to {forward_to}, signed with {secret}")

    def _show(self, data: str) -> None:
        event, body, failures = json.loads(data), data.encode(), 0
        while True:
            headers = signed_headers(event["id"], body, utc_now(), [self._secret])
            try:
                answer = self._client.post(self._forward_to, content=body, headers=headers)
            except httpx.TransportError as error:
                failures += 1
                if failures == 1:
                    self._tell(f"{self._forward_to} cannot be reached ({error}); trying again")
                time.sleep(
                    backoff_seconds(failures, first=_FIRST_PAUSE_SECONDS, longest=_LONGEST_PAUSE_SECONDS)
                )
            else:
                self._print(event, f"→ {answer.status_code}")
                return
