"""What axe-core finds wrong with a page, for people who cannot see or cannot use a mouse."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # has no types
from playwright.sync_api import Page

# All of WCAG 2.2 A and AA, and axe's own good practice.
OPTIONS = {
    "resultTypes": ["violations"],
    "runOnly": [
        "wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice",
    ],
}  # fmt: skip


def violations(page: Page) -> list[str]:
    """One line for every place that breaks a rule; empty is good.

    The window is as high as the page meanwhile: a bar that stays at its edge covers whatever is
    scrolled under it just then, which is not a fault of what lies there.
    """
    window = page.viewport_size
    assert window is not None
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({**window, "height": max(height, window["height"])})
    try:
        found = Axe().run(page, options=OPTIONS).response["violations"]
    finally:
        page.set_viewport_size(window)
    return [
        f"{rule['id']} ({rule['impact']}): {' '.join(map(str, node['target']))}: {_why(node, rule)}"
        for rule in found
        for node in rule["nodes"]
    ]


def _why(node: dict[str, Any], rule: dict[str, Any]) -> str:
    for checks in (node["any"], node["all"], node["none"]):
        if checks:
            return str(checks[0]["message"])
    return str(rule["help"])
