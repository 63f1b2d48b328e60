"""The generated back office. Read this before you write a page of the admin.

Two kinds of page

``View``: a table. Its list, and the pages of its records, come from a declaration. Whatever has a
verb is an ``Action``, or a method with ``@expose`` + ``@has_access`` that calls an operation.

``Screen``: a page without a table behind it (dashboard, sign-in).

The class name is the name in the permission table (roles.py), in the menu (menu.py) and of the
endpoint: ``OrdersView.list``. ``@has_access`` asks for ``can_<method>``; with
``@permission_name("ship")`` below it, for ``can_ship``. Add the class to ``VIEWS`` in
``shop/admin/__init__.py``, an ``Entry`` to ``MENU``, its permissions to ``ROLES``; then
``flask shop init``. `docs/recipes.md` walks through it.

A table in twenty lines

    class CouriersView(View):
        route_base = "/admin/couriers"
        datamodel = Table(Courier)
        noun = "courier"                                   # “Add courier”, “Courier saved.”
        columns = (
            Text("name"),
            Code("code"),
            Amount("price_minor", "Price"),
            YesNo("is_active", "State", yes="In use", no="Off"),
            Moment("created_at", "Created", shown=False),   # for the column chooser
        )
        search = ("name", "code")                          # the box above the list
        sort = "name"                                      # "-name" for the other way
        tabs = (Tab("all", "All"), Tab("used", "In use", Courier.is_active.is_(True)))
        row_actions = (Action(
            "stop", "Switch off", couriers.stop, "%(name)s is off.",
            lazy_ngettext("%(num)s courier is off.", "%(num)s couriers are off."),
        ),)
        edit_columns = add_columns = ["name", "code", "price_minor"]
        hints = {"code": "Printed on the label."}

What it has without a word more

- the address: ``?tab=&q=&<filter>=&sort=-placed_at&cols=a,b&size=50&after=<key>``
  (list_state.py). It is kept on the way to a record and back; what it cannot mean is refused with
  a sentence.
- filters: each column of a closed set, a flag, a number, an amount or a date brings its own;
  ``more_filters`` adds others (relations, "is empty", text) or replaces one of the same name,
  ``without_filters`` leaves some out. The filters in force are chips.
- pages by key, counts that stop at 10,000: a page of a million rows costs what one of fifty does.
- search in every word's folded form: case and accents do not matter. A large table wants a
  trigram index on ``shop_fold(column)``. ``Through`` looks through another table; a function of a
  word gives any other condition.
- column chooser, sorting, page size, rows as cards on a phone, keys (j, k, x, Enter), empty states.
- selection of rows or of all that match; each ``Action`` runs once per row in a transaction of its
  own and says what became of each, even when the database goes away in the middle.
- export: the list as a CSV file with the rows, columns and order on the screen, up to 10,000 rows,
  for whoever has ``can_export``; cells cannot become formulas (exports.py). ``exporters`` adds
  kinds of file, ``exported_columns`` other columns, a column's ``told`` what stands in its cells.
- forms: two people at one form merge field by field (conflicts.py); a ``DomainError`` with
  ``field`` shows at that field (``shown_at``, ``refused_field``) and answers 422; what was typed
  stays; unsaved changes are guarded; Ctrl+S saves; afterwards the list is as it was left.

More of View

- ``pages = ("show",)``: which of show, add, edit and delete there are; methods that a view writes
  itself are there anyway.
- ``query()``: the list's SELECT, where columns with ``sql`` need a join; ``counted()`` and
  ``scope()`` beside it. ``completed(rows)`` adds what SQL cannot say, ``matching_keys`` gives the
  rows an order of their own; lists, live rows, exports and bulk actions all ask them.
- ``make_form(item, sent=…)``: a form written by hand instead of one from columns; conflicts are
  found by what it shows. ``form_extra``, ``form_back``, ``said``: what else its page needs.
- ``save_part(pk, Part(…))``: further forms on a record's page, each saved and merged for itself
  (parts.py); the product's page has four.
- ``create(form)``, ``change(item, form)``, ``remove(item)`` run inside one transaction; override
  them to call operations. ``hold(item)`` takes the lock; override it where operations lock
  something else first.
- ``may_delete(item)``, ``may_edit(item)``: per row; ``row_href(item)``: where a row leads
  (``record_address`` keeps the list's own address); ``row_attributes(row)``: data for scripts;
  ``row_buttons``: a template for further buttons.
- ``live = "staff:orders"``: rows follow the events of that topic; new ones slide in on top.
- ``neighbours(pk)``: the records above and below in the list that the person came from.
- Templates: ``list_template`` etc. extend ``admin/framework/list.html``, ``show.html``,
  ``form.html``; blocks ``page_actions``, ``before_list``, ``after_list``, ``show_main``,
  ``aside``, ``before_form``, ``after_form``. ``extra(kind, item)`` gives them further values.

Writing, in methods of one's own: ``with transaction(): orders.ship(…)``,
``flash("…", "success")``, ``return redirect(self.address("show", pk=…), code=303)``. A
``DomainError`` needs no ``try``: the person returns to the page they came from and reads its
sentence; a script that sends ``Accept: application/json`` gets ``{"error", "code", "field"}``.

Templates extend ``admin/layout.html`` (blocks ``content``, ``head``, ``scripts``). Macros stand in
``admin/components/page.html`` and ``forms.html``. What is the same everywhere is in ``shell``
(shell.py). No inline scripts or styles: the policy forbids them. Behaviour comes from modules by
attribute: ``data-confirm`` (asks first), ``data-guard`` (unsaved changes, Ctrl+S),
``data-search-select``, ``data-local`` (times). Live events arrive on ``document`` as
``live:staff:orders`` with detail {type, data, at}: static/js/live-admin.js.
"""

from shop.admin.framework.actions import Action
from shop.admin.framework.columns import (
    Amount,
    Code,
    Column,
    Email,
    Image,
    LinkTo,
    Listed,
    Moment,
    Number,
    Percent,
    Status,
    Text,
    YesNo,
)
from shop.admin.framework.declaration import Through
from shop.admin.framework.filters import (
    AmountRange,
    Choice,
    DateRange,
    Flag,
    Missing,
    NumberRange,
    Relation,
    TextIs,
)
from shop.admin.framework.interface import Table
from shop.admin.framework.list_state import Tab
from shop.admin.framework.screens import Page, Screen
from shop.admin.framework.view import View

__all__ = [
    "Action", "Amount", "AmountRange", "Choice", "Code", "Column", "DateRange", "Email", "Flag",
    "Image", "LinkTo", "Listed", "Missing", "Moment", "Number", "NumberRange", "Page", "Percent",
    "Relation", "Screen", "Status", "Tab", "Table", "Text", "TextIs", "Through", "View", "YesNo",
]  # fmt: skip
