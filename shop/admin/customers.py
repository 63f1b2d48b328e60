"""Customers as staff see them: who they are and where they live; never a password."""

from shop.admin.framework import Email, Moment, Table, Text, View, YesNo
from shop.core.i18n import lazy_gettext
from shop.customers.models import Address, Customer


class AddressesView(View):
    """Saved addresses, shown with their customer."""

    route_base = "/admin/addresses"
    datamodel = Table(Address)
    noun = lazy_gettext("address")
    plural = lazy_gettext("Addresses")
    pages = ()
    columns = (
        Text("name"),
        Text("line1", lazy_gettext("Street")),
        Text("postal_code"),
        Text("city"),
        Text("country"),
        Text("phone"),
        YesNo("is_default", lazy_gettext("Default")),
    )


class CustomersView(View):
    """People with an account in the shop. They look after their own details."""

    route_base = "/admin/customers"
    datamodel = Table(Customer)
    noun = lazy_gettext("customer")
    plural = lazy_gettext("Customers")
    pages = ("show",)
    columns = (Text("name"), Email("email"), Moment("created_at", lazy_gettext("Customer since")))
    sort = "-created_at"
    search = ("name", "email")
    search_hint = lazy_gettext("Name or email")
    show_columns = ["name", "email", "created_at"]
    related_views = [AddressesView]
    empty_words = (
        lazy_gettext("No customers yet"),
        lazy_gettext("Customers appear here when they register."),
    )
