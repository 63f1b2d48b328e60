"""The browser of the browser tests."""

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def executable() -> str | None:
    """The system's Chromium, SHOP_CHROMIUM first; None means Playwright's own."""
    return os.environ.get("SHOP_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
