"""Money on an order's page: refunded, captured, released, cancelled; and what is refused."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from shop import inventory, orders, payments
from shop.core import clock
from shop.core.db import session, transaction
from shop.payments import disputes, intents, refund_news, stripe_objects
from shop.payments import stripe_gateway as gateway
from shop.payments.models import Payment, Refund
from shop.payments.refusals import SENTENCES, RefusalReason
from shop.payments.stripe_errors import Refused
from shop.payments.stripe_objects import SentRefund
from tests import cast as people
from tests.admin.desk import Desk, sit
from tests.cast import Cast
from tests.discounts.offers import offer


@pytest.fixture
def owner(app: Flask, cast: Cast) -> Desk:
    return sit(app, "Owner")


def kept(order: orders.Order) -> orders.Order:
    found = orders.by_id(order.id)
    session.expunge_all()
    return found


def fresh(order: orders.Order) -> orders.Order:
    session.remove()
    return orders.by_id(order.id)


def all_refunds() -> list[Refund]:
    session.remove()
    return list(session.scalars(select(Refund).order_by(Refund.id)))


def give(order: orders.Order, **form: Any) -> dict[str, Any]:
    return {"version": order.version, "what": "lines", "reason": "returned"} | form


def authorised(cast: Cast) -> tuple[orders.Order, Payment]:
    """An order whose money is authorised."""
    order = cast.unpaid_order
    payment = people.attempt(order, capture="manual")
    with transaction():
        intents.apply_intent(payment.id, people.intent(payment, "requires_capture"))
    return kept(order), payment


def refunded_there(payment: Payment, amount_minor: int) -> SentRefund:
    """What somebody gave back in Stripe's own pages."""
    return SentRefund(
        id="re_there", intent_id=f"pi_{payment.id}", status="succeeded", amount_minor=amount_minor,
        currency="EUR", failure="", created=clock.now() - timedelta(minutes=5), metadata={},
    )  # fmt: skip


def test_refunded_line_is_restocked(owner: Desk, cast: Cast) -> None:
    order = kept(cast.paid_order)
    line = order.lines[0]
    with transaction():
        orders.ship(orders.lock(order.id))
    order = fresh(order)

    form = {f"quantity-{line.id}": "1", f"restock-{line.id}": "1", "agreed": "1900"}
    answer = owner.post(f"/admin/orders/{order.id}/refund", give(order, **form))

    assert answer.location == f"/admin/orders/show/{order.id}"
    (refund,) = all_refunds()
    assert (refund.amount_minor, refund.reason, refund.source) == (1900, "returned", "staff")
    assert refund.requested_by == "Mara Lindt"
    assert refund.lines[0].restock
    assert inventory.levels([cast.mug.id])[cast.mug.id].on_hand == 9
    page = owner.text(f"/admin/orders/show/{order.id}")
    assert "Pending" in page and "The customer sent it back" in page
    assert "1 × Tidal mug, restocked" in page


def test_free_order_is_returned_and_restocked(owner: Desk, cast: Cast) -> None:
    offer("All free", value=10_000)
    offer("Free delivery", kind="free_shipping", value=0)
    order = people.order(cast.mug, 2)
    with transaction():
        orders.ship(orders.lock(order.id))
    order = fresh(order)
    line, address = order.lines[0], f"/admin/orders/{order.id}/refund"
    form = give(order, what="all", **{f"restock-{line.id}": "1"})
    assert "Record return" in owner.text(f"/admin/orders/show/{order.id}")

    asked = owner.post(address, form)
    assert "no money moves" in asked.text
    done = owner.post(address, form | {"agreed": "0"})

    assert done.location == f"/admin/orders/show/{order.id}"
    assert all_refunds() == []
    assert inventory.levels([cast.mug.id])[cast.mug.id].on_hand == 10
    page = owner.text(f"/admin/orders/show/{order.id}")
    assert "Returned without a refund: 2 × Tidal mug" in page
    assert "2 × Tidal mug, restocked" in page
    assert "Record return" not in page


def test_unagreed_change_is_asked_about_first(owner: Desk, cast: Cast) -> None:
    order = kept(cast.paid_order)
    address = f"/admin/orders/{order.id}/refund"

    asked = owner.post(address, give(order, what="amount", amount="12,50"))

    assert "Refund €12.50 to Visa ending 4242?" in asked.text
    assert 'name="amount" value="12,50"' in asked.text
    assert all_refunds() == []
    owner.post(address, give(order, what="amount", amount="12,50", agreed="1250"))
    assert [refund.amount_minor for refund in all_refunds()] == [1250]


def test_all_that_is_left_is_one_choice(owner: Desk, cast: Cast) -> None:
    order = kept(cast.paid_order)
    form = give(order, what="all", agreed=str(order.total_minor))

    owner.post(f"/admin/orders/{order.id}/refund", form)

    (refund,) = all_refunds()
    assert refund.amount_minor == order.total_minor
    assert refund.shipping_minor == order.shipping_minor
    page = owner.get(f"/admin/orders/{order.id}/refund")
    assert "is refunded, or its refund is pending" in page.text


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({}, "Choose what to refund, or enter an amount."),
        ({"quantity": "0"}, "Choose what to refund, or enter an amount."),
        ({"quantity": "3"}, "Tidal mug: 2 can still be refunded, not 3."),
        ({"quantity": "-1"}, "This must be a whole number, 0 or more."),
        ({"quantity": "1.5"}, "A quantity must be a whole number."),
        ({"quantity": "999999999"}, "Tidal mug: 2 can still be refunded"),
        ({"quantity": "9999999999"}, "A quantity must be a whole number."),
        ({"quantity-999999": "1"}, "This item is not part of the order."),
        ({"shipping": "-1"}, "An amount cannot be below zero."),
        ({"shipping": "1000"}, "of the shipping can still be refunded."),
        ({"shipping": "1,234"}, "can be read in two ways. Write 1234.00"),
        ({"what": "amount"}, "An amount is missing."),
        ({"what": "amount", "amount": "0"}, "Choose what to refund, or enter an amount."),
        ({"what": "amount", "amount": "-5"}, "An amount cannot be below zero."),
        ({"what": "amount", "amount": "1e3"}, "is not an amount"),
        ({"what": "amount", "amount": "1.005"}, "Write 1005.00 or 1,005.00."),
        ({"what": "amount", "amount": "NaN"}, "is not an amount"),
        ({"what": "amount", "amount": "5 USD"}, "is not an amount"),
        ({"what": "amount", "amount": "1000"}, "of this payment can still be refunded."),
        ({"what": "amount", "amount": "9" * 15}, "The highest amount possible is"),
        ({"what": "amount", "amount": "9" * 99}, "is not an amount"),
        ({"what": "amount", "amount": "5", "reason": "because"}, "Choose a reason for the refund."),
        ({"what": "amount", "amount": "5", "version": "-1"}, "changed this order just now"),
    ],
)
def test_refused_refund_keeps_what_was_typed(
    owner: Desk, cast: Cast, form: dict[str, str], sentence: str
) -> None:
    order = kept(cast.paid_order)
    if "quantity" in form:
        form = {f"quantity-{order.lines[0].id}": form["quantity"]}
    address = f"/admin/orders/{order.id}/refund"

    answer = owner.post(address, give(order, **form))
    status, said = owner.ask(address, give(order, **form))

    assert answer.status_code == status and status in {409, 422}, said
    assert sentence in answer.text and sentence in said["error"]
    for name, value in form.items():
        if name in {"shipping", "amount"} and value:
            assert f'value="{value}"' in answer.text
    assert all_refunds() == []
    assert fresh(order).version == order.version


def test_failed_refund_says_why_and_can_be_retried(owner: Desk, cast: Cast) -> None:
    order = kept(cast.paid_order)
    with transaction():
        wanted = payments.Wanted(amount_minor=500)
        refund = payments.request_refund(orders.lock(order.id), wanted, reason="goodwill")
    with transaction():
        refund_news.apply_refund(refund.id, people.sent(refund, "failed", failure="expired card"))
    page = owner.text(f"/admin/orders/show/{order.id}")
    assert "expired card" in page and "Retry" in page
    address = f"/admin/orders/{order.id}/refund/{refund.id}/retry"

    owner.post(address, {"version": fresh(order).version})

    (again,) = all_refunds()
    assert (again.status, again.attempt) == ("requested", 2)
    assert owner.ask(address)[0] == 409
    assert owner.ask(f"/admin/orders/{order.id}/refund/999999/retry")[0] == 404


def test_refund_is_retried_only_from_its_own_order(owner: Desk, cast: Cast) -> None:
    order, other = cast.paid_order, people.order(cast.lamp)
    with transaction():
        wanted = payments.Wanted(amount_minor=500)
        refund = payments.request_refund(orders.lock(order.id), wanted, reason="goodwill")
        refund_news.fail_refund(order, refund, "no")
    pk, refund_id = other.id, refund.id

    assert owner.ask(f"/admin/orders/{pk}/refund/{refund_id}/retry")[0] == 404
    assert [one.status for one in all_refunds()] == ["failed"]


def test_changes_at_stripe_are_marked_and_in_order(owner: Desk, cast: Cast) -> None:
    order = kept(cast.paid_order)
    (payment,) = payments.of_order(order.id)
    made = refunded_there(payment, 700)
    contested = people.dispute(payment, "needs_response", amount_minor=1000)
    with transaction():
        refund_news.adopt_refund(payment.id, made)
    with transaction():
        disputes.apply_dispute(payment.id, contested)
    session.remove()

    page = owner.text(f"/admin/orders/show/{order.id}")
    form = owner.get(f"/admin/orders/{order.id}/refund")

    assert (
        "Created in Stripe" in page and "Needs an answer" in page and "respond in Stripe by" in page
    )
    card = page.partition('id="payment-title"')[2]
    # The refund was made before the charge that this test made up: Stripe's time decides.
    words = ("Refunded, created in Stripe", "Captured", "Withdrawn by a dispute", "Dispute fee")
    places = [card.index(word) for word in words]
    assert places == sorted(places)
    assert "disputes this payment" in form.text and "data-refund" not in form.text


def test_authorised_money_is_captured_in_part(
    owner: Desk, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, payment = authorised(cast)
    asked: list[int] = []

    def capture(intent_id: str, *, key: str, amount_minor: int) -> stripe_objects.Intent:
        asked.append(amount_minor)
        return people.intent(payment, received_minor=amount_minor)

    monkeypatch.setattr(gateway, "capture_intent", capture)
    page = owner.text(f"/admin/orders/show/{order.id}")
    assert "can be captured until" in page and "captured only once" in page

    form = {"version": order.version, "amount": "10.00"}
    answer = owner.post(f"/admin/orders/{order.id}/capture", form)

    assert answer.status_code == 303 and asked == [1000]
    assert fresh(order).payment_status == "partly_paid"
    assert owner.ask(f"/admin/orders/{order.id}/capture", {"amount": "1"})[0] == 409


def test_refused_capture_shows_the_reason_and_a_task(
    owner: Desk, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, payment = authorised(cast)
    as_it_is = people.intent(payment, "requires_capture")
    monkeypatch.setattr(gateway, "fetch_intent", lambda _: as_it_is)

    def refused(intent_id: str, *, key: str, amount_minor: int) -> stripe_objects.Intent:
        reason = RefusalReason.CARD_INSUFFICIENT_FUNDS
        raise Refused(SENTENCES[reason], reason=reason)

    monkeypatch.setattr(gateway, "capture_intent", refused)
    form = {"version": order.version, "amount": "10.00"}

    answer = owner.post(f"/admin/orders/{order.id}/capture", form)

    assert answer.status_code == 409
    assert "not enough money on the card" in answer.text and 'value="10.00"' in answer.text
    code, said = owner.ask(f"/admin/orders/{order.id}/capture", {"amount": "10.00"})
    assert (code, said["code"]) == (409, "card_insufficient_funds")
    tasks = owner.text("/admin/payments/list/")
    assert "could not be captured: There is not enough money on the card" in tasks


@pytest.mark.parametrize(
    ("amount", "sentence"),
    [
        ("0", "Capture more than zero and at most"),
        ("-1", "cannot be below zero"),
        ("1000", "Capture more than zero and at most"),
        ("1.001", "can be read in two ways"),
        ("abc", "is not an amount"),
    ],
)
def test_more_than_authorised_is_not_captured(
    owner: Desk, cast: Cast, amount: str, sentence: str
) -> None:
    order, _ = authorised(cast)
    form = {"version": order.version, "amount": amount}

    answer = owner.post(f"/admin/orders/{order.id}/capture", form)

    assert answer.status_code == 422
    assert sentence in answer.text and f'value="{amount}"' in answer.text
    assert fresh(order).payment_status == "authorised"


def test_authorised_money_is_released(
    owner: Desk, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, payment = authorised(cast)
    ended = people.intent(payment, "canceled")
    monkeypatch.setattr(gateway, "cancel_intent", lambda intent_id: ended)
    address = f"/admin/orders/{order.id}/void"

    stale = owner.post(address, {"version": order.version - 1})
    assert stale.status_code == 409 and "changed this order just now" in stale.text
    owner.post(address, {"version": order.version})

    assert fresh(order).payment_status == "unpaid"
    assert "There is no authorised payment" in owner.ask(address, {})[1]["error"]


def test_some_items_are_cancelled_and_refunded(owner: Desk, cast: Cast) -> None:
    order = kept(cast.paid_order)
    line = order.lines[0]
    form = {
        "version": order.version, "what": "lines", f"quantity-{line.id}": "1",
        "reason": "out of stock", "may_keep": "1", "refund": "1",
    }  # fmt: skip

    answer = owner.post(f"/admin/orders/{order.id}/cancel", form)

    assert answer.status_code == 303
    assert [refund.amount_minor for refund in all_refunds()] == [1900]
    now = fresh(order)
    assert (now.status, now.lines[0].cancelled) == ("confirmed", 1)
    assert inventory.levels([cast.mug.id])[cast.mug.id].committed == 1


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({}, "Choose at least one"),
        ({"quantity": "3"}, "2 left to cancel, not 3"),
        ({"quantity": "-1"}, "2 left to cancel, not -1"),
        ({"quantity": "1.5"}, "must be a whole number"),
        ({"quantity-999999": "1"}, "not part of the order"),
        ({"quantity": "1", "reason": ""}, "Choose a reason for the cancellation."),
        ({"quantity": "1", "version": "1"}, "changed this order just now"),
    ],
)
def test_missing_units_are_not_cancelled(
    owner: Desk, cast: Cast, form: dict[str, str], sentence: str
) -> None:
    order = kept(cast.paid_order)
    if "quantity" in form:
        form = {f"quantity-{order.lines[0].id}": form["quantity"]} | {
            name: value for name, value in form.items() if name != "quantity"
        }
    sent = {"version": order.version, "what": "lines", "reason": "customer"} | form

    answer = owner.post(f"/admin/orders/{order.id}/cancel", sent)

    assert answer.status_code in {409, 422}
    assert sentence in answer.text
    assert all_refunds() == [] and fresh(order).version == order.version


@pytest.mark.parametrize(("role", "kept_back"), [("Manager", True), ("Support", False)])
def test_only_refunders_may_keep_money_of_cancelled_orders(
    app: Flask, cast: Cast, role: str, kept_back: bool
) -> None:
    order = kept(cast.paid_order)
    form = {"version": order.version, "what": "all", "reason": "customer", "may_keep": "1"}

    sit(app, role).post(f"/admin/orders/{order.id}/cancel", form)

    assert fresh(order).status == "cancelled"
    assert (all_refunds() == []) is kept_back


@pytest.mark.parametrize(
    ("role", "may"),
    [("Finance", True), ("Manager", True), ("Owner", True), ("Support", False),
     ("Warehouse", False), ("Viewer", False), ("Catalogue", False)],
)  # fmt: skip
def test_who_may_give_money_back(app: Flask, cast: Cast, role: str, may: bool) -> None:
    order = kept(cast.paid_order)
    desk = sit(app, role)
    refund = give(order, what="amount", amount="1.00")

    # Scripts say what they want once: no second question.
    status, _ = desk.ask(f"/admin/orders/{order.id}/refund", refund)
    captured, _ = desk.ask(f"/admin/orders/{order.id}/capture", {"amount": "1.00"})

    assert (status == 200) is may, status
    assert (captured == 409) is may, captured
    session.remove()
    assert bool(session.scalar(select(func.count()).select_from(Refund))) is may


def test_shipping_a_fully_refunded_order_warns(owner: Desk, cast: Cast) -> None:
    order = cast.paid_order
    payment = session.scalars(select(Payment).where(Payment.order_id == order.id)).one()
    before = owner.text(f"/admin/orders/show/{order.id}")
    with transaction():
        refund_news.adopt_refund(payment.id, refunded_there(payment, order.total_minor))

    page = owner.text(f"/admin/orders/show/{order.id}")

    assert "Fully refunded" in page and "What you ship now is a gift." in page
    assert "ully refunded" not in before


def test_form_proposes_to_capture_what_is_still_owed(owner: Desk, cast: Cast) -> None:
    order, _ = authorised(cast)
    with transaction():
        locked = orders.lock(order.id)
        payments.cancel_lines(locked, {locked.lines[0].id: 1}, reason="customer")
    session.remove()

    page = owner.text(f"/admin/orders/{order.id}/capture")

    assert 'value="23.90"' in page
    assert "Cancelled items are not charged." in page


def test_disputed_payment_offers_no_retry(owner: Desk, cast: Cast) -> None:
    order = kept(cast.paid_order)
    (payment,) = payments.of_order(order.id)
    with transaction():
        wanted = payments.Wanted(amount_minor=500)
        refund = payments.request_refund(orders.lock(order.id), wanted, reason="goodwill")
        refund_news.fail_refund(orders.lock(order.id), refund, "no")
    refund_id = refund.id
    session.remove()
    retry = f"/admin/orders/{order.id}/refund/{refund_id}/retry"
    assert retry in owner.text(f"/admin/orders/show/{order.id}")

    with transaction():
        disputes.apply_dispute(payment.id, people.dispute(payment, "under_review"))
    session.remove()

    assert retry not in owner.text(f"/admin/orders/show/{order.id}")
    assert owner.ask(retry)[0] == 409


def test_cancelling_an_order_does_not_refund_lost_payments(owner: Desk, cast: Cast) -> None:
    order = kept(cast.paid_order)
    (payment,) = payments.of_order(order.id)
    lost = people.dispute(payment, "lost", reason="fraudulent")
    with transaction():
        disputes.apply_dispute(payment.id, lost)
    order = fresh(order)

    form = owner.text(f"/admin/orders/{order.id}/cancel")
    done = {"version": order.version, "what": "all", "reason": "fraud", "may_keep": "1"}
    owner.post(f"/admin/orders/{order.id}/cancel", done)

    assert "There is no refund. The bank returned this money" in form
    assert fresh(order).status == "cancelled"
