"""The advisor door as an ASGI application."""

from collections.abc import Sequence

from starlette.types import Receive, Scope, Send

from core.kernel.errors import Closed, NotFound
from core.kernel.validation import check_body
from core.live.sessions import Sessions
from core.models.advisor import AdvisorModel, CompletionDraft
from core.services.advisor.completions import COMPLETE_CHAT, LIST_MODELS, STREAM_CHAT, prepare
from core.store.store import Call
from protocols.advisor.errors import refusal_of, tell
from protocols.advisor.stream import serve_stream
from protocols.advisor.wire import completion_body, known_members, model_body, models_body
from protocols.http.attendance import attended
from protocols.http.cors import Cors
from protocols.http.exchange import Exchange
from protocols.http.json_body import JSON, read_json
from protocols.http.query import read_query
from protocols.http.response import Response

COMPLETIONS = "/v1/chat/completions"
MODELS = "/v1/models"
MODEL = f"{MODELS}/{{model}}"


class AdvisorDoor:
    """Completions, whole or as a stream, and the models. ``origins``: whose web pages may ask."""

    paths = (COMPLETIONS, MODELS)
    #: What begins the paths of single models.
    prefix = f"{MODELS}/"

    def __init__(self, sessions: Sessions, *, origins: Sequence[str] = ()) -> None:
        self._sessions = sessions
        self._store = sessions.store
        self._cors = Cors(origins)
        self._created = int(self._store.clock().timestamp())
        prepare()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request for one of the paths."""
        exchange = Exchange(scope, receive, send, self._cors)
        if exchange.path != COMPLETIONS:
            await exchange.run(self._models, methods=("GET", "HEAD", "OPTIONS"), tell=tell, store=self._store)
        else:
            await exchange.run(self._complete, methods=("POST", "OPTIONS"), tell=tell, store=self._store)

    async def _models(self, exchange: Exchange) -> Response:
        if exchange.path != MODELS:
            exchange.state["route"] = MODEL
        caller = await exchange.admit(self._store)
        read_query(exchange.scope["query_string"], {})
        outcome = await self._store.execute(caller, Call(LIST_MODELS, request_id=exchange.request_id))
        if exchange.path == MODELS:
            return Response(200, models_body(outcome.value, self._created), JSON)
        name = exchange.path.removeprefix(self.prefix)
        try:
            return Response(200, model_body(AdvisorModel(name), self._created), JSON)
        except ValueError:
            raise NotFound(f"There is no model '{name[:64]}'.") from None

    async def _complete(self, exchange: Exchange) -> Response | None:
        caller = await exchange.admit(self._store)
        # The store asks again; this spares reading a megabyte for somebody who may not send it.
        self._store.authorise(COMPLETE_CHAT, caller)
        read_query(exchange.scope["query_string"], {})
        limit = self._store.limits.body_bytes
        body = known_members(await read_json(exchange, limit, required=True))
        draft = check_body(CompletionDraft, body)
        operation = STREAM_CHAT if draft.stream else COMPLETE_CHAT
        call = Call(operation, body=draft, request_id=exchange.request_id)
        assert exchange.credentials is not None
        session = self._sessions.open(exchange.credentials, caller)
        try:
            async with attended(exchange, session) as attendance:
                outcome = await attendance.during(self._store.execute(caller, call))
                if not draft.stream:
                    return Response(201, completion_body(outcome.value), JSON)
                async with outcome.value as stream:
                    await serve_stream(
                        exchange, attendance, stream, include_usage=draft.stream_options.include_usage
                    )
        except Closed as ended:
            raise refusal_of(ended.close) from None
        finally:
            session.leave()
        return None
