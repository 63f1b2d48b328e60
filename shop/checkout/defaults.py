"""What a new shop starts with; staff change it in the admin afterwards.

Rates: European Commission, "VAT rates applied in the Member States of the European Union",
standard and (first) reduced rate, as of 2025. Shipments to Switzerland, Norway and the United
Kingdom are exports without our tax.
"""

from decimal import Decimal
from typing import Any

TAX_CLASSES = ("standard", "reduced", "zero")


def _rates(standard: str, reduced: str) -> tuple[Decimal, Decimal, Decimal]:
    return Decimal(standard), Decimal(reduced), Decimal(0)


TAX_RATES = {
    "AT": _rates("0.20", "0.10"),
    "BE": _rates("0.21", "0.06"),
    "CZ": _rates("0.21", "0.12"),
    "DE": _rates("0.19", "0.07"),
    "DK": _rates("0.25", "0.25"),
    "ES": _rates("0.21", "0.10"),
    "FI": _rates("0.255", "0.14"),
    "FR": _rates("0.20", "0.055"),
    "IE": _rates("0.23", "0.135"),
    "IT": _rates("0.22", "0.10"),
    "LU": _rates("0.17", "0.08"),
    "NL": _rates("0.21", "0.09"),
    "PL": _rates("0.23", "0.08"),
    "PT": _rates("0.23", "0.13"),
    "SE": _rates("0.25", "0.12"),
}
EUROPE = sorted(set(TAX_RATES) | {"CH", "GB", "NO"})

SHIPPING_METHODS: list[dict[str, Any]] = [
    {
        "code": "standard",
        "name": "Standard delivery",
        "price_minor": 490,
        "free_over_minor": 6000,
        "countries": ["DE", "AT"],
        "min_days": 2,
        "max_days": 4,
        "position": 1,
    },
    {
        "code": "express",
        "name": "Express delivery",
        "price_minor": 1290,
        "free_over_minor": None,
        "countries": ["DE", "AT"],
        "min_days": 1,
        "max_days": 1,
        "position": 2,
    },
    {
        "code": "europe",
        "name": "Delivery in Europe",
        "price_minor": 990,
        "free_over_minor": 12000,
        "countries": [country for country in EUROPE if country not in {"DE", "AT"}],
        "min_days": 3,
        "max_days": 6,
        "position": 3,
    },
]
