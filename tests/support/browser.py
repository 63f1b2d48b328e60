"""A real browser for journeys: people in windows of their own, who note every complaint."""

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    ViewportSize,
    WebError,
    WebSocket,
    sync_playwright,
)
from playwright.sync_api import expect as expect

from tests.support import chromium

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 30_000  # for what takes as long as the machine is busy
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
SMALLEST: ViewportSize = {"width": 320, "height": 640}

# What the browser itself says of a page that answers 4xx, and of a page that is left early.
EXPECTED = re.compile(
    r"Failed to load resource: the server responded with a status of 4\d\d"
    r"|WebSocket is closed before the connection is established"
    r"|Transition was aborted"
)

# Colours that are still on their way are not what people see.
IDLE = """async () => {
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const endless = (one) => one.effect?.getComputedTiming().endTime === Infinity;
    const ending = document.getAnimations().filter((one) => !endless(one));
    await Promise.all(ending.map((one) => one.finished.catch(() => null)));
}"""


@contextmanager
def chrome() -> Iterator[Browser]:
    """One headless Chromium."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium.executable(), args=FLAGS)
        try:
            yield launched
        finally:
            launched.close()


class Visitor:
    """Somebody with a browser window of their own: cookies, a page, and what went wrong in it."""

    def __init__(self, browser: Browser, base_url: str, name: str, **options: Any) -> None:
        self.name = name
        self.complaints: list[str] = []
        self.context: BrowserContext = browser.new_context(
            base_url=base_url, **{"viewport": DESKTOP, "locale": "en-IE", **options}
        )
        self.context.set_default_timeout(PATIENCE_MS)
        self.context.on("console", self._hear)
        self.context.on("weberror", self._fail)
        self.page: Page = self.context.new_page()
        self._has_scripts = options.get("java_script_enabled", True)
        self._topics: set[str] = set()
        self.page.on("websocket", self._listen)

    def goto(self, path: str) -> Page:
        """Open a page of the shop."""
        self.page.goto(path)
        return self.page

    def wait_until_following(self, topic: str) -> None:
        """Wait until the page has a socket that follows a topic of this beginning."""
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not any(one.startswith(topic) for one in self._topics):
            assert time.monotonic() < deadline, f"{self.name} follows {self._topics}, not {topic}"
            self.page.wait_for_timeout(50)

    def mark(self) -> None:
        """Leave a mark that only a reload wipes out."""
        self.page.evaluate("window.__mark = true")

    def assert_not_reloaded(self) -> None:
        """The page is still the one that was marked."""
        assert self.page.evaluate("window.__mark") is True, f"{self.name}'s page was reloaded"

    def wait_until_idle(self) -> None:
        """Wait until nothing moves or fades any more."""
        self.page.evaluate(IDLE)

    def snap(self, name: str) -> None:
        """Keep an image of the page if ``SHOP_PICTURES`` names a folder for them."""
        if folder := os.environ.get("SHOP_PICTURES"):
            if self._has_scripts:
                self.wait_until_idle()
            self.page.screenshot(path=Path(folder, f"{name}.png"), full_page=True)

    def _listen(self, socket: WebSocket) -> None:
        self._topics.clear()
        socket.on("framereceived", self._note)

    def _note(self, frame: bytes | str) -> None:
        message = json.loads(frame)
        if message.get("op") == "subscribed":
            self._topics.add(message["topic"])

    def _fail(self, error: WebError) -> None:
        if not EXPECTED.search(str(error.error)):
            self.complaints.append(str(error.error))

    def _hear(self, message: ConsoleMessage) -> None:
        # What has no address was run by the test itself: axe tries things that pages may not do.
        is_theirs = bool(message.location["url"]) and not EXPECTED.search(message.text)
        if message.type in {"error", "warning"} and is_theirs:
            where = self.page.url if message.page == self.page else "another page"
            self.complaints.append(f"{where}: {message.text}")


def enter_card(page: Page, number: str = "4242424242424242") -> None:
    """Type a card into the payment form."""
    card = page.frame_locator("[data-fields] iframe")
    card.get_by_label("Card number").fill(number)
    card.get_by_label("Expiry").fill("12 / 34")
    card.get_by_label("CVC").fill("123")


def sideways(page: Page) -> int:
    """By how many pixels the page is wider than its window, at once, with its own fonts."""
    return page.evaluate(
        """async () => {
            const loading = [...document.fonts].filter((one) => one.status === "loading");
            await Promise.all(loading.map((one) => one.loaded));
            return document.documentElement.scrollWidth - window.innerWidth;
        }"""
    )
