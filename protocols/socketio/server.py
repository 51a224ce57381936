"""The Socket.IO layer: the library's server, with sessions for its clients."""

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import socketio
from starlette.types import Scope

from core.kernel.errors import BadRequest, Internal, NotFound, StoreError
from core.kernel.limits import Limits
from core.kernel.validation import check_body
from core.live.commands import Subscribe
from core.live.sessions import Sessions
from protocols.http.credentials import address_of, read_credentials
from protocols.http.error_data import error_data
from protocols.http.headers import read_headers
from protocols.socketio.connection import Connection, Handshake
from protocols.socketio.engine import Engine
from protocols.socketio.errors import refusal
from protocols.socketio.wire import Json, connect_error

log = logging.getLogger(__name__)

#: What the library tells of itself. Below this level it would write tokens and messages into the log.
_library_log = logging.getLogger(f"{__name__}.library")
_library_log.setLevel(logging.ERROR)


class ClientManager(socketio.AsyncManager):  # type: ignore[misc]  # the library has no types
    """Keeps no rooms of ours and emits nothing: each client has a delivery that the hub feeds.

    It is here for the one moment that the library tells nobody else: a client has been sent that it is connected.
    """

    async def connect(self, sid: str, namespace: str) -> str:
        """Note that a client is connected, and let its events begin."""
        connected: str = await super().connect(sid, namespace)
        await self.server.begin(sid)
        return connected


class Server(socketio.AsyncServer):  # type: ignore[misc]
    """Opens a session when a client connects to the default namespace, and hands it its events."""

    eio: Engine

    def __init__(self, sessions: Sessions, limits: Limits) -> None:
        self.sessions = sessions
        self.limits = limits
        self.clients: dict[str, Connection] = {}
        #: Engine.IO connections whose client has not connected yet: the address, and when it is dropped.
        self._lobby: dict[str, tuple[str, asyncio.TimerHandle]] = {}
        self.waiting: Counter[str] = Counter()
        self._chores: set[asyncio.Task[None]] = set()
        super().__init__(
            client_manager=ClientManager(),
            async_handlers=False,  # One event of a client after the other.
            json=Json,
            logger=_library_log,
            engineio_logger=_library_log,
        )
        self.register_namespace(Namespace(self))

    def _engineio_server_class(self) -> Any:
        return lambda **options: Engine(self.limits, **options)

    # --- coming ---

    async def _handle_connect(self, eio_sid: str, namespace: str | None, data: object) -> None:
        """Refuse in the way of all refusals what the library refuses in its own, or takes."""
        namespace = namespace or "/"
        error: StoreError | None = None
        if namespace != "/":
            error = NotFound(f"There is no namespace '{namespace[:64]}'.")
        elif self.manager.sid_from_eio_sid(eio_sid, namespace) is not None:
            error = BadRequest("The client is connected already.")
        elif not isinstance(data, dict | StoreError | None):
            error = BadRequest("auth is a JSON object.")
        if error is None:
            if eio_sid in self.environ:  # Else the client has gone behind what they had posted.
                await super()._handle_connect(eio_sid, namespace, data)
        elif (mailbox := self.eio.mailbox(eio_sid)) is not None:
            mailbox.write(connect_error(namespace, error.detail, error_data(error)))

    async def admit(self, sid: str, environ: dict[str, Any], auth: object) -> None:
        """Open a session for a client, who is told of it later, by `begin`.

        Raises:
            StoreError: it is refused.
        """
        scope: Scope = environ["asgi.scope"]
        if isinstance(auth, StoreError):
            raise auth
        handshake = check_body(Handshake, {} if auth is None else auth)
        if handshake.cursor is not None and not handshake.topics:
            raise BadRequest("A cursor goes with topics.")
        found = read_credentials(scope, read_headers(scope["headers"]))
        credentials = found._replace(
            token=handshake.token or found.token, tenant=handshake.tenant_id or found.tenant
        )
        admission = await self.sessions.store.admit(credentials)
        if admission.refusal is not None:
            raise admission.refusal
        eio_sid = self.manager.eio_sid_from_sid(sid, "/")
        mailbox = self.eio.mailbox(eio_sid)
        if mailbox is None:
            raise BadRequest("The client has gone.")
        session = self.sessions.open(credentials, admission.caller, rate=mailbox.rate)
        try:
            if handshake.topics:
                await session.follow(Subscribe(topics=handshake.topics, cursor=handshake.cursor))
        except BaseException:
            session.leave()
            raise
        scope.setdefault("state", {}).update(caller=session.caller.key, tenant=session.caller.tenant)
        self.clients[sid] = Connection(eio_sid, mailbox, session, self.sessions, self.limits, self.finish)
        self._leave_lobby(eio_sid)

    async def begin(self, sid: str) -> None:
        """Let the events of a client begin, unless it has gone meanwhile."""
        client = self.clients[sid]
        if self.eio.find(client.eio_sid) is None:
            await self.manager.disconnect(sid, "/")
            self.release(sid)
        else:
            await client.begin()

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        await super()._handle_eio_connect(eio_sid, environ)
        self._enter_lobby(eio_sid, environ)

    def _enter_lobby(self, eio_sid: str, environ: dict[str, Any]) -> None:
        address = address_of(environ["asgi.scope"])
        timer = asyncio.get_running_loop().call_later(self.limits.login_seconds, self.drop, eio_sid)
        self._lobby[eio_sid] = address, timer
        self.waiting[address] += 1

    def _leave_lobby(self, eio_sid: str) -> None:
        address, timer = self._lobby.pop(eio_sid, (None, None))
        if address is not None and timer is not None:
            timer.cancel()
            self.waiting[address] -= 1
            if not self.waiting[address]:
                del self.waiting[address]

    # --- events ---

    async def _handle_event(
        self, eio_sid: str, namespace: str | None, mark: int | None, event: list[Any]
    ) -> None:
        """Stands in for the library's way to its handlers, which does not tell them whether an answer is wanted."""
        client = self.clients.get(self.manager.sid_from_eio_sid(eio_sid, namespace or "/"))
        if client is not None:
            await client.take(event, mark)

    # --- going ---

    def drop(self, eio_sid: str) -> None:
        """Disconnect a client without a word."""
        self._undertake(self.eio.drop(eio_sid))

    def finish(self, eio_sid: str) -> None:
        """Disconnect a client after what was written to them."""
        self._undertake(self.eio.finish(eio_sid))

    def _undertake(self, chore: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(chore)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    def release(self, sid: str) -> None:
        """Leave nothing of a client that has left the namespace; its connection has a while to come back to it."""
        client = self.clients.pop(sid)
        client.release()
        environ = self.environ.get(client.eio_sid)
        if environ is not None and self.eio.find(client.eio_sid) is not None:
            self._enter_lobby(client.eio_sid, environ)

    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        socket = self.eio.sockets[eio_sid]
        await super()._handle_eio_disconnect(eio_sid, reason)
        self._leave_lobby(eio_sid)
        # Once the library has done with it.
        asyncio.get_running_loop().call_soon(self.eio.forget, socket)


class Namespace(socketio.AsyncNamespace):  # type: ignore[misc]
    """The default namespace: clients come and go here."""

    def __init__(self, server: Server) -> None:
        super().__init__("/")
        self._sessions = server

    async def trigger_event(self, event: str, *args: Any) -> None:
        """Called by the library for ``connect`` and ``disconnect``; all else goes to `Connection.take`."""
        if event == "disconnect":
            self._sessions.release(args[0])
            return
        try:
            await self._sessions.admit(*args)
        except StoreError as error:
            raise refusal(error) from None
        except Exception:  # The boundary: the client is told that it is not to blame.
            log.exception("a Socket.IO connection failed")
            raise refusal(Internal()) from None
