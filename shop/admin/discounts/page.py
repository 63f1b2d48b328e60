"""Discounts: what is given and how it stands, its codes, what it did, and a box to try it in."""

import csv
import io
from collections.abc import Mapping
from datetime import date, timedelta
from functools import partial
from typing import Any

from flask import Response, flash, jsonify, redirect, request
from flask_appbuilder import expose
from flask_appbuilder.security.decorators import has_access, permission_name
from sqlalchemy import or_, select
from sqlalchemy.orm import joinedload

from shop import checkout, customers, discounts
from shop.admin.discounts.forms import (
    SHOWN_AT,
    DiscountForm,
    discount_form,
    sentence_of,
    typed_number,
    value_field,
    written_draft,
)
from shop.admin.framework import (
    Action,
    Column,
    Listed,
    Moment,
    Number,
    Page,
    Status,
    Tab,
    Table,
    Text,
    View,
    YesNo,
    charts,
    errors,
)
from shop.admin.framework.formatters import badge, moment
from shop.admin.framework.inputs import existing
from shop.admin.framework.list_pages import Items
from shop.catalog.models import Product, ProductStatus, Variant
from shop.core import clock
from shop.core.db import session, transaction
from shop.core.errors import DomainError, Invalid, NotFound
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext, lazy_ngettext, ngettext
from shop.customers.models import Customer

SHOWN_CODES = 20
PLOT_DAYS = 30
TRIED_ROWS = 3
MAX_USES = 1_000_000_000


def _uses(used: int, row: Listed) -> str:
    limit = row["limit_total"]
    return f"{used:,} of {limit:,}" if limit else f"{used:,}"


def _standing(value: Any, row: Listed) -> Any:
    words = _words(row.item, clock.now())
    return badge(words.label, words.tone)


def _end(value: Any, row: Listed) -> Any:
    return moment(value) if value else "never"


class DiscountsView(View):
    """Codes and automatic discounts."""

    route_base = "/admin/discounts"
    datamodel = Table(discounts.Discount)
    noun = lazy_gettext("discount")
    plural = lazy_gettext("Discounts")
    add_title = lazy_gettext("New discount")
    columns = (
        Text("name", lazy_gettext("Discount")),
        Column("standing", lazy_gettext("Status"), show=_standing, card="end"),
        Text("sentence", lazy_gettext("What it does")),
        Number("used", lazy_gettext("Uses"), show=_uses),
        Moment("ends_at", lazy_gettext("Ends"), show=_end),
        Moment("starts_at", lazy_gettext("Starts"), shown=False),
        Status(
            "kind",
            words={key: ("mute", words) for key, words in discounts.KINDS.items()},
            shown=False,
        ),
        YesNo(
            "is_automatic",
            lazy_gettext("Applied"),
            yes=lazy_gettext("Automatically"),
            no=lazy_gettext("By code"),
            shown=False,
        ),
    )
    sort = ""
    search = (discounts.is_called,)
    search_hint = lazy_gettext("Name or start of a code")
    tabs = (
        Tab("all", lazy_gettext("All")),
        *(
            Tab(key, words.label, partial(discounts.status_condition, key))
            for key, words in discounts.STATUSES.items()
        ),
    )
    row_actions = (
        Action(
            "on",
            lazy_gettext("Switch on"),
            lambda discount: discounts.set_active(discount, True),
            lazy_gettext("%(name)s is switched on."),
            lazy_ngettext("%(num)s discount is switched on.", "%(num)s discounts are switched on."),
            icon="play",
            permission="edit",
            single=False,
        ),
        Action(
            "off",
            lazy_gettext("Switch off"),
            lambda discount: discounts.set_active(discount, False),
            lazy_gettext("%(name)s is switched off."),
            lazy_ngettext(
                "%(num)s discount is switched off.", "%(num)s discounts are switched off."
            ),
            confirm=lazy_gettext("Switch off these discounts: {count}?"),
            icon="ban",
            permission="edit",
            single=False,
        ),
    )
    list_template = "admin/discounts/list.html"
    add_template = edit_template = "admin/discounts/form.html"
    edit_title = lazy_gettext("Edit discount")
    add_form = edit_form = DiscountForm
    shown_at = SHOWN_AT
    empty_words = (
        lazy_gettext("No discounts yet"),
        lazy_gettext("Codes and automatic discounts appear here."),
    )

    def completed(self, rows: Items) -> Items:
        """With what each discount does as a sentence; one statement more."""
        zone = checkout.terms().zone
        rules = {r.discount_id: r for r in discounts.rules([row["id"] for row in rows])}
        return [
            Listed(row.item, {"sentence": discounts.describe(rules[row["id"]], zone)})
            for row in rows
        ]

    def hold(self, item: discounts.Discount) -> None:
        discounts.get_discount(item.id, to_change=True)
        session.expire(item)

    def may_delete(self, item: discounts.Discount) -> bool:
        return False  # on its own page, once nobody has used it

    # -- its form --------------------------------------------------------------------------------

    def make_form(self, item: discounts.Discount | None = None, *, sent: bool = False) -> Any:
        return discount_form(item, sent=sent)

    def form_extra(self, form: DiscountForm, item: discounts.Discount | None) -> dict[str, Any]:
        return {"discount": item, "sentence": sentence_of(form, _currency())}

    def refused_field(self, form: DiscountForm, name: str) -> str | None:
        return super().refused_field(form, value_field(form) if name == "value" else name)

    def create(self, form: DiscountForm) -> discounts.Discount:
        """A new discount, with its first code."""
        made = discounts.create_discount(written_draft(form), currency=_currency())
        if not made.is_automatic and (form.code.data or "").strip():
            discounts.add_code(made, form.code.data)
        return made

    def change(self, item: discounts.Discount, form: DiscountForm) -> None:
        """Change a discount; orders that had it keep what they got."""
        discounts.update_discount(item, written_draft(form))

    def said(self, kind: str, item: discounts.Discount) -> str:
        return _("%(name)s is saved.", name=item.name)

    @expose("/sentence", methods=["POST"])
    @has_access
    @permission_name("list")
    def sentence(self) -> Page:
        """What the discount in the form would do, as one sentence; nothing is saved."""
        form = self.make_form(sent=True)
        form.validate()
        return jsonify(sentence=sentence_of(form, _currency()))

    @expose("/show/<int:pk>")
    @has_access
    def show(self, pk: int) -> Page:
        """One discount: what it does and did, its codes, and the box to try it in."""
        return self._shown(pk)

    def _shown(self, pk: int, *, typed: Mapping[str, str] | None = None, refused: str = "") -> str:
        """The page of a discount; ``typed`` and ``refused``: codes that were not made, and why."""
        discount = discounts.get_discount(existing(pk))
        usage = discounts.usage(pk, checkout.terms().zone)
        days, counts = _last_days(
            usage.by_day, clock.now().astimezone(checkout.terms().zone).date()
        )
        return self.page(
            "admin/discounts/show.html",
            title=discount.name,
            discount=discount,
            sentence=discounts.describe(discounts.rule_of(pk), checkout.terms().zone),
            state=_words(discount, clock.now()),
            kinds=discounts.KINDS,
            lanes=discounts.LANE_WORDS,
            targets=[*discount.categories, *discount.products],
            usage=usage,
            history=[(day, count) for day, count in zip(days, counts, strict=True) if count],
            plot=_plot(days, counts) if any(counts) else None,
            codes=discounts.codes(pk, per_page=SHOWN_CODES),
            code_count=discounts.count_codes(pk),
            max_codes=discounts.MAX_CODES,
            may_edit=self.may("can_edit"),
            may_delete=self.may("can_delete") and not usage.orders and not usage.released,
            may_generate=self.may("can_generate") and not discount.is_automatic,
            countries=[(code, customers.country_names()[code]) for code in checkout.countries()],
            home=checkout.terms().country,
            typed=typed or {},
            refused=refused,
            **self._trial(pk),
        )

    @expose("/<int:pk>/state/<verb>", methods=["POST"])
    @has_access
    @permission_name("edit")
    def state(self, pk: int, verb: str) -> Page:
        """Switch it on or off."""
        with transaction():
            discount = discounts.get_discount(existing(pk), to_change=True)
            discounts.set_active(discount, verb == "on")
        return self._back(
            pk,
            _("%(name)s is switched on.", name=discount.name)
            if verb == "on"
            else _("%(name)s is switched off.", name=discount.name),
        )

    @expose("/<int:pk>/delete", methods=["POST"])
    @has_access
    def delete(self, pk: int) -> Page:
        """Remove a discount that no order has had."""
        with transaction():
            discount = discounts.get_discount(existing(pk), to_change=True)
            name = discount.name
            discounts.delete_discount(discount)
        flash(_("%(name)s is deleted.", name=name), "success")
        return redirect(self.list_address(), code=303)

    @expose("/<int:pk>/codes", methods=["POST"])
    @has_access
    @permission_name("generate")
    def generate(self, pk: int) -> Page:
        """Make one code of somebody's choice, or up to ten thousand random ones. A refusal keeps
        what was typed."""
        try:
            said = self._make_codes(pk, request.form)
        except DomainError as error:
            if errors.wants_json() or isinstance(error, NotFound):
                raise
            session.rollback()
            shown = self._shown(pk, typed=request.form, refused=error.sentence)
            return Response(shown, errors.status_of(error))
        return self._back(pk, said, "codes")

    def _make_codes(self, pk: int, form: Mapping[str, str]) -> str:
        """Returns what to say about it. Raises ``Invalid``, ``WrongState``."""
        limit = form.get("limit", "").strip()
        uses = typed_number(_("Uses of each code"), limit, MAX_USES) if limit else None
        with transaction():
            discount = discounts.get_discount(existing(pk))
            if form.get("mode") == "one":
                made = discounts.add_code(discount, form.get("code", ""), limit=uses)
                return _("The code %(code)s is created.", code=made.code)
            count, most = form.get("count", ""), discounts.MAX_CODES
            number = typed_number(_("The number of codes"), count, most)
            discounts.generate_codes(discount, number, prefix=form.get("prefix", ""), limit=uses)
            return _("%(count)s codes are created. Download them as a file.", count=f"{number:,}")

    @expose("/<int:pk>/codes/<int:code_id>/delete", methods=["POST"])
    @has_access
    @permission_name("generate")
    def remove_code(self, pk: int, code_id: int) -> Page:
        """Take a code away that no order has had."""
        with transaction():
            discounts.remove_code(discounts.get_discount(existing(pk)), existing(code_id))
        return self._back(pk, _("The code was removed."), "codes")

    @expose("/<int:pk>/codes.csv")
    @has_access
    @permission_name("generate")
    def download_codes(self, pk: int) -> Page:
        """All codes of a discount as CSV: code, uses so far, uses at most."""
        discount = discounts.get_discount(existing(pk))
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(("code", "used", "limit"))
        total = discounts.count_codes(pk)
        for made in discounts.codes(pk, per_page=max(1, total)):
            writer.writerow((made.code, made.used, made.limit_total or ""))
        name = f"codes-{discount.id}.csv"
        head = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(out.getvalue(), mimetype="text/csv", headers=head)

    @expose("/variants")
    @has_access
    @permission_name("list")
    def variants(self) -> Page:
        """Suggestions for the box to try it in: ``[{"id", "text"}]``."""
        words = request.args.get("q", "").strip()[:60]
        rows = session.scalars(
            select(Variant)
            .join(Variant.product)
            .options(joinedload(Variant.product))
            .where(
                Variant.archived_at.is_(None),
                Product.status == ProductStatus.ACTIVE,
                or_(
                    Variant.sku.icontains(words, autoescape=True),
                    Product.name.icontains(words, autoescape=True),
                ),
            )
            .order_by(Product.name, Variant.position, Variant.id)
            .limit(20)
        ).all()
        return jsonify([{"id": row.id, "text": _variant_words(row)} for row in rows])

    # -- inside ----------------------------------------------------------------------------------

    def _trial(self, pk: int) -> dict[str, Any]:
        """What the box was asked, and what comes of it."""
        asked = request.args
        rows = [
            (asked.get(f"variant-{n}", ""), asked.get(f"quantity-{n}", "1"))
            for n in range(TRIED_ROWS)
        ]
        shown: dict[str, Any] = {
            "tried": rows,
            "tried_names": _names_of(rows),
            "country": asked.get("country", checkout.terms().country),
            "customer": asked.get("customer", "").strip()[:254],
            "trial": None,
            "trial_error": "",
        }
        if "try" not in asked:
            return shown
        try:
            items: dict[int, int] = {}
            for variant, quantity in rows:
                if variant:
                    number = typed_number(_("A variant"), variant, 999_999_999)
                    items[number] = items.get(number, 0) + typed_number(
                        _("A quantity"), quantity, 999
                    )
            shown["trial"] = checkout.try_discount(
                discounts.rule_of(pk),
                items,
                country=shown["country"],
                customer_id=_customer_id(shown["customer"]),
                email=shown["customer"],
            )
        except DomainError as refusal:
            shown["trial_error"] = refusal.sentence
        return shown

    def _back(self, pk: int, message: str, anchor: str = "") -> Page:
        flash(message, "success")
        address = self.address("show", pk=pk, _anchor=anchor or None, **self.list_arguments())
        return redirect(address, code=303)


def _currency() -> str:
    return checkout.terms().currency


def _words(discount: discounts.Discount, now: Any) -> discounts.Words:
    return discounts.STATUSES[discounts.status_of(discount, now)]


def _customer_id(email: str) -> int | None:
    """The customer with this address; a guest's address is nobody's account."""
    if not email:
        return None
    if "@" not in email:
        raise Invalid(_("Type the full email address of the customer."), field="customer")
    return session.scalar(select(Customer.id).where(Customer.email == email))


def _names_of(rows: Any) -> dict[str, str]:
    known = [int(pk) for pk, _ in rows if pk.isascii() and pk.isdecimal() and len(pk) < 10]
    if not known:
        return {}
    found = session.scalars(
        select(Variant).where(Variant.id.in_(known)).options(joinedload(Variant.product))
    )
    return {str(row.id): _variant_words(row) for row in found}


def _variant_words(variant: Variant) -> str:
    title = f", {variant.title}" if variant.title else ""
    return f"{variant.product.name}{title} ({variant.sku})"


def _last_days(by_day: Any, today: date) -> tuple[Any, Any]:
    used = dict(by_day)
    days = [today - timedelta(days=n) for n in range(PLOT_DAYS - 1, -1, -1)]
    return days, [used.get(day, 0) for day in days]


def _plot(days: Any, counts: Any) -> charts.Plot:
    labels = [f"{day:%-d %b}" if n % 7 == 1 else "" for n, day in enumerate(days)]
    words = [
        ngettext("%(day)s: %(num)s order", "%(day)s: %(num)s orders", count, day=f"{day:%-d %B}")
        for day, count in zip(days, counts, strict=True)
    ]
    return charts.columns(counts, labels, words, 1)
