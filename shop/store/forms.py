"""Forms of the selling pages. They hold what was typed; the features judge it.

So there is one rule for pages, API and programs: a field here only says what it is called and
whether it is needed, and ``tell`` puts a refusal of a feature beside the field that it is about.
"""

from collections.abc import Hashable, Mapping
from threading import Lock
from typing import Any

from cachetools import LRUCache, cached
from flask import request
from flask_wtf import FlaskForm
from markupsafe import Markup
from wtforms import (
    BooleanField,
    EmailField,
    Field,
    Form,
    HiddenField,
    PasswordField,
    SelectField,
    StringField,
    TelField,
)
from wtforms.meta import DefaultMeta
from wtforms.widgets import TextInput, html_params

from shop import customers
from shop.core.errors import DomainError
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext, locale


class Needed:
    """Marks a field as one that must be filled in, for the page; the feature checks it."""

    field_flags: Mapping[str, Any] = {"required": True}

    def __call__(self, form: Form, field: Field) -> None:
        """Judge nothing here."""


def _shows(field: Field, attributes: Mapping[str, Any]) -> Hashable:
    """Everything that the HTML of a control follows from."""
    choices = tuple(_choices(field).items())
    flags = tuple(vars(field.flags).items())
    options = getattr(field, "options", ())
    shown = (field.id, field.name, field.data, choices, options, flags)
    return (locale(), type(field), *shown, *attributes.items())


@cached(LRUCache(512), key=_shows, lock=Lock())
def _kept(field: Field, attributes: Mapping[str, Any]) -> str:
    return DefaultMeta().render_field(field, dict(attributes))


def _is_offered(field: Field) -> bool:
    """Whether what was chosen is one of the choices: what somebody made up is not kept."""
    return field.data in _choices(field)


def _choices(field: Field) -> Mapping[str, str]:
    """What a list offers; every list of these forms has its choices by value."""
    offered = field.choices if isinstance(field, SelectField) else None
    return offered if isinstance(offered, dict) else {}


class LongForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    """A form with so many controls that those nobody has typed into are rendered only once."""

    class Meta(FlaskForm.Meta):  # type: ignore[misc]
        """How WTForms learns of it."""

        def render_field(self, field: Field, render_kw: Mapping[str, Any]) -> str:
            if field.data and not _is_offered(field):
                return super().render_field(field, render_kw)  # type: ignore[no-any-return]
            return _kept(field, render_kw)


class ReachableForm(LongForm):
    """Whom to write to. Stands above the address, so that it comes first in lists of faults."""

    email = EmailField(
        lazy_gettext("Email"),
        [Needed()],
        description=lazy_gettext("For the receipt and updates on your order."),
    )


class _RegionInput(TextInput):
    """A list of the country's regions; a box to type in where there is no list."""

    def __call__(self, field: Any, **attributes: Any) -> Markup:
        """The control."""
        if not field.options:
            return super().__call__(field, **attributes)
        options = [Markup("<option value=''>{}</option>").format(_("Choose"))]
        for value, label, is_chosen in field.options:
            chosen = Markup(" selected") if is_chosen else ""
            options.append(Markup("<option value='{}'{}>{}</option>").format(value, chosen, label))
        attributes = {"id": field.id, "name": field.name, **attributes}
        if field.flags.required:
            attributes["required"] = True
        return Markup("<select {}>{}</select>").format(
            Markup(html_params(**attributes)), Markup("").join(options)
        )


class RegionField(StringField):
    """A region of a country; ``options`` are (value, label, whether it is chosen)."""

    widget = _RegionInput()
    options: tuple[tuple[str, str, bool], ...] = ()


# Fields that not every country has. What was typed into one waits in a hidden field, so named,
# while the form is that of a country without it.
COME_AND_GO = ("postal_code", "city", "region")
KEPT = "kept-"
MAX_KEPT = 200


class AddressForm(LongForm):
    """A postal address. The country decides which of the other fields there are (``offer``).

    ``kept`` are names and values of hidden fields: what was typed for another country.
    """

    country = SelectField(lazy_gettext("Country"), [Needed()], validate_choice=False)
    name = StringField(lazy_gettext("Full name"), [Needed()])
    line1 = StringField(lazy_gettext("Street and house number"), [Needed()])
    line2 = StringField(lazy_gettext("Flat, floor, company"))
    postal_code = StringField(lazy_gettext("Postal code"))
    city = StringField(lazy_gettext("Town or city"))
    region = RegionField(lazy_gettext("Region"))
    phone = TelField(
        lazy_gettext("Phone"),
        description=lazy_gettext("Only for the carrier, if nobody is at home."),
    )
    rows: tuple[tuple[Field, ...], ...] = ()
    kept: tuple[tuple[str, str], ...] = ()

    def offer(self, countries: list[str], home: str) -> None:
        """Fill the list of ``countries`` (ISO codes); take labels, order and list of regions from
        the chosen one, or from ``home`` while none is."""
        names = customers.country_names()
        codes = {*countries} | {self.country.data} & names.keys()
        self.country.choices = {code: names[code] for code in sorted(codes, key=names.__getitem__)}
        rules = customers.country_rules((self.country.data or home).upper())
        for field, label in rules.labels.items():
            self[field].label.text = label
            self[field].flags.required = field in rules.required
        self._bring_back(rules)
        chosen = rules.find_region(self.region.data or "")
        self.region.options = tuple((one.value, one.label, one is chosen) for one in rules.regions)
        self.rows = tuple(tuple(self[field] for field in row) for row in rules.rows)

    def _bring_back(self, rules: customers.CountryRules) -> None:
        """Show again what was typed for another country, or keep it until the country has it."""
        kept = []
        for name in COME_AND_GO:
            it, hidden = self[name], KEPT + self[name].name
            it.data = it.data or request.form.get(hidden, "")[:MAX_KEPT]
            has_place = name in rules.fields
            if name == "region" and rules.regions:
                has_place = rules.find_region(it.data) is not None
            if it.data and not has_place:
                kept.append((hidden, it.data))
        self.kept = tuple(kept)

    def address(self) -> dict[str, str]:
        """The address as it was typed."""
        return {field: self[field].data or "" for field in customers.ADDRESS_FIELDS}


class SavedAddressForm(AddressForm):
    """An address of an account."""

    is_default = BooleanField(lazy_gettext("Use this address unless I choose another"))


class ContactForm(AddressForm, ReachableForm):
    """Who orders, and where it goes."""

    save_address = BooleanField(lazy_gettext("Keep this address in my account"))


class BillingForm(AddressForm):
    """Where the invoice goes, if elsewhere than the items."""

    same = BooleanField(lazy_gettext("The invoice goes to the same address"), default=True)


class RegisterForm(FlaskForm):  # type: ignore[misc]
    """A new account."""

    name = StringField(lazy_gettext("Your name"))
    email = EmailField(lazy_gettext("Email"), [Needed()])
    password = PasswordField(
        lazy_gettext("Password"),
        [Needed()],
        description=lazy_gettext(
            "At least %(count)s characters; a sentence is good.",
            count=customers.MIN_PASSWORD_LENGTH,
        ),
    )


class LoginForm(FlaskForm):  # type: ignore[misc]
    """Signing in."""

    email = EmailField(lazy_gettext("Email"), [Needed()])
    password = PasswordField(lazy_gettext("Password"), [Needed()])
    next = HiddenField()


class ConfirmForm(FlaskForm):  # type: ignore[misc]
    """The password that was chosen when the account was asked for."""

    password = PasswordField(lazy_gettext("Password"), [Needed()])


class ForgotForm(FlaskForm):  # type: ignore[misc]
    """Asking for a link to choose a new password."""

    email = EmailField(lazy_gettext("Email"), [Needed()])


class ResetForm(FlaskForm):  # type: ignore[misc]
    """Choosing a new password by an emailed link."""

    password = PasswordField(
        lazy_gettext("New password"),
        [Needed()],
        description=lazy_gettext(
            "At least %(count)s characters.", count=customers.MIN_PASSWORD_LENGTH
        ),
    )


class PasswordForm(FlaskForm):  # type: ignore[misc]
    """Choosing a new password, knowing the old one."""

    old_password = PasswordField(lazy_gettext("Current password"), [Needed()])
    password = PasswordField(
        lazy_gettext("New password"),
        [Needed()],
        description=lazy_gettext(
            "At least %(count)s characters.", count=customers.MIN_PASSWORD_LENGTH
        ),
    )


def tell(form: Form, error: DomainError) -> list[str]:
    """Put a refusal beside its field. Returns the sentences that belong to no field of the form."""
    faults = (
        error.errors
        if isinstance(error, customers.InvalidAddress)
        else {error.field or "": error.sentence}
    )
    above = []
    for name, sentence in faults.items():
        if name in form:
            form[name].errors = [*form[name].errors, sentence]
        else:
            above.append(sentence)
    return above
