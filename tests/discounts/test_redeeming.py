"""From a code in the cart to the order: what was shown is charged, uses are released."""

from collections.abc import Sequence
from datetime import UTC, timedelta

import pytest
from sqlalchemy import text

from shop import cart as carts
from shop import catalog, checkout, discounts, inventory, orders, payments
from shop.cart import CartChanged
from shop.core import clock
from shop.core.db import session, transaction
from shop.core.errors import Invalid, NotFound
from shop.discounts import CodeRefused, UnknownCode, UsedUp
from shop.discounts.buyers import UNTAGGED
from shop.discounts.models import Discount
from shop.payments import intents
from tests import cast as people
from tests.cast import Cast
from tests.discounts.offers import offer


def use(cart: carts.Cart, code: str) -> discounts.Applied | None:
    with transaction():
        return checkout.apply_code(cart, code)


def place(cart: carts.Cart, *, seen_total_minor: int | None = None) -> orders.Order:
    with transaction():
        return checkout.place_order(cart.id, seen_total_minor=seen_total_minor)


def quote(cart: carts.Cart) -> discounts.Quote:
    return checkout.quote(carts.view(cart))[0]


def used(discount: Discount) -> int:
    session.refresh(discount)
    return discount.used


def test_code_is_part_of_order_that_was_shown(cast: Cast) -> None:
    ten = offer(code="WELCOME10")
    cart = people.filled_cart(cast.mug, 2)

    applied = use(cart, " welcome10 ")
    order = place(cart, seen_total_minor=3_420 + 490)

    assert applied.saved_minor == 380
    assert (order.subtotal_minor, order.discount_minor, order.total_minor) == (3_800, 380, 3_910)
    assert [(line.discount_minor, line.total_minor) for line in order.lines] == [(380, 3_420)]
    (got,) = discounts.of_order(order.id)
    assert (got.name, got.code, got.amount_minor) == ("Ten", "WELCOME10", 380)
    assert used(ten) == 1


def test_an_automatic_discount_needs_no_code(cast: Cast) -> None:
    ten = offer()

    order = place(people.filled_cart(cast.mug, 2))

    assert (order.discount_minor, used(ten)) == (380, 1)


def test_a_cart_without_codes_costs_no_further_statement(cast: Cast, statements: list[str]) -> None:
    offer()
    cart = people.filled_cart(cast.mug, 2)
    view = carts.view(cart)
    checkout.quote(view)
    statements.clear()

    assert checkout.quote(view)[0].discount_minor == 380
    assert statements == []


def test_a_category_counts_with_all_below_it(cast: Cast) -> None:
    mug = cast.mug
    with transaction():
        kitchen = catalog.create_category("Kitchen")
        mugs = catalog.create_category("Mugs", parent=kitchen)
        product = catalog.get_product(mug.product_id, to_change=True)
        catalog.update_product(product, categories=[mugs])
    offer(code="KITCHEN", is_targeted=True, category_ids=[kitchen.id])
    cart, lamp = people.filled_cart(mug, 1), cast.lamp
    with transaction():
        carts.add(cart, lamp.id, 1)

    use(cart, "KITCHEN")

    assert [line.discount_minor for line in quote(cart).lines] == [190, 0]


def test_discount_on_a_deleted_category_applies_to_nothing(cast: Cast) -> None:
    with transaction():
        kitchen = catalog.create_category("Kitchen")
    offer(code="KITCHEN", is_targeted=True, category_ids=[kitchen.id])
    with transaction():
        catalog.delete_category(kitchen)

    with pytest.raises(CodeRefused, match="Nothing in your cart"):
        use(people.filled_cart(cast.mug), "KITCHEN")


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ("", Invalid, "Enter a discount code"),
        ("   ", Invalid, "Enter a discount code"),
        ("NOBODY", UnknownCode, "“NOBODY” not found"),
        ("x' OR 1=1", UnknownCode, "not found"),
        ("ä" * 50, UnknownCode, "not found"),
        (None, Invalid, "Enter a discount code"),
    ],
)
def test_what_is_no_code_changes_nothing(
    cast: Cast, given: object, error: type[Exception], words: str
) -> None:
    cart = people.filled_cart(cast.mug)
    version = cart.version

    with pytest.raises(error, match=words), transaction():
        checkout.apply_code(cart, given)

    assert (cart.version, carts.view(cart).code_ids) == (version, ())


def test_a_refused_code_says_everything_and_changes_nothing(cast: Cast) -> None:
    offer(code="BIG", min_subtotal_minor=10_000, countries=["AT"])
    cart = people.filled_cart(cast.mug)

    with pytest.raises(CodeRefused) as refused:
        use(cart, "BIG")

    assert len(refused.value.reasons) == 2
    assert carts.view(cart).code_ids == ()


def test_of_two_codes_of_lane_better_one_counts(cast: Cast) -> None:
    offer("Twenty", code="TWENTY", value=2_000)
    offer("Ten", code="TEN")
    offer("Later", code="LATER", lane="last")
    cart = people.filled_cart(cast.mug, 1)

    use(cart, "TWENTY")
    with pytest.raises(CodeRefused, match="“Twenty” saves you at least as much"):
        use(cart, "TEN")
    use(cart, "LATER")

    assert quote(cart).discount_minor == 380 + 152


def test_inapplicable_code_is_named_without_a_seen_total(cast: Cast) -> None:
    offer(code="TWO", min_subtotal_minor=3_000)
    cart = people.filled_cart(cast.mug, 2)
    use(cart, "TWO")
    with transaction():
        (line,) = carts.view(cart).lines
        carts.set_quantity(cart, line.item_id, 1)

    (refused,) = quote(cart).refused
    assert refused.sentence == "TWO: This offer is for orders from €30.00: €11.00 is missing."
    with pytest.raises(CartChanged, match="TWO: This offer is for orders from"):
        place(cart)
    with pytest.raises(CartChanged, match="TWO: This offer is for orders from"):
        place(cart, seen_total_minor=1_710 + 490)
    assert place(cart, seen_total_minor=1_900 + 490).discount_minor == 0


def test_a_code_can_be_taken_out(cast: Cast) -> None:
    offer(code="TEN")
    cart = people.filled_cart(cast.mug)
    use(cart, "TEN")

    with transaction():
        carts.remove_code(cart, "ten")

    assert quote(cart).discount_minor == 0
    with pytest.raises(NotFound, match="not in your cart"), transaction():
        carts.remove_code(cart, "TEN")


def test_a_guests_codes_come_along_at_sign_in(cast: Cast) -> None:
    offer(code="TEN")
    own = people.filled_cart(cast.mug, customer_id=cast.ada.id)
    guest = people.filled_cart(cast.mug, 2)
    use(guest, "TEN")

    with transaction():
        checkout.merge_carts(guest, cast.ada.id)

    assert quote(own).discount_minor == 380


def test_the_last_use_goes_to_one(cast: Cast) -> None:
    ten = offer(code="LAST", limit_total=1)
    mine, yours = people.filled_cart(cast.mug), people.filled_cart(cast.mug)
    use(mine, "LAST")
    use(yours, "LAST")
    place(yours)

    with pytest.raises(CartChanged, match="LAST: This offer has been used up"):
        place(mine, seen_total_minor=1_710 + 490)
    assert used(ten) == 1


def test_exhausted_discount_stops_the_whole_order(cast: Cast) -> None:
    offer(limit_total=1)
    mine = people.filled_cart(cast.mug)
    checkout.quote(carts.view(mine))  # remembers that one use is left
    kept = discounts.automatic()
    place(people.filled_cart(cast.mug))
    assert discounts.automatic() is kept

    with pytest.raises(UsedUp, match="just been used up"):
        place(mine)

    assert inventory.levels([cast.mug.id])[cast.mug.id].reserved == 1


@pytest.mark.parametrize("how", ["cancel", "expire"])
def test_discount_usage_is_released(cast: Cast, how: str) -> None:
    ten = offer(code="TEN", code_limit=1, limit_total=1, limit_per_customer=1)
    cart = people.filled_cart(cast.mug)
    use(cart, "TEN")
    order = place(cart)
    assert used(ten) == 1

    with clock.freeze(order.expires_at + timedelta(seconds=1)), transaction():
        locked = orders.lock(order.id)
        if how == "cancel":
            payments.cancel_order(locked, reason="customer")
        else:
            orders.expire(locked)

    assert used(ten) == 0
    (got,) = discounts.of_order(order.id)
    assert got.is_released
    assert place(cart).discount_minor == 190


def test_own_usage_allows_returning_from_payment(cast: Cast) -> None:
    ten = offer(code="TEN", limit_total=1, limit_per_customer=1, code_limit=1)
    cart = people.filled_cart(cast.mug)
    use(cart, "TEN")
    first = place(cart)
    assert quote(cart).discount_minor == 190

    with transaction():
        carts.add(cart, cast.mug.id, 1)
    second = place(cart)

    assert (first.status, second.discount_minor, used(ten)) == ("cancelled", 380, 1)


def test_once_per_customer_holds_for_guests_by_address(cast: Cast) -> None:
    offer(code="ONCE", limit_per_customer=1)
    first = people.filled_cart(cast.mug)
    use(first, "ONCE")
    place(first)
    second = people.filled_cart(cast.mug)
    with transaction():
        checkout.set_contact(second, email="ADA+again@Example.com", address=people.ADDRESS)

    with pytest.raises(CodeRefused, match="each customer can use it once"):
        use(second, "ONCE")


def test_an_account_gives_no_second_use(cast: Cast) -> None:
    offer(code="ONCE", limit_per_customer=1)
    guest = people.filled_cart(cast.mug)
    use(guest, "ONCE")
    place(guest)

    with pytest.raises(CodeRefused, match="each customer can use it once"):
        use(people.filled_cart(cast.mug, customer_id=cast.ada.id), "ONCE")


def test_a_first_order_is_one_that_was_paid(cast: Cast) -> None:
    offer(code="FIRST", first_order=True)
    people.pay(people.order(cast.mug))

    with pytest.raises(CodeRefused, match="you have ordered before"):
        use(people.filled_cart(cast.mug), "FIRST")


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("ada@example.com", "ada+2@example.com"),
        ("Ada+first@Example.com", "ada@example.com"),
        ("ada+1@example.com", "ADA+2+3@example.com"),
    ],
)
def test_tag_in_address_makes_no_second_first_order(cast: Cast, before: str, now: str) -> None:
    offer(code="FIRST", first_order=True)
    cart = people.filled_cart(cast.mug)
    with transaction():
        checkout.set_contact(cart, email=before, address=people.ADDRESS)
    people.pay(place(cart))
    stranger, again = people.filled_cart(cast.mug), people.filled_cart(cast.mug)
    for one, email in ((stranger, "adam@example.com"), (again, now)):
        with transaction():
            checkout.set_contact(one, email=email, address=people.ADDRESS)
    assert use(stranger, "FIRST").saved_minor == 190

    with pytest.raises(CodeRefused, match="you have ordered before"):
        use(again, "FIRST")


def test_who_has_ordered_before_is_found_by_index(cast: Cast) -> None:
    session.execute(text("SET LOCAL enable_seqscan = off"))
    same = f"{UNTAGGED.format(email='email')} = {UNTAGGED.format(email=':email')}"

    plan = session.scalars(
        text(f'EXPLAIN SELECT FROM "order" WHERE {same}'), {"email": "ada@example.com"}
    )

    assert "ix_order_untagged_email" in " ".join(plan)


def late(order: orders.Order) -> None:
    payment = people.attempt(order)
    with clock.freeze(order.expires_at + timedelta(seconds=1)), transaction():
        orders.expire(orders.lock(order.id))
    with transaction():
        intents.apply_intent(payment.id, people.intent(payment))


def test_late_money_takes_its_use_again(cast: Cast) -> None:
    ten = offer(code="TEN", limit_total=1)
    cart = people.filled_cart(cast.mug)
    use(cart, "TEN")
    order = place(cart)

    late(order)

    session.refresh(order)
    assert (order.status, used(ten)) == ("confirmed", 1)
    assert not discounts.of_order(order.id)[0].is_released


def test_late_payment_keeps_its_price_past_the_limit(cast: Cast) -> None:
    ten = offer(code="TEN", limit_total=1)
    cart, other = people.filled_cart(cast.mug), people.filled_cart(cast.mug)
    use(cart, "TEN")
    order = place(cart)
    payment = people.attempt(order)
    with clock.freeze(order.expires_at + timedelta(seconds=1)), transaction():
        orders.expire(orders.lock(order.id))
    use(other, "TEN")
    place(other)

    with transaction():
        intents.apply_intent(payment.id, people.intent(payment))

    session.refresh(order)
    assert (order.status, order.discount_minor, used(ten)) == ("confirmed", 190, 1)
    assert not discounts.of_order(order.id)[0].is_released


def test_an_order_that_costs_nothing_needs_no_payment(cast: Cast) -> None:
    offer("All", code="ALL", value=10_000)
    offer("Delivery", code="SHIP", kind="free_shipping", value=0)
    cart = people.filled_cart(cast.mug, 2)
    use(cart, "ALL")
    use(cart, "SHIP")

    order = place(cart, seen_total_minor=0)

    assert (order.total_minor, order.status, order.payment_status) == (0, "confirmed", "paid")
    assert inventory.levels([cast.mug.id])[cast.mug.id].committed == 2
    assert carts.find(cart.token) is None
    with transaction():
        payments.cancel_order(orders.lock(order.id), reason="customer")
    assert inventory.available([cast.mug.id])[cast.mug.id] == 10


def test_free_shipping_is_kept_with_the_order(cast: Cast) -> None:
    offer("Delivery", code="SHIP", kind="free_shipping", value=0)
    cart = people.filled_cart(cast.mug)
    use(cart, "SHIP")

    order = place(cart)

    assert (order.shipping_minor, order.discount_minor, order.total_minor) == (0, 0, 1_900)
    assert discounts.of_order(order.id)[0].shipping_minor == 490


def test_more_than_five_codes_are_too_many(cast: Cast) -> None:
    cart = people.filled_cart(cast.lamp, 2)
    for number in range(6):
        offer(f"Offer {number}", code=f"CODE{number}", value=1_000 * (number + 1))
    for number in range(5):
        use(cart, f"CODE{number}")

    with pytest.raises(Invalid, match="up to 5 codes"):
        use(cart, "CODE5")


def names(found: Sequence[discounts.Discount]) -> list[str]:
    return [one.name for one in found]


def test_the_list_knows_how_each_stands(cast: Cast) -> None:
    now = clock.now()
    offer("Active", code="ACTIVE")
    offer("Later", starts_at=now + timedelta(days=1))
    offer("Over", ends_at=now - timedelta(days=1))
    full = offer("Full", code="FULL", limit_total=1)
    cart = people.filled_cart(cast.mug)
    use(cart, "FULL")
    place(cart)
    off = offer("Off")
    with transaction():
        discounts.set_active(off, False)
    session.refresh(full)

    assert discounts.page().total == 5
    for status, name in {"active": "Active", "scheduled": "Later", "ended": "Over",
                         "used_up": "Full", "off": "Off"}.items():  # fmt: skip
        (found,) = discounts.page(status=status).rows
        assert (found.name, discounts.status_of(found, clock.now())) == (name, status)
    assert names(discounts.page(q="acti").rows) == ["Active"]
    assert names(discounts.page(q="ful").rows) == ["Full"]


def test_usage_counts_orders_and_money(cast: Cast) -> None:
    ten = offer(code="TEN")
    for _ in range(2):
        cart = people.filled_cart(cast.mug)
        use(cart, "TEN")
        order = place(cart)
    with transaction():
        payments.cancel_order(orders.lock(order.id), reason="customer")

    usage = discounts.usage(ten.id, checkout.terms().zone)

    assert (usage.orders, usage.released, usage.given_minor) == (1, 1, 190)
    assert usage.sales_minor == 1_710 + 490
    assert [count for _, count in usage.by_day] == [1]


def test_late_honoured_usage_ends_with_its_order(cast: Cast) -> None:
    one = offer(code="ONE", limit_total=1)
    first, second = people.filled_cart(cast.mug), people.filled_cart(cast.mug)
    use(first, "ONE")
    late = place(first)
    payment = people.attempt(late)
    with clock.freeze(late.expires_at + timedelta(seconds=1)), transaction():
        orders.expire(orders.lock(late.id))
    use(second, "ONE")
    place(second)
    with transaction():
        intents.apply_intent(payment.id, people.intent(payment))
    assert (late.status, discounts.of_order(late.id)[0].is_released) == ("confirmed", False)

    with transaction():
        payments.cancel_order(orders.lock(late.id), reason="customer")

    assert discounts.of_order(late.id)[0].is_released
    assert used(one) == 1
    assert discounts.usage(one.id, UTC).orders == 1


def test_free_unit_is_charged_after_refunding_its_set(cast: Cast) -> None:
    offer("Three for two", kind="buy_x_get_y", value=10_000, buy_quantity=2, get_quantity=1)
    jug = people.product("Jug", price_minor=2_500)
    cart, vase_id = people.filled_cart(jug, 2), people.product("Vase", price_minor=2_400).id
    with transaction():
        carts.add(cart, vase_id, 1)
    order = place(cart)
    payment = people.pay(order)
    jugs, vase = order.lines

    with transaction():
        payments.cancel_lines(orders.lock(order.id), {jugs.id: 2}, reason="customer")

    session.refresh(payment)
    assert (payment.captured_minor, payment.balance_minor) == (5_000, vase.total_minor)
    assert vase.total_minor == 2_400 - 778


def test_usage_under_another_address_does_not_hide_own(
    cast: Cast,
) -> None:
    offer("Once", limit_per_customer=1)
    people.pay(people.order(cast.mug, 1))  # Ada's
    cart = people.filled_cart(cast.mug, 1)
    with transaction():
        checkout.set_contact(cart, email="bob@example.com", address=people.ADDRESS)
    place(cart)

    with transaction():
        checkout.set_contact(cart, email="ada@example.com", address=people.ADDRESS)
    seen = quote(cart)
    order = place(cart, seen_total_minor=seen.total_minor)

    assert (seen.discount_minor, order.discount_minor) == (0, 0)
