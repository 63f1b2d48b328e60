"""The one price calculation: exact to the minor unit, whatever is taken off."""

from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.discounts import LANES, DiscountKind, Lane, Offer, Quote, price

RATES = {"standard": Decimal("0.19"), "reduced": Decimal("0.07")}


@dataclass(frozen=True)
class Line:
    quantity: int
    unit_price_minor: int
    tax_class: str = "standard"


lines = st.lists(
    st.builds(
        Line,
        quantity=st.integers(1, 999),
        unit_price_minor=st.integers(0, 500_000),
        tax_class=st.sampled_from(["standard", "reduced", "zero"]),
    ),
    min_size=1,
    max_size=8,
)


@st.composite
def carts(draw: st.DrawFn) -> tuple[list[Line], list[Offer]]:
    goods = draw(lines)
    chosen = st.lists(st.sampled_from(range(len(goods))), unique=True).map(sorted).map(tuple)

    def offer(number: int) -> Offer:
        kind = draw(
            st.sampled_from(
                [
                    DiscountKind.PERCENTAGE,
                    DiscountKind.FIXED,
                    DiscountKind.FREE_SHIPPING,
                    DiscountKind.BUY_X_GET_Y,
                ]
            )
        )
        wide = draw(st.booleans())
        return Offer(
            discount_id=number,
            name=f"Offer {number}",
            kind=kind,
            value=draw(st.integers(1, 100_000_000 if kind == DiscountKind.FIXED else 10_000)),
            lines=tuple(range(len(goods))) if wide else draw(chosen),
            lane=draw(st.sampled_from(LANES)),
            buy_quantity=draw(st.integers(1, 5)),
            get_quantity=draw(st.integers(1, 5)),
            is_order_wide=wide,
        )

    return goods, [offer(number) for number in range(draw(st.integers(0, 5)))]


def quote(
    goods: list[Line], offers: list[Offer], *, shipping: int = 490, included: bool = True
) -> Quote:
    return price(
        goods,
        rates=RATES,
        shipping_minor=shipping,
        currency="EUR",
        prices_include_tax=included,
        offers=offers,
    )


def off(kind: str, value: int, *on: int, **more: object) -> Offer:
    return Offer(1, "Offer", kind, value, lines=on, **more)  # type: ignore[arg-type]


@given(carts(), st.integers(0, 5_000), st.booleans())
def test_totals_are_exact_and_never_negative(
    cart: tuple[list[Line], list[Offer]], shipping: int, included: bool
) -> None:
    goods, offers = cart

    it = quote(goods, offers, shipping=shipping, included=included)

    full = [line.quantity * line.unit_price_minor for line in goods]
    assert it.subtotal_minor == sum(full)
    for before, line in zip(full, it.lines, strict=True):
        assert line.total_minor >= 0 and line.discount_minor >= 0
        assert line.total_minor == before - line.discount_minor
    assert it.discount_minor == sum(line.discount_minor for line in it.lines)
    assert it.discount_minor == sum(one.amount_minor for one in it.discounts)
    assert it.shipping_discount_minor == sum(one.shipping_minor for one in it.discounts)
    assert it.shipping_minor == shipping - it.shipping_discount_minor >= 0
    assert it.tax_minor == sum(line.tax_minor for line in it.lines) + it.shipping_tax_minor
    paid = it.subtotal_minor - it.discount_minor + it.shipping_minor
    assert it.total_minor == paid + (0 if included else it.tax_minor) >= 0


@given(carts())
def test_best_choice_of_one_discount_per_lane(cart: tuple[list[Line], list[Offer]]) -> None:
    goods, offers = cart

    it = quote(goods, offers)

    on_goods = [one for one in it.discounts if not one.shipping_minor]
    lanes = [one.lane for one in on_goods]
    assert lanes == sorted(set(lanes), key=LANES.index)
    assert len(it.discounts) - len(on_goods) <= 1
    sold = [one for one in offers if one.kind != DiscountKind.FREE_SHIPPING]
    ways = product(*([None, *(o for o in sold if o.lane == lane)] for lane in LANES))
    chosen = [[one for one in way if one is not None] for way in ways]
    assert it.discount_minor == max(quote(goods, way).discount_minor for way in chosen)


@given(carts(), st.data())
def test_added_unit_costs_at_most_its_price(
    cart: tuple[list[Line], list[Offer]], data: st.DataObject
) -> None:
    goods, offers = cart
    price_minor = data.draw(st.one_of(st.integers(0, 20), st.integers(0, 500_000)))
    more = [*goods, Line(1, price_minor)]
    with_it = [
        replace(one, lines=(*one.lines, len(goods)))
        if one.is_order_wide or data.draw(st.booleans())
        else one
        for one in offers
    ]

    rise = quote(more, with_it).total_minor - quote(goods, offers).total_minor

    assert 0 <= rise <= price_minor


@given(carts(), st.data())
def test_one_more_unit_costs_at_most_its_price(
    cart: tuple[list[Line], list[Offer]], data: st.DataObject
) -> None:
    goods, offers = cart
    index = data.draw(st.integers(0, len(goods) - 1))
    more = [replace(line, quantity=line.quantity + (n == index)) for n, line in enumerate(goods)]

    rise = quote(more, offers).total_minor - quote(goods, offers).total_minor

    assert 0 <= rise <= goods[index].unit_price_minor


@given(carts(), st.booleans(), st.data())
def test_total_ignores_the_order_of_lines(
    cart: tuple[list[Line], list[Offer]], included: bool, data: st.DataObject
) -> None:
    goods, offers = cart
    order = data.draw(st.permutations(range(len(goods))))
    moved = [
        replace(one, lines=tuple(sorted(order.index(index) for index in one.lines)))
        for one in offers
    ]

    before, after = (
        quote(goods, offers, included=included),
        quote([goods[index] for index in order], moved, included=included),
    )

    assert after.total_minor == before.total_minor
    assert after.tax_minor == before.tax_minor


@given(carts())
def test_discounts_only_touch_their_own_lines(cart: tuple[list[Line], list[Offer]]) -> None:
    goods, offers = cart
    eligible = {one.discount_id: set(one.lines) for one in offers}

    for one in quote(goods, offers).discounts:
        touched = {index for index, saved in enumerate(one.lines) if saved}
        assert touched <= eligible[one.discount_id]


@given(lines)
def test_without_offers_nothing_is_taken_off(goods: list[Line]) -> None:
    it = quote(goods, [])

    assert (it.discount_minor, it.shipping_discount_minor, it.discounts) == (0, 0, ())


def test_a_percentage_is_spread_by_largest_remainder() -> None:
    it = quote(
        [Line(1, 333), Line(1, 333), Line(1, 334)], [off(DiscountKind.PERCENTAGE, 1_000, 0, 1, 2)]
    )

    assert [line.discount_minor for line in it.lines] == [33, 33, 34]


def test_fixed_amount_is_never_more_than_its_goods() -> None:
    it = quote([Line(1, 500), Line(1, 900)], [off(DiscountKind.FIXED, 5_000, 0)])

    assert [line.total_minor for line in it.lines] == [0, 900]


def test_tax_is_of_the_discounted_line() -> None:
    (line,) = quote([Line(1, 11_900)], [off(DiscountKind.PERCENTAGE, 5_000, 0)]).lines

    assert (line.total_minor, line.tax_minor) == (5_950, 950)


THREE_FOR_TWO = off(DiscountKind.BUY_X_GET_Y, 10_000, 0, 1, 2, buy_quantity=2, get_quantity=1)


def test_each_set_spreads_its_saving_over_itself() -> None:
    goods = [Line(2, 1_000), Line(3, 700), Line(1, 2_000)]

    it = quote(goods, [THREE_FOR_TWO])

    # 20 + 10 + 10 saves 10, spread over these three; 7 + 7 + 7 saves 7.
    assert [line.discount_minor for line in it.lines] == [500, 700, 500]


def test_cheaper_fourth_item_costs_its_own_price() -> None:
    three = [Line(1, 1_950), Line(1, 1_950), Line(1, 1_950)]
    cup = Line(1, 1_400)

    it = quote([*three, cup], [replace(THREE_FOR_TWO, lines=(0, 1, 2, 3))])

    before = quote(three, [THREE_FOR_TWO])
    assert it.total_minor - before.total_minor == 1_400
    assert it.lines[:3] == before.lines
    assert it.lines[3].discount_minor == 0


def test_incomplete_set_saves_what_it_can() -> None:
    offer = off(DiscountKind.BUY_X_GET_Y, 10_000, 0, buy_quantity=1, get_quantity=2)

    totals = [quote([Line(n, 1_000)], [offer], shipping=0).total_minor for n in range(1, 6)]

    assert totals == [1_000, 1_000, 1_000, 2_000, 2_000]


def test_item_counts_for_one_buy_x_get_y() -> None:
    first = replace(THREE_FOR_TWO, lines=(0, 1), lane=Lane.FIRST)
    second = replace(THREE_FOR_TWO, discount_id=2, lines=(1, 2), lane=Lane.MAIN, buy_quantity=1)

    it = quote([Line(2, 1_000), Line(1, 900), Line(2, 500)], [first, second])

    assert [one.amount_minor for one in it.discounts] == [900, 500]


def test_discount_on_some_goods_comes_before_sets() -> None:
    sets = replace(THREE_FOR_TWO, lane=Lane.FIRST)
    free_cup = Offer(2, "Free cup", DiscountKind.PERCENTAGE, 10_000, lines=(0,), lane=Lane.LAST)
    goods = [Line(1, 1_000), Line(1, 900), Line(1, 800)]

    it = quote(goods, [sets, free_cup], shipping=0)

    # Were the cup counted as bought, it would make another item free besides.
    assert it.total_minor == 1_700


def test_discount_on_everything_follows_its_lane() -> None:
    sets = replace(THREE_FOR_TWO, lane=Lane.FIRST)
    code = Offer(
        2, "Five", DiscountKind.FIXED, 500, lines=(0, 1, 2), lane=Lane.LAST, is_order_wide=True
    )
    goods = [Line(1, 1_000), Line(1, 900), Line(1, 800)]

    assert quote(goods, [sets, code], shipping=0).total_minor == 1_900 - 500


def test_two_percentages_are_rounded_once() -> None:
    two = [
        Offer(n, "Half", DiscountKind.PERCENTAGE, 5_000, lines=(0,), lane=lane)
        for n, lane in enumerate([Lane.FIRST, Lane.LAST])
    ]

    it = quote([Line(1, 1_001)], two)

    assert it.discount_minor == 751  # 750.75; rounded twice it would be 750
    assert [one.amount_minor for one in it.discounts] == [501, 250]


def test_half_price_for_the_second() -> None:
    it = quote(
        [Line(2, 999)], [off(DiscountKind.BUY_X_GET_Y, 5_000, 0, buy_quantity=1, get_quantity=1)]
    )

    assert it.discount_minor == 500  # 499.5


def test_a_later_lane_works_on_what_is_left() -> None:
    half = off(DiscountKind.PERCENTAGE, 5_000, 0, lane=Lane.FIRST)
    tenth = Offer(2, "Tenth", DiscountKind.PERCENTAGE, 1_000, lines=(0,), lane=Lane.LAST)

    assert quote([Line(1, 1_000)], [tenth, half]).discount_minor == 550


def test_free_shipping_combines_with_a_product_discount() -> None:
    free = Offer(2, "Free delivery", DiscountKind.FREE_SHIPPING, 0, lines=(0,))

    it = quote([Line(1, 1_000)], [off(DiscountKind.PERCENTAGE, 1_000, 0), free])

    assert (it.discount_minor, it.shipping_minor, it.shipping_discount_minor) == (100, 0, 490)
    assert it.shipping_tax_minor == 0


def test_shipping_can_be_cheaper_instead_of_free() -> None:
    assert quote([Line(1, 1_000)], [off(DiscountKind.FREE_SHIPPING, 200, 0)]).shipping_minor == 290


def test_everything_can_be_free() -> None:
    free = Offer(2, "Free delivery", DiscountKind.FREE_SHIPPING, 0, lines=(0,))

    it = quote([Line(3, 1_000)], [off(DiscountKind.PERCENTAGE, 10_000, 0), free])

    assert (it.total_minor, it.tax_minor) == (0, 0)


def test_free_goods_still_decide_the_shipping_tax() -> None:
    it = quote([Line(1, 1_000, "reduced")], [off(DiscountKind.PERCENTAGE, 10_000, 0)])

    assert (it.total_minor, it.shipping_tax_minor) == (490, 32)


@pytest.mark.parametrize("included", [True, False])
def test_mixed_rates_split_shipping_and_add_up(included: bool) -> None:
    rates = {"standard": Decimal("0.19"), "reduced": Decimal("0.07")}
    lines = [Line(1, 999, "standard"), Line(3, 333, "reduced")]

    quote = price(
        lines, rates=rates, shipping_minor=490, currency="EUR", prices_include_tax=included
    )

    goods = 999 + 999
    assert quote.subtotal_minor == goods
    expected = goods + 490 + (0 if included else quote.tax_minor)
    assert quote.total_minor == expected
    assert quote.tax_minor == sum(line.tax_minor for line in quote.lines) + quote.shipping_tax_minor
