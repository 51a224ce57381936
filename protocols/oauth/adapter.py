"""The OAuth door as an ASGI application: which path is what."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import orjson
from starlette.types import Receive, Scope, Send

from core.kernel.errors import StoreError
from core.store.store import Store
from protocols.http.cors import NO_PAGES, Cors
from protocols.http.exchange import Exchange, problem_for
from protocols.http.problems import HttpError
from protocols.http.response import Response
from protocols.oauth import errors, metadata
from protocols.oauth.authorize import Authorize
from protocols.oauth.device import DevicePage
from protocols.oauth.endpoints import Endpoints
from protocols.oauth.pages import STYLE_PATH, style
from protocols.oauth.wire import JSON


class _Place(NamedTuple):
    answer: Callable[[Exchange], Awaitable[Response]]
    methods: tuple[str, ...]
    tell: Callable[[Exchange, StoreError | HttpError], Response]
    cors: Cors


class OauthDoor:
    """Requests of the protocol, and its pages.

    ``origins``: whose web pages may call what is for programs; what is for people is for no page of others (RFC 9700,
    section 2.6). ``registration``: clients may register themselves.
    """

    def __init__(self, store: Store, *, registration: bool = False, origins: Sequence[str] = ()) -> None:
        self._store = store
        self._registration = registration
        cors = Cors(origins)
        authorize, device, endpoints = Authorize(store), DevicePage(store), Endpoints(store)
        self._places = {
            metadata.WELL_KNOWN: _Place(self._metadata, ("GET", "HEAD", "OPTIONS"), problem_for, cors),
            metadata.AUTHORIZE: _Place(authorize, ("GET", "POST", "OPTIONS"), authorize.tell, NO_PAGES),
            metadata.TOKEN: _Place(endpoints.token, ("POST", "OPTIONS"), errors.tell, cors),
            metadata.DEVICE_AUTHORIZATION: _Place(
                endpoints.device_authorization, ("POST", "OPTIONS"), errors.tell, cors
            ),
            metadata.DEVICE: _Place(device, ("GET", "POST", "OPTIONS"), device.tell, NO_PAGES),
            metadata.REVOKE: _Place(endpoints.revoke, ("POST", "OPTIONS"), errors.tell, cors),
            metadata.INTROSPECT: _Place(endpoints.introspect, ("POST", "OPTIONS"), errors.tell, cors),
            STYLE_PATH: _Place(self._style, ("GET", "HEAD", "OPTIONS"), problem_for, NO_PAGES),
        }
        if registration:
            self._places[metadata.REGISTER] = _Place(
                endpoints.register, ("POST", "OPTIONS"), errors.tell, cors
            )

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths that lead here."""
        return tuple(self._places)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request for one of the paths."""
        place = self._places[scope["path"]]
        exchange = Exchange(scope, receive, send, place.cors)
        await exchange.run(place.answer, methods=place.methods, tell=place.tell, store=self._store)

    async def _metadata(self, exchange: Exchange) -> Response:
        await exchange.admit(self._store, cost=0)
        document = metadata.metadata(self._store.public_url, registration=self._registration)
        return Response(200, orjson.dumps(document), JSON, cache=b"public, max-age=300")

    async def _style(self, exchange: Exchange) -> Response:
        await exchange.admit(self._store, cost=0)
        return style()
