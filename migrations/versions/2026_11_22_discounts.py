"""Discounts, their codes, who has had them, and the codes in carts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
NOW = sa.text("now()")


def _id() -> sa.Column:
    return sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True)


def _to(table: str, name: str = "", *, cascade: bool = True, **more) -> sa.Column:
    return sa.Column(
        name or f"{table}_id", sa.BigInteger(),
        sa.ForeignKey(
            f"{table}.id", ondelete="CASCADE" if cascade else None,
            name=more.pop("fk"),
        ), **more,
    )


def upgrade() -> None:
    op.create_table(
        "discount",
        _id(),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.Column("buy_quantity", sa.Integer(), server_default="0", nullable=False),
        sa.Column("get_quantity", sa.Integer(), server_default="0", nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), server_default="main", nullable=False),
        sa.Column("is_automatic", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("is_targeted", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("min_subtotal_minor", sa.Integer()),
        sa.Column("audience", sa.Text(), server_default="everyone", nullable=False),
        sa.Column("first_order", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("countries", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("starts_at", TIME),
        sa.Column("ends_at", TIME),
        sa.Column("limit_total", sa.Integer()),
        sa.Column("limit_per_customer", sa.Integer()),
        sa.Column("used", sa.Integer(), server_default="0", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
    )
    for name, rule in {
        "kind": "kind IN ('percentage','fixed','free_shipping','buy_x_get_y')",
        "lane": "lane IN ('first','main','last')",
        "audience": "audience IN ('everyone','signed_in','chosen')",
        "value": "CASE kind WHEN 'percentage' THEN value BETWEEN 1 AND 10000"
        " WHEN 'buy_x_get_y' THEN value BETWEEN 1 AND 10000"
        " WHEN 'fixed' THEN value >= 1 ELSE value >= 0 END",
        "quantities": "CASE kind WHEN 'buy_x_get_y' THEN buy_quantity BETWEEN 1 AND 99"
        " AND get_quantity BETWEEN 1 AND 99 ELSE buy_quantity = 0 AND get_quantity = 0 END",
        "min_subtotal": "min_subtotal_minor >= 1",
        "dates": "ends_at > starts_at",
        "limit_total": "limit_total >= 1",
        "limit_per_customer": "limit_per_customer >= 1",
        "used": "used >= 0 AND used <= limit_total",
        "currency": "currency ~ '^[A-Z]{3}$'",
        "name": "length(name) BETWEEN 1 AND 80",
    }.items():
        op.create_check_constraint(op.f(f"ck_discount_{name}"), "discount", rule)
    op.create_index(
        "ix_discount_automatic", "discount", ["id"],
        postgresql_where=sa.text("is_automatic AND is_active"),
    )
    for other in ("category", "product", "customer"):
        table = f"discount_{other}"
        op.create_table(
            table,
            _to("discount", primary_key=True, fk=f"fk_{table}_discount_id"),
            _to(other, primary_key=True, fk=f"fk_{table}_{other}_id"),
        )
        op.create_index(f"ix_{table}_{other}_id", table, [f"{other}_id"])
    op.create_table(
        "discount_code",
        _id(),
        _to("discount", nullable=False, fk="fk_discount_code_discount_id"),
        sa.Column("code", postgresql.CITEXT(), nullable=False),
        sa.Column("limit_total", sa.Integer()),
        sa.Column("used", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.UniqueConstraint("code", name="uq_discount_code_code"),
        sa.CheckConstraint(
            "code ~ '^[A-Z0-9][A-Z0-9_-]{2,39}$'", name=op.f("ck_discount_code_code")
        ),
        sa.CheckConstraint("limit_total >= 1", name=op.f("ck_discount_code_limit_total")),
        sa.CheckConstraint(
            "used >= 0 AND used <= limit_total", name=op.f("ck_discount_code_used")
        ),
    )
    op.create_index("ix_discount_code_discount_id", "discount_code", ["discount_id"])
    op.create_table(
        "discount_holder",
        _to("discount", primary_key=True, fk="fk_discount_holder_discount_id"),
        sa.Column("holder", sa.Text(), primary_key=True),
        sa.Column("used", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("used >= 0", name=op.f("ck_discount_holder_used")),
    )
    op.create_index("ix_discount_holder_holder", "discount_holder", ["holder"])
    op.create_table(
        "redemption",
        _id(),
        _to("order", cascade=False, nullable=False, fk="fk_redemption_order_id"),
        _to("discount", cascade=False, nullable=False, fk="fk_redemption_discount_id"),
        _to("discount_code", "code_id", cascade=False, fk="fk_redemption_code_id"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), server_default="", nullable=False),
        sa.Column("customer_id", sa.BigInteger()),
        sa.Column("email", postgresql.CITEXT(), nullable=False),
        sa.Column("holders", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("amount_minor", sa.Integer(), nullable=False),
        sa.Column("shipping_minor", sa.Integer(), server_default="0", nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("redeemed_at", TIME, nullable=False),
        sa.Column("released_at", TIME),
        sa.Column("honoured_at", TIME),
        sa.UniqueConstraint("order_id", "discount_id", name="uq_redemption_order_id_discount_id"),
        sa.CheckConstraint(
            "amount_minor >= 0 AND shipping_minor >= 0", name=op.f("ck_redemption_amounts")
        ),
        sa.CheckConstraint(
            "honoured_at IS NULL OR released_at IS NOT NULL", name=op.f("ck_redemption_honoured")
        ),
    )
    op.create_index("ix_redemption_code_id", "redemption", ["code_id"])
    op.create_index("ix_redemption_discount_id", "redemption", ["discount_id", "redeemed_at"])
    op.create_table(
        "cart_discount",
        _to("cart", primary_key=True, fk="fk_cart_discount_cart_id"),
        _to("discount_code", "code_id", primary_key=True, fk="fk_cart_discount_code_id"),
    )
    op.create_index("ix_cart_discount_code_id", "cart_discount", ["code_id"])


def downgrade() -> None:
    for table in (
        "cart_discount", "redemption", "discount_holder", "discount_code", "discount_customer",
        "discount_product", "discount_category", "discount",
    ):  # fmt: skip
        op.drop_table(table)
