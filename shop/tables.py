"""Every table of the shop in one metadata: what migrations compare with the database."""

from sqlalchemy import Index, Text, cast, func

from shop.api import models as api
from shop.cart import models as cart
from shop.catalog import models as catalog
from shop.checkout import models as checkout
from shop.core import broadcasts, events, idempotency, queue, reaction_runs, sessions, tokens
from shop.core.db import Base
from shop.customers import models as customers
from shop.discounts import models as discounts
from shop.doctor import models as doctor
from shop.inventory import models as inventory
from shop.media import models as media
from shop.notifications import models as notifications
from shop.orders import models as orders
from shop.payments import models as payments
from shop.reviews import models as reviews

MODULES = (
    api, broadcasts, cart, catalog, checkout, customers, discounts, doctor, events, idempotency,
    inventory, media, notifications, orders, payments, queue, reaction_runs, reviews, sessions,
    tokens,
)  # fmt: skip
metadata = Base.metadata
# Discounts ask by it whether somebody has ordered before, and may not know the table of orders.
Index(
    "ix_order_untagged_email",
    func.regexp_replace(func.lower(cast(orders.Order.email, Text)), r"\+[^@]*@", "@"),
)
