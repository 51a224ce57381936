"""What the commands share that talk to a server: headers, and faults in words."""

import httpx


def headers_for(token: str | None, tenant: str | None) -> dict[str, str]:
    """The headers that say who asks, and in which tenant."""
    headers: dict[str, str] = {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if tenant:
        headers["X-Tenant-ID"] = tenant
    return headers


def complaint(answer: httpx.Response) -> str:
    """What a server refused, in one line."""
    try:
        problem = answer.json()
        return f"{problem['title']}: {problem['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"{answer.request.url.copy_with(query=None)} answered {answer.status_code}"
