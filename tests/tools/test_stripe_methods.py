"""Payment methods that settle later, redirect or wait, as Stripe's test values have them."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener, urlopen

import pytest
import stripe

from tests.tools.stripe_rig import Rig, running

BACK = "http://shop.test/back?order=1"
BUYER = {"name": "Ada", "email": "ada@example.com", "address": {"country": "DE"}}
SUCCEEDS, FAILS = "DE89370400440532013000", "DE62370400440532013001"
EVERY_EUR = ["card", "sepa_debit", "ideal", "bancontact", "klarna", "multibanco"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running(tmp_path_factory.mktemp("stripe")) as (rig, _process):
        yield rig


@pytest.fixture
def rig(server: Rig) -> Rig:
    server.fresh()
    server.control(settle_s=0.1)
    return server


def _confirm(rig: Rig, intent: stripe.PaymentIntent, name: str, **fields: Any) -> Any:
    email = fields.pop("email", "ada@example.com")
    method = {"type": name, "billing_details": BUYER | {"email": email}, **fields}
    params: Any = {"payment_method_data": method, "return_url": BACK}
    return rig.client.v1.payment_intents.confirm(intent.id, params)


def _debit(rig: Rig, iban: str) -> Any:
    intent = rig.intent(allowed_payment_method_types=["sepa_debit"])
    return _confirm(rig, intent, "sepa_debit", sepa_debit={"iban": iban})


def _ends(rig: Rig, intent_id: str, status: str) -> stripe.PaymentIntent:
    deadline = time.monotonic() + 10
    while True:
        intent = rig.client.v1.payment_intents.retrieve(intent_id)
        if intent.status == status:
            return intent
        assert time.monotonic() < deadline, f"it is still {intent.status}"
        time.sleep(0.05)


# What an intent offers


def test_dashboard_decides_automatic_payment_methods(rig: Rig) -> None:
    rig.control(methods=[*EVERY_EUR, "konbini", "oxxo"])

    assert rig.intent().payment_method_types == EVERY_EUR
    assert rig.intent(currency="jpy").payment_method_types == ["card", "konbini"]
    assert rig.intent(capture_method="manual").payment_method_types == ["card", "klarna"]
    without_redirects = rig.intent(
        automatic_payment_methods={"enabled": True, "allow_redirects": "never"}
    )
    assert without_redirects.payment_method_types == ["card", "sepa_debit", "multibanco"]
    excluded = rig.intent(excluded_payment_method_types=["klarna", "multibanco"])
    assert excluded.payment_method_types == ["card", "sepa_debit", "ideal", "bancontact"]


def test_allowed_methods_that_do_not_fit_are_omitted(rig: Rig) -> None:
    in_dollars = rig.intent(allowed_payment_method_types=["card", "sepa_debit"], currency="usd")
    later = rig.intent(allowed_payment_method_types=["ideal", "card"], capture_method="manual")

    assert in_dollars.payment_method_types == later.payment_method_types == ["card"]


def test_payment_method_configuration_decides_as_well(rig: Rig) -> None:
    on: Any = {"display_preference": {"preference": "on"}}
    configurations = rig.client.v1.payment_method_configurations
    made = configurations.create({"name": "Store", "card": on, "sepa_debit": on})

    intent = rig.intent(payment_method_configuration=made.id)

    assert intent.payment_method_types == ["card", "sepa_debit"]
    assert intent.payment_method_configuration_details is not None
    assert intent.payment_method_configuration_details.id == made.id
    assert [one.id for one in configurations.list().data] == [made.id, "pmc_default"]


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"payment_method_types": ["card"]}, "payment_method_types"),
        ({"allowed_payment_method_types": ["cash"]}, "allowed_payment_method_types"),
        ({"allowed_payment_method_types": ["oxxo"]}, "allowed_payment_method_types"),
        (
            {"allowed_payment_method_types": ["ideal"], "capture_method": "manual"},
            "allowed_payment_method_types",
        ),
        (
            {
                "allowed_payment_method_types": ["card"],
                "automatic_payment_methods": {"enabled": True},
            },
            "allowed_payment_method_types",
        ),
        ({"payment_method_configuration": "pmc_none"}, "payment_method_configuration"),
    ],
)
def test_impossible_payment_methods_are_refused(
    rig: Rig, params: dict[str, Any], param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        rig.intent(**params)

    assert refused.value.param == param and rig.state()["payment_intents"] == []


def test_method_that_was_not_offered_is_refused(rig: Rig) -> None:
    intent = rig.intent(allowed_payment_method_types=["card"])

    with pytest.raises(stripe.InvalidRequestError, match="is not allowed for this PaymentIntent"):
        _confirm(rig, intent, "ideal")

    assert rig.client.v1.payment_intents.retrieve(intent.id).payment_method is None


# Bank debits


def test_bank_debit_processes_and_succeeds(rig: Rig) -> None:
    intent = _debit(rig, SUCCEEDS)

    assert intent.status == "processing" and intent.amount_received == 0
    done = _ends(rig, intent.id, "succeeded")
    charge = rig.client.v1.charges.retrieve(str(done.latest_charge))
    assert charge.id == intent.latest_charge and charge.id.startswith("py_")
    assert charge.payment_method_details.sepa_debit.last4 == "3000"
    assert rig.received(intent.id) == [
        "payment_intent.created",
        "charge.pending",
        "payment_intent.processing",
        "charge.succeeded",
        "payment_intent.succeeded",
        "charge.updated",
    ]


@pytest.mark.parametrize(
    ("iban", "code"),
    [
        (FAILS, "payment_intent_payment_attempt_failed"),
        ("DE65370400440000343434", "charge_exceeds_source_limit"),
        ("AT981904300002222227", "insufficient_funds"),
    ],
)
def test_bank_debit_fails_later(rig: Rig, iban: str, code: str) -> None:
    intent = _debit(rig, iban)

    failed = _ends(rig, intent.id, "requires_payment_method")

    assert failed.last_payment_error is not None and failed.last_payment_error.code == code
    charge = rig.client.v1.charges.retrieve(str(failed.latest_charge))
    assert (charge.status, charge.paid, charge.failure_code) == ("failed", False, code)
    assert rig.received(intent.id)[-2:] == ["charge.failed", "payment_intent.payment_failed"]
    again = rig.client.v1.payment_intents.confirm(
        intent.id, {"payment_method": "pm_sepaDebit_success_de"}
    )
    assert again.status == "processing", "it can be paid again"


def test_processing_debit_cannot_be_canceled(rig: Rig) -> None:
    rig.control(timers=False)
    intent = _debit(rig, SUCCEEDS)

    with pytest.raises(stripe.InvalidRequestError) as refused:
        rig.client.v1.payment_intents.cancel(intent.id)

    assert refused.value.code == "payment_intent_unexpected_state"
    with pytest.raises(stripe.InvalidRequestError):
        _confirm(rig, intent, "sepa_debit", sepa_debit={"iban": SUCCEEDS})
    rig.control("/payment", payment_intent=intent.id, outcome="fail", reason="debit_not_authorized")
    failed = rig.client.v1.payment_intents.retrieve(intent.id)
    assert failed.last_payment_error is not None
    assert failed.last_payment_error.code == "debit_not_authorized"
    assert rig.client.v1.payment_intents.cancel(intent.id).status == "canceled"


def test_some_debits_wait_for_three_minutes(rig: Rig) -> None:
    intent = _debit(rig, "DE08370400440532013003")
    waiting = _debit(rig, "DE78370400440532013004")
    rig.control("/payment", payment_intent=intent.id)

    assert rig.client.v1.payment_intents.retrieve(intent.id).status == "succeeded"
    assert rig.client.v1.payment_intents.retrieve(waiting.id).status == "processing"


@pytest.mark.parametrize(
    ("iban", "code"),
    [
        ("DE89370400440532013001", "invalid_bank_account_iban"),
        ("DE12500105170648489890", "bank_account_unusable"),
        ("DE91370400440000055555", "sepa_debit_bank_not_supported"),
        ("", "parameter_missing"),
    ],
)
def test_ibans_are_checked_at_once(rig: Rig, iban: str, code: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        _debit(rig, iban)

    assert refused.value.code == code


@pytest.mark.parametrize("name", ["sepa_debit", "bancontact", "klarna", "multibanco"])
def test_billing_details_are_required_by_method(rig: Rig, name: str) -> None:
    intent = rig.intent(allowed_payment_method_types=[name])
    method: Any = {"type": name, "sepa_debit": {"iban": SUCCEEDS}}
    method = method if name == "sepa_debit" else {"type": name}

    with pytest.raises(stripe.InvalidRequestError) as refused:
        rig.client.v1.payment_intents.confirm(
            intent.id, {"payment_method_data": method, "return_url": BACK}
        )

    assert refused.value.code == "parameter_missing"
    assert "billing_details" in str(refused.value.param)


@pytest.mark.parametrize("iban", ["CH9300762011623852957", "GB82WEST12345698765432"])
def test_debit_outside_the_eea_needs_an_address(rig: Rig, iban: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        _debit(rig, iban)

    assert str(refused.value.param).endswith("[billing_details][address][line1]")


# Redirects


@pytest.mark.parametrize("name", ["ideal", "bancontact", "klarna"])
@pytest.mark.parametrize(
    ("button", "status", "outcome"),
    [
        ("complete", "succeeded", "succeeded"),
        ("fail", "requires_payment_method", "failed"),
    ],
)
def test_redirect_leads_to_bank_and_back(
    rig: Rig, name: str, button: str, status: str, outcome: str
) -> None:
    intent = _confirm(rig, rig.intent(allowed_payment_method_types=[name]), name)
    assert intent.status == "requires_action" and intent.next_action.type == "redirect_to_url"
    page = intent.next_action.redirect_to_url.url
    assert "Authorize test payment" in _page(page)

    location = _press(page, button)

    assert location.startswith(f"{BACK}&payment_intent={intent.id}&")
    assert parse_qs(urlsplit(location).query)["redirect_status"] == [outcome]
    assert rig.client.v1.payment_intents.retrieve(intent.id).status == status
    assert _press(page, "complete") == location, "a second answer changes nothing"
    ending = "succeeded" if outcome == "succeeded" else "payment_failed"
    assert f"payment_intent.{ending}" in rig.received(intent.id)


def test_redirect_needs_a_return_url(rig: Rig) -> None:
    intent = rig.intent(allowed_payment_method_types=["ideal"])

    with pytest.raises(stripe.InvalidRequestError) as refused:
        rig.client.v1.payment_intents.confirm(intent.id, {"payment_method_data": {"type": "ideal"}})

    assert refused.value.param == "return_url"


def test_abandoned_redirect_expires(rig: Rig) -> None:
    rig.control(redirect_expires_s=0.1)
    intent = _confirm(rig, rig.intent(allowed_payment_method_types=["klarna"]), "klarna")

    ended = _ends(rig, intent.id, "requires_payment_method")

    assert ended.last_payment_error is not None
    assert ended.last_payment_error.code == "payment_intent_payment_attempt_expired"


def test_newer_attempt_replaces_redirect(rig: Rig) -> None:
    intent = rig.intent(allowed_payment_method_types=["ideal", "multibanco"])
    page = _confirm(rig, intent, "ideal").next_action.redirect_to_url.url
    _confirm(rig, intent, "multibanco", email="fill_never@example.com")

    assert _status(page, b"answer=complete") == 404
    found = rig.client.v1.payment_intents.retrieve(intent.id)
    assert found.next_action is not None
    assert found.next_action.type == "multibanco_display_details"


# Vouchers


@pytest.mark.parametrize(
    ("name", "currency", "field"),
    [
        ("multibanco", "eur", "expires_at"),
        ("konbini", "jpy", "expires_at"),
        ("oxxo", "mxn", "expires_after"),
    ],
)
def test_voucher_waits_and_is_paid(rig: Rig, name: str, currency: str, field: str) -> None:
    rig.control(timers=False)
    intent = rig.intent(allowed_payment_method_types=[name], currency=currency)
    intent = _confirm(rig, intent, name)

    assert intent.status == "requires_action"
    assert intent.next_action.type == f"{name}_display_details"
    shown = getattr(intent.next_action, intent.next_action.type)
    assert getattr(shown, field) > time.time() + 86_400
    assert rig.url in shown.hosted_voucher_url and "Test voucher" in _page(shown.hosted_voucher_url)
    paid = rig.control("/payment", payment_intent=intent.id, outcome="succeed")
    assert paid["status"] == "succeeded" and paid["latest_charge"].startswith("py_")
    kinds = rig.received(intent.id)
    assert kinds[1] == "payment_intent.requires_action" and "payment_intent.succeeded" in kinds


@pytest.mark.parametrize(
    ("email", "status"),
    [
        ("succeed_immediately@example.com", "succeeded"),
        ("expire_immediately@example.com", "requires_payment_method"),
    ],
)
def test_voucher_follows_its_test_email(rig: Rig, email: str, status: str) -> None:
    intent = rig.intent(allowed_payment_method_types=["multibanco"])

    _confirm(rig, intent, "multibanco", email=email)

    ended = _ends(rig, intent.id, status)
    if status == "requires_payment_method":
        assert ended.last_payment_error is not None
        assert ended.last_payment_error.code == "payment_intent_payment_attempt_expired"
        assert rig.received(intent.id)[-1] == "payment_intent.payment_failed"


def test_paid_voucher_may_be_on_its_way(rig: Rig) -> None:
    intent = rig.intent(allowed_payment_method_types=["multibanco"])
    _confirm(rig, intent, "multibanco", email="fill_never@example.com")

    assert rig.control("/payment", payment_intent=intent.id, outcome="process")["status"] == (
        "processing"
    )
    assert rig.control("/payment", payment_intent=intent.id)["status"] == "succeeded"


def test_unpaid_voucher_can_be_canceled(rig: Rig) -> None:
    intent = rig.intent(allowed_payment_method_types=["multibanco"])
    intent = _confirm(rig, intent, "multibanco", email="fill_never@example.com")
    voucher = intent.next_action.multibanco_display_details.hosted_voucher_url

    assert rig.client.v1.payment_intents.cancel(intent.id).status == "canceled"

    assert _status(voucher, b"answer=pay") == 409
    assert "no longer be paid" in _page(voucher)


def test_voucher_page_can_simulate_its_payer(rig: Rig) -> None:
    rig.control(timers=False)
    intent = rig.intent(allowed_payment_method_types=["multibanco"])
    voucher = _confirm(rig, intent, "multibanco").next_action.multibanco_display_details

    urlopen(Request(voucher.hosted_voucher_url, data=b"answer=pay"), timeout=10)

    assert rig.client.v1.payment_intents.retrieve(intent.id).status == "succeeded"


def test_voucher_ends_when_its_options_say(rig: Rig) -> None:
    options: Any = {"oxxo": {"expires_after_days": 1}}
    intent = rig.intent(
        allowed_payment_method_types=["oxxo"], currency="mxn", payment_method_options=options
    )

    shown = _confirm(rig, intent, "oxxo").next_action.oxxo_display_details

    assert 0 < shown.expires_after - time.time() < 2 * 86_400


# Wallets


@pytest.mark.parametrize(
    ("token", "wallet"), [("tok_applePay", "apple_pay"), ("tok_googlePay", "google_pay")]
)
def test_wallet_pays_with_its_card(rig: Rig, token: str, wallet: str) -> None:
    intent = rig.intent(allowed_payment_method_types=["card"])

    method: Any = {"type": "card", "card": {"token": token}}
    paid = rig.client.v1.payment_intents.confirm(
        intent.id, {"payment_method_data": method, "expand": ["latest_charge"]}
    )

    assert isinstance(paid.latest_charge, stripe.Charge)
    details = paid.latest_charge.payment_method_details
    assert details is not None and details.card is not None and details.card.wallet is not None
    assert details.card.wallet.type == wallet


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"outcome": "lose"}, "outcome must be one of"),
        ({"outcome": "fail", "reason": "bad luck"}, "reason must be one of"),
        ({"outcome": "succeed"}, "Nothing is under way"),
        ({"payment_intent": 5}, "payment_intent must be a word"),
    ],
)
def test_impossible_outcomes_are_refused(rig: Rig, body: dict[str, Any], words: str) -> None:
    answer = rig.control("/payment", **{"payment_intent": rig.intent().id, **body})

    assert words in answer["error"]


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any) -> None:
        return None


def _page(url: str) -> str:
    return str(urlopen(url, timeout=10).read().decode())


def _status(url: str, body: bytes) -> int:
    try:
        return int(build_opener(_Stay).open(Request(url, data=body), timeout=10).status)
    except HTTPError as problem:
        return problem.code


def _press(page: str, button: str) -> str:
    """Answer the bank's page; where it sends the browser."""
    try:
        build_opener(_Stay).open(Request(page, data=f"answer={button}".encode()), timeout=10)
    except HTTPError as redirect:
        return str(redirect.headers["Location"])
    raise AssertionError("the page did not redirect")
