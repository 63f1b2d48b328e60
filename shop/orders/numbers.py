"""Order numbers that somebody outside has, after a backup was restored."""

from sqlalchemy import text

from shop.core.db import session

# Only ever forwards, whoever takes a number meanwhile.
_PASS = text("""
SELECT count(nextval('order_number')) FROM order_number s, generate_series(
    CASE WHEN s.is_called THEN s.last_value + 1 ELSE s.last_value END,
    least(substring(:number FROM '^EO-([0-9]{1,15})$')::bigint, s.last_value + 100000))
WHERE substring(:number FROM '^EO-([0-9]{1,15})$')::bigint <= s.last_value + 100000
""")


def pass_number(number: str) -> None:
    """Give out no order number up to this one any more: somebody outside has it, from an order
    that a restored backup does not know. A number that is none of ours, or far away, is left."""
    session.execute(_PASS, {"number": number})
