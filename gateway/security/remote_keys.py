"""The public keys of another issuer: fetched beside the requests, and kept while it is away."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx
import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from core.kernel.errors import Unavailable
from gateway.security.keys import PublicKey, algorithm_of
from gateway.security.trusted_issuer import TrustedIssuer, is_safe

#: How often the keys are fetched while all is well.
REFRESH_SECONDS = 300.0
#: A token with a name of a key that is not among them has them fetched again, but no more often than this.
_ASK_AGAIN_SECONDS = 30.0
#: How long such a token waits for that; and how long fetching may take in all.
_WAIT_SECONDS = 2.0
_FETCH_SECONDS = 5.0
_MAX_DOCUMENT_BYTES = 256 * 1024
_MAX_KEYS = 100
#: Checking a signature by a longer key takes long.
_MAX_RSA_BITS = 8192
#: None of them is symmetric.
_KEY_TYPES = ("RSA", "EC", "OKP")
#: The public members of a key (RFC 7518, section 6; RFC 8037, section 2).
_PUBLIC_MEMBERS = ("kty", "crv", "n", "e", "x", "y")


class FetchFailed(Exception):
    """The keys cannot be fetched; the text says why, in one line."""


class RemoteKey(NamedTuple):
    """A public key and its algorithm."""

    public: PublicKey
    algorithm: str


class RemoteKeys:
    """The keys of one issuer."""

    def __init__(self, trusted: TrustedIssuer, client: httpx.AsyncClient) -> None:
        self._trusted = trusted
        self._client = client
        #: None until they were fetched for the first time.
        self._keys: Mapping[str | None, RemoteKey] | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._asked_at = float("-inf")

    async def find(self, kid: str | None) -> RemoteKey | None:
        """The key of a name; without a name the only one there is.

        Raises:
            Unavailable: no keys have been fetched so far.
        """
        key = self._known(kid)
        running = self._fetching is not None and not self._fetching.done()
        if key is None and (running or _now() - self._asked_at >= _ASK_AGAIN_SECONDS):
            with contextlib.suppress(FetchFailed, TimeoutError):
                async with asyncio.timeout(_WAIT_SECONDS):
                    await self.refresh()
            key = self._known(kid)
        if key is None and self._keys is None:
            raise Unavailable("The keys of the token's issuer cannot be read at present.", retry_after=5)
        return key

    async def refresh(self) -> None:
        """Fetch the keys, or wait for whoever is fetching them. What is there is kept when that fails.

        Raises:
            FetchFailed: it failed.
        """
        if self._fetching is None or self._fetching.done():
            self._asked_at = _now()
            self._fetching = asyncio.create_task(self._fetch())
            self._fetching.add_done_callback(_look_at)
        # Whoever stops waiting leaves it to the others.
        await asyncio.shield(self._fetching)

    @property
    def names(self) -> list[str]:
        """The names of the keys there are."""
        return sorted(name for name in self._keys or {} if name is not None)

    def _known(self, kid: str | None) -> RemoteKey | None:
        return None if self._keys is None else self._keys.get(kid)

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                url = self._trusted.jwks_url or await self._discover()
                self._keys = _read_keys(await self._get(url))
        except TimeoutError:
            raise FetchFailed(f"{self._trusted.issuer} took longer than {_FETCH_SECONDS:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise FetchFailed(f"{self._trusted.issuer}: {str(error) or type(error).__name__}") from None

    async def _discover(self) -> str:
        """Where the keys are (OpenID Connect Discovery 1.0, section 4)."""
        issuer = self._trusted.issuer
        metadata = await self._get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if metadata.get("issuer") != issuer:
            raise ValueError("its metadata are those of another issuer")
        url = metadata.get("jwks_uri")
        if not isinstance(url, str) or not is_safe(url):
            raise ValueError("its metadata name no https:// address of keys")
        return url

    async def _get(self, url: str) -> Mapping[str, Any]:
        """A JSON object, as it is sent: a compressed one might be a thousand times as large."""
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        async with self._client.stream("GET", url, headers=headers) as answer:
            if answer.status_code != 200:
                raise ValueError(f"{url} answered {answer.status_code}")
            body = bytearray()
            async for chunk in answer.aiter_raw():
                body += chunk
                if len(body) > _MAX_DOCUMENT_BYTES:
                    raise ValueError(f"{url} answered with more than {_MAX_DOCUMENT_BYTES} bytes")
        document = orjson.loads(bytes(body))
        if not isinstance(document, dict):
            raise ValueError(f"{url} answered with no JSON object")
        return document


def issuer_client() -> httpx.AsyncClient:
    """What keys are fetched with: it follows nobody elsewhere."""
    return httpx.AsyncClient(follow_redirects=False, timeout=_FETCH_SECONDS)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _look_at(task: "asyncio.Task[None]") -> None:
    """Nobody may be waiting for it any longer."""
    if not task.cancelled():
        task.exception()


def _read_keys(document: Mapping[str, Any]) -> Mapping[str | None, RemoteKey]:
    """The keys that can sign access tokens, of those in a set (RFC 7517, section 5); others are passed over."""
    listed = document.get("keys")
    if not isinstance(listed, list):
        raise ValueError("its key set has no list of keys")
    if len(listed) > _MAX_KEYS:
        raise ValueError(f"its key set has more than {_MAX_KEYS} keys")
    named: dict[str | None, RemoteKey] = {}
    found = []
    for jwk in listed:
        key = _read_key(jwk)
        if key is None:
            continue
        found.append(key)
        kid = jwk.get("kid")
        if isinstance(kid, str):
            named.setdefault(kid, key)
    if len(found) == 1:
        named[None] = found[0]
    return named


def _read_key(jwk: object) -> RemoteKey | None:
    if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig" or jwk.get("kty") not in _KEY_TYPES:
        return None
    try:
        # Only what is public, so that no private key is ever taken for one.
        public = jwt.PyJWK({name: jwk[name] for name in _PUBLIC_MEMBERS if name in jwk}).key
        algorithm = algorithm_of(public)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    if isinstance(public, RSAPublicKey) and public.key_size > _MAX_RSA_BITS:
        return None
    return RemoteKey(public, algorithm) if jwk.get("alg", algorithm) == algorithm else None
