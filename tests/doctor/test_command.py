"""``flask shop doctor``: what it answers, that it writes nothing, what --fix repairs."""

import json
import os
from typing import Any

import pytest
from click.testing import Result as Run
from flask import Flask
from sqlalchemy import create_engine, text
from sqlalchemy.exc import InternalError

from shop import catalog, doctor
from shop.catalog.models import Product
from shop.core import db
from shop.core.db import session, transaction
from shop.core.errors import Unavailable
from shop.core.events import EventRecord
from shop.doctor.checks import Check
from shop.doctor.events import FaultMended
from shop.media import storage
from tests.doctor.healthy import Shop


def run(app: Flask, *arguments: str) -> Run:
    answer = app.test_cli_runner().invoke(args=["shop", "doctor", *arguments])
    db.session.remove()
    return answer


def change(*statements: str) -> None:
    """Past the operations, for good."""
    with transaction() as current:
        current.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in statements:
            current.execute(text(statement))


def test_healthy_shop_passes_all_checks(app: Flask, healthy: Shop) -> None:
    ran = run(app)

    assert ran.exit_code == 0
    total = len(doctor.CHECKS)
    assert f"{total} of {total} checks completed" in ran.output
    assert "0 failed" in ran.output


def test_stripe_option_adds_a_check(app: Flask, healthy: Shop) -> None:
    ran = run(app, "--stripe", "--json")

    assert ran.exit_code == 0
    assert json.loads(ran.output)["checks"][-1]["id"] == "stripe"


def test_failed_checks_say_why_and_what_to_do(app: Flask, own_shop: Shop) -> None:
    change("UPDATE product SET sold_count = sold_count + 5", 'UPDATE "order" SET item_count = 9')

    ran = run(app, "--most", "2")

    assert ran.exit_code == 1
    assert "FAULT  How often a product was sold is what its orders say (sold-count, I26): 3" in (
        ran.output
    )
    assert "… and 1 more" in ran.output
    assert "Why it matters: “Most popular” sorts by it." in ran.output
    assert "What to do: " in ran.output
    assert (
        f"{own_shop.order('paid').number}: it counts 9 units, its lines have 1"
        in run(app, "--most", "100").output
    )


def test_the_answer_for_programs_has_one_shape(app: Flask, own_shop: Shop) -> None:
    change("UPDATE product SET sold_count = sold_count + 5 WHERE sold_count > 0")

    ran = run(app, "--json", "--since", "30")

    assert ran.exit_code == 1
    answer = json.loads(ran.output)
    assert answer.keys() == {
        "well", "exit_code", "looked_at", "since", "seconds", "checks", "fixed",
    }  # fmt: skip
    assert (answer["well"], answer["exit_code"], answer["fixed"]) == (False, 1, [])
    assert [check["id"] for check in answer["checks"]] == [c.id for c in doctor.CHECKS]
    (broken,) = [check for check in answer["checks"] if check["count"]]
    assert broken.keys() == {
        "id", "invariant", "title", "why", "todo", "about", "count", "seconds", "failure", "faults",
    }  # fmt: skip
    assert broken["about"] == "product"
    assert broken["faults"][0].keys() == {"id", "name", "fact"}


def test_failed_check_does_not_stop_the_others(app: Flask, own_shop: Shop) -> None:
    change("ALTER TABLE refund_line RENAME TO elsewhere", "UPDATE product SET sold_count = 77")

    ran = run(app)

    assert ran.exit_code == 2
    assert 'Could not check: relation "refund_line" does not exist' in ran.output
    assert "(sold-count, I26)" in ran.output


def test_unreachable_database_is_reported(app: Flask, healthy: Shop) -> None:
    kept = db.engine()
    db.use(create_engine("postgresql+psycopg://nobody@127.0.0.1:1/nothing"))
    try:
        ran, for_programs = run(app), run(app, "--json")
        with pytest.raises(Unavailable):
            doctor.run_all()
    finally:
        db.use(kept)

    assert (ran.exit_code, for_programs.exit_code) == (2, 2)
    assert "The integrity checks could not run." in ran.output
    assert json.loads(for_programs.output)["well"] is False


@pytest.mark.parametrize(
    "arguments", [["--since", "-1"], ["--since", "soon"], ["--most", "0"], ["--mend"]]
)
def test_what_cannot_be_asked_is_refused(app: Flask, healthy: Shop, arguments: list[str]) -> None:
    assert run(app, *arguments).exit_code == 2


def test_older_orders_are_left_out_when_asked(app: Flask, own_shop: Shop) -> None:
    paid = own_shop.orders["paid"]
    change(
        f"UPDATE \"order\" SET placed_at = placed_at - interval '9 days', item_count = 9"
        f" WHERE id = {paid}"
    )

    assert run(app).exit_code == 1
    assert run(app, "--since", "10").exit_code == 1
    assert run(app, "--since", "8").exit_code == 0


def test_the_snapshot_refuses_to_be_written_to(healthy: Shop) -> None:
    refused = pytest.raises(InternalError, match="read-only transaction")
    with refused, doctor.snapshot() as connection:
        connection.execute(text("UPDATE product SET sold_count = 0"))

    writes = Check("writes", "", "It writes", "-", "-",
                   sql="WITH w AS (DELETE FROM task RETURNING id) SELECT id, '' AS name,"
                       " '' AS fact FROM w")  # fmt: skip
    assert doctor.run_all(checks=[writes]).exit_code == 2


def test_snapshot_excludes_later_commits(own_shop: Shop) -> None:
    with doctor.snapshot() as connection:
        counted = text("SELECT count(*) FROM review")
        before = connection.scalar(counted)
        change("DELETE FROM review")
        assert connection.scalar(counted) == before


def test_run_changes_nothing(app: Flask, healthy: Shop) -> None:
    def written() -> Any:
        """The number that the next transaction that writes will get."""
        return session.scalar(text("SELECT txid_snapshot_xmax(txid_current_snapshot())"))

    before = written()
    session.remove()
    run(app)
    assert written() == before


SPOILED = (
    "UPDATE \"order\" SET payment_status = 'refunded' WHERE id = {paid}",
    "UPDATE product SET sold_count = sold_count + 5, rating_sum = rating_sum + 2,"
    " rating_count = rating_count + 1, price_to_minor = price_to_minor + 1",
    "UPDATE stock_level SET may_go_below = true WHERE variant_id = {lamp}",
    "UPDATE discount SET used = 7",
    "UPDATE discount_code SET used = 8",
    "UPDATE discount_holder SET used = 9",
    "UPDATE media_file SET widths = widths || ',1280'",
)


def test_what_is_only_counted_is_counted_again(app: Flask, own_shop: Shop) -> None:
    names = {"paid": own_shop.orders["paid"], "lamp": own_shop.lamp.id}
    change(*(statement.format(**names) for statement in SPOILED))
    assert run(app).exit_code == 1

    ran = run(app, "--fix")

    assert "fixed  sold-count: Moss vase: repaired; it was: says" in ran.output
    own_shop.wait_until_idle()  # the image's sizes are made by a worker
    assert run(app).exit_code == 0
    assert own_shop.order("paid").payment_status == "paid"
    written: list[FaultMended] = []
    for row in session.query(EventRecord).filter_by(type="FaultMended").order_by("id"):
        assert isinstance(row.event, FaultMended)
        written.append(row.event)
    assert {one.check for one in written} == doctor.FIXABLE - {"stray-files"}
    about = next(one for one in written if one.check == "payment-status")
    assert about.order_id == own_shop.orders["paid"]
    assert about.was == "says refunded, the events say paid"


def test_what_needs_a_person_is_left(app: Flask, own_shop: Shop) -> None:
    change(
        "UPDATE stock_level SET on_hand = on_hand + 1",
        "UPDATE product SET sold_count = sold_count + 5",
        "UPDATE payment SET captured_minor = captured_minor + 1",
    )

    ran = run(app, "--fix", "--json")

    answer = json.loads(ran.output)
    assert ran.exit_code == 1
    assert {one["check"] for one in answer["fixed"]} == {"sold-count"}
    assert all(one["done"] for one in answer["fixed"])
    left = {check["id"] for check in answer["checks"] if check["count"]}
    assert left == {"stock-ledger", "captured"}


def test_repair_forbidden_by_constraint_is_reported(app: Flask, own_shop: Shop) -> None:
    change(
        "INSERT INTO redemption (order_id, discount_id, name, email, holders, amount_minor,"
        f" currency, redeemed_at) SELECT {own_shop.orders['paid']}, discount_id, name, email,"
        " '{}', 0, currency, now() FROM redemption",
        "UPDATE discount SET limit_total = 1",
    )

    ran = run(app, "--fix")

    assert ran.exit_code == 1
    assert "left   discount-uses: Welcome: could not be repaired" in ran.output


def test_files_without_an_image_are_removed(app: Flask, own_shop: Shop) -> None:
    folder = storage.current().root / "ab" / ("ab" + "c" * 24)  # type: ignore[attr-defined]
    folder.mkdir(parents=True)
    os.utime(folder, (1, 1))

    ran = run(app, "--fix")

    assert ran.exit_code == 0
    assert "fixed  stray-files: image folder: removed the files of 1 image" in ran.output
    assert not folder.exists()


def test_repair_gives_way_to_concurrent_sale(own_shop: Shop) -> None:
    """The product is locked before it is counted, so that no sale is lost."""
    change("UPDATE product SET sold_count = sold_count + 5")
    found = doctor.run_all()
    sold = next(v for v in found.faults if v.check.id == "sold-count")
    product_id = sold.faults[-1].id
    with db.engine().connect() as buyer, buyer.begin():
        buyer.execute(
            text("UPDATE product SET sold_count = sold_count + 1 WHERE id = :id"),
            {"id": product_id},
        )
        repairs = doctor.repair(found)  # lock_timeout passes in between
    refused = [one for one in repairs if not one.done]

    assert [one.sentence for one in refused] == [
        "could not be repaired: canceling statement due to lock timeout"
    ]
    with transaction():
        assert session.get_one(Product, product_id).sold_count > 0
    catalog.clear_cache()
