"""Prices: what lines, discounts, shipping and tax come to.

Promise: one pure calculation serves cart, checkout, order and refund, exact to the minor unit; a
limit is never exceeded, and a use is released when its order is off.
Leaves what may be bought to cart and catalog.
"""

from shop.discounts.buyers import History, history
from shop.discounts.conditions import Facts, Rule, explain, offer
from shop.discounts.drafts import AUDIENCES, KINDS, LANE_WORDS, MAX_CHOSEN, Draft, draft_of
from shop.discounts.errors import CodeRefused, UnknownCode, UsedUp
from shop.discounts.kinds import Audience, DiscountKind, Lane
from shop.discounts.making_codes import MAX_CODES, add_code, generate_codes, remove_code
from shop.discounts.models import Discount, DiscountCode
from shop.discounts.operations import (
    create_discount,
    delete_discount,
    get_discount,
    set_active,
    update_discount,
)
from shop.discounts.pricing import (
    LANES,
    Applied,
    Offer,
    Priced,
    Quote,
    Refused,
    TaxedLine,
    price,
)
from shop.discounts.queries import (
    DiscountList,
    Redeemed,
    Usage,
    codes,
    count_codes,
    is_called,
    of_order,
    page,
    status_condition,
    usage,
)
from shop.discounts.reading_rules import (
    MAX_CODE_LENGTH,
    automatic,
    by_code,
    by_codes,
    clean_code,
    clear_cache,
    rule_of,
    rules,
)
from shop.discounts.redeeming import lock_for, lock_of, redeem, redeem_again, release_usage
from shop.discounts.wording import STATUSES, Words, describe, status_of

__all__ = [
    "AUDIENCES", "KINDS", "LANES", "LANE_WORDS", "MAX_CHOSEN", "MAX_CODES",
    "MAX_CODE_LENGTH", "STATUSES", "Applied", "Audience", "CodeRefused", "Discount",
    "DiscountCode", "DiscountKind", "DiscountList", "Draft", "Facts", "History", "Lane",
    "Offer", "Priced", "Quote", "Redeemed", "Refused", "Rule", "TaxedLine", "UnknownCode",
    "Usage", "UsedUp", "Words", "add_code", "automatic", "by_code", "by_codes",
    "clean_code", "clear_cache", "codes", "count_codes", "create_discount",
    "delete_discount", "describe", "draft_of", "explain", "generate_codes", "get_discount",
    "history", "is_called", "lock_for", "lock_of", "of_order", "offer", "page", "price",
    "redeem", "redeem_again", "release_usage", "remove_code", "rule_of", "rules",
    "set_active", "status_condition", "status_of", "update_discount", "usage",
]  # fmt: skip
