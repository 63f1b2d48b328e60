"""Every table of the shop in one metadata: what migrations compare with the database."""

from sqlalchemy import Index, Text, cast, func

from shop.api import models as api
from shop.core.db import Base
from shop.doctor.guards import MODULES as BELOW_DOORS
from shop.orders.models import Order

MODULES = (api, *BELOW_DOORS)
metadata = Base.metadata
# Discounts ask by it whether somebody has ordered before, and may not know the table of orders.
Index(
    "ix_order_untagged_email",
    func.regexp_replace(func.lower(cast(Order.email, Text)), r"\+[^@]*@", "@"),
)
