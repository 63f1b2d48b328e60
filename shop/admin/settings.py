"""Settings of checkout: ways to ship and rates of tax."""

import re
from typing import Any

from babel import Locale
from wtforms.validators import Length, NumberRange, Regexp, ValidationError

from shop.admin.framework import Amount, Number, Percent, Tab, Table, Text, View, YesNo
from shop.admin.framework.fields import CodesField, DataRequiredOrZero
from shop.checkout.models import ShippingMethod, TaxRate
from shop.core.errors import Invalid
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext

COUNTRY = re.compile(r"[A-Z]{2}")
# What CLDR names with two letters besides countries.
UNIONS_AND_TESTS = {"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"}
COUNTRIES = Locale("en").territories.keys() - UNIONS_AND_TESTS
CODE = re.compile(r"(?=.{1,40}\Z)[a-z0-9]+([-_][a-z0-9]+)*\Z")
MAX_DAYS = 365
RATE_DIGITS = 4


def _days(form: Any, field: Any) -> None:
    if field.data is not None and not 0 <= field.data <= MAX_DAYS:
        raise ValidationError(lazy_gettext("A number of days from 0 to %(most)s.", most=MAX_DAYS))


def _rate(form: Any, field: Any) -> None:
    rate = field.data
    if rate is None:
        return
    if not (rate.is_finite() and 0 <= rate < 1):
        raise ValidationError(_("A rate is a fraction from 0 to less than 1: 0.19 means 19 %."))
    if rate != round(rate, RATE_DIGITS):
        raise ValidationError(_("At most %(count)s digits after the point.", count=RATE_DIGITS))


class ShippingMethodsView(View):
    """What checkout offers for shipping, by country."""

    route_base = "/admin/shipping"
    datamodel = Table(ShippingMethod)
    noun = lazy_gettext("shipping method")
    plural = lazy_gettext("Shipping methods")
    columns = (
        Text("name"),
        Text("countries"),
        Amount("price_minor", lazy_gettext("Price"), card="end"),
        Amount("free_over_minor", lazy_gettext("Free over")),
        YesNo("is_active", lazy_gettext("Offered")),
        Number("position", shown=False),
    )
    show_fieldsets = [
        (lazy_gettext("Method"), {"fields": ["name", "code", "is_active", "position"]}),
        (lazy_gettext("Price"), {"fields": ["price_minor", "free_over_minor"]}),
        (lazy_gettext("Where and when"), {"fields": ["countries", "min_days", "max_days"]}),
    ]
    add_fieldsets = edit_fieldsets = [
        (lazy_gettext("Method"), {"fields": ["name", "code", "is_active", "position"]}),
        (lazy_gettext("Price"), {"fields": ["price_minor", "free_over_minor"]}),
        (lazy_gettext("Where and when"), {"fields": ["countries", "min_days", "max_days"]}),
    ]
    add_form_extra_fields = edit_form_extra_fields = {
        "countries": CodesField(
            lazy_gettext("Countries"),
            [DataRequiredOrZero(lazy_gettext("Name at least one country."))],
            description=lazy_gettext("Two-letter codes, separated by commas: DE, AT, FR."),
        )
    }
    sort = "position"
    search = ("name", "code")
    tabs = (
        Tab("all", lazy_gettext("All")),
        Tab("on", lazy_gettext("Offered"), ShippingMethod.is_active.is_(True)),
        Tab("off", lazy_gettext("Switched off"), ShippingMethod.is_active.is_(False)),
    )
    label_columns = {
        "min_days": lazy_gettext("Fastest (days)"),
        "max_days": lazy_gettext("Slowest (days)"),
    }
    validators_columns = {
        "name": [Length(max=80, message=lazy_gettext("At most 80 characters."))],
        "code": [
            Regexp(CODE, message=lazy_gettext("Lowercase letters, digits and hyphens, at most 40."))
        ],
        "min_days": [_days],
        "max_days": [_days],
        "position": [NumberRange(-1000, 1000, lazy_gettext("A number from −1,000 to 1,000."))],
    }
    hints = {
        "code": lazy_gettext("Stored in orders. Customers do not see it."),
        "is_active": lazy_gettext("Customers can choose it at checkout."),
        "free_over_minor": lazy_gettext(
            "Orders of at least this amount ship free. A setting of the shop decides whether that"
            " is before or after discounts. Leave empty for never."
        ),
        "position": lazy_gettext("Smaller numbers come first."),
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
    noun = lazy_gettext("tax rate")
    plural = lazy_gettext("Tax rates")
    pages = ("add", "edit", "delete")
    columns = (Text("country"), Text("tax_class", lazy_gettext("Tax class")), Percent("rate"))
    add_columns = ["country", "tax_class", "rate"]
    edit_columns = ["rate"]
    validators_columns = {
        "tax_class": [
            Regexp(CODE, message=lazy_gettext("Lowercase letters, digits and hyphens, at most 40."))
        ],
        "rate": [_rate],
    }
    sort = "country"
    search = ("country", "tax_class")
    search_hint = lazy_gettext("Country or class")
    hints = {
        "country": lazy_gettext("Two-letter code, such as DE."),
        "tax_class": lazy_gettext("standard or reduced, as products name it."),
        "rate": lazy_gettext("As a fraction: 0.19 means 19 %."),
    }

    def create(self, form: Any) -> Any:
        form.country.data = _country(form.country.data, "country")
        return super().create(form)


def _checked(form: Any) -> None:
    form.countries.data = [_country(code, "countries") for code in form.countries.data]
    if form.max_days.data < form.min_days.data:
        raise Invalid(
            _("The slowest shipping time cannot be shorter than the fastest."), field="max_days"
        )


def _country(code: str, field: str) -> str:
    code = code.strip().upper()
    if not COUNTRY.fullmatch(code):
        raise Invalid(
            _("“%(code)s” is not a two-letter country code.", code=code[:20]), field=field
        )
    if code not in COUNTRIES:
        raise Invalid(_("There is no country with the code %(code)s.", code=code), field=field)
    return code
