"""The Postgres and the Valkey that a test run has to itself."""

import os
from dataclasses import dataclass
from functools import cache

from tools.scratch import Scratch


@dataclass(frozen=True)
class Servers:
    """Where the test run's servers are."""

    postgres_url: str
    redis_url: str


@cache
def start() -> Servers:
    """Start both once per process; they end with it.

    TEST_DATABASE_URL and TEST_REDIS_URL name servers of your own instead; the database is then used
    as it is, and what it holds may be deleted.
    """
    given = os.environ.get("TEST_DATABASE_URL"), os.environ.get("TEST_REDIS_URL")
    if given[0] and given[1]:
        return Servers(given[0], given[1])
    scratch = Scratch()
    scratch.start()
    return Servers(given[0] or scratch.database_url, given[1] or scratch.redis_url)
