"""Settings are typed, and what cannot be used stops the start with a sentence that names it."""

import os
import secrets
import subprocess
import sys

import pytest

from shop.config import Settings, SettingsError
from shop.factory import _flask_config

GIVEN = {
    "SHOP_ENV": "test",
    "SECRET_KEY": "only-for-tests",
    "DATABASE_URL": "postgresql://localhost/shop",
    "REDIS_URL": "redis://localhost",
}
IN_PRODUCTION = GIVEN | {
    "SHOP_ENV": "production",
    "REDIS_URL": "redis://:a-long-word@localhost:9",
    "DATABASE_URL": "postgresql://shop:a-long-word@localhost:9/shop",
    "SECRET_KEY": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "BASE_URL": "https://shop.example.com",
    "STRIPE_SECRET_KEY": "sk_live_1",
    "STRIPE_PUBLISHABLE_KEY": "pk_live_1",
    "STRIPE_WEBHOOK_SECRET": "whsec_new,whsec_old",
    "SMTP_URL": "smtp://shop:word@mail.example.com:587",
}


def test_the_shops_clock_is_a_setting() -> None:
    usual = Settings.from_env(GIVEN)
    own = Settings.from_env(
        GIVEN | {"SHOP_TIME_ZONE": "America/New_York", "SHOP_CUT_OFF_HOUR": "9"}
    )

    assert (str(usual.time_zone), usual.cut_off_hour) == ("Europe/Berlin", 14)
    assert (str(own.time_zone), own.cut_off_hour) == ("America/New_York", 9)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SHOP_TIME_ZONE", "Berlin"),
        ("SHOP_TIME_ZONE", "Europe"),
        ("SHOP_TIME_ZONE", "../../etc/passwd"),
        ("SHOP_TIME_ZONE", "Europe/Berlin\0"),
        ("SHOP_CUT_OFF_HOUR", "25"),
        ("SHOP_CUT_OFF_HOUR", "-1"),
        ("SHOP_CUT_OFF_HOUR", "14:00"),
    ],
)
def test_clock_that_does_not_exist_stops_start(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} must be"):
        Settings.from_env(GIVEN | {name: value})


@pytest.mark.parametrize("value", ["en_IE", "de-DE", "de_CH", "en_IN", "ja"])
def test_number_locale_takes_a_known_language(value: str) -> None:
    read = Settings.from_env(GIVEN | {"NUMBER_LOCALE": value}).number_locale
    assert read == value.replace("-", "_")


@pytest.mark.parametrize("value", ["EUR", "usd", "JPY", "HUF"])
def test_currency_with_stripes_own_units_is_accepted(value: str) -> None:
    assert Settings.from_env(GIVEN | {"CURRENCY": value}).currency == value.upper()


@pytest.mark.parametrize("value", ["EURO", "€", "ZZZ", "RSD", "ISK", "UGX", "KWD"])
def test_currency_with_other_stripe_units_stops_the_start(value: str) -> None:
    with pytest.raises(SettingsError, match="CURRENCY must be"):
        Settings.from_env(GIVEN | {"CURRENCY": value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://localhost/shop"),
        ("DATABASE_URL", "postgresql://localhost:port/shop"),
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_URL", "http://localhost"),
        ("BASE_URL", "https://shop.example.com/store"),
        ("BASE_URL", "https://me:word@shop.example.com"),
        ("REALTIME_URL", "https://shop.example.com/ws"),
        ("REALTIME_URL", "wss:///ws"),
        ("SMTP_URL", "mail.example.com"),
        ("SMTP_URL", "smtp://mail.example.com:many"),
        ("SMTP_URL", "smtp://"),
        ("MAIL_FROM", "Ember & Oak"),
        ("MAIL_FROM", "shop@example.com\nBcc: all@example.com"),
        ("STORAGE_URL", "/srv/shop/media"),
        ("STORAGE_URL", "s3://bucket"),
        ("CURRENCY", "EURO"),
        ("SHOP_COUNTRY", "Germany"),
        ("NUMBER_LOCALE", "xx_YY"),
        ("NUMBER_LOCALE", "German numbers"),
        ("FREE_SHIPPING_COUNTS", "sometimes"),
    ],
)
def test_address_or_code_that_is_none_stops_start(name: str, value: str) -> None:
    Settings.from_env(IN_PRODUCTION)

    with pytest.raises(
        SettingsError, match=f"^The shop cannot start: {name} (must be|must look|asks)"
    ):
        Settings.from_env(IN_PRODUCTION | {name: value})


def test_what_is_refused_repeats_no_password() -> None:
    with pytest.raises(SettingsError) as refusal:
        Settings.from_env(
            GIVEN | {"REDIS_URL": "redis:/:secret@host", "SMTP_URL": "smtp://me:secret@host:x"}
        )

    assert "REDIS_URL" in str(refusal.value) and "SMTP_URL" in str(refusal.value)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("STRIPE_SECRET_KEY", "pk_live_1", "must start with sk_… or rk_…"),
        ("STRIPE_PUBLISHABLE_KEY", "sk_live_1", "must start with pk_…"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_new,old", "must start with whsec_…"),
        ("STRIPE_WEBHOOK_SECRET", ",", "is not set"),
        ("STRIPE_API_BASE", "http://127.0.0.1:8002", "is for the stand-in only"),
        ("SMTP_URL", "", "is not set"),
        ("SECRET_KEY", "short", "must have at least 32 characters"),
        ("REDIS_URL", "", "is not set\\."),
        ("RATE_LIMITS", "off", "is not accepted"),
        # keys
        ("STRIPE_WEBHOOK_SECRET", "whsec_", "copy all of it"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_new,whsec_", "copy all of it"),
        ("STRIPE_SECRET_KEY", "sk_live_", "copy all of it"),
        ("STRIPE_PUBLISHABLE_KEY", "pk_live", "copy all of it"),
        ("STRIPE_SECRET_KEY", "sk_test_1", "must be of the same mode"),
        ("STRIPE_SECRET_KEY", "rk_test_1", "must be of the same mode"),
        ("STRIPE_PUBLISHABLE_KEY", "pk_test_1", "must be of the same mode"),
        ("STRIPE_SECRET_KEY", "sk_1", "must say their mode"),
        ("STRIPE_TEST_MODE", "on", "needs test keys"),
        # secrets
        ("SECRET_KEY", "a" * 40, "must be random"),
        ("SECRET_KEY", "0123456789abcdef" * 2, "must be random"),
        ("SECRET_KEY", "abcdefghijklmnopqrstuvwxyz0123456789", "must be random"),
        ("SECRET_KEY", "x1" * 20, "must be random"),
        ("SECRET_KEY", "changeme-0f1e2d3c4b5a69788796a5b4c3d2e1f0", "others know"),
        ("SECRET_KEY", "only-for-tests-" + "0f1e2d3c4b5a6978" * 2, "others know"),
        (
            "SECRET_KEY",
            "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
            "others know",
        ),
        ("SECRET_KEY", "this-is-my-secret-key-for-the-shop-2026", "others know"),
        ("METRICS_TOKEN", "short", "at least 16"),
        # debugging, and where the shop is
        ("FLASK_DEBUG", "1", "must be off"),
        ("FLASK_DEBUG", "true", "must be off"),
        ("FLASK_DEBUG", "yes", "must be off"),
        ("FLASK_DEBUG", " ON ", "must be off"),
        ("FLASK_DEBUG", "anything", "must be off"),
        ("BASE_URL", "http://shop.example.com", "must start with https"),
        ("BASE_URL", "https://localhost", "must name the host"),
        ("BASE_URL", "https://shop.localhost:8443", "must name the host"),
        ("BASE_URL", "https://127.0.0.1", "must name the host"),
        ("BASE_URL", "https://[::1]", "must name the host"),
        ("BASE_URL", "https://[0:0:0:0:0:0:0:1]", "must name the host"),
        ("BASE_URL", "https://[::ffff:127.0.0.1]", "must name the host"),
        ("BASE_URL", "https://LOCALHOST.", "must name the host"),
        ("BASE_URL", "https://ip6-localhost", "must name the host"),
        ("BASE_URL", "https://127.1", "must name the host"),
        ("BASE_URL", "https://2130706433", "must name the host"),
        ("BASE_URL", "https://0x7f.1", "must name the host"),
        ("BASE_URL", "https://0", "must name the host"),
        ("BASE_URL", "https://.com", "must look like"),
        ("BASE_URL", "https://*", "must look like"),
        ("BASE_URL", "https://*.example.com", "must look like"),
        ("BASE_URL", "https://a.example.com,b.example.com", "must look like"),
        ("REALTIME_URL", "ws://shop.example.com/ws", "must start with wss"),
        ("REALTIME_URL", "wss://localhost/ws", "must name the host"),
        # servers
        ("REDIS_URL", "redis://redis:6379/0", "must hold a password"),
        ("REDIS_URL", "redis://default:@redis:6379/0", "must hold a password"),
        ("REDIS_URL", "redis://shop@redis:6379/0", "must hold a password"),
        ("REDIS_URL", "unix:///run/redis.sock", "must hold a password"),
        ("REDIS_URL", "unix:///run/redis.sock?password=", "must hold a password"),
        ("REDIS_URL", "rediss://redis:6380/0", "must hold a password"),
        ("REDIS_URL", "memory://", "must look like redis://"),
        ("DATABASE_URL", "postgresql://postgres:word@db/shop", "must not use the role"),
    ],
)
def test_production_asks_for_more(name: str, value: str, sentence: str) -> None:
    Settings.from_env(IN_PRODUCTION)

    with pytest.raises(SettingsError, match=f"{name}.*({sentence})"):
        Settings.from_env(IN_PRODUCTION | {name: value})


def test_test_keys_need_their_own_setting() -> None:
    keys = {"STRIPE_SECRET_KEY": "sk_test_1", "STRIPE_PUBLISHABLE_KEY": "pk_test_1"}

    with pytest.raises(SettingsError, match="are test keys: nobody would really pay"):
        Settings.from_env(IN_PRODUCTION | keys)

    assert Settings.from_env(IN_PRODUCTION | keys | {"STRIPE_TEST_MODE": "on"}).stripe_test_mode


def test_random_secrets_are_always_accepted() -> None:
    for _ in range(500):
        for made in (secrets.token_hex(16), secrets.token_hex(32), secrets.token_urlsafe(24)):
            Settings.from_env(IN_PRODUCTION | {"SECRET_KEY": made})


@pytest.mark.parametrize("value", ["", "0", "off", "false", "no"])
def test_debugging_that_is_off_starts(value: str) -> None:
    assert Settings.from_env(IN_PRODUCTION | {"FLASK_DEBUG": value}).is_production


@pytest.mark.parametrize(
    "url", ["redis://:word@redis", "rediss://shop:word@redis", "redis://redis?password=word"]
)
def test_a_redis_password_is_found_wherever_it_stands(url: str) -> None:
    assert Settings.from_env(IN_PRODUCTION | {"REDIS_URL": url}).redis_url == url


@pytest.mark.parametrize(("env", "is_trusted"), [("test", True), ("production", False)])
def test_only_development_trusts_its_own_machine(env: str, is_trusted: bool) -> None:
    settings = Settings.from_env(IN_PRODUCTION | {"SHOP_ENV": env})

    hosts = _flask_config(settings)["TRUSTED_HOSTS"]

    assert "shop.example.com" in hosts
    assert ("localhost" in hosts, "127.0.0.1" in hosts) == (is_trusted, is_trusted)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (["-m", "flask", "--app", "app", "shop", "--help"], 2),
        (["-m", "shop", "worker"], 2),
        (["-m", "gunicorn", "app:app", "--preload", "--no-control-socket"], 3),
        (["-m", "gunicorn", "shop.realtime.wsgi:app", "-k", "gevent", "--no-control-socket"], 3),
    ],
)
def test_every_process_ends_with_sentence_and_no_stack(line: list[str], code: int) -> None:
    bind = ["--bind", "127.0.0.1:0"] if "gunicorn" in line else []

    ended = subprocess.run(
        [sys.executable, *line, *bind],
        env=os.environ | IN_PRODUCTION | {"SMTP_URL": "nowhere"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ended.returncode == code
    assert "The shop cannot start: SMTP_URL must look like smtp://" in ended.stderr
    assert "Traceback" not in ended.stderr
