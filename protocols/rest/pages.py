"""Documents for people and tools: what the doors are like, as JSON and YAML, and Swagger UI to try REST out."""

import asyncio
import hashlib
import importlib.util
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import yaml
from pydantic_core import to_json

from core.kernel.caller import Caller
from protocols.http.exchange import Exchange
from protocols.http.json_body import JSON
from protocols.http.response import Response
from protocols.rest.wire import entity_tags

_UI = "/v1/swagger-ui"
#: Where Swagger UI has the authorization server lead browsers back to, unless it is told otherwise.
_REDIRECT = "/v1/oauth2-redirect.html"
_ASSETS = {
    "swagger-ui.css": b"text/css; charset=utf-8",
    "swagger-ui-bundle.js": b"text/javascript; charset=utf-8",
    "favicon-32x32.png": b"image/png",
}
_PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Petstore Gateway: REST API</title>
<link rel="stylesheet" href="swagger-ui/swagger-ui.css">
<link rel="icon" type="image/png" href="swagger-ui/favicon-32x32.png">
</head>
<body>
<nav aria-label="Documents">
<a href="swagger-ui.html">REST</a> &middot; <a href="swagger-ui.html?classic">Classic Petstore</a>
</nav>
<div id="swagger-ui"></div>
<script src="swagger-ui/swagger-ui-bundle.js"></script>
<script src="swagger-ui/start.js"></script>
</body>
</html>
"""
_START = b"""const classic = location.search === "?classic";
if (classic) document.title = "Petstore Gateway: Classic Petstore API";
document.querySelectorAll("nav a")[classic ? 1 : 0].setAttribute("aria-current", "page");
// An event stream has no end, for which Swagger UI would wait: it is shown what comes in the first seconds.
const SHOWN_MS = 3000;
async function beginning(url, options) {
  const stop = new AbortController();
  const response = await fetch(url, { ...options, signal: stop.signal });
  if (!response.headers.get("content-type")?.startsWith("text/event-stream")) return response;
  setTimeout(() => stop.abort(), SHOWN_MS);
  let text = "";
  try {
    for await (const part of response.body.pipeThrough(new TextDecoderStream())) text += part;
  } catch {
    text += ": The stream goes on: this is what came in " + SHOWN_MS / 1000 + " s. curl -N shows all of it.";
  }
  return new Response(text, { status: response.status, headers: response.headers });
}
const ui = SwaggerUIBundle({
  url: classic ? "/api/v3/openapi.json" : "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  filter: true,
  persistAuthorization: true,
  requestInterceptor: (request) =>
    new URL(request.url, location.href).pathname.endsWith("/v1/events")
      ? Object.assign(request, { userFetch: beginning })
      : request,
  tryItOutEnabled: true,
  validatorUrl: null,
});
ui.initOAuth({ clientId: classic ? "" : "%b", usePkceWithAuthorizationCodeGrant: true });
"""
#: What Swagger UI brings for this has its script in the page, which our policy does not let in.
_REDIRECT_PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Petstore Gateway: authorized</title>
</head>
<body>
<script src="swagger-ui/oauth2-redirect.js"></script>
</body>
</html>
"""
_REDIRECT_SCRIPT = b"""const { state, auth, redirectUrl, callback, errCb } = window.opener.swaggerUIRedirectOauth2;
const given = Object.fromEntries(new URLSearchParams((location.hash || location.search).slice(1)));
const isValid = given.state === state;
if (auth.schema.get("flow") === "implicit") {
  callback({ auth, token: given, isValid, redirectUrl });
} else if (isValid && given.code) {
  callback({ auth: { ...auth, code: given.code }, redirectUrl });
} else {
  const message = isValid ? `[${given.error}] ${given.error_description}` : "This is not the answer to what was asked.";
  errCb({ authId: auth.name, source: "auth", level: "error", message });
}
window.close();
"""
#: Swagger UI writes styles into its elements; scripts come only from the gateway, and nothing from elsewhere.
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def dump_yaml(document: dict[str, Any]) -> str:
    """A document as YAML, in the order it has."""
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110)


class _Plain(yaml.SafeDumper):
    """Writes every value out: other tools stumble over YAML's references."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


# Text that YAML 1.2 (section 10.3.2) takes for a number is written in quotes; PyYAML knows the numbers of 1.1.
_Plain.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^(0o[0-7]+|0x[0-9a-fA-F]+|[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?)$"),
    list("-+.0123456789"),
)


class Pages:
    """Serves the documents ``/v1/{name}.json`` and ``.yaml``, each made when somebody first asks for it.

    ``oauth_client`` is the one that Swagger UI offers.
    """

    cost: ClassVar[int] = 0
    tenant_in_query = False

    def __init__(
        self, documents: Mapping[str, Callable[[], dict[str, Any]]], *, oauth_client: str = ""
    ) -> None:
        self._content: dict[str, tuple[Callable[[], bytes], bytes]] = {
            "/v1/swagger-ui.html": (lambda: _PAGE, b"text/html; charset=utf-8"),
            f"{_UI}/start.js": (
                lambda: _START % oauth_client.encode(),
                b"text/javascript; charset=utf-8",
            ),
            _REDIRECT: (lambda: _REDIRECT_PAGE, b"text/html; charset=utf-8"),
            f"{_UI}/oauth2-redirect.js": (lambda: _REDIRECT_SCRIPT, b"text/javascript; charset=utf-8"),
        }
        for name, make in documents.items():
            self._content[f"/v1/{name}.json"] = (partial(_as_json, make), JSON)
            self._content[f"/v1/{name}.yaml"] = (partial(_as_yaml, make), b"application/yaml")
        for name, media_type in _ASSETS.items():
            self._content[f"{_UI}/{name}"] = ((_swagger_ui() / name).read_bytes, media_type)
        self._made: dict[str, tuple[bytes, str]] = {}
        #: One at a time: many may ask for one before it is made, and the makers share what they write on.
        self._making = asyncio.Lock()

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the documents are."""
        return tuple(self._content)

    async def __call__(self, caller: Caller, exchange: Exchange, values: list[str]) -> Response:  # noqa: ARG002 - for everybody
        """Give one document."""
        path = exchange.path
        content, media_type = self._content[path]
        if path not in self._made:
            async with self._making:
                if path not in self._made:
                    self._made[path] = await asyncio.to_thread(_with_tag, content)
        body, tag = self._made[path]
        headers = ((b"etag", f'"{tag}"'.encode()), (b"content-security-policy", _POLICY))
        known = entity_tags(exchange.headers.get(b"if-none-match", b""), weak=True)
        if tag in known:
            return Response(304, headers=headers, cache=b"no-cache")
        return Response(200, body, media_type, headers, b"no-cache")


def _with_tag(content: Callable[[], bytes]) -> tuple[bytes, str]:
    body = content()
    return body, hashlib.blake2b(body, digest_size=12).hexdigest()


def _as_json(make: Callable[[], dict[str, Any]]) -> bytes:
    return to_json(make())


def _as_yaml(make: Callable[[], dict[str, Any]]) -> bytes:
    return dump_yaml(make()).encode()


def _swagger_ui() -> Path:
    """Where the installed package keeps its files; it is not imported, for its code needs FastAPI."""
    spec = importlib.util.find_spec("fastapi_swagger")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "resources"
