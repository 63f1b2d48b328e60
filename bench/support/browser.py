"""A visitor with cookies: over HTTP, or straight into the application to count its statements."""

import http.client
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Protocol
from urllib.parse import urlencode, urlsplit

from flask import Flask
from werkzeug.test import TestResponse


@dataclass(frozen=True)
class Answer:
    """What came back, and how long it took."""

    status: int
    location: str
    text: str
    ms: float

    def field(self, name: str) -> str:
        """The value of a hidden or chosen input."""
        found = re.search(rf'name="{re.escape(name)}"[^>]*?value="([^"]*)"', self.text)
        if found is None:
            raise AssertionError(f"no field {name} in a page with status {self.status}")
        return found[1]


class Visitor(Protocol):
    """What a flow through the shop needs."""

    def get(self, path: str) -> Answer:
        """Ask for a page."""

    def post(self, path: str, form: dict[str, str], *, by_script: bool = False) -> Answer:
        """Send a form; ``by_script`` as the shop's own scripts do."""


@dataclass
class Browser:
    """A visitor over HTTP on one kept connection."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def get(self, path: str) -> Answer:
        return self._ask("GET", path, None, {})

    def post(self, path: str, form: dict[str, str], *, by_script: bool = False) -> Answer:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if by_script:
            headers["X-Requested-With"] = "fetch"
        return self._ask("POST", path, urlencode(form), headers)

    def close(self) -> None:
        """Leave."""
        self._connection.close()

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Answer:
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        began = time.perf_counter()
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        content = response.read()
        ms = (time.perf_counter() - began) * 1000
        for line in response.headers.get_all("Set-Cookie") or ():
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
        location = response.headers.get("Location") or ""
        return Answer(response.status, local(location), content.decode(), ms)


class InProcess:
    """A visitor that calls the application in this process."""

    def __init__(self, app: Flask) -> None:
        self._client = app.test_client()

    def get(self, path: str) -> Answer:
        return self._answer(time.perf_counter(), self._client.get(path))

    def post(self, path: str, form: dict[str, str], *, by_script: bool = False) -> Answer:
        headers = {"X-Requested-With": "fetch"} if by_script else {}
        began = time.perf_counter()
        return self._answer(began, self._client.post(path, data=form, headers=headers))

    def _answer(self, began: float, response: TestResponse) -> Answer:
        ms = (time.perf_counter() - began) * 1000
        text = ""
        with suppress(UnicodeDecodeError):
            text = response.get_data(as_text=True)
        headers = response.headers
        location = local(headers.get("Location") or "")
        return Answer(response.status_code, location, text, ms)


def local(address: str) -> str:
    """Path and query of an address of the shop."""
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
