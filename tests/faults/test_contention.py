"""Many buyers at once, by real HTTP: everybody gets a clear answer, nobody what is not there."""

from collections import Counter

from sqlalchemy import func, select

from shop import inventory
from shop.core.db import session
from shop.notifications.models import EmailMessage
from shop.orders.models import Order
from tests import cast as people
from tests.faults.buyers import Errand, crowd
from tests.support.stack import RunningShop, eventually
from tests.support.stock import ledger_differences


def count(*conditions: object) -> int:
    session.rollback()
    return session.scalar(select(func.count()).select_from(Order).where(*conditions)) or 0  # type: ignore[arg-type]


def test_sixty_four_buyers_share_ten_mugs(shop: RunningShop) -> None:
    with shop.database():
        mug = people.product("Contended mug", stock=10)

        results = crowd(
            Errand(shop.base_url, shop.stripe_url, mug.id), processes=4, threads=16, name="mug"
        )

        assert Counter(code for code, _ in results) == {"paid": 10, "out_of_stock": 54}
        numbers = [number for code, number in results if code == "paid"]
        mine = Order.number.in_(numbers)
        eventually(
            lambda: count(mine, Order.payment_status == "paid") == 10,
            within_s=60,
            what="ten orders are paid",
        )
        level = inventory.levels([mug.id])[mug.id]
        assert (level.on_hand, level.reserved, level.committed) == (10, 0, 10)
        assert ledger_differences() == []
        assert count(Order.email.like("mug-%")) == 10


def test_repeated_webhooks_make_one_order_and_email(shop: RunningShop) -> None:
    shop.control(duplicate=5, shuffle=True, delay_s=[0, 1], seed=5)
    try:
        with shop.database():
            vase = people.product("Shuffled vase", stock=100)
            results = crowd(
                Errand(shop.base_url, shop.stripe_url, vase.id),
                processes=2, threads=10, name="vase",
            )  # fmt: skip
            assert Counter(code for code, _ in results) == {"paid": 20}
            mine = Order.email.like("vase-%")
            eventually(
                lambda: count(mine, Order.payment_status == "paid") == 20,
                within_s=60,
                what="twenty orders are paid",
            )
            eventually(lambda: receipts("vase-%") == 20, within_s=60, what="twenty receipts")
            shop.control(duplicate=1, shuffle=False, delay_s=[0, 0])
            assert count(mine) == 20
            level = inventory.levels([vase.id])[vase.id]
            assert (level.reserved, level.committed) == (0, 20)
    finally:
        shop.control(reset=True)


def receipts(pattern: str) -> int:
    session.rollback()
    return (
        session.scalar(
            select(func.count()).where(
                EmailMessage.kind == "receipt", EmailMessage.recipient.like(pattern)
            )
        )
        or 0
    )
