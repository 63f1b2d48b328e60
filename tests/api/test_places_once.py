"""Many presses at once, each from a thread of its own, against a database with real commits."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
from flask import Flask
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from shop import inventory, orders
from shop.core import db
from shop.core.statements import Statements
from tests import cast as making
from tests.api.conftest import Program
from tests.api.test_sale import wish
from tests.support.stock import ledger_differences


def test_one_key_used_sixteen_times_orders_once(app: Flask, live_database: str) -> None:
    mug = making.product("Tidal mug", stock=10)
    db.session.remove()
    program = Program(app.test_client(use_cookies=False))
    cart = program.post("cart/items", json={"variant_id": mug.id, "quantity": 2}).json

    def press(_: int) -> tuple[int, str]:
        mine = Program(app.test_client(use_cookies=False))
        answer = mine.post("orders", json=wish(cart), headers={"Idempotency-Key": "one"})
        return answer.status_code, answer.json.get("number") or answer.json["code"]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(press, range(16)))

    numbers = {said for status, said in answers if status == 201}
    refusals = {said for status, said in answers if status != 201}
    assert len(numbers) == 1
    assert refusals <= {"in_progress"}
    assert press(0) == (201, next(iter(numbers)))
    assert orders.tab_counts()[""] == 1
    assert inventory.available([mug.id]) == {mug.id: 8}


@pytest.mark.parametrize("after", ["INSERT INTO idempotency_key", "UPDATE idempotency_key"])
def test_lost_commit_answer_lets_the_key_work_again(
    app: Flask, live_database: str, after: str
) -> None:
    mug = making.product("Tidal mug", stock=10)
    db.session.remove()
    program = Program(app.test_client(use_cookies=False))
    cart = program.post("cart/items", json={"variant_id": mug.id, "quantity": 2}).json

    with lost_answer(after) as lost:
        first = program.post("orders", json=wish(cart), headers={"Idempotency-Key": "one"})
    again = program.post("orders", json=wish(cart), headers={"Idempotency-Key": "one"})

    assert (first.status_code, lost) == (503, [after])
    assert again.status_code == 201, again.json
    assert orders.tab_counts()[""] == 1
    assert inventory.available([mug.id]) == {mug.id: 8}


@contextmanager
def lost_answer(after: str) -> Iterator[list[str]]:
    """The first transaction with such a statement is committed, and the line breaks before the
    answer comes."""
    said = Statements()
    lost: list[str] = []

    def lose(connection: Connection) -> None:
        if not lost and any(after in statement for statement in said.seen):
            lost.append(after)
            line = connection.connection.driver_connection
            assert isinstance(line, psycopg.Connection)
            line.commit()
            line.close()
            raise OperationalError("COMMIT", None, psycopg.OperationalError("the line broke"))

    event.listen(db.engine(), "commit", lose)
    try:
        with said:
            yield lost
    finally:
        event.remove(db.engine(), "commit", lose)


def test_ten_units_make_ten_orders(app: Flask, live_database: str) -> None:
    mug = making.product("Tidal mug", stock=10)
    db.session.remove()

    def buy(_: int) -> tuple[int, str]:
        mine = Program(app.test_client(use_cookies=False))
        cart = mine.post("cart/items", json={"variant_id": mug.id})
        if cart.status_code != 201:
            return cart.status_code, cart.json["code"]
        answer = mine.post("orders", json=wish(cart.json), headers={"Idempotency-Key": "k"})
        return answer.status_code, answer.json.get("code", "")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(buy, range(24)))

    assert answers.count((201, "")) == 10
    assert answers.count((409, "out_of_stock")) == 14
    assert inventory.available([mug.id]) == {mug.id: 0}
    assert ledger_differences() == []
