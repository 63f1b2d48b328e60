"""Settings: read once from the environment, typed, frozen, refused early.

Only the factory imports this module; everything else learns its settings by ``configure(...)``.
In development, values that the environment does not set come from ``.env`` and then from
``<var>/dev.env``, which a running ``bin/dev`` writes, so that ``flask shop …`` finds its stack.
"""

import math
import os
import re
import socket
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parseaddr
from ipaddress import IPv4Address, ip_address
from itertools import pairwise
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, parse_qs, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from babel import Locale, UnknownLocaleError
from babel.numbers import get_currency_precision, get_decimal_symbol, list_currencies
from dotenv import dotenv_values

ENVIRONMENTS = ("development", "test", "production")
# https://docs.stripe.com/currencies#zero-decimal: in others without decimals (RSD, ISK, UGX, …)
# Stripe takes hundredths all the same, and in those of three decimals only every tenth amount.
WHOLE_UNITS = {
    "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF",
    "XOF", "XPF",
}  # fmt: skip
# What examples, tutorials and this project's own tests put where a secret belongs.
PLACEHOLDERS = (
    "changeme", "change-me", "change_me", "default", "development", "example", "for-test",
    "insecure", "letmein", "only-for", "password", "placeholder", "qwerty", "replace", "scratch-",
    "secret", "thisismy", "your-key", "your_key",
)  # fmt: skip
# Random once, and public since: Flask's documentation, a UUID of examples, digests of nothing.
KNOWN_SECRETS = (
    "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
    "123e4567-e89b-12d3-a456-426614174000",
    "d41d8cd98f00b204e9800998ecf8427e",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
)
MIN_SECRET_LENGTH = 32
MIN_SECRET_BITS = 80

# As Debian, Fedora and others call it in /etc/hosts.
LOCAL_NAMES = {
    "localhost", "localhost4", "localhost6", "ip6-localhost", "ip6-loopback", "broadcasthost",
}  # fmt: skip

# What may be offered, and the currencies it takes if not all; ``shop.payments.methods`` has more.
_KLARNA = "AUD CAD CHF CZK DKK EUR GBP NOK NZD PLN RON SEK USD"
METHOD_CURRENCIES: Mapping[str, frozenset[str]] = {
    "card": frozenset(),
    "link": frozenset(),
    "ideal": frozenset({"EUR"}),
    "bancontact": frozenset({"EUR"}),
    "klarna": frozenset(_KLARNA.split()),
    "sepa_debit": frozenset({"EUR"}),
    "multibanco": frozenset({"EUR"}),
    "konbini": frozenset({"JPY"}),
    "oxxo": frozenset({"MXN"}),
}
CAPTURED_LATER = ("card", "link", "klarna")


class SettingsError(Exception):
    """A setting is missing or unusable; the message names it and says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that is set from outside. Names in ``.env.example``."""

    env: str
    secret_key: str = field(repr=False)
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    base_url: str
    realtime_url: str
    stripe_secret_key: str = field(repr=False)
    stripe_publishable_key: str
    stripe_webhook_secrets: tuple[str, ...] = field(repr=False)
    stripe_api_base: str
    stripe_test_mode: bool
    payment_capture: str
    payment_methods: tuple[str, ...]
    wallets: bool
    smtp_url: str = field(repr=False)
    mail_from: str
    alert_mail: str
    storage_url: str
    metrics_token: str = field(repr=False)
    trusted_proxies: int
    rate_limits: bool
    var: Path
    failpoints: Path | None
    shop_name: str
    currency: str
    country: str
    number_locale: str
    prices_include_tax: bool
    hold_minutes: int
    free_shipping_counts: str
    max_per_variant: int
    max_unpaid_orders: int
    unpaid_hold_minutes: int
    time_zone: ZoneInfo
    cut_off_hour: int

    @property
    def is_production(self) -> bool:
        return self.env == "production"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read and check all settings; ``environ`` defaults to the process's own.

        Raises ``SettingsError`` with one sentence naming every unusable setting.
        """
        source = _layered(dict(os.environ if environ is None else environ))
        read = _Reader(source)
        env = read.choice("SHOP_ENV", "development", ENVIRONMENTS)
        base_url = read.url("BASE_URL", "http://127.0.0.1:8000")
        settings = cls(
            env=env,
            secret_key=read.text("SECRET_KEY"),
            database_url=read.database("DATABASE_URL"),
            redis_url=read.server("REDIS_URL", None, "redis rediss unix", "redis://host:6379/0"),
            base_url=base_url,
            realtime_url=read.server(
                "REALTIME_URL", _websocket(base_url), "ws wss", "wss://shop.example.com/ws"
            ),
            stripe_secret_key=read.text("STRIPE_SECRET_KEY", ""),
            stripe_publishable_key=read.text("STRIPE_PUBLISHABLE_KEY", ""),
            stripe_webhook_secrets=tuple(
                part.strip()
                for part in read.text("STRIPE_WEBHOOK_SECRET", "").split(",")
                if part.strip()
            ),
            stripe_api_base=read.text("STRIPE_API_BASE", "").rstrip("/"),
            stripe_test_mode=read.switch("STRIPE_TEST_MODE", False),
            payment_capture=read.choice("PAYMENT_CAPTURE", "automatic", ("automatic", "manual")),
            payment_methods=read.several("PAYMENT_METHODS", "card", tuple(METHOD_CURRENCIES)),
            wallets=read.switch("WALLETS", True),
            smtp_url=read.server("SMTP_URL", "", "smtp smtps", "smtp://user:password@host:587"),
            mail_from=read.sender("MAIL_FROM", "Ember & Oak <shop@example.com>"),
            alert_mail=read.address("ALERT_MAIL"),
            var=Path(source.get("SHOP_VAR") or "var").resolve(),
            failpoints=Path(source["SHOP_FAILPOINTS"]) if source.get("SHOP_FAILPOINTS") else None,
            storage_url=read.folder(
                "STORAGE_URL",
                f"file:{Path(source.get('SHOP_VAR') or 'var').resolve() / 'media'}",
            ),
            metrics_token=read.text("METRICS_TOKEN", ""),
            trusted_proxies=read.whole("TRUSTED_PROXIES", 0, 0, 5),
            rate_limits=read.switch("RATE_LIMITS", True),
            shop_name=read.text("SHOP_NAME", "Ember & Oak"),
            currency=read.currency("CURRENCY", "EUR"),
            country=read.letters("SHOP_COUNTRY", "DE"),
            number_locale=read.number_locale("NUMBER_LOCALE", "en_IE"),
            prices_include_tax=read.switch("PRICES_INCLUDE_TAX", True),
            hold_minutes=read.whole("HOLD_MINUTES", 15, 1, 24 * 60),
            free_shipping_counts=read.choice(
                "FREE_SHIPPING_COUNTS", "before_discounts", ("before_discounts", "after_discounts")
            ),
            max_per_variant=read.whole("MAX_PER_VARIANT", 20, 1, 999),
            max_unpaid_orders=read.whole("MAX_UNPAID_ORDERS", 12, 1, 1000),
            unpaid_hold_minutes=read.whole("UNPAID_HOLD_MINUTES", 30, 1, 24 * 60),
            time_zone=read.zone("SHOP_TIME_ZONE", "Europe/Berlin"),
            cut_off_hour=read.whole("SHOP_CUT_OFF_HOUR", 14, 0, 24),
        )
        read.problems += _unpayable(settings)
        if settings.is_production:
            read.problems += _unsafe_in_production(settings, source)
        if read.problems:
            raise SettingsError("The shop cannot start: " + " ".join(read.problems))
        return settings


class _Reader:
    def __init__(self, source: Mapping[str, str]) -> None:
        self.source = source
        self.problems: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        value = self.source.get(name, "").strip()
        if value:
            return value
        if default is None:
            where = ""
            if self.source.get("SHOP_ENV", "development") == "development":
                where = " (in development, start bin/dev first or set it in .env)"
            self.problems.append(f"{name} is not set{where}.")
            return ""
        return default

    def url(self, name: str, default: str) -> str:
        value = self.text(name, default).rstrip("/")
        parts = _split(value)
        is_plain = not (parts.path or parts.query or parts.fragment or parts.username)
        # It becomes a trusted host, where ".com" would stand for every name that ends so.
        if parts.scheme not in {"http", "https"} or not is_plain or not _is_host(parts.hostname):
            self.problems.append(f"{name} must look like https://shop.example.com, not {value!r}.")
        return value

    def server(self, name: str, default: str | None, schemes: str, example: str) -> str:
        """The address of a server. It may hold a password, so it is not repeated."""
        value = self.text(name, default)
        parts = _split(value)
        place = parts.path if parts.scheme == "unix" else parts.hostname
        if value and (parts.scheme not in schemes.split() or not place or " " in value):
            self.problems.append(f"{name} must look like {example}.")
        return value

    def database(self, name: str) -> str:
        value = self.text(name)
        parts = _split(value)
        if value and parts.scheme not in {"postgresql", "postgres", "postgresql+psycopg"}:
            self.problems.append(
                f"{name} must be a postgresql:// address: the shop runs on Postgres only."
            )
        scheme, _, rest = value.partition("://")
        return f"postgresql+psycopg://{rest}" if scheme else value

    def folder(self, name: str, default: str) -> str:
        value = self.text(name, default)
        parts = _split(value)
        if parts.scheme == "s3":
            self.problems.append(
                f"{name} asks for S3, which this version cannot use yet: name a folder, such as "
                "file:/srv/shop/media."
            )
        elif parts.scheme != "file" or parts.netloc or not parts.path:
            self.problems.append(f"{name} must be a folder, such as file:/srv/shop/media.")
        return value

    def letters(self, name: str, example: str) -> str:
        """An ISO code, as long as its example."""
        value = self.text(name, example).upper()
        if not re.fullmatch(rf"[A-Z]{{{len(example)}}}", value):
            self.problems.append(
                f"{name} must be a code of {len(example)} letters like {example}, not {value!r}."
            )
        return value

    def sender(self, name: str, default: str) -> str:
        value = self.text(name, default)
        if "\n" in value or not re.fullmatch(r"[^@\s]+@[^@\s]+", parseaddr(value)[1]):
            self.problems.append(f"{name} must look like {default}, not {value!r}.")
        return value

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in allowed:
            self.problems.append(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")
        return value

    def several(self, name: str, default: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
        """Names separated by commas, each once, in their order."""
        given = [part.strip().lower() for part in self.text(name, default).split(",")]
        names = tuple(dict.fromkeys(part for part in given if part))
        unknown = [part for part in names if part not in allowed]
        if unknown or not names:
            self.problems.append(
                f"{name} must name some of {', '.join(allowed)}, separated by commas, not"
                f" {', '.join(map(repr, unknown)) or 'nothing'}."
            )
            return (default,)
        return names

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        value = self.text(name, str(default))
        if not value.isdecimal() or not low <= int(value) <= high:
            self.problems.append(
                f"{name} must be a whole number from {low} to {high}, not {value!r}."
            )
            return default
        return int(value)

    def address(self, name: str) -> str:
        value = self.text(name, "")
        if value and (value.count("@") != 1 or any(c.isspace() or c in ",;<>" for c in value)):
            self.problems.append(f"{name} must be one email address, not {value!r}.")
        return value

    def zone(self, name: str, default: str) -> ZoneInfo:
        value = self.text(name, default)
        if value != default and value not in available_timezones():
            self.problems.append(f"{name} must be a time zone like {default}, not {value!r}.")
            return ZoneInfo(default)
        return ZoneInfo(value)

    def currency(self, name: str, default: str) -> str:
        value = self.text(name, default).upper()
        digits = get_currency_precision(value) if value in list_currencies() else None
        if digits != 2 and value not in WHOLE_UNITS:
            self.problems.append(
                f"{name} must be a currency that Stripe counts as we do: one of two decimals, or"
                f" one of {', '.join(sorted(WHOLE_UNITS))}, not {value!r}."
            )
        return value

    def number_locale(self, name: str, default: str) -> str:
        value = self.text(name, default).replace("-", "_")
        try:
            if get_decimal_symbol(Locale.parse(value)) in {".", ","}:
                return value
        except (UnknownLocaleError, ValueError):
            pass
        self.problems.append(
            f"{name} must be a language and region like {default} or de_DE whose decimal"
            f" separator is a point or a comma, not {value!r}."
        )
        return default

    def switch(self, name: str, default: bool) -> bool:
        value = self.text(name, "on" if default else "off").lower()
        if value not in {"on", "off", "yes", "no", "true", "false", "1", "0"}:
            self.problems.append(f"{name} must be on or off, not {value!r}.")
        return value in {"on", "yes", "true", "1"}


def read_or_end(exit_code: int) -> Settings:
    """The settings; or the end of this process, with the sentence about them and no stack."""
    try:
        return Settings.from_env()
    except SettingsError as reason:
        sys.stderr.write(f"{reason}\n")
        sys.exit(exit_code)


def _split(value: str) -> SplitResult:
    """The parts of an address; none of them when it or its port cannot be read."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return urlsplit("")
    return parts


def _is_host(name: str | None) -> bool:
    """Whether it is the name or address of one host."""
    labels = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\.?"
    return bool(name and (":" in name or re.fullmatch(labels, name)))


def _layered(environ: dict[str, str]) -> dict[str, str]:
    if environ.get("SHOP_ENV", "development") != "development":
        return environ
    var = Path(environ.get("SHOP_VAR") or "var")
    layers: dict[str, str] = {}
    for file in (var / "dev.env", Path(".env")):
        layers |= {key: value for key, value in dotenv_values(file).items() if value}
    return layers | {key: value for key, value in environ.items() if value}


def _websocket(base_url: str) -> str:
    return base_url.replace("http", "ws", 1) + "/ws"


def _unpayable(settings: Settings) -> list[str]:
    """What keeps every method of the shop from being offered."""
    names, currency = settings.payment_methods, settings.currency
    fitting = [
        one for one in names if not METHOD_CURRENCIES[one] or currency in METHOD_CURRENCIES[one]
    ]
    if not fitting:
        return [f"PAYMENT_METHODS ({', '.join(names)}) has none that takes {currency}; add card."]
    if settings.payment_capture == "manual" and not set(fitting) & set(CAPTURED_LATER):
        return [
            f"PAYMENT_CAPTURE=manual needs one of {', '.join(CAPTURED_LATER)} in PAYMENT_METHODS:"
            " the others take the money at once."
        ]
    return []


def _unsafe_in_production(settings: Settings, source: Mapping[str, str]) -> list[str]:
    rules = {
        **_weak_secret("SECRET_KEY", settings.secret_key),
        "FLASK_DEBUG must be off in production: it shows code and runs it.": _is_on(
            source.get("FLASK_DEBUG", "")
        ),
        "BASE_URL must start with https:// in production.": not settings.base_url.startswith(
            "https://"
        ),
        "BASE_URL must name the host that customers use, not this machine (localhost).": _is_local(
            settings.base_url
        ),
        "REALTIME_URL must start with wss:// in production.": not settings.realtime_url.startswith(
            "wss://"
        ),
        "REALTIME_URL must name the host that customers use, not this machine (localhost).": (
            _is_local(settings.realtime_url)
        ),
        **_open_redis(settings.redis_url),
        "DATABASE_URL must not use the role postgres, which may do everything: make a role that"
        " owns the shop's database only.": _split(settings.database_url).username == "postgres",
        **_unlike_stripe(settings),
        "STRIPE_API_BASE is for the stand-in only and must be empty in production.": bool(
            settings.stripe_api_base
        ),
        "SMTP_URL is not set: no email could be sent.": not settings.smtp_url,
        "METRICS_TOKEN must have at least 16 characters in production.": (
            0 < len(settings.metrics_token) < 16
        ),
        "SHOP_FAILPOINTS is for tests and must be empty in production.": bool(settings.failpoints),
        "RATE_LIMITS=off is not accepted in production.": not settings.rate_limits,
    }
    return [sentence for sentence, broken in rules.items() if broken]


def _weak_secret(name: str, value: str) -> dict[str, bool]:
    """Whether a secret is short, known, or could be guessed."""
    low = value.casefold()
    make = 'make one with: python3 -c "import secrets; print(secrets.token_hex(32))".'
    return {
        f"{name} must have at least {MIN_SECRET_LENGTH} characters in production.": (
            len(value) < MIN_SECRET_LENGTH
        ),
        f"{name} looks like an example that others know; {make}": any(
            word in low for word in (*PLACEHOLDERS, *KNOWN_SECRETS)
        ),
        f"{name} must be random, not repeated or in a row; {make}": len(value) >= MIN_SECRET_LENGTH
        and (_bits(value) < MIN_SECRET_BITS or _is_patterned(value)),
    }


def _bits(value: str) -> float:
    """How much a value can tell at most, going by how often each character is in it (Shannon)."""
    counts = Counter(value).values()
    return sum(-count * math.log2(count / len(value)) for count in counts)


def _is_patterned(value: str) -> bool:
    """Whether it is a shorter text repeated, or goes up or down the alphabet."""
    steps = [ord(b) - ord(a) for a, b in pairwise(value)]
    in_a_row = sum(step in {-1, 0, 1} for step in steps)
    starts = range(1, len(value) // 2 + 1)
    is_repeated = any(value == (value[:n] * len(value))[: len(value)] for n in starts)
    return is_repeated or in_a_row * 2 > len(steps)


def _is_on(value: str) -> bool:
    """As Flask reads its own switches: anything but these is on."""
    return value.strip().lower() not in {"", "0", "false", "no", "off", "n", "f"}


def _is_local(url: str) -> bool:
    """Whether the host is this machine, by any of its names, or by an address however written."""
    host = (_split(url).hostname or "").rstrip(".")
    if host in LOCAL_NAMES or host.endswith((".localhost", ".localdomain")):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        try:
            address = IPv4Address(socket.inet_aton(host))  # "127.1", "2130706433", "0x7f.1"
        except OSError:
            return False
    own = getattr(address, "ipv4_mapped", None) or address
    return bool(own.is_loopback or own.is_unspecified)


def _open_redis(url: str) -> dict[str, bool]:
    """Whoever can write to Redis gives orders to workers and signs in sockets."""
    parts = _split(url)
    query = parse_qs(parts.query)
    password = parts.password or next(iter(query.get("password", [])), "")
    return {
        "REDIS_URL must hold a password in production: redis://:password@host:6379/0.": (
            bool(url) and not password
        ),
    }


def _unlike_stripe(settings: Settings) -> dict[str, bool]:
    """A secret key where the publishable one belongs would be shown to every browser, and a test
    key sells for nothing."""
    given = {
        "STRIPE_SECRET_KEY": ((settings.stripe_secret_key,), ("sk_", "rk_")),
        "STRIPE_PUBLISHABLE_KEY": ((settings.stripe_publishable_key,), ("pk_",)),
        "STRIPE_WEBHOOK_SECRET": (settings.stripe_webhook_secrets or ("",), ("whsec_",)),
    }
    broken = {}
    for name, (values, starts) in given.items():
        begins = " or ".join(f"{start}…" for start in starts)
        broken[f"{name} is not set."] = "" in values
        broken[f"{name} must start with {begins}."] = not all(
            value.startswith(starts) for value in values if value
        )
        broken[f"{name} ends after its first part: copy all of it from Stripe."] = any(
            value.rstrip("_") in _EMPTY_KEYS for value in values
        )
    return broken | _stripe_mode(settings)


_EMPTY_KEYS = {
    "whsec", "sk", "rk", "pk", "sk_live", "rk_live", "pk_live", "sk_test", "rk_test", "pk_test",
}  # fmt: skip


def _stripe_mode(settings: Settings) -> dict[str, bool]:
    """Whether the keys are of one mode, and of the one that was chosen."""
    secret, shown = settings.stripe_secret_key, settings.stripe_publishable_key
    modes = {_mode(key) for key in (secret, shown) if key}
    wanted = "test" if settings.stripe_test_mode else "live"
    is_mixed = modes == {"live", "test"}
    return {
        "STRIPE_SECRET_KEY and STRIPE_PUBLISHABLE_KEY must be of the same mode: both live, or both"
        " test.": is_mixed,
        "STRIPE_SECRET_KEY and STRIPE_PUBLISHABLE_KEY are test keys: nobody would really pay. Use"
        " live keys, or set STRIPE_TEST_MODE=on.": wanted == "live" and modes == {"test"},
        "STRIPE_TEST_MODE=on needs test keys in STRIPE_SECRET_KEY and STRIPE_PUBLISHABLE_KEY, not"
        " live ones.": wanted == "test" and modes == {"live"},
        "STRIPE_SECRET_KEY and STRIPE_PUBLISHABLE_KEY must say their mode: sk_live_… and"
        " pk_live_….": "" in modes,
    }


def _mode(key: str) -> str:
    parts = key.split("_")
    return parts[1] if len(parts) > 2 and parts[1] in {"live", "test"} else ""
