"""What commands that talk to a server share: its address, headers, and error messages."""

import httpx

from gateway.server.listening import ListenAddress
from gateway.settings import PREFIX, load_settings
from gateway.startup_errors import BadSettings


def server_url(given: str | None) -> str:
    """The server's URL: the one given, else where the settings let a server on this machine listen.

    Raises:
        BadSettings: the settings name no port.
    """
    if given is not None:
        return given
    settings = load_settings()
    if settings.port == 0:
        raise BadSettings(f"{PREFIX}PORT=0 is any free port: name the server with --url")
    return ListenAddress(settings.host, settings.port, settings.tls_certificate is not None).url()


def headers_for(token: str | None, tenant: str | None) -> dict[str, str]:
    """The headers that carry the token and the tenant."""
    headers: dict[str, str] = {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if tenant:
        headers["X-Tenant-ID"] = tenant
    return headers


def complaint(answer: httpx.Response) -> str:
    """A server's error response, in one line."""
    try:
        problem = answer.json()
        return f"{problem['title']}: {problem['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"{answer.request.url.copy_with(query=None)} answered {answer.status_code}"
