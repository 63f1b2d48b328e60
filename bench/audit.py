"""What the audit costs: a write with and without its entry, and pages over many entries.

    python -m bench.audit --entries 1000000

Writes are measured in this process on a database that writes every commit to the disk, with the
trigger of the table on and off, in turns. Entries are then made up in bulk, sealed, looked at
through the admin's pages, and checked by the doctor.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

from flask.testing import FlaskClient
from flask_appbuilder.security.sqla.models import User
from sqlalchemy import select, text

from bench.support.stack import scratch_shop, table
from shop import audit, catalog, checkout
from shop.admin.security import SESSION_KEY
from shop.config import Settings
from shop.core import actor, clock, db, sessions
from shop.core.db import session, transaction
from shop.doctor.audit import CHECKS
from shop.doctor.checks import Scope, find_faults
from shop.factory import create_app

STAFF = actor.Actor("staff", 1, "Bench")
WRITES, BULK, TURNS = 200, 10_000, 3
# Entries about 1,000 products by 20 people over a year, a tenth of them about orders.
_MADE_UP = """
INSERT INTO audit_entry (at, action, record_type, record_id, label, parent_type, parent_id,
    changes, fields, actor_kind, actor_id, actor_name, source, address, request_id)
SELECT now() - (:entries - n) * interval '30 seconds', 'update',
    CASE WHEN n % 10 = 0 THEN 'order' WHEN n % 3 = 0 THEN 'variant' ELSE 'product' END,
    (n % 1000 + 1)::text, 'Record ' || n % 1000, CASE WHEN n % 3 = 0 THEN 'product' ELSE '' END,
    CASE WHEN n % 3 = 0 THEN (n % 1000 + 1)::text ELSE '' END,
    jsonb_build_object('name', jsonb_build_array('Was ' || n, 'Is ' || n)),
    CASE WHEN n % 5000 = 0 THEN '{name,slug}'::text[] ELSE '{name}' END,
    'staff', n % 20 + 1, 'Person ' || n % 20, 'admin', '192.0.2.1', to_hex(n)
FROM generate_series(1, :entries) AS n
"""


def writes() -> list[tuple[str, str, str, str]]:
    """Milliseconds of a change of one product, and of 10,000 variants, without and with entries."""
    with actor.acting_as(STAFF):
        with transaction():
            product = catalog.create_product("Bench mug")
            catalog.add_variant(product, sku="BENCH-0", price_minor=1_000)
        with transaction():
            session.execute(
                text(
                    "INSERT INTO variant"
                    " (product_id, sku, combination, title, price_minor, position)"
                    " SELECT product_id, 'BENCH-' || n, 'bench ' || n, title, price_minor, n"
                    f" FROM variant, generate_series(1, {BULK - 1}) AS n WHERE sku = 'BENCH-0'"
                )
            )
        found: dict[str, dict[bool, list[float]]] = {}
        for turn in range(TURNS * 2):
            is_on = turn % 2 == 1
            _switch(is_on)
            for name, work in (("one product", _change_one), ("10,000 variants", _change_many)):
                found.setdefault(name, {}).setdefault(is_on, []).append(work(product.id))
        _switch(True)
    return [
        (
            name,
            f"{min(by[False]):.2f}",
            f"{min(by[True]):.2f}",
            f"{min(by[True]) - min(by[False]):.2f}",
        )
        for name, by in found.items()
    ]


def _switch(is_on: bool) -> None:
    word = "ENABLE" if is_on else "DISABLE"
    with transaction():
        for name in ("product", "variant"):
            session.execute(text(f"ALTER TABLE {name} {word} TRIGGER audit_capture"))


def _change_one(product_id: int) -> float:
    times = []
    for number in range(WRITES):
        began = time.perf_counter()
        with transaction():
            session.execute(
                text("UPDATE product SET tagline = :words WHERE id = :id"),
                {"words": f"Number {number} at {began}", "id": product_id},
            )
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def _change_many(product_id: int) -> float:
    began = time.perf_counter()
    with transaction():
        session.execute(text("SET LOCAL statement_timeout = 0"))
        session.execute(
            text("UPDATE variant SET price_minor = price_minor + 1 WHERE product_id = :id"),
            {"id": product_id},
        )
    return (time.perf_counter() - began) * 1000


def fill(entries: int) -> tuple[float, float]:
    """Make entries up and seal them. Returns seconds for each."""
    began = time.perf_counter()
    with transaction():
        session.execute(text("SET LOCAL statement_timeout = 0"))
        session.execute(text(_MADE_UP), {"entries": entries})
    made = time.perf_counter()
    while audit.seal():
        pass
    sealed = time.perf_counter()
    with db.engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("VACUUM ANALYZE audit_entry"))
    return made - began, sealed - made


def pages(client: FlaskClient) -> list[tuple[str, str, str]]:
    """Median and slowest of twenty requests of each page, in milliseconds."""
    middle = session.scalar(select(audit.AuditEntry.id).order_by(audit.AuditEntry.id).offset(1000))
    db.end_read()
    asked = {
        "all, newest first": "/admin/audit/list/",
        "of one person": "/admin/audit/list/?person=1",
        "of one kind of record": "/admin/audit/list/?record_type=order",
        "of one record": "/admin/audit/list/?record_type=product&record_id=8",
        "a rare field": "/admin/audit/list/?field=slug",
        "an action that is rare": "/admin/audit/list/?action=sign_in",
        "one month": "/admin/audit/list/?at.from=2026-03-01&at.to=2026-03-31",
        "one entry": f"/admin/audit/show/{middle}",
        "history of a product": "/admin/products/history/1",
        "its older entries": "/admin/products/history/1?below=100000",
    }
    return [(name, *_timed(partial(client.get, path))) for name, path in asked.items()]


def _timed(ask: Callable[[], object]) -> tuple[str, str]:
    times = []
    for _ in range(22):
        began = time.perf_counter()
        answer = ask()
        if getattr(answer, "status_code", 0) != 200:
            raise AssertionError(answer)
        times.append((time.perf_counter() - began) * 1000)
    times = sorted(times[2:])
    return f"{statistics.median(times):.0f}", f"{times[-1]:.0f}"


def check() -> tuple[float, int]:
    """Seconds that the doctor's checks of the chain take, and how many faults they find."""
    began = time.perf_counter()
    with db.engine().connect() as connection:
        connection.execute(text("SET statement_timeout = 0"))
        faults = sum(find_faults(connection, one, Scope(clock.now()))[0] for one in CHECKS)
    return time.perf_counter() - began, faults


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=100_000)
    chosen = parser.parse_args()
    with scratch_shop() as environment:
        app = create_app(Settings.from_env(environment | {"BASE_URL": "http://localhost"}))
        with transaction():
            checkout.install_defaults()
        app.extensions["staff"].install()
        app.extensions["staff"].create_owner("owner@example.com", "a quiet kiln of clay")
        print(table(("change of", "without, ms", "with an entry, ms", "more"), writes()))
        made, sealed = fill(chosen.entries)
        print(f"\n{chosen.entries:,} entries made up in {made:.0f} s, sealed in {sealed:.0f} s.\n")
        client = app.test_client()
        owner = session.scalars(select(User.id).limit(1)).one()
        with transaction():
            token = sessions.start("staff", owner)
        with client.session_transaction() as cookie:
            cookie[SESSION_KEY] = token
        print(table(("page", "p50 ms", "slowest of 20, ms"), pages(client)))
        took, faults = check()
        print(f"\nThe doctor checks the chain in {took:.1f} s: {faults} faults.")


if __name__ == "__main__":
    main()
