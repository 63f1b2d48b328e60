"""Settings: read once from the environment, typed, frozen, refused early.

Only the factory imports this module; everything else learns its settings by ``configure(...)``.
In development, values that the environment does not set come from ``.env`` and then from
``<var>/dev.env``, which a running ``bin/dev`` writes, so that ``flask shop …`` finds its stack.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from dotenv import dotenv_values

ENVIRONMENTS = ("development", "test", "production")


class SettingsError(Exception):
    """A setting is missing or unusable; the message names it and says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the shop can be told from outside. Names in ``.env.example``."""

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
    smtp_url: str = field(repr=False)
    mail_from: str
    storage_url: str
    metrics_token: str = field(repr=False)
    trusted_proxies: int
    rate_limits: bool
    var: Path
    shop_name: str
    currency: str
    country: str
    prices_include_tax: bool
    hold_minutes: int

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
            redis_url=read.text("REDIS_URL"),
            base_url=base_url,
            realtime_url=read.text("REALTIME_URL", _websocket(base_url)),
            stripe_secret_key=read.text("STRIPE_SECRET_KEY", ""),
            stripe_publishable_key=read.text("STRIPE_PUBLISHABLE_KEY", ""),
            stripe_webhook_secrets=tuple(
                part.strip()
                for part in read.text("STRIPE_WEBHOOK_SECRET", "").split(",")
                if part.strip()
            ),
            stripe_api_base=read.text("STRIPE_API_BASE", "").rstrip("/"),
            smtp_url=read.text("SMTP_URL", ""),
            mail_from=read.text("MAIL_FROM", "Ember & Oak <shop@example.com>"),
            var=Path(source.get("SHOP_VAR") or "var").resolve(),
            storage_url=read.text(
                "STORAGE_URL",
                f"file:{Path(source.get('SHOP_VAR') or 'var').resolve() / 'media'}",
            ),
            metrics_token=read.text("METRICS_TOKEN", ""),
            trusted_proxies=read.whole("TRUSTED_PROXIES", 0, 0, 5),
            rate_limits=read.switch("RATE_LIMITS", True),
            shop_name=read.text("SHOP_NAME", "Ember & Oak"),
            currency=read.text("CURRENCY", "EUR").upper(),
            country=read.text("SHOP_COUNTRY", "DE").upper(),
            prices_include_tax=read.switch("PRICES_INCLUDE_TAX", True),
            hold_minutes=read.whole("HOLD_MINUTES", 15, 1, 24 * 60),
        )
        if settings.is_production:
            read.problems += _unsafe_in_production(settings)
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
            self.problems.append(
                f"{name} is not set (in development, start bin/dev first or set it in .env)."
            )
            return ""
        return default

    def url(self, name: str, default: str) -> str:
        value = self.text(name, default).rstrip("/")
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path:
            self.problems.append(f"{name} must look like https://shop.example.com, not {value!r}.")
        return value

    def database(self, name: str) -> str:
        value = self.text(name)
        if value and not value.startswith(
            ("postgresql://", "postgres://", "postgresql+psycopg://")
        ):
            self.problems.append(
                f"{name} must be a postgresql:// address: the shop runs on Postgres only."
            )
        scheme, _, rest = value.partition("://")
        return f"postgresql+psycopg://{rest}" if scheme else value

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in allowed:
            self.problems.append(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")
        return value

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        value = self.text(name, str(default))
        if not value.isdecimal() or not low <= int(value) <= high:
            self.problems.append(
                f"{name} must be a whole number from {low} to {high}, not {value!r}."
            )
            return default
        return int(value)

    def switch(self, name: str, default: bool) -> bool:
        value = self.text(name, "on" if default else "off").lower()
        if value not in {"on", "off", "yes", "no", "true", "false", "1", "0"}:
            self.problems.append(f"{name} must be on or off, not {value!r}.")
        return value in {"on", "yes", "true", "1"}


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


def _unsafe_in_production(settings: Settings) -> list[str]:
    rules = {
        "SECRET_KEY must have at least 32 characters in production.": len(settings.secret_key) < 32,
        "SECRET_KEY must be random, not one repeated character.": len(set(settings.secret_key)) < 8,
        "BASE_URL must start with https:// in production.": not settings.base_url.startswith(
            "https://"
        ),
        "REALTIME_URL must start with wss:// in production.": not settings.realtime_url.startswith(
            "wss://"
        ),
        "STRIPE_SECRET_KEY is not set.": not settings.stripe_secret_key,
        "STRIPE_PUBLISHABLE_KEY is not set.": not settings.stripe_publishable_key,
        "STRIPE_WEBHOOK_SECRET is not set.": not settings.stripe_webhook_secrets,
        "STRIPE_API_BASE is for the stand-in only and must be empty in production.": bool(
            settings.stripe_api_base
        ),
        "SMTP_URL is not set: no mail could be sent.": not settings.smtp_url,
        "RATE_LIMITS=off is not accepted in production.": not settings.rate_limits,
    }
    return [sentence for sentence, broken in rules.items() if broken]
