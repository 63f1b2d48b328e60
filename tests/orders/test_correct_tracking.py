"""A shipment's carrier and tracking number are corrected."""

import pytest

from shop import orders
from shop.core.db import transaction
from shop.core.errors import Invalid, NotFound
from tests.cast import Cast


def shipped(cast: Cast) -> tuple[orders.Order, int]:
    order = cast.paid_order
    with transaction():
        fulfilment = orders.ship(orders.lock(order.id), carrier="DHL", tracking_number="1")
    return order, fulfilment.id


def test_corrected_tracking_is_told_with_what_it_was(cast: Cast) -> None:
    order, shipment = shipped(cast)
    version = order.version

    with transaction():
        orders.correct_tracking(
            orders.lock(order.id), shipment, carrier=" UPS ", tracking_number="1Z  9"
        )

    event = orders.timeline(order.id)[-1]
    assert (order.fulfilments[0].carrier, order.fulfilments[0].tracking_number) == ("UPS", "1Z 9")
    assert order.version == version + 1
    assert event.type == "TrackingCorrected"
    assert event.payload["before"] == {"carrier": "DHL", "tracking_number": "1"}
    assert not event.payload["notify"]


@pytest.mark.parametrize(
    ("carrier", "number", "field"),
    [
        ("DHL", "1", "tracking_number"),
        ("x" * 61, "1", "carrier"),
        ("", "1" * 81, "tracking_number"),
    ],
)
def test_tracking_that_is_the_same_or_too_long_is_refused(
    cast: Cast, carrier: str, number: str, field: str
) -> None:
    order, shipment = shipped(cast)

    with pytest.raises(Invalid) as refused, transaction():
        orders.correct_tracking(
            orders.lock(order.id), shipment, carrier=carrier, tracking_number=number
        )

    assert refused.value.field == field


def test_a_shipment_of_another_order_is_not_found(cast: Cast) -> None:
    order, shipment = shipped(cast)

    with pytest.raises(NotFound), transaction():
        orders.correct_tracking(
            orders.lock(order.id), shipment + 1, carrier="", tracking_number="2"
        )
