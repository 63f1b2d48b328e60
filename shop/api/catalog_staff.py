"""The catalogue and its stock for staff: the admin's operations, by the admin's permissions."""

from collections.abc import Mapping
from typing import Any, BinaryIO, cast

from flask import Response, request
from marshmallow import ValidationError

from shop import catalog, inventory, media
from shop.api import catalog_request_schemas as request_schemas
from shop.api import catalog_schemas as schemas
from shop.api import etags, repeats
from shop.api.callers import staff
from shop.api.catalog import PRODUCTS
from shop.api.door import Door, allow_body
from shop.api.errors import Refused, flat
from shop.catalog.models import Category, OptionValue, Product, ProductStatus, Variant
from shop.core.db import session, transaction
from shop.core.errors import NotFound

bp = Door(
    "Catalogue desk",
    "Writing the catalogue and its stock, for staff. `x-permission` names what the role needs.",
)
CATEGORIES = "CategoriesView"
INVENTORY = "InventoryView"
MAX_IMAGE_BYTES = 10 * 1024 * 1024
# What multipart adds around an image and its few words.
OVERHEAD = 64 * 1024
BLANK: dict[str, Any] = catalog.emptied(catalog.PRODUCT_FIELDS) | {
    "category_ids": [],
    "primary_category_id": None,
    "unpublish_at": None,
}


# ── products ─────────────────────────────────────────────────────────────────────────────────────


@bp.post("/products")
@staff("can_add", PRODUCTS)
@bp.arguments(request_schemas.NewProductSchema)
@bp.response(201, schemas.ProductSchema)
def create_product(given: dict[str, Any]) -> Any:
    """A new product"""
    with transaction():
        made = catalog.create_product(given["name"], **_details(given))
        _options(made, given)
        _status(made, given)
        return _product_answer(made, 201)


@bp.put("/products/<id:product_id>")
@staff("can_edit", PRODUCTS)
@bp.arguments(request_schemas.NewProductSchema)
@bp.response(200, schemas.ProductSchema)
def replace_product(given: dict[str, Any], product_id: int) -> Any:
    """Replace everything about a product: what is left out becomes empty

    Its slug, tax class, options, state, variants and images stay unless they are named.
    """
    return _change_product(product_id, BLANK | given)


@bp.patch("/products/<id:product_id>")
@staff("can_edit", PRODUCTS)
@bp.arguments(request_schemas.ProductWriteSchema)
@bp.response(200, schemas.ProductSchema)
def change_product(given: dict[str, Any], product_id: int) -> Any:
    """Change what is named about a product, and nothing else"""
    return _change_product(product_id, given)


@bp.delete("/products/<id:product_id>")
@staff("can_delete", PRODUCTS)
@bp.response(204)
def delete_product(product_id: int) -> None:
    """Remove a product; 409 `has_history` for one that was ordered or counted: archive it"""
    with transaction():
        found = catalog.get_product(product_id, to_change=True)
        _check_product(found)
        catalog.delete_product(found)


# ── variants and their stock ─────────────────────────────────────────────────────────────────────


@bp.post("/products/<id:product_id>/variants")
@staff("can_edit", PRODUCTS)
@bp.arguments(request_schemas.NewVariantSchema)
@bp.response(201, schemas.VariantSchema)
def add_variant(given: dict[str, Any], product_id: int) -> Any:
    """Something new to sell"""
    with transaction():
        product = catalog.get_product(product_id, to_change=True)
        values = [_own_value(product, number) for number in given.pop("option_value_ids")]
        made = catalog.add_variant(product, values=values, **given)
        return _variant_answer(made, 201)


@bp.get("/variants/<id:variant_id>")
@staff("can_show", PRODUCTS)
@bp.response(200, schemas.VariantSchema)
def show_variant(variant_id: int) -> Any:
    """A variant with its stock and its tag"""
    return _variant_answer(catalog.get_variant(variant_id), 200)


@bp.patch("/variants/<id:variant_id>")
@staff("can_edit", PRODUCTS)
@bp.arguments(request_schemas.VariantPatchSchema)
@bp.response(200, schemas.VariantSchema)
def change_variant(given: dict[str, Any], variant_id: int) -> Any:
    """Change a variant's SKU, price and the like"""
    with transaction():
        found = _variant_to_change(variant_id)
        archived = given.pop("archived", None)
        if given:
            catalog.update_variant(found, **given)
        if "backorder_allowed" in given:
            inventory.allow_backorder(found.id, given["backorder_allowed"])
        if archived is True:
            catalog.archive_variant(found)
        elif archived is False:
            catalog.restore_variant(found)
        return _variant_answer(found, 200)


@bp.delete("/variants/<id:variant_id>")
@staff("can_edit", PRODUCTS)
@bp.response(204)
def delete_variant(variant_id: int) -> None:
    """Remove a variant; 409 `has_history` for one that was ordered or counted: archive it"""
    with transaction():
        catalog.delete_variant(_variant_to_change(variant_id))


@bp.patch("/variants/<id:variant_id>/inventory")
@staff("can_adjust", INVENTORY)
@bp.arguments(request_schemas.StockChangeSchema)
@bp.response(200, request_schemas.LevelSchema)
@bp.doc(parameters=[repeats.PARAMETER])
def change_stock(given: dict[str, Any], variant_id: int) -> Any:
    """Correct what is on hand, by a difference or to what was counted"""
    why = {"reason": given["reason"], "note": given["note"]}

    def work() -> dict[str, Any]:
        here = inventory.default_location().name
        if given.get("location", here) != here:
            raise Refused(422, faults=[("location", f"Stock is kept at: {here}.")])
        if "delta" in given:
            inventory.adjust(variant_id, given["delta"], **why)
        else:
            inventory.count(variant_id, given["set"], **why)
        level = inventory.levels([variant_id])[variant_id]
        shown: dict[str, Any] = request_schemas.LevelSchema().dump(
            schemas.stock(level) | {"variant_id": variant_id}
        )
        return shown

    return repeats.once(given, repeats.in_transaction(work), status=200)


@bp.get("/variants/<id:variant_id>/movements")
@staff("can_list", INVENTORY)
@bp.arguments(request_schemas.MovementsQuerySchema, location="query")
@bp.response(200, request_schemas.MovementSchema(many=True))
def movements(given: dict[str, int], variant_id: int) -> Any:
    """Why the stock is what it is: the ledger of a variant, newest first"""
    catalog.get_variant(variant_id)
    return inventory.movements(variant_id, limit=given["per_page"], before=given.get("before"))


# ── images ─────────────────────────────────────────────────────────────────────────────────────


@bp.post("/products/<id:product_id>/images")
@staff("can_edit", PRODUCTS)
@bp.response(201, schemas.ImageSchema)
@bp.doc(
    requestBody={
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["picture"],
                    "properties": {
                        "picture": {"type": "string", "format": "binary"},
                        "alt": {"type": "string", "maxLength": 300},
                        "option_value_id": {"type": "integer"},
                    },
                }
            }
        },
    }
)
def add_image(product_id: int) -> Any:
    """Add an image: JPEG, PNG or WebP, at most 10 MB and 40 megapixels

    It is re-encoded without metadata; its sizes for the shop's pages are made by a worker.
    """
    allow_body(MAX_IMAGE_BYTES + OVERHEAD)
    if request.mimetype != "multipart/form-data":
        raise Refused(415, "Send the image as multipart/form-data.")
    image = request.files.get("picture")
    if image is None or len(list(request.files.items(multi=True))) > 1:
        raise Refused(422, faults=[("picture", "Send one image, as the part “picture”.")])
    try:
        words = request_schemas.ImageFormSchema().load(request.form.to_dict())
    except ValidationError as error:
        raise Refused(422, faults=_named(error)) from error
    with transaction():
        _value(catalog.get_product(product_id), words.get("option_value_id"))
    file = media.store_upload(cast(BinaryIO, image.stream), image.filename or "")
    with transaction():
        product = catalog.get_product(product_id, to_change=True)
        made = catalog.add_image(
            product,
            file,
            alt=words["alt"],
            option_value=_value(product, words.get("option_value_id")),
        )
        session.flush()
        return schemas.image(made), 201


@bp.patch("/images/<id:image_id>")
@staff("can_edit", PRODUCTS)
@bp.arguments(request_schemas.ImagePatchSchema)
@bp.response(200, schemas.ImageSchema)
def change_image(given: dict[str, Any], image_id: int) -> Any:
    """Say what an image shows, or move it"""
    with transaction():
        found = catalog.get_image(image_id)
        product = catalog.get_product(found.product_id, to_change=True)
        if given.keys() & {"alt", "option_value_id"}:
            number = given.get("option_value_id", found.option_value_id)
            value = _value(product, number)
            catalog.update_image(found, alt=given.get("alt", found.alt), option_value=value)
        if "position" in given:
            others = [one.id for one in product.images if one.id != image_id]
            others.insert(given["position"], image_id)
            catalog.reorder_images(product, others)
        return schemas.image(found)


@bp.delete("/images/<id:image_id>")
@staff("can_edit", PRODUCTS)
@bp.response(204)
def remove_image(image_id: int) -> None:
    """Remove an image from its product"""
    with transaction():
        found = catalog.get_image(image_id)
        catalog.get_product(found.product_id, to_change=True)
        catalog.remove_image(found)


# ── categories ───────────────────────────────────────────────────────────────────────────────────


@bp.post("/categories")
@staff("can_add", CATEGORIES)
@bp.arguments(request_schemas.NewCategorySchema)
@bp.response(201, schemas.CategorySchema)
def create_category(given: dict[str, Any]) -> Any:
    """A new category, last below its parent unless it says otherwise"""
    with transaction():
        parent = _category(given.get("parent_id"), "parent_id")
        made = catalog.create_category(
            given["name"],
            slug=given.get("slug", ""),
            parent=parent,
            description=given.get("description", ""),
        )
        session.flush()
        if "position" in given:
            catalog.move_category(made, parent=parent, position=given["position"])
        return etags.tagged(schemas.category(made), 201)


@bp.patch("/categories/<id:category_id>")
@staff("can_edit", CATEGORIES)
@bp.arguments(request_schemas.CategoryWriteSchema)
@bp.response(200, schemas.CategorySchema)
def change_category(given: dict[str, Any], category_id: int) -> Any:
    """Change or move a category; addresses that it leaves keep answering"""
    with transaction():
        found = session.get(Category, category_id, with_for_update=True, populate_existing=True)
        if found is None:
            raise NotFound("Category not found.")
        etags.check(schemas.category(found))
        written = {name: given[name] for name in ("name", "slug", "description") if name in given}
        if written:
            catalog.update_category(found, **written)
        if given.keys() & {"parent_id", "position"}:
            parent = (
                _category(given["parent_id"], "parent_id") if "parent_id" in given else found.parent
            )
            catalog.move_category(found, parent=parent, position=given.get("position"))
        session.flush()
        return etags.tagged(schemas.category(found))


@bp.delete("/categories/<id:category_id>")
@staff("can_delete", CATEGORIES)
@bp.response(204)
def delete_category(category_id: int) -> None:
    """Remove an empty category; 409 `not_empty` otherwise"""
    with transaction():
        found = catalog.get_category(category_id)
        etags.check(schemas.category(found))
        catalog.delete_category(found)


# ── what they share ──────────────────────────────────────────────────────────────────────────────


def _change_product(product_id: int, given: dict[str, Any]) -> Response:
    with transaction():
        found = catalog.get_product(product_id, to_change=True)
        session.refresh(found)
        _check_product(found)
        details = _details(given)
        if "name" in given:
            details["name"] = given["name"]
        if details:
            catalog.update_product(found, **details)
        _options(found, given)
        _status(found, given)
        return _product_answer(found, 200)


def _details(given: Mapping[str, Any]) -> Any:
    """What the operations take, with categories instead of their numbers."""
    columns = catalog.PRODUCT_FIELDS.keys() - {"name"}
    details = {name: value for name, value in given.items() if name in columns}
    if "category_ids" in given:
        details["categories"] = [
            _category(one, "category_ids") for one in dict.fromkeys(given["category_ids"])
        ]
    if "primary_category_id" in given:
        number = given["primary_category_id"]
        details["primary_category"] = _category(number, "primary_category_id")
    return details


def _options(product: Product, given: Mapping[str, Any]) -> None:
    if "options" in given:
        catalog.set_options(
            product,
            [
                catalog.OptionDraft(
                    option["name"],
                    tuple(
                        catalog.ValueDraft(value["name"], value.get("swatch"), value.get("id"))
                        for value in option["values"]
                    ),
                    option.get("id"),
                )
                for option in given["options"]
            ],
        )


def _status(product: Product, given: Mapping[str, Any]) -> None:
    """Bring a product into the state that was asked for, by the operation that leads there."""
    session.flush()
    wanted = given.get("status", product.status)
    if wanted == ProductStatus.ACTIVE:
        if product.status == ProductStatus.ARCHIVED:
            catalog.restore(product)
        if product.status != ProductStatus.ACTIVE or given.keys() & {
            "published_at",
            "unpublish_at",
        }:
            until = given.get("unpublish_at", product.unpublish_at)
            catalog.publish(product, at=given.get("published_at"), until=until)
    elif wanted == ProductStatus.DRAFT and product.status == ProductStatus.ACTIVE:
        catalog.unpublish(product)
    elif wanted == ProductStatus.DRAFT and product.status == ProductStatus.ARCHIVED:
        catalog.restore(product)
    elif wanted == ProductStatus.ARCHIVED and product.status != ProductStatus.ARCHIVED:
        catalog.archive(product)


def _check_product(product: Product) -> None:
    etags.check_tag(schemas.product_tag(product))


def _product_answer(product: Product, status: int) -> Response:
    session.flush()
    tag = schemas.product_tag(product)
    return etags.tagged(schemas.product(product), status, tag=tag, is_whole=False)


def _variant_to_change(variant_id: int) -> Variant:
    """The variant, behind its product's lock, if it is what the caller has seen."""
    product_id = catalog.get_variant(variant_id).product_id
    catalog.get_product(product_id, to_change=True)
    found = session.get_one(Variant, variant_id, populate_existing=True)
    etags.check(schemas.variant_facts(found))
    return found


def _variant_answer(variant: Variant, status: int) -> Response:
    session.flush()
    shown = schemas.variant(variant, inventory.levels([variant.id]))
    tag = etags.of(schemas.variant_facts(variant))
    return etags.tagged(shown, status, tag=tag, is_whole=False)


def _category(number: int | None, field: str) -> Category | None:
    if number is None:
        return None
    found = session.get(Category, number)
    if found is None:
        raise Refused(422, faults=[(field, f"There is no category {number}.")])
    return found


def _value(product: Product, number: int | None) -> OptionValue | None:
    return None if number is None else _own_value(product, number)


def _own_value(product: Product, number: int) -> OptionValue:
    """One of this product's own option values. Raises 422 for any other number."""
    for option in product.options:
        for value in option.values:
            if value.id == number:
                return value
    raise Refused(422, faults=[("option_value_id", f"This product has no option value {number}.")])


def _named(error: ValidationError) -> list[tuple[str, str]]:
    return list(flat(error.messages))
