"""Whether a discount applies: every condition by itself, and all reasons at once."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shop.discounts import DiscountKind, Facts, Rule, describe, explain, offer

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
KITCHEN, MUGS, LIGHT = 1, 2, 3


@dataclass(frozen=True)
class Line:
    product_id: int
    category_ids: tuple[int, ...]
    quantity: int
    unit_price_minor: int


MUG = Line(10, (MUGS,), 2, 1_900)
LAMP = Line(20, (LIGHT,), 1, 8_900)
RULE = Rule(7, "Ten", DiscountKind.PERCENTAGE, 1_000, "EUR", code="TEN", code_id=70)
FACTS = Facts(lines=(MUG, LAMP), currency="EUR", now=NOW, zone=BERLIN, country="DE")


def reasons(rule: dict[str, Any], facts: dict[str, Any] | None = None) -> list[str]:
    return explain(replace(RULE, **rule), replace(FACTS, **(facts or {})))


@pytest.mark.parametrize(
    ("rule", "facts", "sentence"),
    [
        ({"is_active": False}, {}, "This offer has ended."),
        (
            {"starts_at": NOW + timedelta(days=1)},
            {},
            "This offer starts on 2 December 2026, 13:00.",
        ),
        ({"ends_at": NOW}, {}, "This offer ended on 1 December 2026, 13:00."),
        ({"limit_total": 5, "used": 5}, {}, "This offer has been used up."),
        ({"code_limit": 1, "code_used": 1}, {}, "This offer has been used up."),
        (
            {"limit_per_customer": 1},
            {"uses": {7: 1}},
            "You have already used this offer: each customer can use it once.",
        ),
        (
            {"limit_per_customer": 3},
            {"uses": {7: 3}},
            "You have already used this offer: each customer can use it 3 times.",
        ),
        (
            {"min_subtotal_minor": 15_000},
            {},
            "This offer is for orders from €150.00: €23.00 is missing.",
        ),
        (
            {"audience": "signed_in"},
            {},
            "This offer is for customers with an account: please sign in.",
        ),
        ({"audience": "chosen"}, {}, "This offer is for certain customers: please sign in."),
        (
            {"audience": "chosen", "customer_ids": frozenset({1})},
            {"customer_id": 2},
            "This offer is for other customers.",
        ),
        (
            {"first_order": True},
            {"has_ordered": True},
            "This offer is for a first order, and you have ordered before.",
        ),
        (
            {"countries": ("AT", "DE")},
            {"country": "FR"},
            "This offer is for orders to Austria or Germany, not to France.",
        ),
        ({"currency": "USD"}, {}, "This offer is for prices in USD."),
        (
            {"is_targeted": True, "category_ids": frozenset({9}), "target_names": ("Textiles",)},
            {},
            "Nothing in your cart is part of this offer: it is for Textiles.",
        ),
        ({"is_targeted": True}, {}, "Nothing in your cart is part of this offer."),
        (
            {
                "kind": "buy_x_get_y",
                "buy_quantity": 2,
                "get_quantity": 1,
                "is_targeted": True,
                "category_ids": frozenset({KITCHEN, MUGS}),
                "target_names": ("Kitchen",),
            },
            {},
            "Add 1 more item of Kitchen to your cart to get this offer.",
        ),
        ({}, {"lines": ()}, "Your cart is empty."),
    ],
)
def test_each_condition_says_why(
    rule: dict[str, Any], facts: dict[str, Any], sentence: str
) -> None:
    assert reasons(rule, facts) == [sentence]


def test_set_that_is_not_full_applies() -> None:
    rule = replace(
        RULE, kind=DiscountKind.BUY_X_GET_Y, value=10_000, buy_quantity=1, get_quantity=9
    )

    assert explain(rule, FACTS) == []


@pytest.mark.parametrize(
    ("rule", "facts"),
    [
        ({}, {}),
        ({"starts_at": NOW, "ends_at": NOW + timedelta(seconds=1)}, {}),
        ({"limit_total": 5, "used": 4}, {}),
        ({"limit_total": 5, "used": 5}, {"own_usages": frozenset({7})}),
        ({"code_limit": 1, "code_used": 1}, {"own_codes": frozenset({70})}),
        ({"limit_per_customer": 2}, {"uses": {7: 1}}),
        ({"min_subtotal_minor": 12_700}, {}),
        ({"audience": "signed_in"}, {"customer_id": 2}),
        ({"audience": "chosen", "customer_ids": frozenset({2})}, {"customer_id": 2}),
        ({"first_order": True}, {}),
        ({"countries": ("DE",)}, {}),
        ({"countries": ("DE",)}, {"country": ""}),
        ({"is_targeted": True, "product_ids": frozenset({10})}, {}),
    ],
)
def test_what_holds_says_nothing(rule: dict[str, Any], facts: dict[str, Any]) -> None:
    assert reasons(rule, facts) == []


def test_every_reason_is_said_at_once() -> None:
    said = reasons(
        {
            "is_active": False,
            "ends_at": NOW,
            "limit_total": 1,
            "used": 1,
            "audience": "signed_in",
            "first_order": True,
            "countries": ("AT",),
            "min_subtotal_minor": 50_000,
            "is_targeted": True,
        },
        {"has_ordered": True},
    )

    assert len(said) == 8


def test_an_offer_is_only_on_its_own_lines() -> None:
    made = offer(replace(RULE, is_targeted=True, category_ids=frozenset({LIGHT})), FACTS)

    assert made is not None and made.lines == (1,)


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({}, "10 % off everything, with a code"),
        (
            {
                "is_targeted": True,
                "target_names": ("Kitchen",),
                "min_subtotal_minor": 5_000,
                "limit_per_customer": 1,
                "ends_at": datetime(2026, 12, 30, 23, tzinfo=UTC),
            },
            "10 % off Kitchen, from €50, once per customer, until 31 December 2026, with a code",
        ),
        (
            {"kind": "fixed", "value": 550, "is_automatic": True},
            "€5.50 off everything, without a code",
        ),
        ({"kind": "free_shipping", "value": 0}, "Free shipping, with a code"),
        ({"kind": "free_shipping", "value": 490}, "Up to €4.90 off shipping, with a code"),
        (
            {
                "kind": "buy_x_get_y",
                "value": 10_000,
                "buy_quantity": 2,
                "get_quantity": 1,
                "is_targeted": True,
                "target_names": ("Mugs", "Plates"),
            },
            "Buy 2 of Mugs or Plates, get 1 more free, with a code",
        ),
        (
            {"first_order": True, "limit_per_customer": 1, "limit_total": 100},
            "10 % off everything, on the first order, 100 times in total, with a code",
        ),
    ],
)
def test_a_sentence_says_what_it_does(rule: dict[str, Any], sentence: str) -> None:
    assert describe(replace(RULE, **rule), BERLIN) == sentence
