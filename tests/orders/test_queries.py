"""Reading orders: the timeline, and what the desk finds."""

from sqlalchemy import select, text

from shop import orders
from shop.core.db import session, transaction
from tests import cast as people
from tests.cast import Cast

LITERAL = {"literal_binds": True}
INDEXES = {
    "to_pack": "ix_order_to_pack",
    "processing": "ix_order_processing",
    "closed": "ix_order_closed",
    "shipped": "ix_order_fulfilment_status",
}


def test_the_timeline_tells_the_story_in_order(cast: Cast) -> None:
    order = cast.paid_order
    with transaction():
        orders.start_processing(orders.lock(order.id))
    with transaction():
        orders.ship(orders.lock(order.id))

    told = [entry.type for entry in orders.timeline(order.id)]

    assert told == ["OrderPlaced", "OrderPaid", "OrderProcessing", "OrderShipped"]


def test_order_list_finds_number_email_and_name(cast: Cast) -> None:
    order = cast.paid_order

    for q in (order.number, "ada@example", "lovelace ada"):
        found = orders.desk(orders.OrderFilters(q=q))
        assert [row.number for row in found.rows] == [order.number]
    assert orders.desk(orders.OrderFilters(q="%")).total == 0


def test_order_list_finds_sku_tracking_number_and_postal_code(cast: Cast) -> None:
    order, other = cast.paid_order, people.order(cast.lamp)
    with transaction():
        orders.ship(orders.lock(order.id), tracking_number="JJD-0140-77")

    for q in ("tidal-mug", "jjd-0140", "10117 JJD-0140-77"):
        found = orders.desk(orders.OrderFilters(q=q))
        assert [row.number for row in found.rows] == [order.number], q
    postal = orders.desk(orders.OrderFilters(q="10117"))
    assert {row.number for row in postal.rows} == {order.number, other.number}


def test_tabs_of_open_orders_share_none(cast: Cast) -> None:
    order = cast.paid_order
    with transaction():
        orders.ship(orders.lock(order.id), {order.lines[0].id: 1})

    counts = orders.tab_counts()

    assert {key for key, count in counts.items() if count} == {"", "partly_shipped"}


def test_every_tab_and_filter_is_answered_by_an_index(cast: Cast) -> None:
    """With scans of the table and sorting forbidden there must be another way, which PostgreSQL has
    to name."""
    assert cast.paid_order
    conditions = {key: condition for key, (_label, condition) in orders.TABS.items()}
    for way in ("seqscan", "bitmapscan", "sort"):
        session.execute(text(f"SET LOCAL enable_{way} = off"))

    for key, condition in conditions.items():
        query = select(orders.Order.id).where(condition).order_by(orders.Order.placed_at.desc())
        asked = query.compile(dialect=session.get_bind().dialect, compile_kwargs=LITERAL)
        plan = " ".join(session.scalars(text(f"EXPLAIN {asked}")))
        assert INDEXES.get(key, "ix_order_") in plan, (key, plan)
