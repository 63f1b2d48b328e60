"""What staff send to write the catalogue and its stock: schemas that refuse what cannot be."""

from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE, ValidationError, fields, validate, validates_schema

from shop import catalog, inventory
from shop.api import catalog_schemas as schemas
from shop.api.fields import MAX_INT, Digits, Schema, Whole, identity, line, taken
from shop.catalog.models import ProductStatus


class ValueDraftSchema(Schema):
    """A value as it should be; ``id`` names one to rename."""

    id = identity()
    name = line(80, least=1, required=True)
    swatch = line(7, allow_none=True)


class OptionDraftSchema(Schema):
    """An option as it should be; ``id`` names one to rename."""

    id = identity()
    name = line(80, least=1, required=True)
    values = fields.List(
        fields.Nested(ValueDraftSchema), required=True, validate=validate.Length(1, 60)
    )


class ProductWriteSchema(Schema):
    """What can be written about a product. ``status`` publishes, withdraws or archives it."""

    class Meta(Schema.Meta):
        include = taken(catalog.PRODUCT_FIELDS)

    category_ids = fields.List(identity(), validate=validate.Length(max=50))
    primary_category_id = identity(allow_none=True)
    options = fields.List(fields.Nested(OptionDraftSchema), validate=validate.Length(max=5))
    status = fields.String(validate=validate.OneOf(list(ProductStatus)))
    published_at = fields.AwareDateTime()
    unpublish_at = fields.AwareDateTime(allow_none=True)


class NewProductSchema(ProductWriteSchema):
    """A new product; a draft unless it says otherwise."""

    class Meta(Schema.Meta):
        include = taken(catalog.PRODUCT_FIELDS, is_new=True)


class VariantWriteSchema(Schema):
    """What can be written of a variant."""

    class Meta(Schema.Meta):
        include = taken(catalog.VARIANT_FIELDS)


class VariantPatchSchema(VariantWriteSchema):
    """Changes to a variant. ``archived`` stops its sale, or takes it up again."""

    archived = fields.Boolean(truthy={True}, falsy={False})


class NewVariantSchema(VariantWriteSchema):
    """A new variant, with one value of each option of its product."""

    class Meta(Schema.Meta):
        include = taken(catalog.VARIANT_FIELDS, is_new=True)

    option_value_ids = fields.List(identity(), load_default=list, validate=validate.Length(max=5))


class CategoryWriteSchema(Schema):
    """What can be written about a category; ``position`` counts from 0 among its neighbours."""

    name = line(120, least=1)
    slug = line(80, least=1)
    description = line(5_000)
    parent_id = identity(allow_none=True)
    position = Whole(validate=validate.Range(0, MAX_INT))


class NewCategorySchema(CategoryWriteSchema):
    """A new category."""

    name = line(120, least=1, required=True)


class StockChangeSchema(Schema):
    """Either ``delta``, or ``set`` to what was counted; and why. ``location`` is a name."""

    delta = Whole(validate=validate.Range(-1_000_000, 1_000_000))
    set = Whole(validate=validate.Range(0, 1_000_000))
    reason = fields.String(required=True, validate=validate.OneOf(list(inventory.REASONS)))
    note = line(500, load_default="")
    location = line(80)

    @validates_schema
    def _one(self, data: Mapping[str, Any], **_: Any) -> None:
        if ("delta" in data) == ("set" in data):
            raise ValidationError("Say either delta or set.", "delta")


class LevelSchema(schemas.StockSchema):
    """The stock of a variant."""

    variant_id = fields.Integer(required=True)


class MovementSchema(Schema):
    """An entry of the ledger."""

    id = fields.Integer(required=True)
    kind = fields.String(required=True)
    on_hand_delta = fields.Integer(required=True)
    reserved_delta = fields.Integer(required=True)
    committed_delta = fields.Integer(required=True)
    on_hand_after = fields.Integer(required=True)
    reserved_after = fields.Integer(required=True)
    committed_after = fields.Integer(required=True)
    reason = fields.String(required=True)
    note = fields.String(required=True)
    order_id = fields.Integer(required=True, allow_none=True)
    actor_kind = fields.String(required=True)
    actor_name = fields.String(required=True)
    at = fields.DateTime(required=True)


class MovementsQuerySchema(Schema):
    """``before`` is the last ``id`` of the page above."""

    class Meta:
        unknown = EXCLUDE

    per_page = Digits(load_default=50, validate=validate.Range(1, 100))
    before = Digits(validate=validate.Range(1, 2**63 - 1))


class ImageFormSchema(Schema):
    """What an image shows."""

    alt = line(300, load_default="")
    option_value_id = Digits(validate=validate.Range(1, 2**63 - 1))


class ImagePatchSchema(Schema):
    """Changes to an image; ``position`` counts from 0."""

    alt = line(300)
    option_value_id = identity(allow_none=True)
    position = Whole(validate=validate.Range(0, MAX_INT))
