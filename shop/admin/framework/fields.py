"""Form fields of the staff side: native inputs, money in major units, search-select."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from flask_appbuilder.fields import QuerySelectField, QuerySelectMultipleField
from flask_appbuilder.forms import FieldConverter, GeneralModelConverter
from markupsafe import Markup
from wtforms import (
    BooleanField,
    DateField,
    DateTimeLocalField,
    DecimalField,
    Field,
    FloatField,
    IntegerField,
    StringField,
    TextAreaField,
    widgets,
)
from wtforms.fields.choices import Choice  # type: ignore[attr-defined]  # its types are of 3.2
from wtforms.validators import DataRequired, Length, Optional, ValidationError

from shop.admin.framework.formatters import shop_currency
from shop.core.i18n import gettext as _
from shop.core.i18n import lazy_gettext
from shop.core.money import AmountError, format_typed, parse_amount

INT_MAX = 2**31 - 1
MAX_TYPED = 20


class _Text(widgets.TextInput):
    def __call__(self, field: Field, **kwargs: Any) -> Markup:
        kwargs.setdefault("class", "input")
        return super().__call__(field, **kwargs)


class _Area(widgets.TextArea):
    def __call__(self, field: Any, **kwargs: Any) -> Markup:
        kwargs.setdefault("class", "input")
        kwargs.setdefault("rows", 5)
        return super().__call__(field, **kwargs)


class _Number(widgets.NumberInput):
    def __call__(self, field: Field, **kwargs: Any) -> Markup:
        kwargs.setdefault("class", "input num")
        kwargs.setdefault("step", "any" if isinstance(field, (DecimalField, FloatField)) else 1)
        return super().__call__(field, **kwargs)


class _Day(widgets.DateInput):
    def __call__(self, field: Field, **kwargs: Any) -> Markup:
        kwargs.setdefault("class", "input")
        return super().__call__(field, **kwargs)


class _Moment(widgets.DateTimeLocalInput):
    def __call__(self, field: Field, **kwargs: Any) -> Markup:
        kwargs.setdefault("class", "input")
        return super().__call__(field, **kwargs)


class _Select(widgets.Select):
    def __call__(self, field: Any, **kwargs: Any) -> Markup:
        kwargs.setdefault("class", "input")
        return super().__call__(field, **kwargs)


class WholeField(IntegerField):
    """A whole number that fits its column; anything else is answered in words."""

    def process_formdata(self, valuelist: list[str]) -> None:
        if not valuelist:
            return
        # int() alone would also take "1_000" and the digits of other scripts.
        if not re.fullmatch(r"\s*[-−+]?[0-9]{1,30}\s*", valuelist[0], re.ASCII):
            self.data = None
            raise ValueError(_("Type a whole number."))
        self.data = int(valuelist[0].replace("−", "-"))

    def pre_validate(self, form: Any) -> None:
        if self.data is not None and not -INT_MAX <= self.data <= INT_MAX:
            raise ValidationError(_("This number is too large."))


class PartsField(DecimalField):
    """A number that may have a fraction, as "12.5" or "12,5"; anything else is refused in words.

    Whatever else ``Decimal`` reads is refused: ``1e999999`` is a number with a million digits.
    """

    def process_formdata(self, valuelist: list[str]) -> None:
        typed = [text.strip() for text in valuelist]
        plain = r"[-+]?([0-9]+([.,][0-9]+)?|[.,][0-9]+)"
        if any(len(text) > MAX_TYPED or not re.fullmatch(plain, text) for text in typed):
            self.data = None
            raise ValueError(_("Type a number."))
        try:
            super().process_formdata(
                [text if "." in text else text.replace(",", ".", 1) for text in typed]
            )
        except ValueError:
            raise ValueError(_("Type a number.")) from None


class UtcDateTimeField(DateTimeLocalField):
    """A point in time, typed and shown in UTC; the data carries its zone."""

    def process_formdata(self, valuelist: list[str]) -> None:
        super().process_formdata(valuelist)
        if isinstance(self.data, datetime):
            self.data = self.data.replace(tzinfo=UTC)


class MoneyField(Field):
    """Typed as ``parse_amount`` reads it; the data is minor units of the shop's currency."""

    widget = widgets.TextInput()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.typed: str | None = None

    @property
    def currency(self) -> str:
        """Shown beside the box."""
        return shop_currency()

    def __call__(self, **kwargs: Any) -> Markup:
        kwargs.setdefault("class", "input num")
        return super().__call__(inputmode="decimal", **kwargs)

    def _value(self) -> str:
        if self.typed is not None:
            return self.typed
        if self.data is None:
            return ""
        return format_typed(self.data, self.currency)

    def process_formdata(self, valuelist: list[str]) -> None:
        if not valuelist:
            return
        self.typed = valuelist[0]
        self.data = None
        if not self.typed.strip():
            return
        try:
            self.data = parse_amount(self.typed, self.currency)
        except AmountError as error:
            raise ValueError(str(error)) from None


class CodesField(Field):
    """Several short codes in one box, separated by commas or spaces: “DE, AT, FR”."""

    widget = _Text()

    def _value(self) -> str:
        return ", ".join(self.data or [])

    def process_formdata(self, valuelist: list[str]) -> None:
        text = valuelist[0] if valuelist else ""
        self.data = list(dict.fromkeys(text.upper().replace(",", " ").split()))


class _Columns(FieldConverter):
    conversion_table = (
        ("is_text", TextAreaField, _Area),
        ("is_json", TextAreaField, _Area),
        ("is_string", StringField, _Text),
        ("is_integer", WholeField, _Number),
        ("is_numeric", PartsField, _Number),
        ("is_float", FloatField, _Number),
        ("is_boolean", BooleanField, None),
        ("is_date", DateField, _Day),
        ("is_datetime", UtcDateTimeField, _Moment),
    )


class FormMaker(GeneralModelConverter):
    """Turns columns into fields."""

    def _convert_simple(
        self,
        col_name: str,
        label: str,
        description: str,
        lst_validators: list[Any],
        form_props: Any,
    ) -> Any:
        # A copy: Flask-AppBuilder would append to the list that the view declared.
        checks = list(lst_validators)
        if col_name.endswith("_minor"):
            needed = not self.datamodel.is_nullable(col_name)
            checks.append(_amount_needed if needed else Optional())
            form_props[col_name] = MoneyField(label, checks, description=description)
            return form_props
        made = _Columns(
            self.datamodel,
            col_name,
            label,
            description,
            checks + self._needed(col_name),
            default=self.datamodel.get_col_default(col_name),
        ).convert()
        if made is None:
            raise TypeError(f"declare a field for {self.datamodel.model_name}.{col_name} yourself")
        if self.datamodel.is_string(col_name) and self.datamodel.is_nullable(col_name):
            made.kwargs["filters"] = [lambda text: text or None]
        form_props[col_name] = made
        return form_props

    def _needed(self, col_name: str) -> list[Any]:
        column = self.datamodel.list_columns[col_name]
        blank_is_fine = column.nullable or column.default is not None
        if self.datamodel.is_boolean(col_name):
            return []
        needed: list[Any] = [
            Optional() if blank_is_fine else DataRequiredOrZero(lazy_gettext("Fill this in."))
        ]
        longest = getattr(column.type, "length", None)
        if self.datamodel.is_string(col_name) and longest:
            needed.append(
                Length(
                    max=longest,
                    message=lazy_gettext("At most %(count)s characters.", count=longest),
                )
            )
        return needed

    def _convert_many_to_one(
        self,
        col_name: str,
        label: str,
        description: str,
        lst_validators: list[Any],
        filter_rel_fields: Any,
        form_props: Any,
    ) -> Any:
        checks = list(lst_validators)
        nullable = self.datamodel.is_nullable(col_name)
        checks.append(Optional() if nullable else DataRequired(lazy_gettext("Choose one.")))
        form_props[col_name] = OneField(
            label,
            checks,
            description=description,
            query_func=self._get_related_query_func(col_name, filter_rel_fields),
            get_pk_func=self._get_related_pk_func(col_name),
            allow_blank=nullable,
            blank_text="—",
            widget=_Select(),
        )
        return form_props

    def _convert_many_to_many(
        self,
        col_name: str,
        label: str,
        description: str,
        lst_validators: list[Any],
        filter_rel_fields: Any,
        form_props: Any,
    ) -> Any:
        form_props[col_name] = SeveralField(
            label,
            list(lst_validators),
            description=description,
            query_func=self._get_related_query_func(col_name, filter_rel_fields),
            get_pk_func=self._get_related_pk_func(col_name),
            widget=Checkboxes(),
        )
        return form_props


class OneField(QuerySelectField):
    """One row of a small table."""

    def iter_choices(self) -> Iterator[Choice]:
        """The rows, as WTForms wants them: Flask-AppBuilder has bare tuples."""
        return map(Choice._make, super().iter_choices())


class SeveralField(QuerySelectMultipleField):
    """Several rows of a small table; an unknown key is refused instead of being dropped."""

    def iter_choices(self) -> Iterator[Choice]:
        """The rows, as WTForms wants them."""
        return map(Choice._make, super().iter_choices())

    def pre_validate(self, form: Any) -> None:
        # Only reading the data finds unknown keys; Flask-AppBuilder looks at the finding first.
        _ = self.data
        super().pre_validate(form)


class Checkboxes:
    """Several of a few: one box each, which a list with Ctrl-click is not."""

    def __call__(self, field: Any, **kwargs: Any) -> Markup:
        boxes = [
            Markup(
                '<label class="check"><input type="checkbox" name="{}" value="{}"{}>'
                "<span>{}</span></label>"
            ).format(field.name, key, Markup(" checked") if chosen else "", label)
            for key, label, chosen, _ in field.iter_choices()
        ]
        return Markup('<div class="checks" role="group" id="{}" aria-label="{}">{}</div>').format(
            field.id, field.label.text, Markup("").join(boxes)
        )


class DataRequiredOrZero:
    """Something must be typed; 0 counts."""

    field_flags = {"required": True}

    def __init__(self, message: str) -> None:
        self.message = message

    def __call__(self, form: Any, field: Any) -> None:
        typed = field.raw_data and str(field.raw_data[0]).strip()
        if not typed and not field.errors:
            raise ValidationError(self.message)


_amount_needed: Callable[[Any, Any], None] = DataRequiredOrZero(lazy_gettext("Fill in an amount."))
text_widget, number_widget, select_widget = _Text(), _Number(), _Select()
