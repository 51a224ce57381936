"""What commands that talk to a server share: headers, and error messages."""

import httpx


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
