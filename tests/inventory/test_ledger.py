"""Stock: the ledger adds up, and nobody gets what is not there."""

import threading
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from shop import catalog, inventory
from shop.catalog.models import Variant
from shop.core import clock
from shop.core.actor import Actor, acting_as
from shop.core.db import session, transaction
from shop.core.errors import Invalid
from shop.core.events import EventRecord
from shop.inventory import Line, OutOfStock
from shop.inventory.events import Change, StockChanged, StockLow
from tests import cast as people
from tests.cast import Cast
from tests.support.stock import ledger_differences


def test_the_ledger_says_why_it_is_forty_seven(cast: Cast) -> None:
    mug = cast.mug
    with transaction():
        inventory.receive(mug.id, 40, note="Pallet 7")
        inventory.adjust(mug.id, -3, reason="damage", note="Dropped")

    recorded = [(m.kind, m.on_hand_delta, m.on_hand_after) for m in inventory.movements(mug.id)]

    assert recorded == [("write_off", -3, 47), ("receive", 40, 50), ("receive", 10, 10)]
    assert ledger_differences() == []


def test_a_count_writes_its_variance(cast: Cast) -> None:
    mug = cast.mug

    with transaction():
        variance = inventory.count(mug.id, 7)

    assert variance == -3
    assert inventory.available([mug.id]) == {mug.id: 7}


def test_committed_stock_cannot_be_removed(cast: Cast) -> None:
    order = cast.paid_order
    mug_id = order.lines[0].variant_id

    with pytest.raises(Invalid, match="Only 8 units can be removed"), transaction():
        inventory.adjust(mug_id, -9, reason="loss")
    with pytest.raises(Invalid, match="2 units are reserved or committed"), transaction():
        inventory.count(mug_id, 1)

    assert inventory.levels([mug_id])[mug_id].on_hand == 10


def test_timeline_shows_what_events_say(cast: Cast) -> None:
    mug, lamp = cast.mug, cast.lamp
    mug.low_stock_level, lamp.low_stock_level = 8, 0
    seen = session.scalar(select(func.max(EventRecord.id)))
    staff = Actor(kind="staff", id=3, name="Sam")
    with acting_as(staff), transaction():
        inventory.reserve(77, [Line(lamp.id, 1), Line(mug.id, 2)])
        inventory.commit(77, [Line(mug.id, 2)])  # what is available stays the same
        inventory.release(77, [Line(lamp.id, 1)])
    recorded = session.scalars(
        select(EventRecord).where(EventRecord.id > seen).order_by(EventRecord.id)
    ).all()

    def change(of: Variant, before: int, after: int, low: int) -> Change:
        return Change(
            variant_id=of.id, product_id=of.product_id, sku=of.sku, before=before, after=after,
            low=low,
        )  # fmt: skip

    less_mugs, less_lamps = change(mug, 10, 8, 8), change(lamp, 2, 1, 0)
    both = sorted([less_mugs, less_lamps], key=lambda one: one["variant_id"])
    assert [record.event for record in recorded] == [
        StockChanged(kind="reserve", changes=both, order_id=77),
        StockLow(changes=[less_mugs]),
        StockChanged(kind="release", changes=[change(lamp, 1, 2, 0)], order_id=77),
    ]
    assert [record.order_id for record in recorded] == [77, None, 77]
    assert {(r.actor_kind, r.actor_id, r.actor_name) for r in recorded} == {("staff", 3, "Sam")}


@pytest.mark.parametrize("delta", [0, 10**9, -(10**9)])
def test_impossible_deltas_are_refused(cast: Cast, delta: int) -> None:
    mug = cast.mug

    with pytest.raises(Invalid), transaction():
        inventory.adjust(mug.id, delta, reason="correction")


def test_an_adjustment_needs_a_reason(cast: Cast) -> None:
    mug = cast.mug

    with pytest.raises(Invalid, match="Choose a reason"), transaction():
        inventory.adjust(mug.id, 1, reason="")


def test_order_reserves_all_items_or_none(cast: Cast) -> None:
    mug, lamp = cast.mug, cast.lamp

    with pytest.raises(OutOfStock) as refusal, transaction():
        inventory.reserve(1, [Line(mug.id, 1), Line(lamp.id, 3)])

    assert refusal.value.short == {lamp.id: 2}
    assert inventory.available([mug.id, lamp.id]) == {mug.id: 10, lamp.id: 2}


def test_backorder_may_go_below_zero_only_while_allowed(cast: Cast) -> None:
    lamp = cast.lamp
    with transaction():
        inventory.allow_backorder(lamp.id, True)
        inventory.reserve(1, [Line(lamp.id, 5)])
    assert inventory.available([lamp.id]) == {lamp.id: -3}

    with transaction():
        inventory.receive(lamp.id, 1)

    assert inventory.available([lamp.id]) == {lamp.id: -2}


def test_backorder_that_was_never_counted_can_be_ordered(cast: Cast) -> None:
    with clock.freeze(clock.now() - timedelta(days=1)), transaction():
        product = catalog.create_product("Woven chair")
        chair = catalog.add_variant(product, sku="CHAIR", price_minor=9900, backorder_allowed=True)
        catalog.publish(product)

    people.order(chair, 2)

    assert inventory.available([chair.id]) == {chair.id: -2}


def test_backorders_stay_allowed_while_orders_wait(cast: Cast) -> None:
    lamp = cast.lamp
    with transaction():
        inventory.allow_backorder(lamp.id, True)
        inventory.reserve(1, [Line(lamp.id, 5)])

    with pytest.raises(Invalid, match="3 more units are reserved or committed"), transaction():
        inventory.allow_backorder(lamp.id, False)
    with transaction():
        inventory.release(1, [Line(lamp.id, 5)])
        inventory.allow_backorder(lamp.id, False)


def test_the_database_itself_refuses_to_oversell(cast: Cast) -> None:
    from shop.inventory.models import StockLevel

    mug = cast.mug
    level = session.get(StockLevel, (mug.id, inventory.movements(mug.id)[0].location_id))
    assert level is not None

    with pytest.raises(DBAPIError, match="available"), session.begin_nested():
        level.reserved = 11
        session.flush()


def test_the_ledger_cannot_be_rewritten(cast: Cast) -> None:
    mug = cast.mug
    movement = inventory.movements(mug.id)[0]

    with pytest.raises(DBAPIError, match="never changed"), session.begin_nested():
        movement.on_hand_after = 99
        session.flush()


def test_sixty_four_threads_reserve_ten_units(live_database: str) -> None:
    mug, lamp = people.product("Mug", stock=10), people.product("Lamp", stock=1000)
    barrier = threading.Barrier(64)
    results: list[str] = []

    def buy(order_id: int) -> None:
        lines = [Line(mug.id, 1), Line(lamp.id, 2)]
        if order_id % 2:
            lines.reverse()
        barrier.wait()
        try:
            with transaction():
                inventory.reserve(order_id, lines)
            results.append("reserved")
        except OutOfStock:
            results.append("sold out")
        except Exception as error:  # counted below: neither deadlock nor time-out may happen
            results.append(type(error).__name__)
        finally:
            session.remove()

    buyers = [threading.Thread(target=buy, args=(n,)) for n in range(1, 65)]
    for buyer in buyers:
        buyer.start()
    for buyer in buyers:
        buyer.join()

    assert Counter(results) == {"reserved": 10, "sold out": 54}
    assert inventory.available([mug.id, lamp.id]) == {mug.id: 0, lamp.id: 980}
    assert ledger_differences() == []
