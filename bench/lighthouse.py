"""Lighthouse on home, a listing and a product of a running shop: medians of several runs, mobile.

    bench/lighthouse.py http://127.0.0.1:8000

Needs node 18.20 or newer with npm, and Chromium. Lighthouse itself is installed into a temporary
folder that is removed at the end, unless --folder names one to keep.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support import chromium

VERSION = "12.8"
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
METRICS = {
    "first-contentful-paint": ("FCP ms", 1),
    "largest-contentful-paint": ("LCP ms", 1),
    "total-blocking-time": ("TBT ms", 1),
    "speed-index": ("SI ms", 1),
    "cumulative-layout-shift": ("CLS", 1000),  # thousandths are kept as whole numbers
    "total-byte-weight": ("KB", 1 / 1024),
}
CHROME_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)


def main() -> int:
    """Run, print one table. Exit code 1 if a median category is below the aim."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("base_url")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--aim", type=int, default=95, help="least score of each category")
    parser.add_argument("--folder", type=Path, help="keep Lighthouse and its reports here")
    asked = parser.parse_args()
    base = asked.base_url.rstrip("/")
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        install(folder)
        pages = {"home": "/", "listing": "/products", "product": first_product(base)}
        medians = {
            name: median([run(folder, base + path, f"{name}-{n}") for n in range(asked.runs)])
            for name, path in pages.items()
        }
    print(f"Lighthouse {VERSION}, mobile, median of {asked.runs}\n")
    heads = [*CATEGORIES, *(label for label, _ in METRICS.values())]
    print("| page | " + " | ".join(heads) + " |")
    print("|---|" + "---:|" * len(heads))
    for name, row in medians.items():
        print(f"| {name} | " + " | ".join(f"{row[head]:g}" for head in heads) + " |")
    worst = min(row[category] for row in medians.values() for category in CATEGORIES)
    return 0 if worst >= asked.aim else 1


def install(folder: Path) -> None:
    """Lighthouse into ``folder``, unless it is there."""
    if (folder / "node_modules/lighthouse").is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text("{}")
    subprocess.run(
        ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", f"lighthouse@{VERSION}"],
        cwd=folder, env=os.environ | {"PUPPETEER_SKIP_DOWNLOAD": "1"},
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def first_product(base: str) -> str:
    """The path of the first product that the shop shows."""
    with urllib.request.urlopen(f"{base}/products", timeout=60) as page:
        found = re.search(r'href="(/products/[a-z0-9-]+)"', page.read().decode())
    if not found:
        raise SystemExit(f"{base}/products shows no product: load the demo first.")
    return found[1]


def run(folder: Path, url: str, name: str) -> dict[str, float]:
    """One run in a fresh profile. Returns scores from 0 to 100 and the metrics."""
    report = folder / f"{name}.json"
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                "node_modules/.bin/lighthouse", url, "--quiet", "--output=json",
                f"--output-path={report}", f"--only-categories={','.join(CATEGORIES)}",
                f"--chrome-flags={CHROME_FLAGS} --user-data-dir={profile}",
            ],
            cwd=folder, env=os.environ | {"CHROME_PATH": chromium.executable() or ""}, check=True,
        )  # fmt: skip
    found: dict[str, Any] = json.loads(report.read_text())
    scores = {name: round(found["categories"][name]["score"] * 100) for name in CATEGORIES}
    for category in CATEGORIES:
        for ref in found["categories"][category]["auditRefs"]:
            audit = found["audits"][ref["id"]]
            if ref["weight"] and audit["score"] is not None and audit["score"] < 0.9:
                print(f"{name}: {category}: {audit['title']}", file=sys.stderr)
    values = {
        label: round(found["audits"][key]["numericValue"] * factor) / (1000 if factor > 1 else 1)
        for key, (label, factor) in METRICS.items()
    }
    return scores | values


def median(runs: list[dict[str, float]]) -> dict[str, float]:
    """The middle value of each column."""
    return {key: statistics.median(one[key] for one in runs) for key in runs[0]}


if __name__ == "__main__":
    sys.exit(main())
