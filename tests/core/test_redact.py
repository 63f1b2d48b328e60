"""Secrets are taken out of log lines, tracebacks and what staff read of a failure."""

import json
import logging
import sys

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from shop.core import redact
from shop.core.log import JsonLines

CANARY = "c4n4ry0123456789abcdef"


@pytest.mark.parametrize(
    "words",
    [
        f"GET /orders/EO-1?token={CANARY}&thanks=1",
        f"https://shop.example/account/password/{CANARY}",
        f"/account/confirm/{CANARY} is over",
        f"/account/claim/{CANARY}",
        f"/admin/invitation/{CANARY}",
        f"https://shop.example/admin/forgotten/{CANARY}",
        f"Authorization: Bearer {CANARY}",
        f"cannot reach redis://shop:{CANARY}@redis:6379/0",
        f'{{"client_secret": "{CANARY}"}}',
        f"pi_123_secret_{CANARY}",
        f"sk_live_{CANARY} is not a key",
        f"whsec_{CANARY}",
        f"password='{CANARY}'",
        f"/login?next=/orders/EO-1%3Ftoken%3D{CANARY}",
        f"/checkout/return?payment_intent_client_secret={CANARY}",
        f"{{'staff_token': '{CANARY}'}}",
        f"refreshToken={CANARY}",
        f"[parameters: {{'token_1': '{CANARY}'}}]",
        f"Cookie: cart={CANARY}; theme=dark",
        f"Cookie: __Host-shop={CANARY}",
        f"Authorization: Basic {CANARY}",
        f"postgresql://shop:p@{CANARY}@db/shop",
    ],
)
def test_secrets_are_hidden(words: str) -> None:
    clean = redact.redact(words)

    assert CANARY not in clean and redact.HIDDEN in clean


@pytest.mark.parametrize(
    "words",
    [
        "order EO-10006 is paid",
        "Secret Lane 7",
        "https://shop.example/products/mug?q=token",
        "12:30",
        "the cart=7 has no items",
        "Basic questions about delivery: https://shop.example/help",
        "ask ada@example.com at https://shop.example/",
    ],
)
def test_other_words_stay(words: str) -> None:
    assert redact.redact(words) == words


def test_log_lines_hold_no_secret() -> None:
    try:
        raise ValueError(f"token={CANARY}")
    except ValueError:
        record = logging.makeLogRecord(
            {
                "msg": "asked for %s",
                "args": (f"/orders/EO-1?token={CANARY}",),
                "exc_info": sys.exc_info(),
                "reason": {"url": f"redis://:{CANARY}@host"},
                "count": 3,
            }
        )

    line = JsonLines().format(record)

    assert CANARY not in line
    assert json.loads(line)["count"] == 3


def test_database_errors_do_not_repeat_their_values(session: Session) -> None:
    with pytest.raises(DBAPIError) as refusal:
        session.execute(text("SELECT CAST(:given AS int[])"), {"given": CANARY})

    assert CANARY not in str(refusal.value).replace(str(refusal.value.orig), "")
