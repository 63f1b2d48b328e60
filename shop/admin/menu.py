"""The sidebar: one list. An entry is shown to whoever may open it, if its page exists."""

from dataclasses import dataclass

from shop.core.i18n import lazy_gettext


@dataclass(frozen=True, slots=True)
class Entry:
    """``view`` and ``method`` name the page; ``permission`` defaults to the method's own."""

    label: str
    view: str
    icon: str
    method: str = "list"
    permission: str = ""
    key: str = ""  # second key of the chord "g …"

    @property
    def endpoint(self) -> str:
        return f"{self.view}.{self.method}"

    @property
    def needs(self) -> tuple[str, str]:
        return self.permission or f"can_{self.method}", self.view


@dataclass(frozen=True, slots=True)
class Group:
    """Entries under one heading; no heading when the label is empty."""

    label: str
    entries: tuple[Entry, ...]


MENU = (
    Group(
        "",
        (Entry(lazy_gettext("Dashboard"), "DashboardView", "layout-dashboard", "index", key="h"),),
    ),
    Group(
        lazy_gettext("Sales"),
        (
            Entry(lazy_gettext("Orders"), "OrdersView", "shopping-bag", key="o"),
            Entry(lazy_gettext("Payments"), "PaymentsView", "credit-card"),
            Entry(lazy_gettext("Customers"), "CustomersView", "users", key="c"),
            Entry(lazy_gettext("Discounts"), "DiscountsView", "tag", key="d"),
        ),
    ),
    Group(
        lazy_gettext("Catalogue"),
        (
            Entry(lazy_gettext("Products"), "ProductsView", "package", key="p"),
            Entry(lazy_gettext("Categories"), "CategoriesView", "layers"),
            Entry(lazy_gettext("Inventory"), "InventoryView", "boxes", key="i"),
        ),
    ),
    Group(
        lazy_gettext("Operations"),
        (
            Entry(lazy_gettext("Emails"), "MailView", "mail"),
            Entry(lazy_gettext("Jobs"), "JobsView", "refresh-cw"),
            Entry(lazy_gettext("Integrity checks"), "DoctorView", "circle-check"),
        ),
    ),
    Group(
        lazy_gettext("Settings"),
        (
            Entry(lazy_gettext("Shipping"), "ShippingMethodsView", "truck"),
            Entry(lazy_gettext("Tax rates"), "TaxRatesView", "percent"),
            Entry(lazy_gettext("Staff"), "StaffView", "user-cog"),
            Entry(lazy_gettext("Roles"), "RolesView", "shield"),
            Entry(lazy_gettext("Audit log"), "AuditView", "history"),
        ),
    ),
)

# What the palette (Ctrl+K) offers besides the pages: label, endpoint, needed permission, icon.
ACTIONS = (
    (lazy_gettext("New product"), "ProductsView.add", ("can_add", "ProductsView"), "plus"),
    (lazy_gettext("New discount"), "DiscountsView.add", ("can_add", "DiscountsView"), "plus"),
    (lazy_gettext("New category"), "CategoriesView.add", ("can_add", "CategoriesView"), "plus"),
    (
        lazy_gettext("New shipping method"),
        "ShippingMethodsView.add",
        ("can_add", "ShippingMethodsView"),
        "plus",
    ),
    (lazy_gettext("Invite staff member"), "StaffView.add", ("can_add", "StaffView"), "plus"),
    (lazy_gettext("My profile"), "ProfileView.show", None, "user"),
    (lazy_gettext("Change my password"), "PasswordView.change", None, "key-round"),
)
