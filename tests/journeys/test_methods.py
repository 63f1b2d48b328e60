"""Methods that settle later, redirect or wait, in a browser: from the payment form to the end."""

from playwright.sync_api import FrameLocator, Page
from sqlalchemy import select

from shop import orders, payments
from shop.core.db import transaction
from shop.notifications import EmailMessage
from tests.journeys.conftest import Visit
from tests.journeys.shelf import available, product
from tests.journeys.steps import add_to_cart, check_out, pay_with, to_payment
from tests.journeys.test_every_page import faults_of
from tests.support import axe
from tests.support.browser import PHONE, SMALLEST, Visitor, expect
from tests.support.stack import RunningShop, eventually, post

SUCCEEDS_LATE = "DE08370400440532013003"
FAILS_LATE = "DE78370400440532013004"
GOOD_CARD = "4242424242424242"
PATIENCE_S = 60


def at_the_payment_form(visitor: Visitor, name: str, email: str) -> str:
    """Somebody with one of five units in the cart, at the payment form; returns the order's
    number."""
    variant = product(name, stock=5)
    with transaction():
        slug = variant.product.slug
    add_to_cart(visitor.goto(f"/products/{slug}"))
    return check_out(visitor.page, email)


def form_of(page: Page) -> FrameLocator:
    """The payment form's own frame."""
    return page.frame_locator("[data-fields] iframe")


def choose_method(page: Page, label: str) -> FrameLocator:
    """Choose a method in the payment form; returns its frame."""
    form = form_of(page)
    form.get_by_label(label, exact=True).check()
    return form


def pay(page: Page) -> None:
    """Press the shop's button."""
    page.locator("[data-pay]").click()


def pay_by_debit(page: Page, iban: str) -> None:
    """A SEPA debit from this account; name and email are known already."""
    form = choose_method(page, "SEPA Debit")
    form.get_by_label("IBAN", exact=True).fill(iban)
    expect(form.get_by_label("Full name")).to_have_value("Ada Lovelace")
    pay(page)
    expect(
        page.get_by_text("Payment on its way; your bank needs 2 to 5 working days")
    ).to_be_visible()
    expect(page.get_by_role("heading", name="Thank you")).to_have_count(0)
    expect(page.get_by_text("Thank you, Ada Lovelace")).to_be_visible()


def at_stripe(shop: RunningShop, number: str, outcome: str, **more: str) -> None:
    """The bank, or whoever has a voucher to pay, does this now."""
    with transaction():
        attempt = payments.latest(orders.by_number(number).id)
    assert attempt is not None
    answer = post(
        f"{shop.stripe_url}/_control/payment",
        {"payment_intent": attempt.intent_id, "outcome": outcome, **more},
    )
    assert answer[0] == 200, answer


def letter(recipient: str, subject: str) -> str:
    """Wait for an email to somebody with these words in its subject; returns its text."""

    def find() -> str | None:
        with transaction() as session:
            return session.scalar(
                select(EmailMessage.text)
                .where(EmailMessage.recipient == recipient, EmailMessage.subject.contains(subject))
                .order_by(EmailMessage.id.desc())
                .limit(1)
            )

    eventually(find, within_s=PATIENCE_S, what=f"an email “{subject}” to {recipient}")
    return find() or ""


def state(page: Page, words: str) -> None:
    """Wait until the order's page says so by itself."""
    expect(page.locator(".state-line")).to_contain_text(words)


def test_debit_goes_from_on_its_way_to_paid(shop: RunningShop, visit: Visit) -> None:
    ada = visit("ada", viewport=PHONE)
    number = at_the_payment_form(ada, "Debited mug", "debit.paid@example.com")
    page = ada.page

    pay_by_debit(page, SUCCEEDS_LATE)

    state(page, "Payment processing")
    ada.snap("40-debit-on-its-way")
    assert faults_of(ada, "", SMALLEST) == []
    assert "bank needs 2 to 5 working days" in letter("debit.paid@example.com", "on its way")
    ada.wait_until_following("order:")
    at_stripe(shop, number, "succeed")
    state(page, "Paid")
    expect(page.get_by_text("on its way;")).to_have_count(0)
    assert "Thank you" in letter("debit.paid@example.com", "is paid")


def test_failed_debit_is_paid_again(shop: RunningShop, visit: Visit) -> None:
    ada = visit("ada")
    number = at_the_payment_form(ada, "Bounced mug", "debit.failed@example.com")
    page = ada.page
    pay_by_debit(page, FAILS_LATE)
    order_page = page.url
    ada.wait_until_following("order:")

    at_stripe(shop, number, "fail")

    expect(page.get_by_text("Your payment did not arrive.")).to_be_visible()
    expect(page.get_by_text("you can pay again until then")).to_be_visible()
    ada.snap("41-debit-failed")
    assert faults_of(ada, "", SMALLEST) == []
    letter_text = letter("debit.failed@example.com", "did not arrive")
    assert "/checkout/payment?order=" in letter_text
    page.get_by_role("link", name="Pay again").click()
    expect(page.locator("[data-pay]")).to_be_enabled()
    form_of(page).get_by_label("Card", exact=True).check()
    pay_with(page, GOOD_CARD)
    expect(page.locator(".state-line")).to_contain_text("Paid")
    assert page.url.startswith(order_page.partition("&")[0])


def test_order_is_cancelled_while_its_debit_runs(shop: RunningShop, visit: Visit) -> None:
    ada = visit("ada")
    number = at_the_payment_form(ada, "Cancelled mug", "debit.cancelled@example.com")
    page = ada.page
    pay_by_debit(page, SUCCEEDS_LATE)

    page.get_by_text("Cancel this order").click()
    expect(page.get_by_text("If the money still arrives, we refund it")).to_be_visible()
    page.get_by_role("button", name=f"Yes, cancel order {number}").click()

    state(page, "Cancelled")
    at_stripe(shop, number, "succeed")
    state(page, "Refunded")
    letter("debit.cancelled@example.com", "We refund your payment")


def test_redirect_method_authorised_pays(shop: RunningShop, visit: Visit) -> None:
    ada = visit("ada")
    at_the_payment_form(ada, "Redirected bowl", "ideal.paid@example.com")
    page = ada.page
    choose_method(page, "iDEAL")

    pay(page)
    page.get_by_role("button", name="Authorize").click()

    expect(page.get_by_text("Thank you")).to_be_visible()
    state(page, "Paid")


def test_redirect_method_refused_leads_back(shop: RunningShop, visit: Visit) -> None:
    ada = visit("ada")
    at_the_payment_form(ada, "Refused bowl", "ideal.refused@example.com")
    page = ada.page
    choose_method(page, "iDEAL")

    pay(page)
    page.get_by_role("button", name="Fail").click()

    expect(page.get_by_role("alert").first).to_contain_text("Nothing was charged")
    expect(page.locator("[data-pay]")).to_be_enabled()
    ada.snap("42-redirect-refused")
    form_of(page).get_by_label("Card", exact=True).check()
    pay_with(page, GOOD_CARD)
    expect(page.get_by_text("Thank you")).to_be_visible()


def test_redirect_method_abandoned_keeps_cart(shop: RunningShop, visit: Visit) -> None:
    ada = visit("ada")
    variant = product("Abandoned bowl", stock=5)
    with transaction():
        slug = variant.product.slug
    add_to_cart(ada.goto(f"/products/{slug}"))
    check_out(ada.page, "ideal.abandoned@example.com")
    page = ada.page
    choose_method(page, "iDEAL")
    pay(page)
    expect(page.get_by_role("button", name="Authorize")).to_be_visible()

    ada.goto("/cart")

    expect(page.get_by_role("link", name="Abandoned bowl")).to_be_visible()
    assert available(variant) == 4
    page.goto("/checkout/delivery")
    to_payment(page)
    form_of(page).get_by_label("Card", exact=True).check()
    pay_with(page, GOOD_CARD)
    expect(page.get_by_text("Thank you")).to_be_visible()
    assert available(variant) == 4


def take_voucher(visitor: Visitor, name: str, email: str) -> str:
    """Order by Multibanco, look at the voucher and close it; returns the order's number."""
    number = at_the_payment_form(visitor, name, email)
    page = visitor.page
    choose_method(page, "Multibanco")
    pay(page)
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("heading", name="Pay with Multibanco")).to_be_visible()
    return number


def test_voucher_is_shown_again_and_paid(shop: RunningShop, visit: Visit) -> None:
    ada = visit("ada", viewport=PHONE)
    number = take_voucher(ada, "Voucher vase", "fill_never@example.com")
    page = ada.page
    ada.snap("43-voucher")
    assert faults_of(ada, "", SMALLEST) == []
    reference = page.locator(".voucher-facts .copyable").inner_text()

    page.reload()

    expect(page.locator(".voucher-facts .copyable")).to_have_text(reference)
    assert reference in letter("fill_never@example.com", "How to pay")
    with page.expect_popup() as popup:
        page.get_by_role("link", name="Show the voucher").click()
    expect(popup.value.locator("body")).to_contain_text("Multibanco")
    popup.value.close()
    ada.goto("/cart")
    expect(page.get_by_text("Your cart is empty")).to_be_visible()
    page.go_back()
    ada.wait_until_following("order:")
    at_stripe(shop, number, "succeed")
    state(page, "Paid")
    expect(page.get_by_role("heading", name="Pay with Multibanco")).to_have_count(0)


def test_voucher_that_ended_can_be_paid_otherwise(shop: RunningShop, visit: Visit) -> None:
    ada = visit("ada")
    number = take_voucher(ada, "Expired vase", "ended.fill_never@example.com")
    page = ada.page
    ada.wait_until_following("order:")

    at_stripe(shop, number, "expire")

    expect(page.get_by_text("Your payment did not arrive.")).to_be_visible()
    letter("ended.fill_never@example.com", "did not arrive")
    page.get_by_role("link", name="Pay again").click()
    page.get_by_role("button", name="Choose how to pay").click()
    form_of(page).get_by_label("Card", exact=True).check()
    pay_with(page, GOOD_CARD)
    state(page, "Paid")


def test_voucher_is_swapped_for_a_card(shop: RunningShop, visit: Visit) -> None:
    ada = visit("ada", viewport=PHONE)
    number = take_voucher(ada, "Swapped vase", "swapped.fill_never@example.com")
    page = ada.page
    page.locator("summary", has_text="Pay another way").click()
    ada.snap("45-pay-another-way")
    assert faults_of(ada, "", SMALLEST) == []

    page.get_by_role("button", name="Cancel the voucher and pay another way").click()

    expect(page.locator("[data-pay]")).to_be_enabled()
    form_of(page).get_by_label("Card", exact=True).check()
    pay_with(page, GOOD_CARD)
    state(page, "Paid")
    expect(page.get_by_role("heading", name="Pay with Multibanco")).to_have_count(0)
    with transaction():
        made = payments.of_order(orders.by_number(number).id)
        assert [one.status for one in made] == ["cancelled", "succeeded"]


def test_link_pays_after_its_code(shop: RunningShop, visit: Visit) -> None:
    ada = visit("ada")
    at_the_payment_form(ada, "Linked mug", "link@example.com")
    page = ada.page
    form = choose_method(page, "Link")
    expect(form.get_by_label("Email")).to_have_value("link@example.com")
    form.get_by_label("Code").fill("000001")

    pay(page)

    expect(page.get_by_role("alert").first).to_contain_text("This code is not valid.")
    form.get_by_label("Code").fill("424242")
    pay(page)
    expect(page.get_by_text("Thank you")).to_be_visible()
    state(page, "Paid")


def test_staff_see_payments_on_their_way(shop: RunningShop, visit: Visit, owner: Visitor) -> None:
    ada = visit("ada")
    number = at_the_payment_form(ada, "Desk mug", "desk@example.com")
    pay_by_debit(ada.page, SUCCEEDS_LATE)

    desk = owner.goto("/admin/orders/list/?tab=payment_processing")

    row = desk.locator("tr", has_text=number)
    expect(row.locator('[data-cell="status"]')).to_have_text("Payment processing")
    row.get_by_role("link", name=number).click()
    expect(desk.get_by_text("the customer's bank needs 2 to 5 working days")).to_be_visible()
    owner.snap("44-desk-processing")
    assert axe.violations(desk) == []
    at_stripe(shop, number, "succeed")
    expect(desk.locator(".next-step")).to_contain_text("waiting to be packed")
