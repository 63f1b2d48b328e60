"""The sidebar: one list. An entry is shown to whoever may open it, if its page exists."""

from dataclasses import dataclass


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
    Group("", (Entry("Dashboard", "DashboardView", "layout-dashboard", "index", key="h"),)),
    Group(
        "Sales",
        (
            Entry("Orders", "OrdersView", "shopping-bag", key="o"),
            Entry("Payments", "PaymentsView", "credit-card"),
            Entry("Customers", "CustomersView", "users", key="c"),
            Entry("Discounts", "DiscountsView", "tag", key="d"),
        ),
    ),
    Group(
        "Catalogue",
        (
            Entry("Products", "ProductsView", "package", key="p"),
            Entry("Categories", "CategoriesView", "layers"),
            Entry("Inventory", "InventoryView", "boxes", key="i"),
        ),
    ),
    Group(
        "Operations",
        (
            Entry("Emails", "MailView", "mail"),
            Entry("Jobs", "JobsView", "refresh-cw"),
            Entry("Integrity checks", "DoctorView", "circle-check"),
        ),
    ),
    Group(
        "Settings",
        (
            Entry("Shipping", "ShippingMethodsView", "truck"),
            Entry("Tax rates", "TaxRatesView", "percent"),
            Entry("Staff", "StaffView", "user-cog"),
            Entry("Roles", "RolesView", "shield"),
        ),
    ),
)

# What the palette (Ctrl+K) offers besides the pages: label, endpoint, needed permission, icon.
ACTIONS = (
    ("New product", "ProductsView.add", ("can_add", "ProductsView"), "plus"),
    ("New discount", "DiscountsView.add", ("can_add", "DiscountsView"), "plus"),
    ("New category", "CategoriesView.add", ("can_add", "CategoriesView"), "plus"),
    ("New shipping method", "ShippingMethodsView.add", ("can_add", "ShippingMethodsView"), "plus"),
    ("New staff member", "StaffView.add", ("can_add", "StaffView"), "plus"),
    ("My profile", "ProfileView.show", None, "user"),
    ("Change my password", "PasswordView.change", None, "key-round"),
)
