"""Customers as staff see them: who they are and where they live; never a password."""

from shop.admin.framework import Email, Moment, Table, Text, View, YesNo
from shop.customers.models import Address, Customer


class AddressesView(View):
    """Saved addresses, shown with their customer."""

    route_base = "/admin/addresses"
    datamodel = Table(Address)
    noun = "address"
    plural = "Addresses"
    pages = ()
    columns = (
        Text("name"),
        Text("line1", "Street"),
        Text("postal_code"),
        Text("city"),
        Text("country"),
        Text("phone"),
        YesNo("is_default", "Default"),
    )


class CustomersView(View):
    """People with an account in the shop. They look after their own details."""

    route_base = "/admin/customers"
    datamodel = Table(Customer)
    noun = "customer"
    pages = ("show",)
    columns = (Text("name"), Email("email"), Moment("created_at", "Customer since"))
    sort = "-created_at"
    search = ("name", "email")
    search_hint = "Name or email"
    show_columns = ["name", "email", "created_at"]
    related_views = [AddressesView]
    empty_words = ("No customers yet", "Whoever registers in the shop appears here.")
