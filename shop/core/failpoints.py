"""Places where a test lets a process die as by ``kill -9``: just before and just after a step.

A process that comes by a place whose name lies as a file in the folder ``SHOP_FAILPOINTS`` takes
that file away and kills itself: once, whichever process comes first. Without the setting, which
production refuses, a place costs one comparison.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Every step that may be cut in two; a name that is not here is a mistake and raises.
STEPS = frozenset({
    # commits
    "place-order", "open-payment", "attach-intent", "sync-payment", "store-message",
    "apply-message", "change-order", "change-key", "apply-refund", "apply-dispute",
    "apply-capture", "apply-void", "close-attempt", "refuse-object",
    "expire-order", "mark-mail", "seal-audit", "dispatch-events", "claim-run",
    "finish-run", "enqueue-overdue", "store-image", "finish-image",
    # calls to Stripe
    "create-intent", "fetch-intent", "cancel-intent", "capture-intent", "create-refund",
    "fetch-refund", "fetch-dispute", "fetch-warning", "fetch-review",
    "fetch-payout", "fetch-page",
    # the rest of the world
    "publish", "enqueue", "send-mail", "write-image",
})  # fmt: skip
PLACES = tuple(f"{side}-{step}" for step in sorted(STEPS) for side in ("before", "after"))

_folder: Path | None = None


def configure(folder: Path | None) -> None:
    """Look into ``folder`` at every place from now on; None switches all of them off."""
    global _folder
    _folder = folder


def before(step: str) -> None:
    """The step has not begun, or its commit was not sent. Raises ``LookupError`` for a typo."""
    if _folder is not None:
        _die_if_asked(_folder, "before", step)


def after(step: str) -> None:
    """The step is done, and nobody knows yet. Raises ``LookupError`` for a typo."""
    if _folder is not None:
        _die_if_asked(_folder, "after", step)


@contextmanager
def around(step: str) -> Iterator[None]:
    """Both places of a step that is a block; ``after`` is not reached when it raises."""
    before(step)
    yield
    after(step)


def _die_if_asked(folder: Path, side: str, step: str) -> None:
    if step not in STEPS:
        raise LookupError(f"no step is called {step}")
    with suppress(FileNotFoundError):
        (folder / f"{side}-{step}").unlink()  # of several processes, one succeeds
        os.kill(os.getpid(), signal.SIGKILL)
