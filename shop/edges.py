"""Tells the edges where the outside world is. Every kind of process does this first; no Flask."""

from shop import audit, checkout
from shop.cart import limits
from shop.config import Settings
from shop.core import actor, db, devices, failpoints, log, mail, money, network, passwords, redis
from shop.media import storage
from shop.notifications import alerts, templates
from shop.payments import methods, stripe_client


def configure(settings: Settings, *, name: str, pool_size: int = 10) -> None:
    """Set up logs, database, Redis, email, storage, Stripe and the terms of sale.

    ``name`` is what Postgres shows for this process's connections. Opens no connection.
    """
    log.configure()
    money.configure(settings.number_locale)
    failpoints.configure(settings.failpoints)
    actor.configure(name)
    db.listen(audit.watch)
    db.configure(settings.database_url, name=name, pool_size=pool_size)
    redis.configure(settings.redis_url)
    mail.configure(settings.smtp_url, settings.mail_from)
    devices.configure(settings.secret_key)
    passwords.configure(shop_name=settings.shop_name)
    alerts.configure(to=settings.alert_mail)
    templates.configure(
        base_url=settings.base_url, shop_name=settings.shop_name, zone=settings.time_zone
    )
    storage.configure(settings.storage_url)
    stripe_client.configure(
        secret_key=settings.stripe_secret_key,
        publishable_key=settings.stripe_publishable_key,
        webhook_secrets=settings.stripe_webhook_secrets,
        api_base=settings.stripe_api_base,
        capture=settings.payment_capture,
        patience=stripe_client.FOR_WORKERS if name == "worker" else stripe_client.FOR_PEOPLE,
    )
    methods.configure(settings.payment_methods)
    checkout.configure(
        checkout.Terms(
            currency=settings.currency,
            country=settings.country,
            prices_include_tax=settings.prices_include_tax,
            hold_minutes=settings.hold_minutes,
            zone=settings.time_zone,
            cut_off_hour=settings.cut_off_hour,
            free_shipping_counts=checkout.FreeShippingCounts(settings.free_shipping_counts),
            max_unpaid_orders=settings.max_unpaid_orders,
            unpaid_hold_minutes=settings.unpaid_hold_minutes,
        )
    )
    limits.configure(max_per_variant=settings.max_per_variant)
    network.configure(settings.secret_key)
