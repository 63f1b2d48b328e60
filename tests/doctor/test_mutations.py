"""Each check is broken in turn, past the operations and the guards; the doctor names exactly it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from sqlalchemy import Connection, text

from shop import doctor
from shop.core import clock, db
from shop.doctor.checks import EVER, CheckResult, Scope
from shop.media import storage
from tests.doctor.healthy import Shop


@dataclass(frozen=True)
class Spoiled:
    """How to break a check by SQL; ``without`` are guards that would not let it happen.

    ``also`` are the other checks that this breaks, because they say the same in another way.
    """

    check: str
    sql: str
    without: tuple[str, ...] = ()
    also: frozenset[str] = field(default_factory=frozenset)
    name: str = ""


def spoil(check: str, sql: str, *also: str, without: str = "", name: str = "") -> Spoiled:
    guards = tuple(without.split())
    more = {*also, "guards"} if guards else set(also)
    return Spoiled(check, sql, guards, frozenset(more), name or check)


def without(table: str, guard: str) -> str:
    if guard == "uq_order_live_in_chain":  # of some rows only, so an index
        return f"DROP INDEX {guard}"
    return f'ALTER TABLE "{table}" DROP CONSTRAINT {guard}'


# Triggers and foreign keys are off while these run; CHECKs and UNIQUEs are dropped by name.
MUTATIONS = (
    spoil("stock-ledger", "UPDATE stock_level SET on_hand = on_hand + 1 WHERE variant_id = {vase}"),
    spoil("stock-ledger", "UPDATE stock_movement SET on_hand_delta = on_hand_delta - 1,"
          " on_hand_after = on_hand_after - 1 WHERE id = (SELECT max(id) FROM stock_movement"
          " WHERE variant_id = {mug})", name="stock-ledger: an entry was changed"),
    spoil("stock-chain", "UPDATE stock_movement SET on_hand_after = on_hand_after + 1"
          " WHERE id = (SELECT min(id) FROM stock_movement WHERE variant_id = {vase})"),
    spoil("stock-bounds", "UPDATE stock_level SET on_hand = -1 WHERE variant_id = {lamp}",
          "stock-ledger",
          without="stock_level.ck_stock_level_on_hand stock_level.ck_stock_level_available"),
    spoil("stock-holds", "UPDATE stock_level SET reserved = reserved + 1 WHERE variant_id = {vase}",
          "stock-ledger"),
    spoil("hold-overdue", "UPDATE \"order\" SET expires_at = now() - interval '1 hour'"
          " WHERE id = {pending}"),
    spoil("stock-ends", "UPDATE stock_movement SET order_id = {shipped}"
          " WHERE order_id = {paid} AND kind = 'commit'"),
    spoil("restocked", "UPDATE stock_movement SET order_id = {paid} WHERE kind = 'restock'"),
    spoil("oversold", "UPDATE stock_movement SET on_hand_delta = 1, on_hand_after = 1"
          " WHERE variant_id = {vase} AND kind = 'receive'", "stock-ledger", "stock-chain"),
    spoil("backorder-switch", "UPDATE variant SET backorder_allowed = true WHERE id = {lamp}"),
    spoil("captured", "UPDATE payment SET captured_minor = captured_minor + 1"
          " WHERE order_id = {paid}"),
    spoil("refunding", "UPDATE payment SET refunding_minor = refunding_minor + 1"
          " WHERE order_id = {paid}"),
    spoil("refunds-within", "UPDATE refund SET amount_minor = 9999999 WHERE payment_id ="
          " (SELECT id FROM payment WHERE order_id = {sent_back})", "refunding", "refund-events"),
    spoil("payment-amount", "UPDATE payment SET amount_minor = amount_minor + 1"
          " WHERE order_id = {paid}"),
    spoil("payment-state", "UPDATE payment SET status = 'cancelled' WHERE order_id = {paid}"),
    spoil("payment-state", "UPDATE payment SET status = 'started', capturable_minor = 0"
          " WHERE order_id = {authorised}", "paid-in-full", name="payment-state: held money"),
    spoil("paid-in-full", "UPDATE \"order\" SET status = 'confirmed' WHERE id = {pending}",
          "stock-holds", "stock-ends", "order-path", "sold-count"),
    spoil("orphan-money", "UPDATE refund SET status = 'failed', source = 'external'"
          " WHERE payment_id = (SELECT id FROM payment WHERE order_id = {cancelled_paid});"
          " UPDATE payment SET refunding_minor = 0 WHERE order_id = {cancelled_paid};"
          " UPDATE \"order\" SET paid_at = NULL WHERE id = {cancelled_paid}",
          "refund-events", "line-refunded"),
    spoil("orphan-money", "UPDATE task SET kind = 'capture_soon' WHERE kind = 'amount_differs'",
          "amount-differs-task", name="orphan-money: somebody was asked about something else"),
    spoil("orphan-money", "UPDATE payment SET capture = 'manual' WHERE order_id = {paid};"
          " INSERT INTO event (id, order_id, type, payload, occurred_at, actor_kind, actor_name,"
          " request_id) OVERRIDING SYSTEM VALUE SELECT 0, order_id, 'LinesCancelled',"
          " jsonb_build_object('lines', jsonb_build_array(jsonb_build_object('line_id', id,"
          " 'quantity', 1))), now(), 'customer', '', '' FROM order_line WHERE order_id = {paid};"
          " DELETE FROM event_pending WHERE event_id = 0", "payment-status",
          name="orphan-money: of what was cancelled before it was taken"),
    spoil("amount-differs-task", "DELETE FROM task WHERE kind = 'amount_differs'", "orphan-money"),
    spoil("refund-failed-task", "DELETE FROM task WHERE kind = 'refund_failed'"),
    spoil("dispute-task", "DELETE FROM task WHERE kind = 'dispute'"),
    spoil("dispute-task", "UPDATE payment_event SET dispute_id = NULL"
          " WHERE kind = 'dispute_withdrawn'", name="dispute-task: money of no dispute"),
    spoil("withdrawn", "UPDATE payment SET withdrawn_minor = withdrawn_minor + 1"
          " WHERE order_id = {disputed}"),
    spoil("withdrawn", "UPDATE payment_event SET kind = 'dispute_reinstated'"
          " WHERE kind = 'dispute_withdrawn'", "orphan-money",
          name="withdrawn: its money came back"),
    spoil("payment-status", "UPDATE \"order\" SET payment_status = 'refunded' WHERE id = {paid}"),
    spoil("line-refunded", "UPDATE order_line SET refunded = 2 WHERE order_id = {sent_back}",
          "sale-entries"),
    spoil("sale-entries", "UPDATE sale_entry SET units = units + 1 WHERE order_id = {paid}"),
    spoil("refund-parts", "UPDATE refund_line SET amount_minor = 99999"),
    spoil("refund-parts", "UPDATE refund SET shipping_minor = amount_minor"
          " WHERE payment_id = (SELECT id FROM payment WHERE order_id = {sent_back})",
          name="refund-parts: delivery"),
    spoil("refund-events", "DELETE FROM payment_event WHERE kind = 'refunded'"
          " AND payment_id = (SELECT id FROM payment WHERE order_id = {sent_back})",
          "payment-status"),
    spoil("refund-stuck", "UPDATE refund SET status = 'sent', requested_at = now() - interval"
          " '15 days' WHERE payment_id = (SELECT id FROM payment WHERE order_id = {sent_back})",
          "refund-events"),
    spoil("open-at-stripe", "UPDATE payment SET status = 'started' WHERE order_id = {expired};"
          " UPDATE \"order\" SET closed_at = now() - interval '11 minutes' WHERE id = {expired}"),
    spoil("capture-before", "UPDATE payment SET capture_before = now() - interval '2 hours'"
          " WHERE order_id = {authorised}"),
    spoil("order-lines", "DELETE FROM order_line WHERE order_id = {cancelled_unpaid}"),
    spoil("order-lines", "UPDATE order_line SET tax_minor = tax_minor + 1 WHERE order_id = {paid};"
          " UPDATE \"order\" SET tax_minor = tax_minor + 1 WHERE id = {paid}",
          name="order-lines: tax"),
    spoil("order-lines", "UPDATE order_line SET total_minor = total_minor - 1"
          " WHERE order_id = {paid}", without="order_line.ck_order_line_total",
          name="order-lines: total"),
    spoil("order-total", "UPDATE \"order\" SET total_minor = total_minor - 1"
          " WHERE id = {cancelled_unpaid}", "payment-amount", without="order.ck_order_total"),
    spoil("order-total", "UPDATE \"order\" SET tax_minor = tax_minor + 1 WHERE id = {paid}",
          name="order-total: tax"),
    spoil("order-path", "UPDATE event SET type = 'OrderNoted' WHERE type = 'OrderPaid'"
          " AND order_id = {paid}"),
    spoil("order-path", "DELETE FROM event WHERE order_id = {expired}",
          name="order-path: no history"),
    spoil("order-path", "UPDATE event SET occurred_at = occurred_at - interval '1 day'"
          " WHERE type = 'OrderPaid' AND order_id = {paid}", name="order-path: times"),
    spoil("order-path", "UPDATE event SET type = 'OrderExpired' WHERE type = 'OrderPaid'"
          " AND order_id = {captured_later}", name="order-path: a step that is not allowed"),
    spoil("order-numbers", "UPDATE \"order\" SET number = 'EO-99999' WHERE id = {paid}"),
    spoil("order-numbers", "UPDATE \"order\" SET number = 'EO-10001'",
          without="order.uq_order_number", name="order-numbers: twice the same"),
    spoil("one-open-order", "UPDATE \"order\" o SET cart_id = p.cart_id, status = 'pending',"
          " expires_at = p.expires_at FROM \"order\" p"
          " WHERE p.id = {pending} AND o.id = {cancelled_unpaid}",
          "stock-holds", "stock-ends", "order-path"),
    spoil("one-open-order", "UPDATE \"order\" o SET chain_id = p.chain_id FROM \"order\" p"
          " WHERE p.id = {pending} AND o.id = {paid}", without="order.uq_order_live_in_chain",
          name="one-open-order: two live orders of a chain"),
    spoil("parcels", "UPDATE fulfilment_line SET quantity = quantity + 1 WHERE fulfilment_id ="
          " (SELECT id FROM fulfilment WHERE order_id = {shipped})"),
    spoil("fulfilment-status", "UPDATE \"order\" SET fulfilment_status = 'delivered'"
          " WHERE id = {shipped}"),
    spoil("discount-uses", "UPDATE discount SET used = 0"),
    spoil("discount-uses", "UPDATE discount_code SET used = used + 1", name="discount-uses: code"),
    spoil("discount-uses", "DELETE FROM discount_holder", name="discount-uses: customers"),
    spoil("discount-uses", "UPDATE discount SET limit_total = 1; INSERT INTO redemption (order_id,"
          " discount_id, name, email, holders, amount_minor, currency, redeemed_at)"
          " SELECT {paid}, discount_id, name, email, '{{}}', 0, currency, now() FROM redemption;"
          " UPDATE discount SET used = 2", without="discount.ck_discount_used",
          name="discount-uses: over the limit"),
    spoil("discount-held", "UPDATE redemption SET released_at = now();"
          " UPDATE discount SET used = 0; UPDATE discount_code SET used = 0;"
          " UPDATE discount_holder SET used = 0"),
    spoil("discount-amounts", "UPDATE redemption SET amount_minor = amount_minor + 1"),
    spoil("webhooks", "UPDATE webhook_delivery SET applied_at = NULL,"
          " received_at = now() - interval '20 minutes'"),
    spoil("events-waiting", "INSERT INTO event_pending SELECT id FROM event WHERE occurred_at"
          " < now() - interval '1 hour' AND type = 'OrderExpired' LIMIT 1;"
          " INSERT INTO event (type, payload, occurred_at, actor_kind, actor_name, request_id)"
          " VALUES ('ReviewAdded', '{{}}', now() - interval '2 minutes', 'system', 'x', '');"
          " INSERT INTO event_pending SELECT max(id) FROM event"),
    spoil("jobs-waiting", "UPDATE delivery SET state = 'due', due_at = now() - interval '1 hour'"
          " WHERE id = (SELECT min(id) FROM delivery)"),
    spoil("jobs-dead", "UPDATE delivery SET state = 'dead' WHERE id ="
          " (SELECT min(id) FROM delivery)"),
    spoil("receipts", "DELETE FROM mail_message WHERE key = 'receipt:' || {paid}"),
    spoil("parcel-mails", "DELETE FROM mail_message WHERE kind = 'shipped'"),
    spoil("mails", "UPDATE mail_message SET state = 'failed', created_at = now() - interval '1 day'"
          " WHERE key = 'receipt:' || {paid}"),
    spoil("idempotency", "UPDATE idempotency_key SET body = NULL"),
    spoil("sign-ins", "UPDATE sign_in SET expires_at = started_at + interval '13 hours'"
          " WHERE audience = 'staff'"),
    spoil("sold-count", "UPDATE product SET sold_count = sold_count + 1"
          " WHERE id = (SELECT product_id FROM variant WHERE id = {vase})"),
    spoil("ratings", "UPDATE product SET rating_sum = rating_sum - 1"
          " WHERE id = (SELECT product_id FROM variant WHERE id = {mug})"),
    spoil("price-span", "UPDATE variant SET price_minor = price_minor - 1 WHERE id = {lamp}"),
    spoil("category-paths", "UPDATE category SET path = 'elsewhere/cups' WHERE slug = 'cups'"),
    spoil("picture-files", "UPDATE media_file SET widths = widths || ',1280'"),
    spoil("picture-files", "INSERT INTO media_file (key, sha256, width, height, size_bytes, colour,"
          " created_at) VALUES ('nothing', '', 1, 1, 1, '', now())",
          name="picture-files: no original"),
    spoil("guards", "ALTER TABLE \"order\" DROP CONSTRAINT ck_order_amounts"),
    spoil("guards", "ALTER TABLE \"order\" DROP CONSTRAINT ck_order_total; ALTER TABLE \"order\""
          " ADD CONSTRAINT ck_order_total CHECK (true)", name="guards: another meaning"),
    spoil("guards", "ALTER TABLE redemption DROP CONSTRAINT fk_redemption_order_id; ALTER TABLE"
          " redemption ADD CONSTRAINT fk_redemption_order_id FOREIGN KEY (order_id) REFERENCES"
          " \"order\" (id) NOT VALID", name="guards: not validated"),
    spoil("guards", "ALTER TABLE stock_movement DISABLE TRIGGER stock_movement_insert_only",
          name="guards: trigger switched off"),
    spoil("guards", "ALTER TABLE payment_event DISABLE TRIGGER ALL",
          name="guards: all triggers off"),
    spoil("guards", "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql"
          " AS 'BEGIN RETURN NEW;END'", name="guards: a function that refuses nothing"),
    spoil("guards", "DROP TRIGGER refund_counted ON refund", name="guards: trigger gone"),
    spoil("guards", "DROP INDEX uq_cart_customer_open", name="guards: unique index gone"),
    spoil("guards", "ALTER TABLE \"order\" ALTER email DROP NOT NULL", name="guards: may be empty"),
)  # fmt: skip
# Seen outside the database, with tests of their own below; of the audit, in tests/audit.
ELSEWHERE = {"stray-files", "stripe", "stripe-balance"} | {
    "audit-entries", "audit-seals", "audit-waiting",
}  # fmt: skip


@pytest.fixture
def scratch(healthy: Shop) -> Iterator[Connection]:
    """A transaction in which nothing is guarded, and which is rolled back."""
    db.session.remove()
    with db.engine().connect() as connection, connection.begin() as transaction:
        yield connection
        transaction.rollback()


def broken(connection: Connection) -> dict[str, CheckResult]:
    results = doctor.run_checks(connection, Scope(clock.now(), EVER))
    assert [one.failure for one in results if one.failure] == []
    return {result.check.id: result for result in results if result.count}


def test_shop_with_orders_in_every_state_is_well(healthy: Shop) -> None:
    result = doctor.run_all(with_stripe=True)

    assert {one.check.id: one.faults for one in result.faults} == {}
    assert result.failures == ()
    assert result.exit_code == 0
    statuses = {healthy.order(name).status for name in healthy.orders}
    assert statuses == {"pending", "confirmed", "completed", "cancelled", "expired"}
    paid = {healthy.order(name).payment_status for name in healthy.orders}
    assert paid >= {"unpaid", "authorised", "paid", "partly_refunded", "refunded", "disputed"}


@pytest.mark.parametrize("spoiled", MUTATIONS, ids=lambda spoiled: spoiled.name)
def test_what_is_broken_is_named(healthy: Shop, scratch: Connection, spoiled: Spoiled) -> None:
    names = {name.replace(" ", "_"): order_id for name, order_id in healthy.orders.items()}
    goods = {"mug": healthy.mug.id, "lamp": healthy.lamp.id, "vase": healthy.vase.id}
    for guard in spoiled.without:
        table, constraint = guard.split(".")
        scratch.execute(text(without(table, constraint)))
    scratch.execute(text("SET LOCAL session_replication_role = replica"))
    for statement in spoiled.sql.format(**names, **goods).split("; "):
        scratch.execute(text(statement.replace(":", "\\:")))

    found = broken(scratch)

    assert found.keys() == {spoiled.check, *spoiled.also}
    assert found[spoiled.check].faults[0].name
    assert found[spoiled.check].faults[0].fact


def test_files_that_nobody_names_are_found(healthy: Shop, scratch: Connection) -> None:
    folder = storage.current().root / "ab" / ("ab" + "c" * 24)  # type: ignore[attr-defined]
    folder.mkdir(parents=True)
    os.utime(folder, (1, 1))
    try:
        assert broken(scratch).keys() == {"stray-files"}
    finally:
        folder.rmdir()


def test_image_without_its_files_is_found(healthy: Shop, scratch: Connection) -> None:
    root = storage.current().root  # type: ignore[attr-defined]
    original = next(root.glob("??/*/original.webp"))
    original.rename(root / "kept")
    try:
        assert broken(scratch).keys() == {"picture-files"}
    finally:
        (root / "kept").rename(original)


def test_payment_known_only_to_stripe_is_found(healthy: Shop) -> None:
    at_stripe = healthy.stripe.intents
    name, intent = next(iter(at_stripe.items()))
    try:
        del at_stripe[name]
        result = doctor.run_all(with_stripe=True)
    finally:
        at_stripe[name] = intent

    assert [one.check.id for one in result.faults] == ["stripe"]
    assert name in result.faults[0].faults[0].name
    assert result.exit_code == 1


BOOKS = {
    "a dispute took less": "UPDATE payment_event SET amount_minor = amount_minor - 1"
    " WHERE kind = 'dispute_withdrawn'",
    "a fee is forgotten": "UPDATE payment_event SET amount_minor = 0 WHERE kind = 'fee'",
    "a refund is counted twice": "INSERT INTO payment_event (payment_id, kind, amount_minor,"
    " currency, reference, at, occurred_at) SELECT payment_id, kind, amount_minor, currency, 'x',"
    " at, occurred_at FROM payment_event WHERE kind = 'refunded' LIMIT 1",
}


@pytest.mark.parametrize("spoiled", BOOKS.values(), ids=BOOKS)
def test_books_that_are_not_stripes_are_named(own_shop: Shop, spoiled: str) -> None:
    assert doctor.run_all(with_stripe=True).faults == ()
    with db.engine().begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text(spoiled))

    found = {result.check.id: result for result in doctor.run_all(with_stripe=True).faults}

    assert found["stripe-balance"].count == 1
    assert "stripe" not in found


def test_every_check_has_a_mutation() -> None:
    ids = [check.id for check in (*doctor.CHECKS, doctor.STRIPE, doctor.BALANCE)]
    assert len(ids) == len(set(ids))
    assert {spoiled.check for spoiled in MUTATIONS} | ELSEWHERE == set(ids)
    for check in (*doctor.CHECKS, doctor.STRIPE, doctor.BALANCE):
        assert check.title and check.why and check.todo, check.id
