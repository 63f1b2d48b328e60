"""The orders desk: what staff see, what they may do, and what is refused with a reason."""

import pytest
from flask import Flask
from sqlalchemy import select

from shop import inventory, orders, payments
from shop.checkout.models import ShippingMethod
from shop.core.db import session, transaction
from shop.payments import Task
from tests import cast as people
from tests.admin.desk import Desk, sit
from tests.cast import Cast


@pytest.fixture
def owner(app: Flask, cast: Cast) -> Desk:
    return sit(app, "Owner")


def kept(order: orders.Order) -> orders.Order:
    """The order as it is now, for whatever happens to the session later."""
    found = orders.by_id(order.id)
    session.expunge_all()
    return found


def fresh(order: orders.Order) -> orders.Order:
    session.remove()
    return orders.by_id(order.id)


def test_queue_shows_orders_under_tab_they_belong_to(owner: Desk, cast: Cast) -> None:
    paid, unpaid = kept(cast.paid_order), kept(people.order(cast.lamp))

    page = owner.text("/admin/orders/list/?tab=to_pack")

    assert paid.number in page
    assert unpaid.number not in page
    assert "Ada Lovelace" in page


@pytest.mark.parametrize("words", ["ada@example", "lovelace", "EO-"])
def test_queue_is_searched_by_number_address_and_name(owner: Desk, cast: Cast, words: str) -> None:
    number = cast.paid_order.number

    assert number in owner.text(f"/admin/orders/list/?q={words}")
    assert number not in owner.text("/admin/orders/list/?q=nobody-like-that")


def test_the_queue_is_narrowed_by_payment_and_day(owner: Desk, cast: Cast) -> None:
    number = cast.paid_order.number

    assert number in owner.text("/admin/orders/list/?payment_status=paid&placed_at.from=2020-01-01")
    assert number not in owner.text("/admin/orders/list/?payment_status=unpaid")
    assert number not in owner.text("/admin/orders/list/?placed_at.to=2020-01-01")


def test_the_queue_is_narrowed_by_sku_method_country_and_tasks(owner: Desk, cast: Cast) -> None:
    order, other = kept(cast.paid_order), kept(people.order(cast.lamp))
    with transaction():
        session.add(Task(kind="odd", reference="1", sentence="Look at this.", order_id=order.id))
        code = ShippingMethod.code == order.shipping_method
        method = session.scalars(select(ShippingMethod.id).where(code)).one()

    def shown(asked: str) -> tuple[bool, bool]:
        page = owner.text(f"/admin/orders/list/?{asked}")
        return order.number in page, other.number in page

    assert shown("sku=tidal-mug") == (True, False)
    assert shown("attention=yes") == (True, False)
    assert shown("attention=no") == (False, True)
    assert shown("tab=attention") == (True, False)
    assert shown(f"shipping_method={method}") == (True, True)
    assert shown("country=FR") == (False, False)
    assert shown("fulfilment_status=unfulfilled&status=pending") == (False, True)


@pytest.mark.parametrize("page", ["-1", "0", "abc", "9999999999"])
def test_a_page_that_cannot_be_is_refused(owner: Desk, page: str) -> None:
    assert owner.get(f"/admin/orders/list/?after={page}").status_code == 400


def test_number_opens_its_order_and_words_are_searched(owner: Desk, cast: Cast) -> None:
    order = kept(cast.paid_order)

    found = owner.get(f"/admin/orders/find?q={order.number.lower()}")
    searched = owner.get("/admin/orders/find?q=lovelace")

    assert found.location == f"/admin/orders/show/{order.id}"
    assert searched.location == "/admin/orders/list/?q=lovelace"


@pytest.mark.parametrize("pk", ["0", "999999", "99999999999999999999999"])
def test_order_that_is_not_there_is_not_found(owner: Desk, pk: str) -> None:
    assert owner.get(f"/admin/orders/show/{pk}").status_code == 404
    assert owner.post(f"/admin/orders/{pk}/process").status_code in {303, 404}


def test_the_list_costs_eight_statements_at_most(
    owner: Desk, cast: Cast, statements: list[str]
) -> None:
    assert cast.paid_order
    assert owner.token
    statements.clear()

    owner.text("/admin/orders/list/?tab=to_pack&q=ada")

    assert len(statements) <= 8, "\n".join(statements)


def test_processing_then_shipping_everything(owner: Desk, cast: Cast) -> None:
    order = kept(cast.paid_order)

    owner.post(f"/admin/orders/{order.id}/process", {"version": order.version})
    processed = fresh(order)
    answer = owner.post(
        f"/admin/orders/{order.id}/ship",
        {"version": processed.version, "carrier": "DHL", "tracking_number": "003404"},
    )
    sent = fresh(order)

    assert answer.status_code == 303
    assert sent.fulfilment_status == "shipped"
    assert sent.fulfilments[0].tracking_number == "003404"
    assert inventory.levels([cast.mug.id])[cast.mug.id].on_hand == 8


def test_a_part_of_a_line_can_be_shipped(owner: Desk, cast: Cast) -> None:
    order = kept(cast.paid_order)
    line = order.lines[0]

    owner.post(
        f"/admin/orders/{order.id}/ship", {"version": order.version, f"quantity-{line.id}": "1"}
    )

    sent = fresh(order)
    assert sent.fulfilment_status == "partly_shipped"
    assert "1 shipped" in owner.text(f"/admin/orders/show/{order.id}")


@pytest.mark.parametrize("quantity", ["3", "-1", "abc", "1000000000", ""])
def test_more_than_is_open_cannot_be_shipped(owner: Desk, cast: Cast, quantity: str) -> None:
    order = kept(cast.paid_order)
    line = order.lines[0]

    status, answer = owner.ask(
        f"/admin/orders/{order.id}/ship",
        {"version": order.version, f"quantity-{line.id}": quantity},
    )

    assert status == 422, answer
    assert answer["error"]
    assert fresh(order).fulfilment_status == "unfulfilled"


def test_unpaid_order_cannot_ship_and_page_says_why(owner: Desk, cast: Cast) -> None:
    order = kept(cast.unpaid_order)

    status, answer = owner.ask(f"/admin/orders/{order.id}/ship", {"version": order.version})

    assert status == 409
    assert answer["error"] == "Only a paid order can be shipped."
    assert not fresh(order).fulfilments


def test_units_waiting_for_stock_are_not_offered(owner: Desk, cast: Cast) -> None:
    lamp = cast.lamp  # there are two
    with transaction():
        inventory.allow_backorder(lamp.id, True)
        lamp.backorder_allowed = True
    order = people.order(lamp, 3)
    people.pay(order)

    page = owner.text(f"/admin/orders/show/{order.id}")

    assert "1 waits for stock" in page
    assert 'max="2"' in page


def test_a_shipped_order_cannot_be_cancelled(owner: Desk, cast: Cast) -> None:
    order = kept(cast.paid_order)
    with transaction():
        orders.ship(orders.lock(order.id))

    answer = owner.post(f"/admin/orders/{order.id}/cancel", {"reason": "customer"})

    assert answer.status_code == 409 and "cannot be cancelled" in answer.text
    assert fresh(order).status == "confirmed"


def test_cancelling_a_paid_order_requests_the_refund(owner: Desk, cast: Cast) -> None:
    order = kept(cast.paid_order)

    owner.post(
        f"/admin/orders/{order.id}/cancel", {"version": order.version, "reason": "out of stock"}
    )

    assert fresh(order).status == "cancelled"
    assert inventory.levels([cast.mug.id])[cast.mug.id].available == 10
    assert [r.amount_minor for p in payments.of_order(order.id) for r in p.refunds] == [
        order.total_minor
    ]


def test_an_order_is_not_cancelled_without_a_reason(owner: Desk, cast: Cast) -> None:
    order = kept(cast.paid_order)

    answer = owner.post(f"/admin/orders/{order.id}/cancel", {"reason": "because"})

    assert answer.status_code == 422
    assert fresh(order).status == "confirmed"


def test_stale_page_names_who_changed_the_record(app: Flask, owner: Desk, cast: Cast) -> None:
    order = kept(cast.paid_order)
    seen = order.version
    ana = sit(app, "Warehouse", "Ana")
    ana.post(f"/admin/orders/{order.id}/process", {"version": seen})

    status, answer = owner.ask(f"/admin/orders/{order.id}/ship", {"version": seen})

    assert status == 409
    assert answer["error"].startswith("Ana Lindt changed this order just now: it is Processing.")
    assert not fresh(order).fulfilments


def test_shipment_is_marked_as_delivered(owner: Desk, cast: Cast) -> None:
    order = kept(cast.paid_order)
    with transaction():
        fulfilment = orders.ship(orders.lock(order.id)).id

    owner.post(f"/admin/orders/{order.id}/deliver/{fulfilment}")

    assert fresh(order).status == "completed"


def test_note_shows_in_the_timeline_as_escaped_text(owner: Desk, cast: Cast) -> None:
    order = kept(cast.paid_order)

    owner.post(f"/admin/orders/{order.id}/note", {"text": "<b>Call</b> before noon"})

    page = owner.text(f"/admin/orders/show/{order.id}")
    assert "&lt;b&gt;Call&lt;/b&gt; before noon" in page
    assert "Mara Lindt" in page


def test_bulk_action_answers_for_every_row(owner: Desk, cast: Cast) -> None:
    paid, unpaid = kept(cast.paid_order), kept(people.order(cast.lamp))

    status, answer = owner.ask(
        "/admin/orders/action_post", {"action": "process", "rowid": [paid.id, unpaid.id, 424242]}
    )

    assert status == 200
    assert answer["done"] == 1
    assert [result["ok"] for result in answer["results"]] == [True, False, False]
    assert "Only a paid order" in answer["results"][1]["sentence"]
    assert fresh(paid).processing_at


def test_all_that_match_can_be_processed_at_once(owner: Desk, cast: Cast) -> None:
    paid = kept(cast.paid_order)
    assert people.order(cast.lamp)

    _, answer = owner.ask(
        "/admin/orders/action_post?tab=to_pack", {"action": "process", "all": "1"}
    )

    assert [result["name"] for result in answer["results"]] == [paid.number]


def test_new_row_appears_only_in_matching_views(owner: Desk, cast: Cast) -> None:
    order = kept(cast.paid_order)

    fits = owner.get(f"/admin/orders/row/{order.id}?tab=to_pack")
    not_there = owner.get(f"/admin/orders/row/{order.id}?tab=shipped")

    assert order.number in fits.get_data(as_text=True)
    assert not_there.status_code == 204


STEPS = {
    "process": ("process", {}),
    "ship": ("ship", {}),
    "cancel": ("cancel", {"reason": "customer"}),
    "note": ("note", {"text": "hello"}),
    "deliver": ("deliver/1", {}),
}
MAY = {
    "Owner": set(STEPS),
    "Manager": set(STEPS),
    "Warehouse": {"process", "ship", "deliver", "note"},
    "Support": {"cancel", "note"},
    "Finance": {"note"},
    "Viewer": set(),
}


@pytest.mark.parametrize("role", MAY)
@pytest.mark.parametrize("step", STEPS)
def test_each_role_may_do_only_its_steps(app: Flask, cast: Cast, role: str, step: str) -> None:
    order = kept(cast.paid_order)
    desk = sit(app, role)
    path, data = STEPS[step]

    answer = desk.post(f"/admin/orders/{order.id}/{path}", data)

    assert (answer.status_code != 403) == (step in MAY[role])
    assert desk.get(f"/admin/orders/show/{order.id}").status_code == 200


def test_a_viewer_sees_no_buttons(app: Flask, cast: Cast) -> None:
    page = sit(app, "Viewer").text(f"/admin/orders/show/{cast.paid_order.id}")

    assert "Start processing" not in page
    assert "ship-dialog" not in page
    assert "Cancel order" not in page


def test_catalog_role_does_not_see_orders(app: Flask, cast: Cast) -> None:
    desk = sit(app, "Catalogue")

    assert desk.get("/admin/orders/list/").status_code == 403
    assert desk.get(f"/admin/orders/show/{cast.paid_order.id}").status_code == 403
    assert desk.get(f"/admin/orders/row/{cast.paid_order.id}").status_code == 403


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"pieces": "9"}, "left to ship, not 9."),
        ({"pieces": "-1"}, "left to ship, not -1."),
        ({"pieces": "1.5"}, "A quantity must be a whole number."),
        ({"pieces": ""}, "Choose at least one item to ship."),
        ({"carrier": "x" * 61}, "Use at most 60 characters."),
        ({"version": "0"}, "changed this order just now"),
    ],
)
def test_refused_shipment_keeps_what_was_typed(
    owner: Desk, cast: Cast, typed: dict[str, str], sentence: str
) -> None:
    order = kept(cast.paid_order)
    form = {
        "pieces": "1",
        "carrier": "DHL",
        "tracking_number": "00340434",
        "version": order.version,
    }
    form |= typed
    form[f"quantity-{order.lines[0].id}"] = form.pop("pieces")

    refused = owner.post(f"/admin/orders/{order.id}/ship", form)

    assert refused.status_code in {409, 422}
    assert sentence in refused.text
    assert 'value="00340434"' in refused.text
    assert fresh(order).fulfilments == []
    assert (
        owner.post(f"/admin/orders/{order.id}/ship", form | typed_right(order)).status_code == 303
    )


def typed_right(order: orders.Order) -> dict[str, str]:
    return {
        f"quantity-{order.lines[0].id}": "1",
        "carrier": "DHL",
        "version": str(fresh(order).version),
    }


def test_a_line_says_what_became_of_it(owner: Desk, cast: Cast) -> None:
    order = kept(cast.paid_order)
    pieces = {f"quantity-{order.lines[0].id}": "1"}
    path = f"/admin/orders/show/{order.id}"
    assert "1 cancelled" not in owner.text(path)

    owner.post(f"/admin/orders/{order.id}/cancel", pieces | {"what": "lines", "reason": "customer"})

    assert "1 cancelled" in owner.text(path)


def shipped(cast: Cast) -> orders.Order:
    order = cast.paid_order
    with transaction():
        orders.ship(orders.lock(order.id), carrier="DHL", tracking_number="0034 04")
    return kept(order)


def test_tracking_is_corrected_and_told_only_when_ticked(owner: Desk, cast: Cast) -> None:
    order = shipped(cast)
    path = f"/admin/orders/{order.id}/tracking/{order.fulfilments[0].id}"

    form = owner.text(path)
    answer = owner.post(
        path, {"version": order.version, "carrier": "UPS", "tracking_number": "1Z9"}
    )
    page = owner.text(f"/admin/orders/show/{order.id}")

    assert 'value="0034 04"' in form
    assert answer.status_code == 303
    assert "https://www.ups.com/track?loc=en_US&amp;tracknum=1Z9" in page
    assert "DHL 0034 04 → UPS 1Z9" in page
    assert not orders.timeline(order.id)[-1].payload["notify"]

    owner.post(path, {"carrier": "UPS", "tracking_number": "1Z8", "notify": "1"})
    assert orders.timeline(order.id)[-1].payload["notify"]


def test_tracking_of_somebody_elses_shipment_is_refused(owner: Desk, cast: Cast) -> None:
    order = shipped(cast)
    other = kept(people.order(cast.lamp))

    answer = owner.post(
        f"/admin/orders/{other.id}/tracking/{order.fulfilments[0].id}", {"tracking_number": "1"}
    )

    assert answer.status_code in {303, 404}
    assert fresh(order).fulfilments[0].tracking_number == "0034 04"


def test_tracking_that_changed_meanwhile_is_a_conflict(owner: Desk, cast: Cast) -> None:
    order = shipped(cast)
    path = f"/admin/orders/{order.id}/tracking/{order.fulfilments[0].id}"

    answer = owner.post(path, {"version": order.version - 1, "tracking_number": "1Z9"})

    assert answer.status_code == 409
    assert 'value="1Z9"' in answer.get_data(as_text=True)
    assert fresh(order).fulfilments[0].tracking_number == "0034 04"


NEW = {"name": "Ada Byron", "line1": "Allee 7", "city": "Berlin", "postal_code": "10119"}


def test_shipping_address_is_changed_with_what_it_was(owner: Desk, cast: Cast) -> None:
    order = kept(cast.paid_order)
    path = f"/admin/orders/{order.id}/shipping-address"

    assert 'value="Unter den Linden 1"' in owner.text(path)
    answer = owner.post(path, {"version": order.version, "country": "DE", **NEW})
    page = owner.text(f"/admin/orders/show/{order.id}")

    assert answer.status_code == 303
    assert fresh(order).shipping_address["line1"] == "Allee 7"
    assert "Shipping address changed" in page
    assert "10117" in owner.text(f"/admin/orders/history/{order.id}")


def test_what_is_wrong_with_an_address_stands_at_its_field(owner: Desk, cast: Cast) -> None:
    order = kept(cast.paid_order)

    answer = owner.post(
        f"/admin/orders/{order.id}/shipping-address", {"country": "DE", **NEW, "postal_code": "1"}
    )
    page = answer.get_data(as_text=True)

    assert answer.status_code == 422
    assert 'aria-describedby="address-postal_code-help"' in page
    assert 'value="Allee 7"' in page


def test_address_in_a_country_of_another_tax_says_why_not(owner: Desk, cast: Cast) -> None:
    order = kept(cast.paid_order)
    vienna = NEW | {"country": "AT", "city": "Wien", "postal_code": "1010"}

    answer = owner.post(f"/admin/orders/{order.id}/shipping-address", vienna)

    assert "In Austria the tax of Tidal mug is 20 %" in answer.get_data(as_text=True)
    assert fresh(order).shipping_address["country"] == "DE"


def test_warehouse_ships_and_support_changes_addresses(app: Flask, cast: Cast) -> None:
    order = kept(cast.paid_order)
    path = f"/admin/orders/{order.id}/shipping-address"

    refused = sit(app, "Warehouse").post(path, {"country": "DE", **NEW})
    done = sit(app, "Support", "Kim").post(path, {"country": "DE", **NEW})

    assert refused.status_code == 403
    assert done.status_code == 303
    assert fresh(order).shipping_address["line1"] == "Allee 7"


def queue(cast: Cast) -> list[orders.Order]:
    """Three paid orders, the newest first."""
    made = []
    for _ in range(3):
        order = people.order(cast.mug)
        people.pay(order)
        made.append(kept(order))
    return made[::-1]


def ship_and_next(owner: Desk, order: orders.Order, asked: str) -> str:
    answer = owner.post(
        f"/admin/orders/{order.id}/ship",
        {"carrier": "DPD", "then": "next"},
        headers={"Referer": f"http://localhost/admin/orders/show/{order.id}?{asked}"},
    )
    assert answer.status_code == 303
    return str(answer.location)


def test_ship_and_next_stays_in_the_filtered_queue(owner: Desk, cast: Cast) -> None:
    assert kept(people.order(cast.lamp))  # newer and unpaid: not to be packed
    first, second, third = queue(cast)

    after_second = ship_and_next(owner, second, "tab=to_pack")
    after_third = ship_and_next(owner, third, "tab=to_pack&country=DE")
    after_first = ship_and_next(owner, first, "tab=to_pack")

    assert after_second == f"/admin/orders/show/{third.id}?tab=to_pack"
    assert f"/admin/orders/show/{first.id}?" in after_third  # from the top again
    assert "country=DE" in after_third
    assert after_first == "/admin/orders/list/?tab=to_pack"
    assert "No other order of this list can be packed now." in owner.said()


def test_ship_and_next_leaves_out_what_the_filter_does(owner: Desk, cast: Cast) -> None:
    first = queue(cast)[0]

    assert ship_and_next(owner, first, "country=FR") == "/admin/orders/list/?country=FR"


def test_carrier_used_last_is_there_for_the_next_order(owner: Desk, cast: Cast) -> None:
    first, second, _third = queue(cast)

    ship_and_next(owner, first, "")

    assert 'name="carrier"\n               value="DPD"' in owner.text(
        f"/admin/orders/show/{second.id}"
    )
