"""Closed sets: a word that is in no set reaches neither the database nor the code."""

from enum import StrEnum

import pytest
from sqlalchemy import text
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session

from shop.core.choices import one_of
from shop.orders import Order, OrderStatus
from tests.cast import Cast


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


def test_check_lists_members_in_their_order() -> None:
    assert str(one_of("size", Size).sqltext) == "size IN ('small', 'large')"


def test_column_gives_members(cast: Cast, session: Session) -> None:
    number = cast.unpaid_order.number
    session.expire_all()

    found = session.query(Order).filter(Order.status == "pending", Order.number == number).one()

    assert found.status is OrderStatus.PENDING


def test_unknown_word_is_refused_before_database(cast: Cast, session: Session) -> None:
    with pytest.raises(StatementError, match="'packed' is not a valid OrderStatus"):
        session.query(Order).filter(Order.status == "packed").all()
    assert session.scalar(text("SELECT 1")) == 1
