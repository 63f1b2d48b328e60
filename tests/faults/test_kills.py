"""Processes die and Redis is flushed, while people buy: no email is lost, no order is wrong."""

import random
import threading
from collections import Counter

import redis as redis_client
from sqlalchemy import func, select

from shop import inventory
from shop.core.db import session
from shop.core.reaction_runs import ReactionRun
from shop.notifications.models import EmailMessage
from shop.orders.models import Order
from tests import cast as people
from tests.faults.buyers import Errand, crowd
from tests.support.stack import RunningShop, eventually
from tests.support.stock import ledger_differences

ORDERS = 200


def test_killed_workers_and_flushed_redis_lose_nothing(shop: RunningShop, seed: int) -> None:
    chance = random.Random(seed)
    is_over = threading.Event()
    done = Counter[str]()

    def trouble() -> None:
        redis = redis_client.Redis.from_url(shop.settings["REDIS_URL"])
        while not is_over.wait(chance.uniform(1, 2)):
            redis.flushall()
            done["flushed"] += 1
            # The supervisor gives a program up that dies five times in a row: kill the pool three
            # times with all it runs, then only the workers and jobs in it.
            done["killed"] += shop.kill(r"shop worker", but_first=done["flushed"] > 3)

    with shop.database():
        bowl = people.product("Durable bowl", stock=10 * ORDERS)
        troublemaker = threading.Thread(target=trouble)
        troublemaker.start()
        try:
            results = crowd(
                Errand(shop.base_url, shop.stripe_url, bowl.id),
                processes=4, threads=ORDERS // 4, name="bowl",
            )  # fmt: skip
        finally:
            is_over.set()
            troublemaker.join()
        assert Counter(code for code, _ in results) == {"paid": ORDERS}
        assert done["killed"] >= 1 and done["flushed"] >= 1

        eventually(lambda: paid() == ORDERS, within_s=180, what="all orders are paid")
        eventually(lambda: sent_receipts() == ORDERS, within_s=180, what="all receipts are sent")
        level = inventory.levels([bowl.id])[bowl.id]
        assert (level.reserved, level.committed) == (0, ORDERS)
        assert ledger_differences() == []
        assert session.scalar(select(func.count()).where(ReactionRun.state == "dead")) == 0


def paid() -> int:
    session.rollback()
    condition = Order.email.like("bowl-%"), Order.payment_status == "paid"
    return session.scalar(select(func.count()).select_from(Order).where(*condition)) or 0


def sent_receipts() -> int:
    session.rollback()
    return (
        session.scalar(
            select(func.count()).where(
                EmailMessage.kind == "receipt",
                EmailMessage.recipient.like("bowl-%"),
                EmailMessage.state == "sent",
            )
        )
        or 0
    )
