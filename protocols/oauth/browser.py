"""A browser at the pages: its cookie, and the token that shows that a form is one of ours."""

import hmac
from typing import NamedTuple

from core.services.oauth import pages
from core.store.store import Store
from protocols.http.exchange import Exchange
from protocols.http.headers import Header

_PATH = "/v1/oauth"
_MAX_COOKIE_CHARACTERS = 200


class Browser(NamedTuple):
    """``cookie`` is what it holds; ``is_new``: it has yet to be given it. ``secure``: the gateway is found under https.

    The cookie is sent to the pages only, is for no script, and comes with no form of another site (RFC 6265bis, Lax).
    """

    cookie: str
    is_new: bool
    secure: bool

    @classmethod
    def of(cls, exchange: Exchange, store: Store) -> "Browser":
        """The browser of a request; one without a cookie gets one."""
        secure = store.public_url.startswith("https:")
        name = _name(secure=secure)
        for part in exchange.headers.get(b"cookie", b"").decode("latin-1").split(";"):
            found, _, value = part.strip().partition("=")
            if found == name and 0 < len(value) <= _MAX_COOKIE_CHARACTERS:
                return cls(value, is_new=False, secure=secure)
        return cls(pages.new_cookie(), is_new=True, secure=secure)

    def now_with(self, cookie: str) -> "Browser":
        """The browser with another cookie."""
        return self._replace(cookie=cookie, is_new=True)

    @property
    def headers(self) -> tuple[Header, ...]:
        """What gives it its cookie, where it has none."""
        if not self.is_new:
            return ()
        seconds = int(pages.PAGE_LIFE.total_seconds())
        text = f"{_name(secure=self.secure)}={self.cookie}; Path={_PATH}; Max-Age={seconds}; HttpOnly; SameSite=Lax"
        return ((b"set-cookie", (text + ("; Secure" if self.secure else "")).encode("latin-1")),)

    def form_token(self, store: Store, about: str) -> str:
        """What a form about something carries."""
        return pages.form_token(store, self.cookie, about)

    def sent(self, store: Store, about: str, token: str) -> bool:
        """Whether a form about something comes from a page that this browser was given."""
        good = self.form_token(store, about)
        return not self.is_new and hmac.compare_digest(good.encode(), token.encode("utf-8", "surrogatepass"))


def _name(*, secure: bool) -> str:
    return "__Secure-petstore-pages" if secure else "petstore-pages"
