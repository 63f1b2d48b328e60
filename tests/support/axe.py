"""What axe-core finds wrong with a page, for people who cannot see or cannot use a mouse."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

# All of WCAG 2.2 A and AA, and axe's own good practice.
OPTIONS = {
    "resultTypes": ["violations"],
    "runOnly": [
        "wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice",
    ],
}  # fmt: skip


def violations(page: Page) -> list[str]:
    """One line for every place that breaks a rule; empty is good."""
    found = Axe().run(page, options=OPTIONS).response["violations"]
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
