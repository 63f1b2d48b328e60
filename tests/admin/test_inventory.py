"""The stock page: corrections need a reason, and the ledger explains every number."""

import pytest
from flask import Flask

from shop import inventory
from shop.admin.inventory import because
from shop.core.db import session
from tests.admin.desk import Desk, sit
from tests.cast import Cast


@pytest.fixture
def warehouse(app: Flask, cast: Cast) -> Desk:
    return sit(app, "Warehouse")


@pytest.fixture
def mug(cast: Cast) -> int:
    found = cast.mug.id
    session.expunge_all()
    return found


def on_hand(variant_id: int) -> int:
    return inventory.levels([variant_id])[variant_id].on_hand


def test_stock_change_is_recorded_in_the_ledger(warehouse: Desk, mug: int) -> None:
    status, answer = warehouse.ask(
        f"/admin/inventory/adjust/{mug}",
        {"mode": "delta", "delta": "-3", "reason": "damage", "note": "fell off the shelf"},
    )

    page = warehouse.text(f"/admin/inventory/show/{mug}")
    assert (status, answer["on_hand"], on_hand(mug)) == (200, 7, 7)
    assert "Written off" in page
    assert "fell off the shelf" in page
    assert "Mara Lindt" in page


def test_form_that_is_sent_twice_changes_stock_once(warehouse: Desk, mug: int) -> None:
    path = f"/admin/inventory/adjust/{mug}"
    form = {"mode": "delta", "delta": "5", "reason": "delivery", "once": "one-form"}
    refused = warehouse.ask(path, form | {"reason": ""})

    first, second = warehouse.ask(path, form), warehouse.ask(path, form)
    other = warehouse.ask(path, form | {"delta": "6"})

    assert refused[0] == 422
    assert (first[0], second[0], second[1]["on_hand"], on_hand(mug)) == (200, 200, 15, 15)
    assert other[0] == 409 and "already saved" in other[1]["error"]
    warehouse.ask(path, form | {"once": "another-form"})
    assert on_hand(mug) == 20


def test_stock_is_set_to_what_was_counted(warehouse: Desk, mug: int) -> None:
    warehouse.post(
        f"/admin/inventory/adjust/{mug}",
        {"mode": "set", "set": "12", "seen": "10", "reason": "count"},
    )

    assert on_hand(mug) == 12


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"mode": "delta", "delta": "2"}, "Choose a reason"),
        ({"mode": "delta", "delta": "2", "reason": "because"}, "Choose a reason"),
        ({"mode": "delta", "delta": "abc", "reason": "count"}, "whole number"),
        ({"mode": "delta", "delta": "0", "reason": "count"}, "other than 0"),
        ({"mode": "delta", "delta": "1000000000", "reason": "count"}, "whole number"),
        ({"mode": "delta", "reason": "count"}, "whole number"),
        ({"mode": "delta", "delta": "-11", "reason": "loss"}, "Only 10 units can be removed"),
        ({"mode": "set", "set": "-1", "reason": "count"}, "0 or more"),
        ({"mode": "delta", "delta": "1", "reason": "count", "note": "x" * 501}, "500"),
    ],
)
def test_a_correction_that_makes_no_sense_changes_nothing(
    warehouse: Desk, mug: int, typed: dict[str, str], words: str
) -> None:
    status, answer = warehouse.ask(f"/admin/inventory/adjust/{mug}", typed)

    assert status == 422
    assert words in answer["error"]
    assert on_hand(mug) == 10


def test_committed_stock_cannot_be_counted_away(warehouse: Desk, cast: Cast) -> None:
    assert cast.paid_order
    mug = cast.mug.id

    status, answer = warehouse.ask(
        f"/admin/inventory/adjust/{mug}", {"mode": "set", "set": "1", "reason": "count"}
    )

    assert status == 422
    assert "2 units are reserved or committed" in answer["error"]
    assert on_hand(mug) == 10


def test_stale_count_names_who_changed_the_stock(app: Flask, warehouse: Desk, mug: int) -> None:
    ana = sit(app, "Manager", "Ana")
    ana.post(f"/admin/inventory/adjust/{mug}", {"mode": "delta", "delta": "-3", "reason": "damage"})

    status, answer = warehouse.ask(
        f"/admin/inventory/adjust/{mug}",
        {"mode": "set", "set": "9", "seen": "10", "reason": "count"},
    )

    assert status == 409
    assert answer["error"].startswith("Ana Lindt changed this to 7 just now.")
    assert on_hand(mug) == 7


def test_page_links_orders_that_moved_stock(warehouse: Desk, cast: Cast) -> None:
    order = cast.paid_order

    page = warehouse.text(f"/admin/inventory/show/{cast.mug.id}")

    assert f'href="/admin/orders/show/{order.id}"' in page
    assert "10 on hand: 10 received; 2 committed to paid orders, so 8 can be sold." in page


def test_the_sentence_adds_up_what_came_and_went() -> None:
    level = inventory.Level(on_hand=47, reserved=3, committed=4)

    sums = {"receive": 60, "ship": -12, "write_off": -2, "count": 1}

    assert because(level, sums) == (
        "47 on hand: 60 received, 12 shipped, 2 written off, +1 corrected by counts; 3 reserved for"
        " unpaid orders and 4 committed to paid orders, so 40 can be sold."
    )


def test_list_shows_low_and_sold_out_stock(warehouse: Desk, cast: Cast) -> None:
    assert cast.mug
    lamp = cast.lamp

    low = warehouse.text("/admin/inventory/list/?tab=low")

    assert lamp.sku in low
    assert cast.mug.sku not in low
    assert cast.mug.sku in warehouse.text(f"/admin/inventory/list/?q={cast.mug.sku.lower()}")


def test_the_list_costs_six_statements_at_most(
    warehouse: Desk, mug: int, statements: list[str]
) -> None:
    assert warehouse.token
    statements.clear()

    warehouse.text("/admin/inventory/list/")

    assert len(statements) <= 6, "\n".join(statements)


@pytest.mark.parametrize("pk", ["0", "999999", "99999999999999999999999"])
def test_variant_that_is_not_there_is_not_found(warehouse: Desk, pk: str) -> None:
    typed = {"mode": "delta", "delta": "1", "reason": "count"}

    assert warehouse.get(f"/admin/inventory/show/{pk}").status_code == 404
    assert warehouse.ask(f"/admin/inventory/adjust/{pk}", typed)[0] == 404


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("Owner", True),
        ("Manager", True),
        ("Warehouse", True),
        ("Catalogue", False),
        ("Support", False),
        ("Viewer", False),
    ],
)
def test_only_some_roles_change_stock(app: Flask, cast: Cast, role: str, may: bool) -> None:
    mug = cast.mug.id
    desk = sit(app, role)
    typed = {"mode": "delta", "delta": "1", "reason": "count"}

    answer = desk.post(f"/admin/inventory/adjust/{mug}", typed)

    assert (answer.status_code == 303) == may
    assert on_hand(mug) == (11 if may else 10)
    assert ("Adjust" in desk.text("/admin/inventory/list/")) == may


def test_finance_does_not_see_stock(app: Flask, cast: Cast) -> None:
    assert sit(app, "Finance").get("/admin/inventory/list/").status_code == 403
