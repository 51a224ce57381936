"""Pages from templates/: plain HTML that works without scripts, and a policy that lets in nothing else."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from core.kernel.caller import Role, Scope
from core.kernel.describing import texts_of
from protocols.http.headers import Header
from protocols.http.response import Response

STYLE_PATH = "/v1/oauth/style.css"
_TEMPLATES = Path(__file__).with_name("templates")
_HTML = b"text/html; charset=utf-8"
_ORIGIN = re.compile(r"https?://[a-z0-9.:-]+")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:")

_COMMON: tuple[Header, ...] = (
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(
    template: str,
    values: Mapping[str, object],
    *,
    status: int = 200,
    headers: tuple[Header, ...] = (),
    leads_to: str | None = None,
) -> Response:
    """A page. ``leads_to``: the URI that the answer to its form may redirect to, which browsers count as the form's."""
    text = _environment().get_template(template).render(values)
    return Response(status, text.encode(), _HTML, (*_COMMON, _policy(leads_to), *headers))


def style() -> Response:
    """The pages' style sheet."""
    return Response(200, _style(), b"text/css; charset=utf-8", _COMMON, b"public, max-age=3600")


@cache
def _style() -> bytes:
    return (_TEMPLATES / "style.css").read_bytes()


def _policy(leads_to: str | None) -> Header:
    targets = "'self'"
    if leads_to is not None:
        # A policy cannot name an IPv6 address, nor a URI of an application's own further than by its scheme.
        found = _ORIGIN.match(leads_to) or _SCHEME.match(leads_to)
        assert found is not None
        targets += f" {found[0]}"
    policy = f"default-src 'none'; style-src 'self'; form-action {targets}; frame-ancestors 'none'; base-uri 'none'"
    return b"content-security-policy", policy.encode()


#: What scopes mean for who is not STAFF, where it is less than for STAFF.
_OWN = {
    Scope.READ_ORDERS: "Read your orders, receipts and adoption applications.",
    Scope.WRITE_ORDERS: "Place, pay, change and cancel your orders; apply for pets.",
    Scope.READ_USER: "Read your account.",
    Scope.WRITE_USER: "Change your profile, but nothing that you log in with; delete your account.",
    Scope.CHAT_WRITE: "Take part in your support chats.",
}


def in_words(scope: Scope, role: Role) -> str:
    """What a scope means to a user who is asked for it."""
    words = texts_of(Scope)[scope.name]
    return words if role is Role.STAFF else _OWN.get(scope, words)
