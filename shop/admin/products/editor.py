"""Products: the list, and one page that edits everything about a product, part by part."""

from collections.abc import Callable
from typing import Any, BinaryIO, cast

from flask import abort, flash, g, jsonify, make_response, redirect, request
from flask_appbuilder import expose
from flask_appbuilder.security.decorators import has_access, permission_name
from markupsafe import Markup
from sqlalchemy import func, select
from sqlalchemy.orm import selectinload
from werkzeug.wrappers import Response as WerkzeugResponse

from shop import catalog, inventory, media
from shop.admin.framework import (
    Action,
    Amount,
    Code,
    Flag,
    Image,
    Listed,
    Missing,
    Moment,
    Number,
    Page,
    Relation,
    Status,
    Tab,
    Table,
    Text,
    Through,
    View,
    errors,
)
from shop.admin.framework.formatters import money, number
from shop.admin.framework.inputs import existing
from shop.admin.products.forms import (
    GENERATE,
    NEW_VARIANT,
    OPTIONS,
    VARIANTS,
    DetailsForm,
    columns,
    currency,
    details_form,
    major,
    shown_variants,
    sku_pattern_of,
    written_fields,
)
from shop.admin.products.list import AVAILABLE, IMAGE_KEY, VARIANT_COUNT
from shop.catalog.images import MAX_IMAGES
from shop.catalog.models import Category, Option, Product, ProductStatus, Variant
from shop.catalog.models import Image as ProductImage
from shop.catalog.wording import html_of
from shop.core.db import end_read, session, transaction
from shop.core.errors import Invalid
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext, lazy_ngettext

TONES = {
    ProductStatus.DRAFT: ("mute", lazy_gettext("Draft")),
    ProductStatus.ACTIVE: ("good", lazy_gettext("Active")),
    ProductStatus.ARCHIVED: ("warn", lazy_gettext("Archived")),
}
VERBS: dict[str, tuple[Callable[[Product], object], str]] = {
    "publish": (catalog.publish, lazy_gettext("%(name)s is published.")),
    "unpublish": (catalog.unpublish, lazy_gettext("%(name)s is unpublished.")),
    "archive": (catalog.archive, lazy_gettext("%(name)s is archived.")),
    "restore": (catalog.restore, lazy_gettext("%(name)s is restored as a draft.")),
}
VARIANT_VERBS: dict[str, tuple[Callable[[Variant], object], str]] = {
    "archive": (catalog.archive_variant, lazy_gettext("%(name)s is archived.")),
    "restore": (catalog.restore_variant, lazy_gettext("%(name)s is restored.")),
    "delete": (catalog.delete_variant, lazy_gettext("%(name)s is deleted.")),
}
MAX_PREVIEW_LENGTH = 20_000


def _price(value: int, row: Listed) -> Any:
    low, high = (money(row[name], row.item) for name in ("price_from_minor", "price_to_minor"))
    is_range = row["price_to_minor"] > row["price_from_minor"]
    return Markup("{} – {}").format(low, high) if is_range else low


def _left(value: int, row: Listed) -> Any:
    if value > 0 or row["status"] != ProductStatus.ACTIVE:
        return number(max(0, value))
    return Markup('<span class="stock-out">{}</span>').format(_("sold out"))


class ProductsView(View):
    """Everything that is sold, and what was."""

    route_base = "/admin/products"
    datamodel = Table(Product)
    noun = lazy_gettext("product")
    plural = lazy_gettext("Products")
    columns = (
        Image("image", lazy_gettext("Image"), sql=IMAGE_KEY, sorts=False),
        Text("name", lazy_gettext("Product"), sorts=func.lower(Product.name), card="title"),
        Status("status", words=TONES, card="end"),
        Amount("price_from_minor", lazy_gettext("Price"), show=_price),
        Number("variants", sql=VARIANT_COUNT),
        Number("available", sql=AVAILABLE, show=_left),
        Code("slug", "URL slug", shown=False),
        Moment("published_at", lazy_gettext("Published"), shown=False),
    )
    more_filters = (
        Relation(
            "category",
            lazy_gettext("Category"),
            model=Category,
            searched=(Category.name, Category.path),
            matches=lambda pk: Product.categories.any(Category.id == pk),
        ),
        Missing("description", lazy_gettext("Description"), sql=Product.description),
        Flag(
            "has_image",
            lazy_gettext("Image"),
            yes=lazy_gettext("With image"),
            no=lazy_gettext("Without image"),
            sql=select(ProductImage.id).where(ProductImage.product_id == Product.id).exists(),
        ),
    )
    without_filters = ("variants",)
    sort = "name"
    search = ("name", "slug", Through(Variant.sku, Product.id, Variant.product_id))
    search_hint = lazy_gettext("Name, URL slug or SKU")
    tabs = (
        Tab("all", lazy_gettext("All")),
        Tab("active", lazy_gettext("Active"), Product.status == ProductStatus.ACTIVE),
        Tab("draft", lazy_gettext("Drafts"), Product.status == ProductStatus.DRAFT),
        Tab(
            "out",
            lazy_gettext("Sold out"),
            (Product.status == ProductStatus.ACTIVE) & (AVAILABLE <= 0),
        ),
        Tab("archived", lazy_gettext("Archived"), Product.status == ProductStatus.ARCHIVED),
    )
    row_actions = (
        Action(
            "publish",
            lazy_gettext("Publish"),
            catalog.publish,
            lazy_gettext("%(name)s is published."),
            lazy_ngettext("%(num)s product is published.", "%(num)s products are published."),
            icon="store",
            permission="edit",
            single=False,
        ),
        Action(
            "unpublish",
            lazy_gettext("Unpublish"),
            catalog.unpublish,
            lazy_gettext("%(name)s is unpublished."),
            lazy_ngettext("%(num)s product is unpublished.", "%(num)s products are unpublished."),
            icon="eye-off",
            permission="edit",
            single=False,
        ),
        Action(
            "archive",
            lazy_gettext("Archive"),
            catalog.archive,
            lazy_gettext("%(name)s is archived."),
            lazy_ngettext("%(num)s product is archived.", "%(num)s products are archived."),
            confirm=lazy_gettext("Unpublish and archive these products: {count}?"),
            icon="archive",
            permission="edit",
            single=False,
        ),
    )
    list_template = "admin/products/list.html"
    add_template = "admin/products/add.html"
    edit_template = "admin/products/edit.html"
    add_title = lazy_gettext("New product")
    add_form = edit_form = DetailsForm
    row_buttons = "admin/products/_row_buttons.html"
    edit_in_rows = False  # its name leads to the form
    empty_words = (lazy_gettext("No products yet"), lazy_gettext("Products appear here."))

    def row_href(self, item: Product) -> str | None:
        method = "edit" if self.may("can_edit") else "show"
        return self.record_address(method, item)

    def may_delete(self, item: Product) -> bool:
        return False  # on its own page, which says what stands against it

    def hold(self, item: Product) -> None:
        catalog.get_product(item.id, to_change=True)
        session.expire(item)

    # -- what is written about it ----------------------------------------------------------------

    def make_form(self, item: Product | None = None, *, sent: bool = False) -> DetailsForm:
        return details_form(item, sent=sent)

    def create(self, form: DetailsForm) -> Product:
        return catalog.create_product(**written_fields(form))

    def change(self, item: Product, form: DetailsForm) -> None:
        catalog.update_product(item, **written_fields(form))

    def said(self, kind: str, item: Product) -> str:
        if kind == "add":
            return _("The draft is saved. Now add images, options and prices.")
        return _("%(name)s is saved.", name=item.name)

    def form_back(self, item: Product | None) -> str:
        return self.list_address()

    def post_add_redirect(self) -> WerkzeugResponse:
        """To the product's page, where the rest follows."""
        return redirect(self.record_address("edit", g.saved_row), code=303)

    def extra(self, kind: str, item: Any = None) -> dict[str, Any]:
        if item is None:
            return {}
        product = _whole_product(item.id)
        return {"title": product.name, **self._facts(product, kind == "edit")}

    @expose("/show/<int:pk>")
    @has_access
    def show(self, pk: int) -> Page:
        """The product for who may only look."""
        item = self._find(str(pk))
        return self.form_page("show", self.make_form(item), item)

    @expose("/<int:pk>/state/<verb>", methods=["POST"])
    @has_access
    @permission_name("edit")
    def state(self, pk: int, verb: str) -> Page:
        """Publish, take out of the shop, archive or restore."""
        change, said = VERBS.get(verb) or abort(404)
        with transaction():
            product = catalog.get_product(existing(pk), to_change=True)
            change(product)
        return self._back(pk, said % {"name": product.name})

    @expose("/<int:pk>/delete", methods=["POST"])
    @has_access
    def delete(self, pk: int) -> Page:
        """Remove a product that was never ordered nor counted."""
        with transaction():
            product = catalog.get_product(existing(pk), to_change=True)
            name = product.name
            catalog.delete_product(product)
        flash(_("%(name)s is deleted.", name=name), "success")
        return redirect(self.list_address(), code=303)

    @expose("/preview", methods=["POST"])
    @has_access
    @permission_name("list")
    def preview(self) -> Page:
        """A description as the shop will show it."""
        return html_of(request.form.get("text", "")[:MAX_PREVIEW_LENGTH])

    # -- options and variants --------------------------------------------------------------------

    @expose("/<int:pk>/options", methods=["POST"])
    @has_access
    @permission_name("edit")
    def options(self, pk: int) -> Page:
        """What a customer chooses between."""
        return self.save_part(pk, OPTIONS)

    @expose("/<int:pk>/variants", methods=["POST"])
    @has_access
    @permission_name("edit")
    def variants(self, pk: int) -> Page:
        """All rows of the table of variants at once: all are saved or none."""
        return self.save_part(pk, VARIANTS)

    @expose("/<int:pk>/variants/add", methods=["POST"])
    @has_access
    @permission_name("edit")
    def add_variant(self, pk: int) -> Page:
        """One more variant."""
        return self.save_part(pk, NEW_VARIANT)

    @expose("/<int:pk>/variants/generate", methods=["POST"])
    @has_access
    @permission_name("edit")
    def generate(self, pk: int) -> Page:
        """Every combination of the options that is missing."""
        return self.save_part(pk, GENERATE)

    @expose("/<int:pk>/variants/<int:variant_id>/<verb>", methods=["POST"])
    @has_access
    @permission_name("edit")
    def variant_state(self, pk: int, variant_id: int, verb: str) -> Page:
        """Stop selling a variant, sell it again, or delete one that was never used."""
        change, said = VARIANT_VERBS.get(verb) or abort(404)
        with transaction():
            product = catalog.get_product(existing(pk), to_change=True)
            variant = next((v for v in product.variants if v.id == variant_id), None) or abort(404)
            sku = variant.sku
            change(variant)
        return self._back(pk, said % {"name": sku}, "variants")

    # -- pictures --------------------------------------------------------------------------------

    @expose("/<int:pk>/pictures", methods=["GET"])
    @has_access
    @permission_name("show")
    def pictures(self, pk: int) -> Page:
        """The pictures alone, for the page to put in place after an upload."""
        product = _whole_product(pk)
        return self.page("admin/products/_pictures.html", **self._facts(product, True))

    @expose("/<int:pk>/pictures", methods=["POST"])
    @has_access
    @permission_name("edit")
    def upload(self, pk: int) -> Page:
        """Take one picture in. What is refused leaves nothing behind."""
        product = catalog.get_product(existing(pk))
        if len(product.images) >= MAX_IMAGES:
            raise Invalid(
                _("A product can have at most %(count)s images.", count=MAX_IMAGES), field="picture"
            )
        sent = request.files.get("picture")
        if sent is None or not sent.filename:
            raise Invalid(_("Choose an image first."), field="picture")
        end_read()  # a picture may wait for its turn longer than Postgres waits for us
        stored = media.store_upload(cast(BinaryIO, sent.stream), sent.filename)
        with transaction():
            current = catalog.get_product(pk, to_change=True)
            image = catalog.add_image(current, stored, alt="")
        if errors.wants_json():
            return make_response(jsonify(id=image.id), 201)
        return self._back(pk, _("The image is added."), "pictures")

    @expose("/<int:pk>/pictures/order", methods=["POST"])
    @has_access
    @permission_name("edit")
    def picture_order(self, pk: int) -> Page:
        """Show the pictures in another order."""
        asked = request.form.get("order", "").split(",")
        if not all(part.isdecimal() and len(part) < 19 for part in asked):
            raise Invalid(_("The order must name every image once."), field="order")
        with transaction():
            product = catalog.get_product(existing(pk), to_change=True)
            catalog.reorder_images(product, [int(part) for part in asked])
        if errors.wants_json():
            return jsonify(message=_("The order is saved."))
        return self._back(pk, _("The order is saved."), "pictures")

    @expose("/<int:pk>/pictures/<int:image_id>", methods=["POST"])
    @has_access
    @permission_name("edit")
    def picture(self, pk: int, image_id: int) -> Page:
        """Say what a picture shows."""
        with transaction():
            product, image = _own_image(pk, image_id)
            wanted = request.form.get("option_value", "")
            value = next(
                (v for o in product.options for v in o.values if str(v.id) == wanted), None
            )
            catalog.update_image(image, alt=request.form.get("alt", ""), option_value=value)
        if errors.wants_json():
            return jsonify(message=_("Saved."))
        return self._back(pk, _("The alt text is saved."), "pictures")

    @expose("/<int:pk>/pictures/<int:image_id>/move/<int:step>", methods=["POST"])
    @has_access
    @permission_name("edit")
    def move_picture(self, pk: int, image_id: int, step: int) -> Page:
        """One place earlier (0) or later (1): the way without a mouse and without a script."""
        with transaction():
            product, image = _own_image(pk, image_id)
            order = [one.id for one in product.images]
            at = order.index(image.id)
            to = min(len(order) - 1, max(0, at + (1 if step else -1)))
            order.insert(to, order.pop(at))
            catalog.reorder_images(product, order)
        if errors.wants_json():
            return jsonify(
                message=_("Now image %(position)s of %(count)s.", position=to + 1, count=len(order))
            )
        return self._back(pk, _("The order is saved."), "pictures")

    @expose("/<int:pk>/pictures/<int:image_id>/delete", methods=["POST"])
    @has_access
    @permission_name("edit")
    def delete_picture(self, pk: int, image_id: int) -> Page:
        """Take a picture off the product."""
        with transaction():
            image = _own_image(pk, image_id)[1]
            catalog.remove_image(image)
        return self._back(pk, _("The image is removed."), "pictures")

    # -- inside ----------------------------------------------------------------------------------

    def _back(self, pk: int, message: str, anchor: str = "") -> Page:
        flash(message, "success")
        address = self.address("edit", pk=pk, _anchor=anchor or None, **self.list_arguments())
        return redirect(address, code=303)

    def _facts(self, product: Product, may_edit: bool) -> dict[str, Any]:
        levels = inventory.levels([variant.id for variant in product.variants])
        combinations = 1
        for option in product.options:
            combinations *= len(option.values)
        shown = shown_variants(product)
        return {
            "product": product,
            "may_edit": may_edit,
            "may_delete": may_edit and self.may("can_delete"),
            "tone": TONES[product.status],
            "levels": levels,
            "ready": readiness(product, levels),
            "major": major,
            "currency": currency(),
            "missing": max(0, combinations - len(product.variants)) if product.options else 0,
            "values": [
                (value.id, f"{option.name}: {value.name}")
                for option in product.options
                for value in option.values
            ],
            "pattern": sku_pattern_of(product),
            "seen_options": OPTIONS.seen(product),
            "seen_variants": VARIANTS.seen(product),
            "columns": columns(),
            "shown": shown,
        }


def readiness(product: Product, levels: dict[int, inventory.Level]) -> list[tuple[str, bool]]:
    """What a product should have before it is offered: (words, whether it is there)."""
    sold = [variant for variant in product.variants if variant.archived_at is None]
    free = sum(levels[variant.id].available for variant in sold if variant.id in levels)
    return [
        (_("A description"), bool(product.description)),
        (_("A category"), bool(product.categories)),
        (_("An image"), bool(product.images)),
        (_("Every image has alt text"), all(image.alt for image in product.images)),
        (_("A variant with a price"), any(variant.price_minor for variant in sold)),
        (_("Something in stock"), free > 0 or any(v.backorder_allowed for v in sold)),
    ]


def _whole_product(pk: int) -> Product:
    """The product with all its parts, loaded in few statements. 404 when there is none."""
    found = session.scalar(
        select(Product)
        .where(Product.id == existing(pk))
        .options(
            selectinload(Product.categories),
            selectinload(Product.options).selectinload(Option.values),
            selectinload(Product.variants).selectinload(Variant.values),
            selectinload(Product.images),
        )
        .execution_options(populate_existing=True)
    )
    return found or abort(404)


def _own_image(pk: int, image_id: int) -> tuple[Product, ProductImage]:
    product = catalog.get_product(existing(pk), to_change=True)
    image = next((one for one in product.images if one.id == image_id), None)
    return product, image or abort(404)
