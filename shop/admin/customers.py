"""Customers as staff see them: who they are and where they live; never a password."""

from shop.admin.base import CrudView
from shop.admin.filters import Dates
from shop.admin.formatters import mail_link, moment
from shop.admin.interface import Table
from shop.customers.models import Address, Customer


class AddressesView(CrudView):
    """Saved addresses, shown with their customer."""

    route_base = "/admin/addresses"
    datamodel = Table(Address)
    noun = "address"
    plural = "Addresses"
    base_permissions = ["can_list"]
    include_route_methods = {"list"}
    list_columns = ["name", "line1", "postal_code", "city", "country", "phone", "is_default"]
    label_columns = {"line1": "Street", "is_default": "Default"}
    order_columns = ["city", "country"]


class CustomersView(CrudView):
    """People with an account in the shop. They look after their own details."""

    route_base = "/admin/customers"
    datamodel = Table(Customer)
    noun = "customer"
    base_permissions = ["can_list", "can_show"]
    include_route_methods = {"list", "show"}
    list_columns = ["name", "email", "created_at"]
    show_columns = ["name", "email", "created_at"]
    add_columns = edit_columns = ["name"]
    label_columns = {"email": "E-mail", "created_at": "Customer since"}
    formatters_columns = {"email": mail_link, "created_at": moment}
    order_columns = ["name", "email", "created_at"]
    base_order = ("id", "desc")
    search_by = ("name", "email")
    search_hint = "Name or e-mail"
    filters = (Dates("created_at", "Customer since"),)
    related_views = [AddressesView]
    empty_words = "Whoever registers in the shop appears here."
