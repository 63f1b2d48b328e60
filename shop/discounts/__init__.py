"""Prices: what lines, shipping and tax come to.

Promise: one pure calculation serves cart, checkout, order and refund, exact to the minor unit.
Leaves what may be bought to cart and catalog.
"""

from shop.discounts.pricing import Priced, Quote, TaxedLine, price

__all__ = ["Priced", "Quote", "TaxedLine", "price"]
