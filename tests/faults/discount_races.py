"""Races for the last uses of a discount, on real connections.

    .venv/bin/python -m tools.scratch .venv/bin/python -m tests.faults.discount_races 2000

Sixty-four buyers want ten uses at the same moment: by the discount's limit, by its code's, or by
that of one customer. Winners with an even number give theirs back and try again, as an order does
that expires and is paid after all. Returns what went wrong; nothing did if it is empty.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from threading import Barrier, Thread

from flask_migrate import upgrade
from sqlalchemy import delete, func, select

from shop import checkout, cli, discounts
from shop.catalog.models import Variant
from shop.core import db
from shop.core.db import retrying, session, transaction
from shop.discounts.models import Discount, DiscountHolder, Redemption
from shop.factory import create_app
from tests import cast as people
from tests.discounts.offers import Terms

BUYERS = 64
LIMIT = 10
EMAIL = "ada@example.com"
LIMITS: dict[str, Terms] = {
    "discount": {"limit_total": LIMIT},
    "code": {"limit_total": 1_000},
    "customer": {"limit_per_customer": LIMIT},
}


def races(number: int) -> list[str]:
    """Run ``number`` races on the configured database. Returns a sentence per wrong outcome."""
    mug = people.product("Raced mug", stock=BUYERS)
    orders = [_order(mug, f"buyer{number}@example.com") for number in range(BUYERS)]
    wrong = []
    for race in range(number):
        kind = list(LIMITS)[race % len(LIMITS)]
        with transaction():
            discount = discounts.create_discount(
                discounts.Draft(f"Race {race}", "percentage", 1_000, **LIMITS[kind]),
                currency="EUR",
            )
            code = discounts.add_code(
                discount, f"RACE{race}", limit=LIMIT if kind == "code" else None
            )
        said = _race(discount.id, code.id, orders, one_buyer=kind == "customer")
        wrong += [f"race {race} ({kind}): {what}" for what in said]
        with transaction():  # the next race begins with orders that never had anything
            session.execute(delete(Redemption))
    return wrong


def _order(variant: Variant, email: str) -> int:
    cart = people.filled_cart(variant, email=email)
    with transaction():
        return checkout.place_order(cart.id).id


def _race(discount_id: int, code_id: int, orders: list[int], *, one_buyer: bool) -> list[str]:
    applied = discounts.Applied(discount_id, "Race", "RACE", code_id, discounts.Lane.MAIN, (100,))
    barrier = Barrier(len(orders))
    failures: list[str] = []

    def buy(order_id: int, buyer: int) -> None:
        email = EMAIL if one_buyer else f"buyer{buyer}@example.com"
        barrier.wait()

        def redeem() -> None:
            with transaction():
                discounts.redeem(order_id, [applied], customer_id=None, email=email, currency="EUR")

        def release_usage() -> None:
            with transaction():
                discounts.release_usage(order_id)

        def redeem_again() -> None:
            with transaction():
                discounts.redeem_again(order_id)

        try:
            retrying(redeem)  # as a buyer does who read that the shop is busy
            if buyer % 2 == 0:
                retrying(release_usage)
                retrying(redeem_again)
        except discounts.UsedUp:
            pass
        except Exception as error:
            failures.append(repr(error))
        finally:
            session.remove()

    _together([partial(buy, order, buyer) for buyer, order in enumerate(orders)])
    return failures + _checked(discount_id, one_buyer)


def _together(work: list[Callable[[], None]]) -> None:
    threads = [Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _checked(discount_id: int, one_buyer: bool) -> list[str]:
    session.rollback()
    counted = session.scalar(
        select(func.count()).where(
            Redemption.discount_id == discount_id, Redemption.released_at.is_(None)
        )
    )
    used = session.scalar(select(Discount.used).where(Discount.id == discount_id))
    wrong = []
    if used != counted:
        wrong.append(f"the counter says {used}, the orders say {counted}")
    if counted != LIMIT:
        wrong.append(f"{counted} uses of {LIMIT}")
    if one_buyer:
        holder = session.get(DiscountHolder, (discount_id, f"email:{EMAIL}"))
        if holder is None or holder.used != LIMIT:
            wrong.append(f"the customer has {holder and holder.used}")
    return wrong


def main() -> int:
    number = int(sys.argv[1])
    app = create_app()
    cli.init_app(app)
    with app.app_context():
        upgrade(directory="migrations")
        db.configure(app.config["SETTINGS"].database_url, pool_size=20, name="races")
        with transaction():
            checkout.install_defaults()
        started = time.monotonic()
        wrong = races(number)
    print(*wrong, sep="\n")
    seconds = time.monotonic() - started
    print(f"{number} races of {BUYERS} for {LIMIT} in {seconds:.0f} s: {len(wrong)} wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
