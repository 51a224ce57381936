"""Whoever sits at a browser while a device waits: opens the page, logs in, and decides."""

import re
from html import unescape
from types import TracebackType
from typing import Self

import httpx

from tests.http_clients import TLS
from tests.waiting import TIMEOUT_SECONDS


class Person:
    """A browser without a screen: cookies, and the form of the page that it is at."""

    def __init__(self, page: str) -> None:
        self._client = httpx.Client(verify=TLS, timeout=TIMEOUT_SECONDS, follow_redirects=True)
        self.answer = self._client.get(page)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._client.close()

    @property
    def text(self) -> str:
        """What the page says, without its markup."""
        return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", self.answer.text)))

    def submit(self, action: str, **fields: str) -> httpx.Response:
        """Press a button of the form; given fields take the place of the page's own."""
        form = re.search(r'<form method="post" action="([^"]+)">(.*?)</form>', self.answer.text, re.DOTALL)
        assert form is not None, self.text
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form[2]))
        data = {name: unescape(value) for name, value in hidden.items()} | {"action": action} | fields
        self.answer = self._client.post(self.answer.url.join(unescape(form[1])), data=data)
        return self.answer

    def log_in(self, username: str = "demo", password: str = "demo-password") -> None:
        """Log in."""
        self.submit("login", username=username, password=password)


def allow(page: str, username: str = "demo", password: str = "demo-password") -> None:
    """Log in at the page of a device's code, and allow it."""
    with Person(page) as person:
        person.log_in(username, password)
        assert person.submit("allow").status_code == 200, person.text
        assert "Done" in person.text
