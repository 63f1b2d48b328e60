"""Settings of checkout: ways to ship and rates of tax."""

import re
from typing import Any

from babel import Locale
from wtforms.validators import Length, NumberRange, Regexp, ValidationError

from shop.admin.framework import Amount, Number, Percent, Tab, Table, Text, View, YesNo
from shop.admin.framework.fields import CodesField, DataRequiredOrZero
from shop.checkout.models import ShippingMethod, TaxRate
from shop.core.errors import Invalid

COUNTRY = re.compile(r"[A-Z]{2}")
# What CLDR names with two letters besides countries.
UNIONS_AND_TESTS = {"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"}
COUNTRIES = Locale("en").territories.keys() - UNIONS_AND_TESTS
CODE = re.compile(r"(?=.{1,40}\Z)[a-z0-9]+([-_][a-z0-9]+)*\Z")
MAX_DAYS = 365
RATE_DIGITS = 4


def _days(form: Any, field: Any) -> None:
    if field.data is not None and not 0 <= field.data <= MAX_DAYS:
        raise ValidationError(f"A number of days from 0 to {MAX_DAYS}.")


def _rate(form: Any, field: Any) -> None:
    rate = field.data
    if rate is None:
        return
    if not (rate.is_finite() and 0 <= rate < 1):
        raise ValidationError("A rate is a fraction from 0 to less than 1: 0.19 means 19 %.")
    if rate != round(rate, RATE_DIGITS):
        raise ValidationError(f"At most {RATE_DIGITS} digits after the point.")


class ShippingMethodsView(View):
    """What checkout offers for delivery, by country."""

    route_base = "/admin/shipping"
    datamodel = Table(ShippingMethod)
    noun = "shipping method"
    columns = (
        Text("name"),
        Text("countries"),
        Amount("price_minor", "Price", card="end"),
        Amount("free_over_minor", "Free over"),
        YesNo("is_active", "Offered"),
        Number("position", shown=False),
    )
    show_fieldsets = [
        ("Method", {"fields": ["name", "code", "is_active", "position"]}),
        ("Price", {"fields": ["price_minor", "free_over_minor"]}),
        ("Where and when", {"fields": ["countries", "min_days", "max_days"]}),
    ]
    add_fieldsets = edit_fieldsets = [
        ("Method", {"fields": ["name", "code", "is_active", "position"]}),
        ("Price", {"fields": ["price_minor", "free_over_minor"]}),
        ("Where and when", {"fields": ["countries", "min_days", "max_days"]}),
    ]
    add_form_extra_fields = edit_form_extra_fields = {
        "countries": CodesField(
            "Countries",
            [DataRequiredOrZero("Name at least one country.")],
            description="Codes of two letters, separated by commas: DE, AT, FR.",
        )
    }
    sort = "position"
    search = ("name", "code")
    tabs = (
        Tab("all", "All"),
        Tab("on", "Offered", ShippingMethod.is_active.is_(True)),
        Tab("off", "Switched off", ShippingMethod.is_active.is_(False)),
    )
    label_columns = {"min_days": "Fastest (days)", "max_days": "Slowest (days)"}
    validators_columns = {
        "name": [Length(max=80, message="At most 80 characters.")],
        "code": [Regexp(CODE, message="Small letters, digits and hyphens, at most 40.")],
        "min_days": [_days],
        "max_days": [_days],
        "position": [NumberRange(-1000, 1000, "A number from −1,000 to 1,000.")],
    }
    hints = {
        "code": "Kept in orders; customers do not see it.",
        "is_active": "Customers can choose it in checkout.",
        "free_over_minor": "Goods worth at least this much ship free; a setting of the shop says"
        " whether that is before or after discounts. Leave empty for never.",
        "position": "Smaller numbers come first.",
    }

    def create(self, form: Any) -> Any:
        _checked(form)
        return super().create(form)

    def change(self, item: Any, form: Any) -> None:
        _checked(form)
        super().change(item, form)


class TaxRatesView(View):
    """The rate of each tax class in each country."""

    route_base = "/admin/tax-rates"
    datamodel = Table(TaxRate)
    noun = "tax rate"
    pages = ("add", "edit", "delete")
    columns = (Text("country"), Text("tax_class", "Tax class"), Percent("rate"))
    add_columns = ["country", "tax_class", "rate"]
    edit_columns = ["rate"]
    validators_columns = {
        "tax_class": [Regexp(CODE, message="Small letters, digits and hyphens, at most 40.")],
        "rate": [_rate],
    }
    sort = "country"
    search = ("country", "tax_class")
    search_hint = "Country or class"
    hints = {
        "country": "Code of two letters, such as DE.",
        "tax_class": "standard or reduced, as products name it.",
        "rate": "As a fraction: 0.19 means 19 %.",
    }

    def create(self, form: Any) -> Any:
        form.country.data = _country(form.country.data, "country")
        return super().create(form)


def _checked(form: Any) -> None:
    form.countries.data = [_country(code, "countries") for code in form.countries.data]
    if form.max_days.data < form.min_days.data:
        raise Invalid("The slowest delivery cannot be faster than the fastest.", field="max_days")


def _country(code: str, field: str) -> str:
    code = code.strip().upper()
    if not COUNTRY.fullmatch(code):
        raise Invalid(f"“{code[:20]}” is not a country code of two letters.", field=field)
    if code not in COUNTRIES:
        raise Invalid(f"There is no country with the code {code}.", field=field)
    return code
