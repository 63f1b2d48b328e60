"""Dates that no calendar of ours can tell are refused, and those from before do no harm."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from shop import catalog, checkout, discounts
from shop.core.db import engine, transaction
from shop.core.errors import Invalid
from tests.cast import Cast
from tests.discounts.offers import Terms, offer

MIGRATIONS = str(Path(__file__).parents[2] / "migrations")
EAST, WEST = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))


@pytest.mark.parametrize("field", ["starts_at", "ends_at"])
@pytest.mark.parametrize("year", [1, 1999, 3000, 9999])
def test_discount_has_no_date_that_nobody_can_mean(session: Session, field: str, year: int) -> None:
    moment = datetime(year, 12, 31, 23, 59, tzinfo=EAST if year == 1 else WEST)
    dates: Terms = {"starts_at": moment} if field == "starts_at" else {"ends_at": moment}

    with pytest.raises(Invalid, match="A date lies between 2000 and 2999") as refused:
        offer(**dates)

    assert refused.value.field == field
    assert discounts.automatic() == ()


def test_first_and_last_year_work_in_every_zone(session: Session) -> None:
    offer(
        starts_at=datetime(2000, 1, 1, tzinfo=EAST), ends_at=datetime(2999, 12, 31, 23, tzinfo=WEST)
    )

    (rule,) = discounts.automatic()
    zone = checkout.terms().zone
    assert "from 31 December 1999, 11:00 on, until 1 January 3000, 12:00" in discounts.describe(
        rule, zone
    )


def test_product_has_no_date_that_nobody_can_mean(cast: Cast) -> None:
    product = catalog.get_product(cast.mug.product_id)

    for field, day in (
        ("at", datetime(1, 1, 1, tzinfo=EAST)),
        ("until", datetime(9999, 12, 31, tzinfo=WEST)),
    ):
        with pytest.raises(Invalid, match="A date lies between 2000 and 2999"):
            catalog.publish(product, **{field: day})


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE discount SET starts_at = '0001-12-31T23:00Z BC'",
        "UPDATE discount SET ends_at = '9999-12-31T23:59Z'",
        "UPDATE product SET published_at = '0001-12-31T23:00Z BC'",
        "UPDATE product SET unpublish_at = 'infinity'",
    ],
)
def test_the_database_itself_refuses_such_a_date(session: Session, cast: Cast, change: str) -> None:
    assert cast.mug and offer()

    with pytest.raises(IntegrityError, match="_years"), session.begin_nested():
        session.execute(text(change))


def test_dates_from_before_break_nothing(app: Flask, live_database: str) -> None:
    first, last, over = offer("First"), offer("Last"), offer("Over")
    mug = Cast().mug
    with app.app_context():
        downgrade(directory=MIGRATIONS, revision="0008")
    with engine().begin() as connection:
        for sentence in (
            "UPDATE discount SET starts_at = '0001-12-31T23:06Z BC', ends_at = '9999-12-31T23:59Z'"
            " WHERE name = 'First'",
            "UPDATE discount SET starts_at = '9000-01-01', ends_at = 'infinity'"
            " WHERE name = 'Last'",
            "UPDATE discount SET starts_at = '0001-01-01', ends_at = '0002-01-01'"
            " WHERE name = 'Over'",
            "UPDATE product SET published_at = '0001-12-31T23:06Z BC',"
            " unpublish_at = '9999-12-31T23:59Z'",
        ):
            connection.execute(text(sentence))

    with app.app_context():
        upgrade(directory=MIGRATIONS)

    with transaction() as session:
        session.expire_all()
        discounts.clear_cache()
        zone = checkout.terms().zone
        said = {rule.name: discounts.describe(rule, zone) for rule in discounts.automatic()}
    assert said == {
        "First": "10 % off everything, without a code",
        "Last": "10 % off everything, from 31 December 2999, 01:00 on, without a code",
        "Over": "10 % off everything, until 1 January 2000, 01:00, without a code",
    }
    assert {first.id, last.id, over.id} == {row.id for row in discounts.page().rows}
    assert [card.id for card in catalog.listing(catalog.Filters()).cards] == [mug.product_id]
