"""Servers, doors and goods for the realtime tests: a real gunicorn, a real Postgres and Valkey."""

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from flask_appbuilder.security.sqla.models import Permission, PermissionView, Role, User, ViewMenu
from redis import Redis
from sqlalchemy import Engine, NullPool, create_engine, select, text
from sqlalchemy.orm import Session

from shop.cart.models import Cart, CartItem
from shop.catalog.models import Product, Variant
from shop.core import db, redis, tokens
from shop.core.broadcasts import Broadcast
from shop.core.sessions import SignIn
from shop.customers.models import Customer
from shop.inventory.models import Location, StockLevel
from shop.orders.models import Order
from tests.realtime.door import PROJECT, Door
from tests.support import servers
from tools.valkey import Valkey

DATABASE = "realtime"


@pytest.fixture(scope="session")
def database_url() -> str:
    """A migrated database beside the one that other tests use."""
    given = servers.start().postgres_url.replace("postgresql://", "postgresql+psycopg://", 1)
    with create_engine(given, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {DATABASE}"))
    url = given.replace("@/shop", f"@/{DATABASE}", 1)
    assert url != given
    before = db._engine
    db.configure(url)
    config = Config()
    config.set_main_option("script_location", str(PROJECT / "migrations"))
    command.upgrade(config, "head")
    if before is not None:
        db._engine = before
        db._factory.configure(bind=before)
    return url


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A Valkey of our own, because a test restarts it."""
    folder = tmp_path_factory.mktemp("valkey")
    server = Valkey(folder, log=folder / "log", durable=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis_url(valkey: Valkey) -> str:
    return f"redis://:{valkey._password}@127.0.0.1:{valkey._port}/0"


@pytest.fixture
def our_redis(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Redis:
    """What this process publishes and issues tickets by."""
    monkeypatch.setattr(redis, "_client", Redis.from_url(redis_url, decode_responses=True))
    return redis.client()


@pytest.fixture(scope="session")
def open_door(
    database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Door]]:
    opened: list[Door] = []

    def make(target: str) -> Door:
        log = tmp_path_factory.mktemp("door") / "log"
        opened.append(Door(target, log, database_url=database_url, redis_url=redis_url))
        return opened[-1]

    yield make
    for each in opened:
        each.stop()


@pytest.fixture(scope="session")
def door(open_door: Callable[[str], Door]) -> Door:
    """The realtime process as it is run."""
    return open_door("shop.realtime.wsgi:app")


@pytest.fixture(scope="session")
def hasty_door(open_door: Callable[[str], Door]) -> Door:
    """One with a heartbeat of a second and room for four."""
    return open_door("tests.realtime.served:hasty()")


@pytest.fixture(scope="session")
def engine(database_url: str) -> Engine:
    return create_engine(database_url)


@pytest.fixture
def store(engine: Engine) -> Iterator[Session]:
    """Writes what the processes under test see: commit after each change."""
    with Session(engine, expire_on_commit=False) as session:
        yield session


@pytest.fixture
def without_database(engine: Engine) -> Callable[[], AbstractContextManager[None]]:
    """A block in which nobody can use the database."""

    @contextmanager
    def block() -> Iterator[None]:
        engine.dispose()
        above = create_engine(
            engine.url.set(database="postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool
        )
        with above.connect() as connection:
            connection.execute(text(f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS false"))
            try:
                connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = :name"
                    ),
                    {"name": DATABASE},
                )
                yield
            finally:
                connection.execute(text(f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS true"))

    return block


class Cast:
    """Makes people and goods, each with one telling detail."""

    def __init__(self, store: Session) -> None:
        self.store = store
        self.now = datetime.now(UTC)

    def product(self, *stock: int, **details: Any) -> Product:
        """A product on sale with a variant per number in stock; 3 or less is little."""
        name = secrets.token_hex(6)
        moments = {"created_at": self.now, "updated_at": self.now, "published_at": self.now}
        product = Product(slug=name, name=name, **(moments | {"status": "active"} | details))
        place = self.store.scalar(select(Location).limit(1)) or Location(name="Here")
        for position, on_hand in enumerate(stock):
            variant = Variant(sku=f"{name}-{position}", price_minor=1900, combination=str(position))
            product.variants.append(variant)
            self.store.add(StockLevel(variant=variant, location=place, on_hand=on_hand))
        return self._kept(product)

    def customer(self) -> Customer:
        email = f"{secrets.token_hex(6)}@example.com"
        return self._kept(Customer(email=email, name="Ada", password_hash="-"))

    def cart(self, variant: Variant, customer: Customer | None = None) -> Cart:
        cart = Cart(
            token=tokens.new_token(),
            customer_id=customer.id if customer else None,
            version=7,
            created_at=self.now,
            updated_at=self.now,
            items=[CartItem(variant_id=variant.id, quantity=3, seen_price_minor=1900)],
        )
        return self._kept(cart)

    def order(self, customer: Customer | None = None) -> Order:
        """A pending order of 24.00."""
        order = Order(
            token=tokens.new_token(),
            customer_id=customer.id if customer else None,
            email="ada@example.com",
            currency="EUR",
            prices_include_tax=True,
            subtotal_minor=1900,
            shipping_minor=500,
            tax_minor=383,
            total_minor=2400,
            item_count=1,
            shipping_method="standard",
            shipping_method_name="Standard",
            shipping_address={},
            placed_at=self.now,
            expires_at=self.now + timedelta(hours=1),
        )
        return self._kept(order)

    def staff(self, *views: str, is_active: bool = True, showing: Iterable[str] = ()) -> User:
        """Somebody whose only role may list (or open) some admin views and show what is in some."""
        name = secrets.token_hex(6)
        allowed = [self._permission(view) for view in views]
        allowed += [self._permission(view, "can_show") for view in showing]
        role = Role(name=name, permissions=allowed)
        return self._kept(
            User(
                first_name="Sam", last_name="Staff", username=name, email=f"{name}@example.com",
                active=is_active, roles=[role],
            )
        )  # fmt: skip

    def sign_in(self, who: User | Customer) -> str:
        """A sign-in's token."""
        token = tokens.new_token()
        self._kept(
            SignIn(
                digest=tokens.digest(token),
                audience="staff" if isinstance(who, User) else "customer",
                subject_id=who.id,
                started_at=self.now,
                expires_at=self.now + timedelta(hours=1),
            )
        )
        return token

    def broadcast(self, topic: str, **data: Any) -> Broadcast:
        """News that are kept, but not (yet) published."""
        return self._kept(Broadcast(topic=topic, type="tested", data=data, at=self.now))

    def _permission(self, view: str, name: str = "") -> PermissionView:
        name = name or ("can_index" if view == "DashboardView" else "can_list")
        parts = {
            "permission": self.store.scalar(select(Permission).filter_by(name=name))
            or self._kept(Permission(name=name)),
            "view_menu": self.store.scalar(select(ViewMenu).filter_by(name=view))
            or self._kept(ViewMenu(name=view)),
        }
        found = self.store.scalar(select(PermissionView).filter_by(**parts))
        return found or self._kept(PermissionView(**parts))

    def _kept(self, thing: Any) -> Any:
        self.store.add(thing)
        self.store.commit()
        return thing


@pytest.fixture
def cast(store: Session) -> Cast:
    return Cast(store)


@pytest.fixture
def publish(our_redis: Redis) -> Callable[[Broadcast], None]:
    """Sends kept news to the sockets, as the relay does."""

    def send(*news: Broadcast) -> None:
        assert redis.publish(
            {"seq": n.seq, "topic": n.topic, "type": n.type, "data": n.data, "at": n.at}
            for n in news
        )

    return send
