"""Carts ordered again, many at once, with each other's goods: nobody waits for a circle."""

import random
import threading

from sqlalchemy.exc import OperationalError

from shop import cart as carts
from shop import checkout, inventory
from shop.core.db import session, sqlstate, transaction
from shop.inventory import OutOfStock
from tests import cast as people
from tests.support.stock import ledger_differences


def placed(cart_id: int) -> bool:
    """False if a lock did not come free in time, as on a busy machine; doors try again then."""
    try:
        with transaction():
            checkout.place_order(cart_id)
    except OperationalError as error:
        if sqlstate(error) != "55P03":
            raise
        return False
    return True


def test_orders_that_replace_each_other_do_not_deadlock(live_database: str) -> None:
    goods = [people.product(f"Good {number}", stock=1000) for number in range(6)]
    ids = [variant.id for variant in goods]
    cart_ids = [
        people.filled_cart(variant, email=f"buyer{variant.id}@example.com").id for variant in goods
    ]
    session.remove()
    failures: list[BaseException] = []
    barrier = threading.Barrier(len(cart_ids))

    def customer(cart_id: int, seed: int) -> None:
        chance = random.Random(seed)
        barrier.wait()
        for _ in range(25):
            try:
                with transaction():
                    cart = carts.lock(cart_id)
                    for item in list(cart.items):
                        carts.remove(cart, item.id)
                    for variant_id in chance.sample(ids, 3):
                        carts.add(cart, variant_id, 1)
                while not placed(cart_id):
                    pass
            except OutOfStock:
                continue
            except BaseException as error:
                failures.append(error)
                session.remove()
        session.remove()

    threads = [
        threading.Thread(target=customer, args=(cart_id, seed))
        for seed, cart_id in enumerate(cart_ids)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert failures == []
    assert ledger_differences() == []
    levels = inventory.levels(ids)
    assert sum(level.reserved for level in levels.values()) == 3 * len(cart_ids)
