"""The processes without Flask: ``python -m shop worker`` and ``python -m shop relay``."""

import argparse
import sys
from functools import lru_cache

from shop import edges, reactions
from shop.cli import relay, worker
from shop.config import Settings, read_or_end
from shop.core import preflight
from shop.realtime import broadcasts


def main() -> int:
    """Run a process until it is asked to stop. Returns the exit code: 2 for bad settings."""
    parser = argparse.ArgumentParser(prog="python -m shop", description=__doc__)
    programs = parser.add_subparsers(dest="program", required=True)
    workers = programs.add_parser("worker", help="run reactions: emails, images, payments")
    workers.add_argument("--processes", type=int, default=2, help="how many (default: 2)")
    programs.add_parser("relay", help="dispatch events, and do what is due by the clock")
    chosen = parser.parse_args()
    settings = read_or_end(2)
    if settings.is_production:
        preflight.end_if_unsafe(settings.database_url, settings.redis_url, 2)
    edges.configure(settings, name=chosen.program, pool_size=4)
    if chosen.program == "worker":
        worker.run(chosen.processes)
    else:
        relay.run(reactions.REACTIONS, broadcasts.messages)
    return 0


@lru_cache(maxsize=1)
def _prepare() -> None:
    edges.configure(Settings.from_env(), name="worker", pool_size=2)


def run_deliveries(run_ids: list[int]) -> None:
    """The one RQ job: run each of these reactions if it is still due. Jobs in Redis name it so."""
    _prepare()
    for run_id in run_ids:
        reactions.run(run_id)


if __name__ == "__main__":
    sys.exit(main())
