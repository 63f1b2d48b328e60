"""What money events add up to, and what parts of a line come to."""

from hypothesis import given
from hypothesis import strategies as st

from shop.payments.balance import of_events, part_due, status_of

MINOR = st.integers(0, 10_000_000)


def test_the_status_follows_the_sums() -> None:
    def status(**sums: int) -> str:
        return status_of(100, of_events([sums]))

    assert status() == "unpaid"
    assert status(authorised=100) == "authorised"
    assert status(authorised=100, cancelled=100) == "unpaid"
    assert status(authorised=100, captured=60, cancelled=40) == "partly_paid"
    assert status(captured=100) == "paid"
    assert status(captured=120) == "overpaid"
    assert status(captured=100, refunded=30) == "partly_refunded"
    assert status(captured=100, refunded=100) == "refunded"
    assert status(captured=100, refunded=100, refund_failed=100) == "paid"
    assert status(captured=100, dispute_withdrawn=100) == "refunded"
    assert status(captured=100, dispute_withdrawn=100, dispute_reinstated=100) == "paid"
    assert status(captured=100, dispute_withdrawn=40) == "partly_refunded"


def test_an_open_dispute_is_the_status_whatever_moved() -> None:
    nothing_yet = of_events([{"captured": 100}], open_disputes=1)
    taken = of_events(
        [{"captured": 100, "dispute_withdrawn": 70}], disputed_minor=70, open_disputes=1
    )

    assert status_of(100, nothing_yet) == status_of(100, taken) == "disputed"
    assert (taken.disputed_minor, taken.lost_minor) == (70, 0)


def test_rows_of_earlier_disputes_mean_what_they_meant() -> None:
    def status(**sums: int) -> str:
        return status_of(100, of_events([sums]))

    assert status(captured=100, dispute_opened=100, dispute_won=100) == "paid"
    assert status(captured=100, dispute_opened=100, dispute_lost=100) == "refunded"
    assert status(captured=100, dispute_opened=40, dispute_lost=40) == "partly_refunded"


def test_an_order_that_costs_nothing_is_paid() -> None:
    assert status_of(0, of_events([])) == "paid"


def test_refunded_double_payment_leaves_the_order_paid() -> None:
    assert status_of(100, of_events([{"captured": 100}, {"captured": 100}])) == "overpaid"
    twice = of_events([{"captured": 100}, {"captured": 100, "refunded": 100}])
    assert status_of(100, twice) == "paid"


@given(MINOR, st.integers(1, 60), st.data())
def test_parts_in_any_order_add_up_to_whole(whole: int, units: int, data: st.DataObject) -> None:
    refunded = taken = 0
    while taken < units:
        taken += data.draw(st.integers(1, units - taken))
        part = part_due(whole, taken, of=units, before_minor=refunded)
        assert part >= 0
        refunded += part
        assert refunded <= whole
    assert refunded == whole
