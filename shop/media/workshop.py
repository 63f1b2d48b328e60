"""Foreign images are decoded in a process of its own, with narrow limits (see ``decoder``)."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

Job = dict[str, Any]
Answer = dict[str, Any]

PROGRAM = Path(__file__).with_name("decoder.py")
SECONDS_PER_JOB = 60
UNREADABLE: Answer = {"refused": "unreadable"}
# An image of 40 megapixels takes 600 MiB: uploads beyond these wait instead of swapping.
_benches = BoundedSemaphore(2)


def run(jobs: Sequence[Job], *, processes: int = 1) -> list[Answer]:
    """Do ``jobs`` in order, shared between ``processes``; a job that kills its process is refused.

    A job is ``{"do": "prepare", "source", "target"}`` or
    ``{"do": "render", "source", "folder", "widths"}``. An answer has ``refused`` (the reason:
    too_large with ``megapixels`` and ``most``, animated, unreadable) or the facts.
    """
    share = max(1, -(-len(jobs) // processes))
    parts = [jobs[start : start + share] for start in range(0, len(jobs), share)]
    with ThreadPoolExecutor(max_workers=max(1, len(parts))) as pool:
        return [answer for answers in pool.map(_run_in_one, parts) for answer in answers]


def _run_in_one(jobs: Sequence[Job]) -> list[Answer]:
    answers: list[Answer] = []
    while len(answers) < len(jobs):
        left = jobs[len(answers) :]
        with contextlib.suppress(subprocess.TimeoutExpired), _benches:
            finished = subprocess.run(
                [sys.executable, "-I", str(PROGRAM), str(SECONDS_PER_JOB * len(left))],
                input="\n".join(map(json.dumps, left)),
                capture_output=True,
                text=True,
                timeout=SECONDS_PER_JOB * len(left),
                check=False,
            )
            answers += [json.loads(line) for line in finished.stdout.splitlines()]
        if len(answers) < len(jobs):
            answers.append(UNREADABLE)
    return answers
